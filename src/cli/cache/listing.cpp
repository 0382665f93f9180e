// cache path, ls, show, verify: what is there.
#include <fmt/format.h>

#include <cstdint>

#include "cli/cache/cache.hpp"
#include "cli/output.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

const char* state_of(const EntryListing& entry) {
  if (entry.metadata) return "whole";
  switch (entry.kind) {
    case Miss::Kind::newer: return "newer";
    case Miss::Kind::refused: return "refused";
    case Miss::Kind::unreadable: return "unreadable";
    case Miss::Kind::absent: return "unlisted";  // by the manifest of a sealed directory
    case Miss::Kind::damaged: break;
  }
  return "damaged";
}

// The attributes of the object that is open.
void attributes(llvm::json::OStream& out, const EntryListing& entry) {
  attribute(out, "key", entry.key);
  attribute(out, "path", entry.path);
  attribute(out, "bytes", entry.bytes);
  if (!entry.metadata) {
    attribute(out, "state", state_of(entry));
    attribute(out, "problem", entry.problem);
    return;
  }
  const EntryMetadata& metadata = *entry.metadata;
  attribute(out, "arch", metadata.arch);
  attribute(out, "entry", metadata.entry);
  attribute(out, "variant", metadata.variant);
  attribute(out, "compiler", metadata.compiler);
  attribute(out, "registers", metadata.registers);
  attribute(out, "spill_bytes", metadata.spill_bytes);
  attribute(out, "stack_bytes", metadata.stack_bytes);
  attribute(out, "compile_ms", metadata.compile_ms);
}

std::string line_of(const EntryListing& entry) {
  return fmt::format("{}  {:>9}  {:<12}  {}\n", entry.key.substr(0, 12), grouped(entry.bytes),
                     entry.metadata ? excerpt(entry.metadata->arch) : state_of(entry),
                     entry.metadata ? excerpt(entry.metadata->entry, 200) : excerpt(entry.problem, 200));
}

std::string total(const std::string& directory, const std::vector<EntryListing>& entries) {
  std::size_t count = 0;
  std::int64_t bytes = 0;
  for (const EntryListing& entry : entries) {
    if (entry.directory != directory) continue;
    ++count;
    bytes += static_cast<std::int64_t>(entry.bytes);
  }
  return fmt::format("{}, {} bytes, in {}\n", counted(count, "entry", "entries"), grouped(bytes),
                     directory.empty() ? "memory only" : directory);
}

}  // namespace

int cache_path(const BinaryStore& store, const Arguments& arguments) {
  const StoreOptions& options = store.options();
  if (arguments.has("--json")) {
    print(json_object([&](llvm::json::OStream& out) {
      if (options.directory.empty()) {
        attribute_null(out, "path");
      } else {
        attribute(out, "path", options.directory);
      }
      attribute_list(out, "read_only", options.read_only);
      attribute(out, "trust", to_string(options.trust));
    }));
    return 0;
  }
  if (options.directory.empty()) {
    print_error_line("ropejit: no cache directory: neither HOME nor ROPEJIT_CACHE_DIR is set; binaries stay in memory");
  } else {
    print(options.directory + "\n");  // one line, for scripts
  }
  return 0;
}

int cache_ls(const BinaryStore& store, const Arguments& arguments) {
  const std::vector<EntryListing> entries = store.list();
  if (arguments.has("--json")) {
    print(json_array([&](llvm::json::OStream& out) {
      for (const EntryListing& entry : entries) out.object([&] { attributes(out, entry); });
    }));
    return 0;
  }
  std::string text;
  for (const EntryListing& entry : entries) text += line_of(entry);
  text += total(store.directory(), entries);
  for (const std::string& directory : store.options().read_only) text += total(directory, entries);
  print(text);
  return 0;
}

int cache_show(const BinaryStore& store, const Arguments& arguments) {
  const std::string& prefix = arguments.positional()[1];
  std::vector<EntryListing> entries = store.list();
  // One key may be in several directories: the first serves.
  std::erase_if(entries, [&](const EntryListing& entry) { return !entry.key.starts_with(prefix); });
  if (entries.empty()) throw bad_argument("show: no entry has a key that begins with {}", quoted(prefix));
  for (const EntryListing& entry : entries) {
    if (entry.key == entries[0].key) continue;
    throw bad_argument("show: {} begins several keys, {} and {}; allowed: one", quoted(prefix), entries[0].key,
                       entry.key);
  }
  const EntryListing& entry = entries[0];
  const std::string preimage = entry.metadata ? entry.metadata->key_preimage : "";
  if (arguments.has("--json")) {
    print(json_object([&](llvm::json::OStream& out) {
      attributes(out, entry);
      if (entry.metadata) attribute(out, "key_preimage", preimage);
    }));
    return 0;
  }
  std::string text =
      fmt::format("key       {}\npath      {}\nbytes     {}\n", entry.key, entry.path, grouped(entry.bytes));
  if (!entry.metadata) {
    print(text + fmt::format("{:<9} {}\n", state_of(entry), entry.problem));
    return 0;
  }
  const EntryMetadata& metadata = *entry.metadata;
  text +=
      fmt::format("entry     {}\narch      {}\nvariant   {}\ncompiler  {}\nregisters {}, spilled {}, stack {} bytes\n",
                  excerpt(metadata.entry, 200), excerpt(metadata.arch), excerpt(metadata.variant),
                  excerpt(metadata.compiler), metadata.registers, metadata.spill_bytes, metadata.stack_bytes);
  text += fmt::format("compiled  {}\nmade of:\n", duration(1000 * metadata.compile_ms));
  for (std::string_view rest = preimage; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    text += fmt::format("  {}\n", excerpt(line, 200));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  print(text);
  return 0;
}

int cache_verify(const BinaryStore& store, const Arguments& arguments) {
  const std::vector<EntryListing> entries = store.list();
  std::vector<EntryListing> bad = entries;
  // What a later version wrote is for that version to judge.
  std::erase_if(bad, [](const EntryListing& entry) { return entry.metadata || entry.kind == Miss::Kind::newer; });
  if (arguments.has("--json")) {
    print(json_object([&](llvm::json::OStream& out) {
      attribute(out, "entries", entries.size());
      attribute_objects(out, "bad", bad, [&](const EntryListing& entry) { attributes(out, entry); });
    }));
  } else {
    std::string text;
    for (const EntryListing& entry : bad)
      text += fmt::format("{}: {}: {}\n", entry.path, state_of(entry), entry.problem);
    print(text + fmt::format("{}, {} bad\n", counted(entries.size(), "entry", "entries"), bad.size()));
  }
  return bad.empty() ? 0 : 1;
}

}  // namespace ropejit::internal
