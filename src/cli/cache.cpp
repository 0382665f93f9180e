#include <fmt/format.h>

#include <cstdint>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "ropejit/error.hpp"
#include "store/store.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

int print_path(const std::string& directory, bool json) {
  if (json) {
    print(json_text([&](llvm::json::OStream& out) {
      out.object([&] {
        if (directory.empty()) {
          attribute_null(out, "path");
        } else {
          attribute(out, "path", directory);
        }
      });
    }));
  } else if (directory.empty()) {
    print_error_line("ropejit: no cache directory: neither HOME nor ROPEJIT_CACHE_DIR is set; binaries stay in memory");
  } else {
    print(directory + "\n");
  }
  return 0;
}

std::string listing_json(const std::vector<EntryListing>& entries) {
  return json_text([&](llvm::json::OStream& out) {
    out.array([&] {
      for (const EntryListing& entry : entries) {
        out.object([&] {
          attribute(out, "key", entry.key);
          attribute(out, "path", entry.path);
          attribute(out, "bytes", static_cast<std::int64_t>(entry.bytes));
          if (!entry.metadata) {
            attribute(out, "problem", entry.problem);
            return;
          }
          attribute(out, "arch", entry.metadata->arch);
          attribute(out, "entry", entry.metadata->entry);
          attribute(out, "variant", entry.metadata->variant);
          attribute(out, "compiler", entry.metadata->compiler);
          attribute(out, "registers", std::int64_t{entry.metadata->registers});
          attribute(out, "spill_bytes", std::int64_t{entry.metadata->spill_bytes});
          attribute(out, "compile_ms", entry.metadata->compile_ms);
        });
      }
    });
  });
}

std::string listing_table(const std::string& directory, const std::vector<EntryListing>& entries) {
  std::string text;
  std::int64_t bytes = 0;
  for (const EntryListing& entry : entries) {
    bytes += static_cast<std::int64_t>(entry.bytes);
    text +=
        fmt::format("{}  {:>9}  {:<12}  {}\n", entry.key.substr(0, 12), grouped(static_cast<std::int64_t>(entry.bytes)),
                    entry.metadata ? excerpt(entry.metadata->arch) : "damaged",
                    entry.metadata ? excerpt(entry.metadata->entry, 200) : excerpt(entry.problem, 200));
  }
  return text + fmt::format("{} {}, {} bytes, in {}\n", entries.size(), entries.size() == 1 ? "entry" : "entries",
                            grouped(bytes), directory.empty() ? "memory only" : directory);
}

int run_cache(const Arguments& arguments) {
  const std::string directory = cache_directory(arguments.text("--cache-dir"));
  const bool json = arguments.has("--json");
  const std::string word = arguments.positional().empty() ? "" : arguments.positional()[0];
  if (word == "path") return print_path(directory, json);
  if (word != "ls") {
    throw Error(ErrorCode::invalid_argument, "arguments",
                fmt::format("cache: found {}, allowed: path, ls", word.empty() ? "nothing" : quoted(word)));
  }
  const std::vector<EntryListing> entries = BinaryStore(directory).list();
  print(json ? listing_json(entries) : listing_table(directory, entries));
  return 0;
}

}  // namespace

Command cache_command() {
  return {
      "cache",
      "shows where binaries are kept (path) and which (ls)",
      {{"--cache-dir", "DIR", "look here ($ROPEJIT_CACHE_DIR, else $XDG_CACHE_HOME/ropejit, else ~/.cache/ropejit)"},
       {"--json", "", "one JSON value on stdout"},
       {"--help", "", "this text"}},
      {"path", "ls"},
      run_cache};
}

}  // namespace ropejit::internal
