#include "store/bundle/bundle.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "store/sample_bundles.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

void put_number(std::string& bytes, std::size_t at, std::uint64_t number, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) bytes[at + i] = static_cast<char>(number >> (8 * i) & 0xff);
}

// With the checksum put right again, as whoever writes bundles would.
std::string with_checksum(std::string bytes, std::size_t entries) {
  const std::size_t checked = kBundleHeaderBytes + entries * kBundleRowBytes;
  const std::string hex = ropejit::internal::entry_key(bytes.substr(0, checked));  // BLAKE3-256
  for (std::size_t i = 0; i < kBundleChecksumBytes; ++i) {
    bytes[checked + i] = static_cast<char>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

Miss open_miss(const std::string& path, const std::string& bytes) {
  write_text(path, bytes);
  BundleOpened opened = Bundle::open(system_file_ops(), {}, path);
  CHECK_FALSE(opened.bundle);
  return opened.miss;
}

}  // namespace

TEST_CASE("A bundle serves what was exported, read-only, after the user's directory") {
  const Bundled b;
  CHECK(b.written.entries == 3);
  CHECK(b.written.bytes == fs::file_size(b.path));
  CHECK(b.written.digest.size() == 64);
  const std::string user = b.scratch / "user";
  const BinaryStore store(StoreOptions{.directory = user, .read_only = {b.path}});
  for (const std::string& preimage : kBundled) {
    const ReadResult read = store.read(preimage);
    REQUIRE(read.entry);
    CHECK(same(*read.entry, bundled(preimage)));
    CHECK(read.found_in == b.path);
    CHECK(read.read_only);
    REQUIRE(read.misses.size() == 1);
    CHECK(read.misses[0].directory == user);
  }
  const ReadResult none = store.read("four");
  CHECK(none.miss.kind == Miss::Kind::absent);
  REQUIRE(none.misses.size() == 2);
  CHECK(none.misses[1].directory == b.path);
  CHECK_FALSE(fs::exists(user));

  const std::vector<EntryListing> listed = store.list();
  REQUIRE(listed.size() == 3);
  for (const EntryListing& listing : listed) {
    CHECK(listing.metadata);
    CHECK(listing.directory == b.path);
  }
  CHECK(std::is_sorted(listed.begin(), listed.end(), [](const auto& x, const auto& y) { return x.key < y.key; }));
  const std::vector<TierRecords> records = store.records();
  REQUIRE(records.size() == 2);
  CHECK(records[0].miss.kind == Miss::Kind::absent);
  CHECK(records[1].text == kSampleRecords);
  const TierState state = store.tiers()[1]->state();
  CHECK(state.kind == TierState::Kind::bundle);
  CHECK(state.entries == 3);
  CHECK(state.has_records);
  CHECK(state.digest == b.written.digest);
}

TEST_CASE("A bundle that is cut at any place is refused with a reason") {
  const Bundled b;
  const std::string bytes = read_text(b.path);
  const std::string cut = b.scratch / "cut.rjb";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    INFO(size << " of " << bytes.size() << " bytes");
    const Miss miss = open_miss(cut, bytes.substr(0, size));
    CHECK(miss.kind == Miss::Kind::damaged);
    CHECK(one_line(miss.reason));
    if (size >= kBundleMagic.size()) CHECK(miss.reason.find("truncated") == 0);
  }
  CHECK(open_miss(cut, bytes + "x").kind == Miss::Kind::damaged);
  const ReadResult read = store_of(cut).read("one");
  CHECK(read.miss.kind == Miss::Kind::unreadable);
  CHECK(one_line(read.miss.reason));
}

TEST_CASE("A byte that is changed costs the bundle or what it is of, with a reason, and serves nothing wrong") {
  const Bundled b;
  const std::string bytes = read_text(b.path);
  const std::string path = b.scratch / "changed.rjb";
  const std::size_t head = kBundleHeaderBytes + 3 * kBundleRowBytes + kBundleChecksumBytes;
  const std::size_t records = bytes.size() - kSampleRecords.size();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const char mask : {'\x01', '\x80'}) {
      INFO("byte " << at << " of " << bytes.size());
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ mask);
      write_text(path, changed);
      const BundleOpened opened = Bundle::open(system_file_ops(), {}, path);
      CHECK(static_cast<bool>(opened.bundle) == (at >= head));
      if (!opened.bundle) {
        CHECK(one_line(opened.miss.reason));
        continue;
      }
      int missed = 0;
      for (const std::string& preimage : kBundled) {
        const ReadResult read = opened.bundle->read(preimage);
        if (read.entry) {
          CHECK(same(*read.entry, bundled(preimage)));
        } else {
          ++missed;
          CHECK(read.miss.kind == Miss::Kind::damaged);
          CHECK(one_line(read.miss.reason));
        }
      }
      const TierRecords found = opened.bundle->records();
      CHECK(missed == (at < records ? 1 : 0));
      CHECK(found.text.has_value() == (at < records));
      if (found.text) CHECK(found.text == kSampleRecords);
      CHECK(one_line(verify_bundle(*opened.bundle)));
    }
  }
}

