#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

#include "store/every_call.hpp"
#include "store/faulty_file_ops.hpp"
#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

constexpr std::chrono::hours kDay{24};

void make_older(const std::string& file, std::chrono::seconds age) {
  const timespec time = {std::time(nullptr) - static_cast<std::time_t>(age.count()), 0};
  const timespec times[] = {time, time};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
}

void must_have(const std::set<std::string>& failed, std::initializer_list<const char*> calls) {
  for (const char* call : calls) {
    INFO(call);
    CHECK(failed.count(call) == 1);
  }
}

// A store that works, but syncs nothing: hundreds of real ones take minutes.
BinaryStore plain(const std::string& directory) {
  static const FaultyFileOps ops(-1, 0);
  return {directory, ops};
}

Entry small_entry(std::size_t payload_bytes = 10) { return sample_entry("key", payload_bytes); }

}  // namespace

TEST_CASE("A write that fails at any call says so, leaves no file behind and breaks no entry") {
  for (const bool replaces : {false, true}) {
    const std::set<std::string> failed = at_every_call(
        [&](const std::string& directory) {
          if (replaces) REQUIRE(plain(directory).write(small_entry(10)) == "");
          if (replaces) make_older(directory + "/v1/prune.lock", kDay);  // so that this write prunes too
        },
        [&](const std::string& directory, FaultyFileOps& ops, int error) {
          const std::string problem = BinaryStore(directory, ops).write(small_entry(20));
          INFO("errno " << error << " at " << ops.failed() << ": " << problem);
          CHECK(problem.find('\n') == std::string::npos);
          const ReadResult result = plain(directory).read("key");
          if (problem.empty()) {
            REQUIRE(result.entry);
            CHECK(result.entry->payload.size() == 20);
          } else if (replaces) {
            REQUIRE(result.entry);
            CHECK(result.entry->payload.size() == 10);
          } else {
            CHECK(result.miss.kind == Miss::Kind::absent);
          }
          if (ops.failed().empty() || error == EINTR) CHECK(problem.empty());
          if (error == EINTR) return;
          for (const char* decisive : {"create", "write", "rename"}) {
            if (ops.failed() == decisive) CHECK_FALSE(problem.empty());
          }
          // What only pruning does.
          for (const char* harmless : {"lock", "touch", "stat", "list_directory"}) {
            if (ops.failed() == harmless) CHECK(problem.empty());
          }
        });
    must_have(failed, {"open", "fstat", "create", "write", "fsync", "close", "rename", "stat", "lock", "touch",
                       "list_directory"});
    if (!replaces) CHECK(failed.count("mkdir") == 1);
  }
}

TEST_CASE("A read that fails at any call is a miss with a reason, or the whole entry") {
  for (const bool old : {false, true}) {
    const std::set<std::string> failed = at_every_call(
        [&](const std::string& directory) {
          REQUIRE(plain(directory).write(small_entry()) == "");
          if (old) make_older(entry_file(directory, "key"), 2 * kDay);
        },
        [&](const std::string& directory, FaultyFileOps& ops, int error) {
          const ReadResult result = BinaryStore(directory, ops).read("key");
          INFO("errno " << error << " at " << ops.failed());
          if (result.entry) {
            CHECK(same(*result.entry, small_entry()));
            CHECK(result.misses.empty());
          } else {
            CHECK_FALSE(result.miss.reason.empty());
            CHECK((result.miss.kind == Miss::Kind::unreadable || error == ENOENT));
            CHECK(result.misses.size() == 1);
          }
          // Stale handles are opened anew, if they are not stale for ever; stamping and closing decide nothing.
          const bool closing = ops.failed() == "close";
          const bool harmless = ops.failed() == "touch" || ops.failed().empty() || (closing && !ops.keeps_failing);
          if (error == EINTR || harmless || (error == ESTALE && !ops.keeps_failing)) CHECK(result.entry);
          if (!harmless && !closing && error != EINTR && error != ESTALE) CHECK_FALSE(result.entry);
          CHECK(plain(directory).read("key").entry);
        });
    must_have(failed, {"close", "fstat", "open", "read"});
    CHECK(failed.count("touch") == (old ? 1 : 0));
  }
}

