#include "store/prune.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "store/faulty_file_ops.hpp"
#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

using std::chrono::hours;
using std::chrono::seconds;

void age(const std::string& file, seconds by) { fs::last_write_time(file, fs::file_time_type::clock::now() - by); }

std::set<std::string> keys_of(const BinaryStore& store) {
  std::set<std::string> preimages;
  for (const EntryListing& listing : store.list()) {
    if (listing.metadata) preimages.insert(listing.metadata->key_preimage);
  }
  return preimages;
}

// Four entries of equal size, "a" the longest unused.
struct Aged {
  Aged() {
    int days = 8;
    for (const char* preimage : {"a", "b", "c", "d"}) {
      REQUIRE(store.write(sample_entry(preimage)) == "");
      age(entry_file(scratch.path(), preimage), hours(24 * (days /= 2)) + hours(1));  // 4, 2, 1, 0 days
    }
    bytes = fs::file_size(entry_file(scratch.path(), "a"));
  }
  ScratchFolder scratch;
  BinaryStore store{scratch.path()};
  std::uint64_t bytes = 0;
};

}  // namespace

TEST_CASE("Pruning removes the least recently used beyond the limits, and no more") {
  struct Row {
    std::uint64_t entries;  ///< the limit, in entries
    std::optional<seconds> max_age;
    std::set<std::string> left;
  };
  const Row rows[] = {
      {4, {}, {"a", "b", "c", "d"}},   {2, {}, {"c", "d"}},        {0, {}, {}},
      {4, hours(72), {"b", "c", "d"}}, {4, hours(36), {"c", "d"}}, {1, hours(36), {"d"}},
      {3, hours(36), {"c", "d"}},
  };
  for (const Row& row : rows) {
    const Aged aged;
    const Pruned pruned = aged.store.prune(Limits{.max_bytes = row.entries * aged.bytes, .max_age = row.max_age});
    CHECK(pruned.done);
    CHECK(pruned.problem.empty());
    CHECK(keys_of(aged.store) == row.left);
    CHECK(pruned.entries == 4 - row.left.size());
    CHECK(pruned.kept == row.left.size());
    CHECK(pruned.kept_bytes == row.left.size() * aged.bytes);
    CHECK(pruned.bytes == pruned.entries * aged.bytes);
  }
}

TEST_CASE("What was used just now is not pruned, whatever the limits") {
  const Aged aged;
  age(entry_file(aged.scratch.path(), "a"), seconds(30));
  CHECK(aged.store.prune(Limits{.max_bytes = 0, .max_age = seconds(10)}).entries == 3);
  CHECK(keys_of(aged.store) == std::set<std::string>{"a"});
}

TEST_CASE("What killed processes left is swept after an hour") {
  const Aged aged;
  const std::string shard = fs::path(entry_file(aged.scratch.path(), "a")).parent_path().string();
  fs::create_directory(aged.scratch / "v1/records");
  const std::string old_ones[] = {shard + "/.old.rje.123", aged.scratch / "v1/.MANIFEST.123",
                                  aged.scratch / "v1/records/.records.jsonl.123"};
  for (const std::string& file : old_ones) {
    write_text(file, "half");
    age(file, hours(2));
  }
  const std::string fresh = shard + "/.fresh.rje.123";
  write_text(fresh, "half");
  write_text(aged.scratch / "v1/records/records.jsonl", "");
  age(aged.scratch / "v1/records/records.jsonl", hours(2));
  CHECK(aged.store.prune(Limits{}).leftovers == 3);
  for (const std::string& file : old_ones) CHECK_FALSE(fs::exists(file));
  CHECK(fs::exists(fresh));
  CHECK(fs::exists(aged.scratch / "v1/records/records.jsonl"));
  CHECK(keys_of(aged.store).size() == 4);
}

TEST_CASE("Lock files go after a day, unless somebody has them") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch.path());
  const KeyLock held = store.lock("held", std::chrono::milliseconds(0));
  REQUIRE(store.lock("old", std::chrono::milliseconds(0)).held());
  for (const std::string& file : files_below(scratch / "v1/locks")) age(file, hours(25));
  REQUIRE(store.lock("fresh", std::chrono::milliseconds(0)).held());
  CHECK(store.prune(Limits{}).locks == 1);
  CHECK(files_below(scratch / "v1/locks").size() == 2);
  CHECK_FALSE(store.lock("held", std::chrono::milliseconds(0)).held());
}

TEST_CASE("One process prunes at a time, and the others do not wait") {
  const Aged aged;
  REQUIRE(aged.store.prune(Limits{}).done);
  const int file = ::open((aged.scratch / "v1/prune.lock").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(file, LOCK_EX) == 0);
  const Pruned pruned = aged.store.prune(Limits{.max_bytes = 0});
  ::close(file);
  CHECK_FALSE(pruned.done);
  CHECK(pruned.problem.empty());
  CHECK(keys_of(aged.store).size() == 4);
}

