#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"
#include "store/format/entry.hpp"
#include "store/store.hpp"

namespace ropejit::test {

using namespace internal;

int rewrite_job(const WorkerArguments& arguments) {
  const BinaryStore store(arguments.text("dir"));
  std::vector<Entry> entries;
  for (const EntryListing& listing : store.list()) {
    if (!listing.metadata) continue;
    if (ReadResult read = store.read(listing.metadata->key_preimage); read.entry) {
      entries.push_back(*std::move(read.entry));
    }
  }
  if (entries.empty()) throw std::runtime_error("no entries in " + store.directory());
  print_line(llvm::json::Object{{"entries", static_cast<std::int64_t>(entries.size())}});
  for (;;) {
    for (const Entry& entry : entries) {
      if (const std::string problem = store.write(entry); !problem.empty()) throw std::runtime_error(problem);
    }
  }
}

int fill_job(const WorkerArguments& arguments) {
  const std::int64_t count = arguments.number("count", 1);
  for (std::int64_t i = 0; i < count; ++i) {
    Entry entry;
    entry.metadata.key_preimage = fmt::format("ropejit reliability test, entry {}", i);
    entry.metadata.arch = "host-none";
    entry.metadata.entry = "none";
    entry.metadata.variant = "flat_v4_h1_t128";
    entry.payload = "not a shared object";
    // Not through the store, which waits for the disk twice an entry: an hour for 100,000.
    const std::string key = entry_key(entry.metadata.key_preimage);
    const std::filesystem::path folder =
        std::filesystem::path(arguments.text("dir")) / "v1" / "entries" / key.substr(0, 2);
    if (!std::filesystem::exists(folder)) {
      std::filesystem::create_directories(folder);
      std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
    }
    std::ofstream file(folder / (key + ".rje"), std::ios::binary);
    file << encode_entry(entry).bytes;
    file.close();
    if (!file) throw std::runtime_error("cannot write to " + folder.string());
  }
  print_line(llvm::json::Object{{"entries", count}});
  return 0;
}

}  // namespace ropejit::test
