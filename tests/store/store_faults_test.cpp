#include <cerrno>
#include <set>

#include "store/faulty_file_ops.hpp"
#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

constexpr int kErrors[] = {EIO, ENOSPC, EINTR, ESTALE, EACCES, EROFS, EDQUOT, EMFILE, ENOENT};

bool is_temporary(const std::string& file) { return !file.ends_with(".rje"); }

}  // namespace

TEST_CASE("A write that fails at any call says so, leaves no file behind and breaks no entry") {
  for (const bool replaces : {false, true}) {
    for (const int error : kErrors) {
      std::set<std::string> failed;
      for (int at = 0;; ++at) {
        const ScratchFolder scratch;
        const std::string directory = scratch / "cache";
        const BinaryStore plain(directory);
        if (replaces) REQUIRE(plain.write(sample_entry("key", 10)) == "");

        const FaultyFileOps ops(at, error);
        const std::string problem = BinaryStore(directory, ops).write(sample_entry("key", 20));
        INFO("errno " << error << " at call " << at << " (" << ops.failed() << "): " << problem);
        CHECK(ops.open_files() == 0);
        for (const std::string& file : files_below(scratch.path())) CHECK_FALSE(is_temporary(file));

        const ReadResult result = plain.read("key");
        if (problem.empty()) {
          REQUIRE(result.entry);
          CHECK(result.entry->payload.size() == 20);
        } else if (replaces) {
          REQUIRE(result.entry);
          CHECK(result.entry->payload.size() == 10);
        } else {
          CHECK(result.miss.kind == Miss::Kind::absent);
        }
        if (ops.failed().empty()) {  // past the last call: nothing failed
          CHECK(problem.empty());
          break;
        }
        const bool first_of_its_kind = failed.insert(ops.failed()).second;
        // These decide over the bytes; an interrupted call is repeated. Of closes and syncs the first does, where
        // there is no older entry to look at; the folder's come later and decide nothing.
        const std::set<std::string> decisive = {"make_temporary", "write", "rename"};
        const std::set<std::string> decisive_at_first = {"close", "fsync"};
        if (decisive.count(ops.failed()) == 1 ||
            (!replaces && first_of_its_kind && decisive_at_first.count(ops.failed()) == 1)) {
          CHECK(problem.empty() == (error == EINTR));
        }
      }
      for (const char* call : {"open", "mkdir", "make_temporary", "write", "fsync", "close", "rename"}) {
        INFO(call);
        CHECK((failed.count(call) == 1 || (replaces && std::string_view(call) == "mkdir")));
      }
    }
  }
}

TEST_CASE("A read that fails at any call is a miss with a reason, or the whole entry") {
  const ScratchFolder scratch;
  const Entry entry = sample_entry("key");
  REQUIRE(BinaryStore(scratch.path()).write(entry) == "");
  for (const int error : kErrors) {
    std::set<std::string> failed;
    for (int at = 0;; ++at) {
      const FaultyFileOps ops(at, error);
      const ReadResult result = BinaryStore(scratch.path(), ops).read("key");
      INFO("errno " << error << " at call " << at << " (" << ops.failed() << ")");
      CHECK(ops.open_files() == 0);
      if (result.entry) {
        CHECK(same(*result.entry, entry));
      } else {
        CHECK_FALSE(result.miss.reason.empty());
        CHECK((result.miss.kind == Miss::Kind::unreadable || error == ENOENT));
      }
      // Stale handles are opened anew; what closing says no longer matters.
      if (error == EINTR || error == ESTALE || ops.failed() == "close" || ops.failed().empty()) {
        CHECK(result.entry);
      } else {
        CHECK_FALSE(result.entry);
      }
      if (ops.failed().empty()) break;
      failed.insert(ops.failed());
    }
    CHECK(failed == std::set<std::string>{"close", "fstat", "open", "read"});
  }
}

TEST_CASE("A listing that fails at any call has fewer entries or problems, and no more") {
  const ScratchFolder scratch;
  REQUIRE(BinaryStore(scratch.path()).write(sample_entry("one")) == "");
  REQUIRE(BinaryStore(scratch.path()).write(sample_entry("two")) == "");
  for (int at = 0;; ++at) {
    const FaultyFileOps ops(at, EIO);
    const std::vector<EntryListing> listings = BinaryStore(scratch.path(), ops).list();
    INFO("call " << at << " (" << ops.failed() << ")");
    CHECK(ops.open_files() == 0);
    CHECK(listings.size() <= 2);
    for (const EntryListing& listing : listings) CHECK(listing.metadata.has_value() == listing.problem.empty());
    if (ops.failed().empty()) {
      CHECK(listings.size() == 2);
      break;
    }
  }
}

TEST_CASE("Interrupted calls and short transfers are carried on with") {
  const ScratchFolder scratch;
  const Entry entry = sample_entry("key", 1000);
  FaultyFileOps ops(-1, 0);
  ops.interrupt_everything = true;
  ops.transfer_limit = 7;
  const BinaryStore store(scratch / "cache", ops);
  REQUIRE(store.write(entry) == "");
  CHECK(ops.calls() > 2 * 1000 / 7);
  const ReadResult result = store.read("key");
  REQUIRE(result.entry);
  CHECK(same(*result.entry, entry));
  CHECK(ops.open_files() == 0);
}

TEST_CASE("A file system that never stops interrupting does not hang the caller") {
  class AlwaysInterrupted final : public FileOps {
   public:
    int open(const char*, int) const override { return interrupted(); }
    int make_temporary(char*) const override { return interrupted(); }
    ssize_t read(int, void*, std::size_t) const override { return interrupted(); }
    ssize_t write(int, const void*, std::size_t) const override { return interrupted(); }
    int fstat(int, struct stat*) const override { return interrupted(); }
    int fsync(int) const override { return interrupted(); }
    int lock(int) const override { return interrupted(); }
    int close(int) const override { return interrupted(); }
    int rename(const char*, const char*) const override { return interrupted(); }
    int unlink(const char*) const override { return interrupted(); }
    int mkdir(const char*, mode_t) const override { return interrupted(); }
    int list_directory(const char*, std::vector<std::string>&) const override { return interrupted(); }

   private:
    static int interrupted() {
      errno = EINTR;
      return -1;
    }
  };
  const AlwaysInterrupted ops;
  const BinaryStore store("/nowhere", ops);
  CHECK_FALSE(store.write(sample_entry("key")).empty());
  CHECK(store.read("key").miss.kind == Miss::Kind::unreadable);
  CHECK(store.list().empty());
}
