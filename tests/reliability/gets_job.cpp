#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "reliability/small_plans.hpp"
#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"
#include "store/store.hpp"

namespace ropejit::test {
namespace {

/// Now and then one get in so many starts a service anew, which finds on disk what the thread that removes has left.
constexpr std::int64_t kGetsPerService = 5'000;
constexpr std::int64_t kGetsPerCheck = 50;

/// GCC 12's thread sanitizer grows its heap's shadow without a lock, and some runs ended in it ("failed to allocate
/// 0x1ec3..."): here the heap grows before there are threads.
void grow_sanitizer_heap() {
#ifdef __SANITIZE_THREAD__
  constexpr std::size_t kBytesEach = std::size_t{4} << 20;
  std::vector<std::unique_ptr<char[]>> blocks;
  for (std::size_t power = 16; power <= (std::size_t{1} << 17); power *= 2) {
    for (std::size_t size = power; size < 2 * power; size += std::max<std::size_t>(power / 4, 16)) {
      for (std::size_t i = 0; i < kBytesEach / size; ++i) blocks.emplace_back(new char[size]);
    }
  }
#endif
}

struct Removed {
  std::int64_t by_file = 0;
  std::int64_t entries_pruned = 0;
  std::int64_t locks_pruned = 0;
  std::int64_t prunings = 0;
  std::string problem;
};

/// Removes every entry of the directory, again and again: file by file, as a person would, and in turns with that by
/// the store's own pruning, for which lock files are made old enough to go too.
Removed remove_entries(const std::string& directory, const std::atomic<bool>& done) {
  namespace fs = std::filesystem;
  using namespace std::chrono_literals;
  const internal::BinaryStore store(directory);
  Removed removed;
  for (bool prune = false; !done; prune = !prune) {
    std::error_code ignored;  // others remove and write at the same time
    for (fs::recursive_directory_iterator at(directory, ignored), end; at != end; at.increment(ignored)) {
      const fs::path& path = at->path();
      if (prune && path.extension() == ".lock") {
        fs::last_write_time(path, fs::file_time_type::clock::now() - 48h, ignored);
      } else if (!prune && path.extension() == ".rje" && fs::remove(path, ignored)) {
        ++removed.by_file;
      }
    }
    if (prune) {
      const internal::Pruned pruned = store.prune({.max_bytes = 0, .spared = 0s, .interval = 0s});
      removed.prunings += pruned.done ? 1 : 0;
      removed.entries_pruned += static_cast<std::int64_t>(pruned.entries);
      removed.locks_pruned += static_cast<std::int64_t>(pruned.locks);
      if (removed.problem.empty()) removed.problem = pruned.problem;
    }
    std::this_thread::sleep_for(100ms);
  }
  return removed;
}

/// The service that serves now; the tuner of each works beside everything else.
class ServiceInTurn {
 public:
  explicit ServiceInTurn(Tally& tally) : tally_(tally) { renew(); }

  RopeService now() const {
    const std::lock_guard lock(mutex_);
    return *service_;
  }
  void renew() {
    ServiceOptions options = tally_.options();
    options.tuning = Tuning::background;
    options.tuning_share = 1;
    options.tuning_tokens = {1, 64};
    auto next = std::make_unique<RopeService>(options);
    const std::lock_guard lock(mutex_);
    service_.swap(next);
  }

 private:
  Tally& tally_;
  mutable std::mutex mutex_;
  std::unique_ptr<RopeService> service_;
};

}  // namespace

int gets_job(const WorkerArguments& arguments) {
  const std::int64_t count = arguments.number("count", 10'000);
  const auto plans = static_cast<std::uint64_t>(arguments.number("plans", 8));
  const auto start = std::chrono::steady_clock::now();
  grow_sanitizer_heap();
  Tally tally;
  Removed removed;
  {
    ServiceInTurn services(tally);
    std::atomic<bool> done = false;
    std::thread remover([&] { removed = remove_entries(arguments.text("dir"), done); });
    std::atomic<std::int64_t> next = 0;
    std::vector<std::thread> threads;
    for (std::int64_t t = 0; t < arguments.number("threads", 16); ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(static_cast<std::uint64_t>(t));
        for (std::int64_t i = next++; i < count; i = next++) {
          try {
            if (i % kGetsPerService == kGetsPerService - 1) services.renew();
            const SmallPlan plan = small_plan(static_cast<int>(random() % plans));
            const RopeKernel kernel = services.now().get(plan.spec, plan.form);
            if (kernel.spec() != plan.spec) tally.fail("a kernel of another plan");
            if (i % kGetsPerCheck == 0) tally.check(kernel, random());
          } catch (const std::exception& error) {
            tally.fail(error.what());
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    done = true;
    remover.join();
  }
  llvm::json::Object object = tally.json();
  object["gets"] = count;
  object["entries_removed"] = removed.by_file;
  object["entries_pruned"] = removed.entries_pruned;
  object["locks_pruned"] = removed.locks_pruned;
  object["prunings"] = removed.prunings;
  object["prune_problem"] = removed.problem;
  object["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_line(std::move(object));
  return tally.all_right() ? 0 : 1;
}

}  // namespace ropejit::test
