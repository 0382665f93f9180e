// cache prune, clear, manifest: what changes the user's directory.
#include <fmt/format.h>

#include <cstdint>

#include "cli/cache/cache.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "store/signature.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kKeyFileLimit = 65536;

int tell(const BinaryStore& store, const Pruned& pruned, bool json) {
  if (json) {
    print(json_object([&](llvm::json::OStream& out) {
      attribute(out, "done", pruned.done);
      attribute(out, "removed", pruned.entries);
      attribute(out, "removed_bytes", pruned.bytes);
      attribute(out, "kept", pruned.kept);
      attribute(out, "kept_bytes", pruned.kept_bytes);
      attribute(out, "leftovers", pruned.leftovers);
      attribute(out, "locks", pruned.locks);
      if (!pruned.problem.empty()) attribute(out, "problem", pruned.problem);
    }));
  } else if (pruned.done) {
    print(fmt::format("removed {} of {} entries, {} bytes; {} bytes left in {}\n", pruned.entries,
                      pruned.entries + pruned.kept, grouped(pruned.bytes), grouped(pruned.kept_bytes),
                      store.directory()));
  } else if (pruned.problem.empty()) {
    print(store.options().trust.sealed() ? "sealed by its manifest, left as it is\n"
                                         : "nothing to do: no directory yet, or another process is pruning it\n");
  }
  if (pruned.problem.empty()) return 0;
  print_error_line("ropejit: " + pruned.problem);
  return 1;
}

}  // namespace

int cache_prune(const BinaryStore& store, const Arguments& arguments) {
  expect_no_bundle(store);
  Limits limits = store.options().limits;
  if (const auto bytes = arguments.text("--max-bytes")) limits.max_bytes = byte_count("--max-bytes", *bytes);
  if (const auto days = arguments.text("--max-age")) limits.max_age = day_count("--max-age", *days);
  return tell(store, store.prune(limits), arguments.has("--json"));
}

int cache_clear(const BinaryStore& store, const Arguments& arguments) {
  expect_no_bundle(store);
  return tell(store, store.clear(), arguments.has("--json"));
}

std::string signing_key(const Arguments& arguments) {
  const auto path = arguments.text("--sign");
  if (!path) return {};
  std::string secret_key = read_secret_key(read_file("--sign", *path, kKeyFileLimit));
  if (!secret_key.empty()) return secret_key;
  throw bad_argument("--sign: {}: found no key, allowed: an Ed25519 secret key in PEM or 64 hex digits", *path);
}

int cache_manifest(const BinaryStore& store, const Arguments& arguments) {
  expect_no_bundle(store);
  const std::string secret_key = signing_key(arguments);
  // What is listed is what this user would use: a manifest vouches for it to others.
  const Trust trust = store.options().trust.sealed() ? Trust() : store.options().trust;
  const ManifestWritten written = write_manifest(system_file_ops(), trust, store.directory(), secret_key);
  if (!written.problem.empty()) throw Error(ErrorCode::io_error, "output", written.problem);
  for (const std::string& file : written.left_out) print_error_line("ropejit: left out: " + file);
  if (arguments.has("--json")) {
    print(json_object([&](llvm::json::OStream& out) {
      attribute(out, "path", written.path);
      attribute(out, "digest", written.digest);
      attribute(out, "files", written.files);
      attribute(out, "signed", !secret_key.empty());
      attribute_list(out, "left_out", written.left_out);
    }));
  } else {
    print(written.digest + "\n");
  }
  return 0;
}

}  // namespace ropejit::internal
