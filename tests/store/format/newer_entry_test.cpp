#include <llvm/Support/BLAKE3.h>

#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

TEST_CASE("An entry that a later version wrote is a miss, and is left alone") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  REQUIRE(store.write(sample_entry("key")) == "");
  const std::string file = entry_file(scratch.path(), "key");

  // A later version may lay out all but the magic, the version and the trailer as it likes.
  std::string bytes = read_text(file).substr(0, 8) + std::string("\2\0\0\0", 4) + std::string(100, '\xff');
  const auto hash = llvm::BLAKE3::hash<32>(
      llvm::ArrayRef<std::uint8_t>(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  bytes.append(reinterpret_cast<const char*>(hash.data()), hash.size());
  write_text(file, bytes);

  CHECK(store.read("key").miss.kind == Miss::Kind::newer);
  CHECK_FALSE(store.write(sample_entry("key")).empty());
  CHECK(read_text(file) == bytes);
  CHECK(entries_below(scratch.path()).size() == 1);

  const std::vector<EntryListing> listings = store.list();
  REQUIRE(listings.size() == 1);
  CHECK_FALSE(listings[0].metadata);
  CHECK_FALSE(listings[0].problem.empty());
}