TEST_CASE("A quarantine that fails at any call leaves a miss, and the next write mends it") {
  const std::set<std::string> failed = at_every_call(
      [](const std::string& directory) {
        REQUIRE(plain(directory).write(small_entry()) == "");
        write_text(entry_file(directory, "key"), "damaged");
        for (int i = 0; i < 16; ++i) {
          ::mkdir((directory + "/v1/quarantine").c_str(), 0700);
          write_text(directory + "/v1/quarantine/00000000000" + std::to_string(i), "older");
        }
      },
      [](const std::string& directory, FaultyFileOps& ops, int error) {
        const ReadResult result = BinaryStore(directory, ops).read("key");
        INFO("errno " << error << " at " << ops.failed());
        CHECK_FALSE(result.entry);
        CHECK_FALSE(result.miss.reason.empty());
        CHECK(files_below(directory + "/v1/quarantine").size() <= 17);
        CHECK(result.quarantined == entries_below(directory).empty());
        if (ops.failed().empty() || error == EINTR) {
          CHECK(result.quarantined);
          CHECK(files_below(directory + "/v1/quarantine").size() == 16);
        }
        REQUIRE(plain(directory).write(small_entry(20)) == "");
        CHECK(plain(directory).read("key").entry);
      });
  must_have(failed, {"open", "fstat", "stat", "read", "rename", "list_directory", "unlink", "close"});
}

TEST_CASE("A lock that fails at any call is one that is held, or a reason, and never hangs") {
  const std::set<std::string> failed =
      at_every_call([](const std::string&) {},
                    [](const std::string& directory, FaultyFileOps& ops, int error) {
                      const KeyLock lock = BinaryStore(directory, ops).lock("key", std::chrono::milliseconds(20));
                      INFO("errno " << error << " at " << ops.failed() << ": " << lock.reason);
                      CHECK(lock.held() == lock.reason.empty());
                      CHECK((lock.held() || lock.outcome == KeyLock::Outcome::unavailable));
                      const bool closing = ops.failed() == "close" && !ops.keeps_failing;
                      if (ops.failed().empty() || closing || error == EINTR) CHECK(lock.held());
                      for (const char* decisive : {"lock", "mkdir", "fstat"}) {
                        if (ops.failed() == decisive && error != EINTR && error != ENOENT) CHECK_FALSE(lock.held());
                      }
                      // A file that is open is the lock's; all else is closed.
                      CHECK(ops.open_files() == (lock.held() ? 1 : 0));
                    });
  must_have(failed, {"open", "fstat", "mkdir", "lock", "close"});
}

TEST_CASE("A pruning that fails at any call leaves whole entries, and says what failed") {
  const std::set<std::string> failed = at_every_call(
      [](const std::string& directory) {
        const BinaryStore store = plain(directory);
        for (const char* preimage : {"one", "two", "three"}) {
          REQUIRE(store.write(sample_entry(preimage)) == "");
          static_cast<void>(store.lock(preimage, std::chrono::milliseconds(0)));
          make_older(entry_file(directory, preimage), 2 * kDay);
          const std::string key = entry_key(preimage);
          make_older(directory + "/v1/locks/" + key.substr(0, 2) + "/" + key + ".lock", 2 * kDay);
        }
      },
      [](const std::string& directory, FaultyFileOps& ops, int error) {
        const Pruned pruned = BinaryStore(directory, ops).prune(Limits{.max_bytes = 500});
        INFO("errno " << error << " at " << ops.failed() << ": " << pruned.problem);
        const std::size_t left = entries_below(directory).size();
        for (const EntryListing& listing : plain(directory).list()) CHECK(listing.metadata);
        if (error != ENOENT) CHECK(pruned.entries == 3 - left);  // one that is gone counts as removed
        if (ops.failed().empty() || error == EINTR) {
          CHECK(pruned.done);
          CHECK(pruned.problem.empty());
          CHECK(left == 1);
          CHECK(pruned.kept == 1);
          CHECK(pruned.locks == 3);
        }
        if (ops.failed() == "lock" && !pruned.done && error != EINTR) CHECK_FALSE(pruned.problem.empty());
        const Pruned again = plain(directory).prune(Limits{.max_bytes = 500});
        CHECK(again.kept == 1);
        CHECK(again.problem.empty());
      });
  must_have(failed, {"open", "fstat", "stat", "lock", "touch", "list_directory", "unlink", "close"});
}