TEST_CASE("A head that lies is refused, whatever its checksum says, before anything is allocated for it") {
  const Bundled b;
  const std::string bytes = read_text(b.path);
  const std::size_t row = kBundleHeaderBytes;
  struct Row {
    const char* what;
    std::size_t at;
    std::uint64_t number;
    std::size_t size;
    Miss::Kind kind;
    const char* said;
  };
  const Row rows[] = {
      {"a later version", 8, 2, 4, Miss::Kind::newer, "format version 2, known: up to 1"},
      {"version 0", 8, 0, 4, Miss::Kind::damaged, "format version 0"},
      {"more entries than there may be", 12, 0xffffffff, 4, Miss::Kind::damaged, "4294967295 entries, allowed"},
      {"more entries than the file has bytes", 12, kMaxBundleEntries, 4, Miss::Kind::damaged, "lengths do not match"},
      {"fewer entries", 12, 2, 4, Miss::Kind::damaged, "checksum"},
      {"another size", 16, bytes.size() + 1, 8, Miss::Kind::damaged, "truncated"},
      {"the largest size", 16, ~std::uint64_t{0}, 8, Miss::Kind::damaged, "truncated"},
      {"the largest records", 24, ~std::uint64_t{0}, 8, Miss::Kind::damaged, "bytes of records, allowed"},
      {"more records than the file has bytes", 24, kMaxRecordsBytes, 8, Miss::Kind::damaged, "lengths do not match"},
      {"longer records", 24, kSampleRecords.size() + 1, 8, Miss::Kind::damaged, "lengths do not match"},
      {"no records", 24, 0, 8, Miss::Kind::damaged, "lengths do not match"},
      {"an entry of no bytes", row + 64, 0, 8, Miss::Kind::damaged, "impossible length"},
      {"an entry of all bytes", row + 64, ~std::uint64_t{0}, 8, Miss::Kind::damaged, "impossible length"},
      {"a longer entry", row + 64, 1000, 8, Miss::Kind::damaged, "lengths do not match"},
      {"keys that do not ascend", row, ~std::uint64_t{0}, 8, Miss::Kind::damaged, "keys do not ascend"},
  };
  for (const Row& each : rows) {
    INFO(each.what);
    std::string changed = bytes;
    put_number(changed, each.at, each.number, each.size);
    const Miss miss = open_miss(b.scratch / "lies.rjb", with_checksum(changed, 3));
    INFO(miss.reason);
    CHECK(miss.kind == each.kind);
    CHECK(miss.reason.find(each.said) != std::string::npos);
    CHECK(one_line(miss.reason));
  }
  // The rows of two entries, one for the other: each is whole, and neither has the other's key.
  std::string swapped = bytes;
  for (std::size_t i = 0; i < 32; ++i) std::swap(swapped[row + i], swapped[row + kBundleRowBytes + i]);
  CHECK(open_miss(b.scratch / "lies.rjb", with_checksum(swapped, 3)).reason.find("ascend") != std::string::npos);
  std::string renamed = bytes;
  renamed[row + 31] = static_cast<char>(renamed[row + 31] ^ 1);
  write_text(b.scratch / "lies.rjb", with_checksum(renamed, 3));
  const BundleOpened opened = Bundle::open(system_file_ops(), {}, b.scratch / "lies.rjb");
  REQUIRE(opened.bundle);
  CHECK(opened.bundle->read_key(opened.bundle->index().key(0)).miss.reason == "the entry is of another key");
}

