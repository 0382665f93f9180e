#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

constexpr int kRounds = 40;

// Writers of one key that disagree about the payload, so that a mixture of two would show.
Entry entry_of_writer(int writer) {
  Entry entry = sample_entry("shared key", 30000);
  entry.payload.assign(30000 + static_cast<std::size_t>(writer), static_cast<char>('a' + writer));
  return entry;
}

bool is_whole(const Entry& entry) {
  if (entry.payload.empty()) return false;
  return same(entry, entry_of_writer(entry.payload[0] - 'a'));
}

}  // namespace

TEST_CASE("Threads that write one key at once leave a whole entry at any moment") {
  const ScratchFolder scratch;
  const BinaryStore store(scratch / "cache");
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 4; ++writer) {
    threads.emplace_back([&, writer] {
      for (int round = 0; round < kRounds; ++round) {
        if (!store.write(entry_of_writer(writer)).empty()) ++failures;
        const ReadResult result = store.read("shared key");
        if (!result.entry || !is_whole(*result.entry)) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(entries_below(scratch.path()).size() == 1);
}

TEST_CASE("Processes that write one key at once leave a whole entry at any moment") {
  const ScratchFolder scratch;
  const std::string directory = scratch / "cache";
  std::vector<pid_t> children;
  for (int writer = 0; writer < 2; ++writer) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int failures = 0;
      const BinaryStore store(directory);
      for (int round = 0; round < kRounds; ++round) {
        if (!store.write(entry_of_writer(writer)).empty()) ++failures;
        const ReadResult result = store.read("shared key");
        if (!result.entry || !is_whole(*result.entry)) ++failures;
      }
      ::_exit(failures == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  const ReadResult result = BinaryStore(directory).read("shared key");
  REQUIRE(result.entry);
  CHECK(is_whole(*result.entry));
  CHECK(entries_below(scratch.path()).size() == 1);
}