TEST_CASE("A write prunes where the last pruning is long ago, and only there") {
  const ScratchFolder scratch;
  const auto store = [&] {
    return BinaryStore(StoreOptions{.directory = scratch.path(), .limits = Limits{.max_bytes = 1}});
  };
  REQUIRE(store().write(sample_entry("old")) == "");
  age(entry_file(scratch.path(), "old"), hours(2));
  REQUIRE(store().write(sample_entry("soon after")) == "");
  CHECK(keys_of(store()).size() == 2);
  age(scratch / "v1/prune.lock", hours(1));
  const BinaryStore later = store();
  REQUIRE(later.write(sample_entry("later")) == "");
  CHECK(keys_of(later) == std::set<std::string>{"soon after", "later"});
  // The same process does not even look for a while.
  age(scratch / "v1/prune.lock", hours(1));
  age(entry_file(scratch.path(), "later"), hours(2));
  REQUIRE(later.write(sample_entry("last")) == "");
  CHECK(keys_of(later).size() == 3);
}

TEST_CASE("Clearing removes all binaries and keeps tuning records") {
  const Aged aged;
  write_text(entry_file(aged.scratch.path(), "a"), "damaged");
  REQUIRE(aged.store.read("a").quarantined);
  fs::create_directory(aged.scratch / "v1/records");
  write_text(aged.scratch / "v1/records/records.jsonl", "");
  REQUIRE(aged.store.lock("a", std::chrono::milliseconds(0)).held());
  CHECK(aged.store.clear().entries == 3);
  const std::set<std::string> left = {aged.scratch / "v1/prune.lock", aged.scratch / "v1/records/records.jsonl"};
  const std::vector<std::string> files = files_below(aged.scratch.path());
  CHECK(std::set<std::string>(files.begin(), files.end()) == left);
}

TEST_CASE("Readers and writers beside a pruner get whole entries or misses") {
  const ScratchFolder scratch;
  const Limits harsh{.max_bytes = 0, .spared = seconds(0)};
  const BinaryStore store(scratch / "cache");
  std::atomic<int> wrong{0};
  std::atomic<int> hits{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 60; ++round) {
        const std::string preimage = "key " + std::to_string((round + i) % 7);
        if (!store.write(sample_entry(preimage, 2000)).empty()) ++wrong;
        const ReadResult read = store.read(preimage);
        if (read.entry ? !same(*read.entry, sample_entry(preimage, 2000)) : read.miss.kind != Miss::Kind::absent)
          ++wrong;
        if (read.entry) ++hits;
      }
    });
  }
  std::atomic<bool> stop{false};
  std::thread pruner([&] {
    while (!stop) store.prune(harsh);
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  pruner.join();
  CHECK(wrong == 0);
  CHECK(hits > 0);
}

TEST_CASE("A look-up and a write cost the same calls among many entries as among few, and pruning opens none of them") {
  const ScratchFolder scratch(fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path());
  const auto calls = [&](bool write) {
    const FaultyFileOps ops(-1, 0);
    const BinaryStore store(scratch.path(), ops);
    if (write) {
      REQUIRE(store.write(sample_entry("measured")) == "");
    } else {
      REQUIRE(store.read("measured").entry);
    }
    return ops.calls();
  };
  REQUIRE(BinaryStore(scratch.path()).write(sample_entry("measured")) == "");
  const int read_among_one = calls(false);
  const int write_among_one = calls(true);

  const std::string bytes = read_text(entry_file(scratch.path(), "measured"));
  constexpr int kMany = 5000;
  for (int i = 0; i < kMany; ++i) {
    const std::string file = entry_file(scratch.path(), std::to_string(i));
    fs::create_directory(fs::path(file).parent_path());
    REQUIRE(::chmod(fs::path(file).parent_path().c_str(), 0700) == 0);
    write_text(file, bytes);
  }
  CHECK(calls(false) == read_among_one);
  CHECK(calls(true) == write_among_one);

  const FaultyFileOps ops(-1, 0);
  const Pruned pruned = BinaryStore(scratch.path(), ops).prune(Limits{});
  CHECK(pruned.kept == kMany + 1);
  // A stat each, and for each of 256 folders a few.
  CHECK(ops.calls() < kMany + 256 * 20);
}

TEST_CASE("A disk that is full costs what does not fit, and nothing that is there") {
  const ScratchFolder scratch;
  const std::string disk = scratch / "disk";
  fs::create_directory(disk);
  if (::geteuid() != 0 || ::mount("none", disk.c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0) {
    WARN("skipped: a small file system cannot be mounted here");
    return;
  }
  {
    const BinaryStore store(disk + "/cache");
    std::vector<std::string> kept;
    std::string problem;
    for (int i = 0; problem.empty() && i < 100; ++i) {
      const std::string preimage = "key " + std::to_string(i);
      problem = store.write(sample_entry(preimage, 6000));
      if (problem.empty()) kept.push_back(preimage);
    }
    INFO(problem);
    CHECK(problem.find("No space left") != std::string::npos);
    CHECK_FALSE(kept.empty());
    CHECK(entries_below(disk).size() == kept.size());
    for (const std::string& preimage : kept) CHECK(store.read(preimage).entry);
    static_cast<void>(store.lock("key", std::chrono::milliseconds(0)));  // held or not: it returns
    CHECK(store.clear().entries == kept.size());
    CHECK(store.write(sample_entry("again", 6000)) == "");
  }
  CHECK(::umount2(disk.c_str(), MNT_DETACH) == 0);
}