TEST_CASE("What is no bundle is none, and what cannot be used is tried again") {
  const Bundled b;
  const std::string path = b.scratch / "late.rjb";
  const BinaryStore store = store_of(path);
  CHECK(store.read("one").miss.kind == Miss::Kind::absent);
  write_text(path, "no bundle");
  CHECK(store.read("one").miss.reason == "a file that is no bundle");
  CHECK(store.records()[0].miss.reason == "a file that is no bundle");
  REQUIRE(store.list().size() == 1);
  CHECK(store.list()[0].problem == "a file that is no bundle");
  CHECK(store.tiers()[0]->state().problem == "a file that is no bundle");
  CHECK(store.write(sample_entry("x")) == "");  // there is no directory of the user's
  write_text(path, "");
  CHECK(store.read("one").miss.reason == "a file that is no bundle");
  REQUIRE(::mkfifo((b.scratch / "pipe").c_str(), 0600) == 0);
  CHECK(store_of(b.scratch / "pipe").read("one").miss.kind == Miss::Kind::refused);
  fs::copy_file(b.path, path, fs::copy_options::overwrite_existing);
  CHECK(store.read("one").entry);
  CHECK(store.records()[0].text == kSampleRecords);

  fs::create_symlink(b.path, b.scratch / "link.rjb");
  CHECK(store_of(b.scratch / "link.rjb").read("one").entry);
  // In place of the user's directory: read, and not written to.
  const BinaryStore as_directory(b.path);
  CHECK(as_directory.read("one").read_only);
  CHECK(as_directory.write(sample_entry("four")).find("found a bundle") != std::string::npos);
  CHECK(as_directory.lock("four", std::chrono::milliseconds(0)).outcome == KeyLock::Outcome::unavailable);
  CHECK(as_directory.clear().entries == 0);
}

TEST_CASE("A bundle that is replaced, cut or overwritten while it is open serves what it was opened as, or misses") {
  const Bundled b;
  const BinaryStore store = store_of(b.path);
  REQUIRE(store.read("one").entry);
  const std::string empty = b.scratch / "empty";
  REQUIRE(BinaryStore(empty).write(sample_entry("four")) == "");
  export_all(empty, b.path);
  CHECK(same(*store.read("two").entry, bundled("two")));
  CHECK(store.read("four").miss.kind == Miss::Kind::absent);
  CHECK(store_of(b.path).read("four").entry);

  const BinaryStore later = store_of(b.path);
  REQUIRE(later.read("four").entry);
  const auto size = fs::file_size(b.path);
  fs::resize_file(b.path, size - kSampleRecords.size() - 1);
  ReadResult read = later.read("four");
  CHECK(read.miss.reason == "the bundle was truncated after it was opened");
  CHECK(later.records()[0].miss.kind == Miss::Kind::damaged);
  fs::resize_file(b.path, size);  // zeros
  read = later.read("four");
  CHECK(read.miss.kind == Miss::Kind::damaged);
  CHECK(one_line(read.miss.reason));
  fs::remove(b.path);
  CHECK(same(*store.read("three").entry, bundled("three")));
}

TEST_CASE("Many threads read one bundle, from its opening on, and so does a child of fork") {
  const Bundled b;
  const BinaryStore store = store_of(b.path);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 200; ++turn) {
        for (const std::string& preimage : kBundled) {
          const ReadResult read = store.read(preimage);
          if (!read.entry || !same(*read.entry, bundled(preimage))) ++wrong;
        }
        if (store.records()[0].text != kSampleRecords) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);

  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  bool all = true;
  for (int turn = 0; turn < 200; ++turn) {
    for (const std::string& preimage : kBundled) all = all && store.read(preimage).entry.has_value();
  }
  if (child == 0) ::_exit(all ? 0 : 1);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(all);
}

TEST_CASE("A bundle of 1,000 entries serves them; how long its opening and first read take is printed") {
  const ScratchFolder scratch(fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path());
  std::vector<std::string> preimages;
  for (int i = 0; i < 1000; ++i) preimages.push_back("entry " + std::to_string(i));
  fill_directory(scratch / "cache", preimages, 40000);
  export_all(scratch / "cache", scratch / "all.rjb");
  using Clock = std::chrono::steady_clock;
  const auto us_since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  };
  std::vector<double> first, next;
  for (int i = 0; i < 101; ++i) {
    const BinaryStore store = store_of(scratch / "all.rjb");
    auto start = Clock::now();
    const ReadResult one = store.read(preimages[500]);
    first.push_back(us_since(start));
    start = Clock::now();
    const ReadResult two = store.read(preimages[static_cast<std::size_t>(i)]);
    next.push_back(us_since(start));
    REQUIRE(one.entry);
    REQUIRE(two.entry);
  }
  std::nth_element(first.begin(), first.begin() + 50, first.end());
  std::nth_element(next.begin(), next.begin() + 50, next.end());
  WARN("bundle of 1,000 entries of 40 kB: open and first read " << first[50] << " us, another read " << next[50]
                                                                << " us (medians of 101)");
}
