#include "store/key_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
using std::chrono::milliseconds;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

milliseconds since(Clock::time_point start) { return std::chrono::duration_cast<milliseconds>(Clock::now() - start); }

}  // namespace

TEST_CASE("A key's lock is one at a time, other keys' are not concerned, and waiting is bounded") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch / "cache");
  const KeyLock first = store.lock("key", milliseconds(0));
  REQUIRE(first.held());
  CHECK(store.lock("another", milliseconds(0)).held());

  const auto start = Clock::now();
  const KeyLock second = store.lock("key", milliseconds(120));
  CHECK(second.outcome == KeyLock::Outcome::timed_out);
  CHECK(second.reason.find("120 ms") != std::string::npos);
  CHECK(since(start) >= milliseconds(120));
  CHECK(since(start) < milliseconds(2000));
}

TEST_CASE("Whoever waits gets the lock soon after it is given back") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch / "cache");
  std::thread holder;
  {
    auto held = std::make_shared<KeyLock>(store.lock("key", milliseconds(0)));
    REQUIRE(held->held());
    holder = std::thread([held]() mutable {
      std::this_thread::sleep_for(milliseconds(100));
      held.reset();
    });
  }
  const auto start = Clock::now();
  CHECK(store.lock("key", milliseconds(10000)).held());
  CHECK(since(start) < milliseconds(5000));
  holder.join();
}

TEST_CASE("A lock ends with the process that held it") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch / "cache");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const KeyLock lock = store.lock("key", milliseconds(0));
    if (!lock.held()) ::_exit(1);
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(store.lock("key", milliseconds(0)).held());
}

TEST_CASE("Where there are no locks the reason is told at once") {
  const ScratchFolder scratch;
  write_text(scratch / "file", "");
  Trust sealed;
  sealed.kind = Trust::Kind::digest;
  const BinaryStore stores[] = {BinaryStore(""), BinaryStore(scratch / "file"), BinaryStore("/proc/ropejit_test"),
                                BinaryStore(StoreOptions{.directory = scratch / "sealed", .trust = sealed})};
  for (const BinaryStore& store : stores) {
    const auto start = Clock::now();
    const KeyLock lock = store.lock("key", milliseconds(5000));
    INFO(lock.reason);
    CHECK(lock.outcome == KeyLock::Outcome::unavailable);
    CHECK_FALSE(lock.reason.empty());
    CHECK(since(start) < milliseconds(2000));
  }
}

TEST_CASE("A pipe or a link in place of a lock file neither blocks nor misleads") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch / "cache");
  REQUIRE(store.lock("key", milliseconds(0)).held());
  const std::string file = files_below(scratch / "cache/v1/locks").at(0);
  fs::remove(file);
  fs::create_symlink(scratch / "elsewhere", file);
  CHECK(store.lock("key", milliseconds(0)).outcome == KeyLock::Outcome::unavailable);
  CHECK_FALSE(fs::exists(scratch / "elsewhere"));
  fs::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  static_cast<void>(store.lock("key", milliseconds(0)));  // returns
}

TEST_CASE("Locks exclude each other while their files are removed over and over") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch / "cache");
  std::atomic<int> inside{0};
  std::atomic<int> collisions{0};
  std::atomic<int> taken{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 60; ++round) {
        const KeyLock lock = store.lock("key", milliseconds(5000));
        if (!lock.held()) continue;
        if (inside.fetch_add(1) != 0) ++collisions;
        std::this_thread::yield();
        inside.fetch_sub(1);
        ++taken;
      }
    });
  }
  std::thread pruner([&] {
    while (!stop) store.clear();
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  pruner.join();
  CHECK(collisions == 0);
  CHECK(taken > 0);
}
