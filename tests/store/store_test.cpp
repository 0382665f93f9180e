#include "store/store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "store/sample_entries.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

unsigned mode_of(const std::string& path) {
  struct stat status = {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777u;
}

}  // namespace

TEST_CASE("The key of an entry is the BLAKE3 of its preimage") {
  // The hash's own test vector for no input.
  CHECK(entry_key("") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  CHECK(entry_key("a") != entry_key("b"));
}

TEST_CASE("What a store writes, it and its like read back") {
  const ScratchFolder scratch;
  const std::string directory = scratch / "deep/er/cache";
  const BinaryStore store(directory);
  const Entry entry = sample_entry();

  CHECK(store.read(entry.metadata.key_preimage).miss.kind == Miss::Kind::absent);
  CHECK(files_below(scratch.path()).empty());  // reading creates nothing

  REQUIRE(store.write(entry) == "");
  for (const BinaryStore& reader : {store, BinaryStore(directory)}) {
    const ReadResult result = reader.read(entry.metadata.key_preimage);
    REQUIRE(result.entry);
    CHECK(same(*result.entry, entry));
  }
  CHECK(store.read("another preimage").miss.kind == Miss::Kind::absent);

  const std::string file = entry_file(directory, entry.metadata.key_preimage);
  CHECK(entries_below(scratch.path()) == std::vector<std::string>{file});
  for (const std::string& other : files_below(scratch.path())) CHECK(mode_of(other) == 0600u);
  for (fs::path folder = fs::path(file).parent_path(); folder != scratch.path(); folder = folder.parent_path()) {
    CHECK(mode_of(folder.string()) == 0700u);
  }
}

TEST_CASE("A write replaces the entry of its key, also where that is damaged") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  const std::string file = entry_file(scratch.path(), "key");
  REQUIRE(store.write(sample_entry("key", 10)) == "");

  for (const char* damage : {"", "x", "not an entry at all, but long enough to be taken for one by its size"}) {
    write_text(file, damage);
    CHECK(store.read("key").miss.kind == Miss::Kind::damaged);
    REQUIRE(store.write(sample_entry("key", 20)) == "");
    REQUIRE(store.read("key").entry);
    CHECK(store.read("key").entry->payload.size() == 20);
  }
  CHECK(entries_below(scratch.path()).size() == 1);
}

TEST_CASE("An entry under another's name is a miss") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  REQUIRE(store.write(sample_entry("one")) == "");
  REQUIRE(store.write(sample_entry("two")) == "");
  fs::copy_file(entry_file(scratch.path(), "one"), entry_file(scratch.path(), "two"),
                fs::copy_options::overwrite_existing);
  const ReadResult result = store.read("two");
  CHECK_FALSE(result.entry);
  CHECK(result.miss.kind == Miss::Kind::damaged);
  CHECK(store.read("one").entry);
}

TEST_CASE("Without a directory nothing is kept and nothing fails") {
  const BinaryStore store("");
  CHECK(store.write(sample_entry()) == "");
  CHECK(store.read(sample_entry().metadata.key_preimage).miss.kind == Miss::Kind::absent);
  CHECK(store.list().empty());
}

TEST_CASE("Files that might not be ours are not read") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  REQUIRE(store.write(sample_entry("key")) == "");
  const std::string file = entry_file(scratch.path(), "key");
  const std::string elsewhere = scratch / "elsewhere";

  SECTION("a symbolic link") {
    fs::rename(file, elsewhere);
    fs::create_symlink(elsewhere, file);
  }
  SECTION("a pipe, which must not block either") {
    fs::remove(file);
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  }
  SECTION("a folder") {
    fs::remove(file);
    fs::create_directory(file);
  }
  SECTION("a file that others may write") { REQUIRE(::chmod(file.c_str(), 0622) == 0); }
  SECTION("a file of more bytes than any entry has") { fs::resize_file(file, std::uintmax_t{1} << 29); }
  const ReadResult result = store.read("key");
  CHECK_FALSE(result.entry);
  CHECK(result.miss.kind == Miss::Kind::refused);
  CHECK_FALSE(result.miss.reason.empty());
  CHECK_FALSE(result.quarantined);
}

