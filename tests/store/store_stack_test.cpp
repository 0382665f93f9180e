#include <sys/stat.h>

#include <filesystem>

#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

// A user's directory and two read-only ones.
struct Stack {
  ScratchFolder scratch;
  std::string user = scratch / "user";
  std::string first = scratch / "first";
  std::string second = scratch / "second";
  BinaryStore store{StoreOptions{.directory = user, .read_only = {first, second}}};
};

}  // namespace

TEST_CASE("Directories are looked at in order, and the first that has an entry serves it") {
  const Stack stack;
  REQUIRE(BinaryStore(stack.second).write(sample_entry("key", 3)) == "");
  ReadResult read = stack.store.read("key");
  REQUIRE(read.entry);
  CHECK(read.entry->payload.size() == 3);
  CHECK(read.found_in == stack.second);
  CHECK(read.read_only);
  REQUIRE(read.misses.size() == 2);
  CHECK(read.misses[0].directory == stack.user);
  CHECK(read.misses[1].directory == stack.first);
  CHECK(read.misses[1].miss.kind == Miss::Kind::absent);

  REQUIRE(BinaryStore(stack.first).write(sample_entry("key", 2)) == "");
  CHECK(stack.store.read("key").entry->payload.size() == 2);
  REQUIRE(stack.store.write(sample_entry("key", 1)) == "");
  read = stack.store.read("key");
  CHECK(read.entry->payload.size() == 1);
  CHECK(read.found_in == stack.user);
  CHECK_FALSE(read.read_only);
  CHECK(read.misses.empty());
  CHECK(stack.store.list().size() == 3);
}

TEST_CASE("A miss everywhere names every directory, and tells the most telling reason") {
  const Stack stack;
  REQUIRE(BinaryStore(stack.first).write(sample_entry("key")) == "");
  write_text(entry_file(stack.first, "key"), "damaged");
  const ReadResult read = stack.store.read("key");
  CHECK_FALSE(read.entry);
  CHECK(read.miss.kind == Miss::Kind::damaged);
  REQUIRE(read.misses.size() == 3);
  CHECK(read.misses[0].miss.kind == Miss::Kind::absent);
  CHECK(read.misses[1].miss.kind == Miss::Kind::damaged);
  CHECK(read.misses[2].miss.kind == Miss::Kind::absent);
  // A read-only directory stays as it is.
  CHECK_FALSE(read.quarantined);
  CHECK(read_text(entry_file(stack.first, "key")) == "damaged");
}

TEST_CASE("A read-only directory is read and nothing else") {
  const Stack stack;
  REQUIRE(BinaryStore(stack.first).write(sample_entry("key")) == "");
  const std::string file = entry_file(stack.first, "key");
  const fs::file_time_type old = fs::file_time_type::clock::now() - std::chrono::hours(100);
  fs::last_write_time(file, old);
  REQUIRE(stack.store.read("key").read_only);
  CHECK(fs::last_write_time(file) == old);
  CHECK_FALSE(fs::exists(stack.user));
  CHECK(stack.store.clear().entries == 0);
  CHECK(fs::exists(file));
}

TEST_CASE("A damaged entry of the user's goes to quarantine, sixteen at most, and is written anew") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  for (int i = 0; i < 20; ++i) {
    const std::string preimage = "key " + std::to_string(i);
    REQUIRE(store.write(sample_entry(preimage)) == "");
    const std::string file = entry_file(scratch.path(), preimage);
    std::string bytes = read_text(file);
    bytes[bytes.size() / 2] ^= 1;
    write_text(file, bytes);
    const ReadResult read = store.read(preimage);
    CHECK_FALSE(read.entry);
    CHECK(read.quarantined);
    CHECK(read.miss.kind == Miss::Kind::damaged);
    CHECK_FALSE(fs::exists(file));
    CHECK(store.read(preimage).miss.kind == Miss::Kind::absent);
    REQUIRE(store.write(sample_entry(preimage)) == "");
    CHECK(store.read(preimage).entry);
  }
  CHECK(files_below(scratch / "v1/quarantine").size() == 16);
  CHECK(store.list().size() == 20);
}

TEST_CASE("No entry with a byte changed or bytes missing is ever taken for whole") {
  const ScratchFolder scratch(fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path());
  const BinaryStore store(StoreOptions{.directory = "", .read_only = {scratch.path()}});
  REQUIRE(BinaryStore(scratch.path()).write(sample_entry("key", 16)) == "");
  const std::string file = entry_file(scratch.path(), "key");
  const std::string whole = read_text(file);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      write_text(file, bytes);
      CHECK(store.read("key").miss.kind == Miss::Kind::damaged);
    }
    write_text(file, whole.substr(0, at));
    CHECK(store.read("key").miss.kind == Miss::Kind::damaged);
  }
  for (const char* more : {"x", "more than there was, and long enough to be a trailer"}) {
    write_text(file, whole + more);
    CHECK(store.read("key").miss.kind == Miss::Kind::damaged);
  }
  write_text(file, whole);
  CHECK(store.read("key").entry);
}

TEST_CASE("An entry that is used is stamped, once a day at most") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  REQUIRE(store.write(sample_entry("key")) == "");
  const std::string file = entry_file(scratch.path(), "key");
  const auto now = fs::file_time_type::clock::now();
  struct Row {
    std::chrono::hours age;
    bool stamped;
  };
  for (const Row& row : {Row{std::chrono::hours(23), false}, Row{std::chrono::hours(25), true},
                         Row{std::chrono::hours(-23), false}, Row{std::chrono::hours(-25), true}}) {
    INFO(row.age.count());
    fs::last_write_time(file, now - row.age);
    REQUIRE(store.read("key").entry);
    CHECK((fs::last_write_time(file) == now - row.age) == !row.stamped);
  }
}