TEST_CASE("A listing that fails at any call has fewer entries or problems, and no more") {
  at_every_call(
      [](const std::string& directory) {
        REQUIRE(plain(directory).write(sample_entry("one")) == "");
        REQUIRE(plain(directory).write(sample_entry("two")) == "");
      },
      [](const std::string& directory, FaultyFileOps& ops, int) {
        const std::vector<EntryListing> listings = BinaryStore(directory, ops).list();
        CHECK(listings.size() <= 2);
        for (const EntryListing& listing : listings) CHECK(listing.metadata.has_value() == listing.problem.empty());
        if (ops.failed().empty()) CHECK(listings.size() == 2);
      });
}

TEST_CASE("Interrupted calls and short transfers are carried on with") {
  const ScratchFolder scratch;
  const Entry entry = sample_entry("key", 1000);
  FaultyFileOps ops(-1, 0);
  ops.interrupt_everything = true;
  ops.transfer_limit = 7;
  {
    const BinaryStore store(scratch / "cache", ops);
    REQUIRE(store.write(entry) == "");
    CHECK(ops.calls() > 2 * 1000 / 7);
    const ReadResult result = store.read("key");
    REQUIRE(result.entry);
    CHECK(same(*result.entry, entry));
    CHECK(store.lock("key", std::chrono::milliseconds(0)).held());
    CHECK(store.prune(Limits{}).done);
  }
  CHECK(ops.open_files() == 0);
}

TEST_CASE("A file system that never stops interrupting does not hang the caller") {
  class AlwaysInterrupted final : public FileOps {
   public:
    int open(int, const char*, int, mode_t) const override { return interrupted(); }
    ssize_t read(int, void*, std::size_t) const override { return interrupted(); }
    ssize_t read_at(int, void*, std::size_t, off_t) const override { return interrupted(); }
    ssize_t write(int, const void*, std::size_t) const override { return interrupted(); }
    int fstat(int, struct stat*) const override { return interrupted(); }
    int stat(int, const char*, struct stat*) const override { return interrupted(); }
    int fsync(int) const override { return interrupted(); }
    int lock(int) const override { return interrupted(); }
    int unlock(int) const override { return interrupted(); }
    int change_mode(int, mode_t) const override { return interrupted(); }
    int change_owner(int, uid_t, gid_t) const override { return interrupted(); }
    int wait_when_full(int) const override { return interrupted(); }
    int touch(int) const override { return interrupted(); }
    int close(int) const override { return interrupted(); }
    int rename(int, const char*, int, const char*) const override { return interrupted(); }
    int unlink(int, const char*) const override { return interrupted(); }
    int mkdir(int, const char*, mode_t) const override { return interrupted(); }
    int read_link(int, const char*, std::string&) const override { return interrupted(); }
    int list_directory(int, std::vector<std::string>&) const override { return interrupted(); }

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
  CHECK(store.lock("key", std::chrono::milliseconds(0)).outcome == KeyLock::Outcome::unavailable);
  CHECK_FALSE(store.prune(Limits{}).done);
}