TEST_CASE("Directories that cannot be are told of, and nothing stays behind") {
  const ScratchFolder scratch;
  write_text(scratch / "file", "mine");
  const std::string inside = scratch / "file/cache";
  struct Case {
    const char* what;
    std::string directory;
  };
  const Case cases[] = {
      {"a file where the directory should be", scratch / "file"},
      {"a file where a parent should be", inside},
      {"a system that takes no folders", "/proc/ropejit_test"},
      {"a name beyond all limits", scratch / std::string(5000, 'a')},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const BinaryStore store(c.directory);
    const std::string problem = store.write(sample_entry());
    CHECK_FALSE(problem.empty());
    CHECK(problem.find('\n') == std::string::npos);
    CHECK_FALSE(store.read(sample_entry().metadata.key_preimage).entry);
    for (const EntryListing& listing : store.list()) CHECK(listing.problem == "a file that is no bundle");
  }
  CHECK(files_below(scratch.path()) == std::vector<std::string>{scratch / "file"});
  CHECK(read_text(scratch / "file") == "mine");
}

TEST_CASE("A directory that this user may not write serves what is in it") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  REQUIRE(store.write(sample_entry("kept")) == "");
  const std::string file = entry_file(scratch.path(), "kept");

  // Root may write anything, so it becomes nobody for a while; the entry stays root's, readable for all.
  const bool root = ::geteuid() == 0;
  REQUIRE(::chmod(file.c_str(), 0444) == 0);
  std::vector<std::string> folders = {scratch.path()};
  for (const auto& item : fs::recursive_directory_iterator(scratch.path())) {
    if (item.is_directory()) folders.push_back(item.path().string());
  }
  for (const std::string& folder : folders) REQUIRE(::chmod(folder.c_str(), 0555) == 0);
  if (root) REQUIRE(::seteuid(65534) == 0);

  const bool readable = store.read("kept").entry.has_value();
  const std::string problem = store.write(sample_entry("new"));
  const std::string replacing = store.write(sample_entry("kept"));

  if (root) REQUIRE(::seteuid(0) == 0);
  for (const std::string& folder : folders) REQUIRE(::chmod(folder.c_str(), 0700) == 0);
  CHECK(readable);
  CHECK_FALSE(problem.empty());
  CHECK_FALSE(replacing.empty());
  CHECK(entries_below(scratch.path()) == std::vector<std::string>{file});
}

TEST_CASE("A listing has every entry by key, and says what is wrong with the bad ones") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  CHECK(store.list().empty());
  for (const char* preimage : {"good", "damaged", "renamed", "link"}) {
    REQUIRE(store.write(sample_entry(preimage)) == "");
  }
  write_text(entry_file(scratch.path(), "damaged"), "damaged");
  fs::copy_file(entry_file(scratch.path(), "good"), entry_file(scratch.path(), "renamed"),
                fs::copy_options::overwrite_existing);
  fs::remove(entry_file(scratch.path(), "link"));
  fs::create_symlink("/dev/null", entry_file(scratch.path(), "link"));
  // None of these is an entry.
  write_text(scratch / "v1/entries/README", "");
  const std::string shard = fs::path(entry_file(scratch.path(), "good")).parent_path().string();
  write_text(shard + "/." + entry_key("good") + ".AbCdEf", "left by a process that was killed");
  write_text(shard + "/short.rje", "");

  const std::vector<EntryListing> listings = store.list();
  REQUIRE(listings.size() == 4);
  for (std::size_t i = 0; i < listings.size(); ++i) {
    const EntryListing& listing = listings[i];
    if (i > 0) CHECK(listings[i - 1].key < listing.key);
    const bool good = listing.key == entry_key("good");
    CHECK(listing.metadata.has_value() == good);
    CHECK(listing.problem.empty() == good);
    CHECK(fs::exists(fs::symlink_status(listing.path)));
    if (good) {
      CHECK(listing.path == entry_file(scratch.path(), "good"));
      CHECK(listing.bytes == fs::file_size(listing.path));
      CHECK(listing.metadata->key_preimage == "good");
    }
  }
}
