#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "reliability/small_plans.hpp"
#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"

namespace ropejit::test {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t entries_of(const char* folder) {
  return static_cast<std::int64_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

std::int64_t resident_kb() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0;
  std::int64_t resident = 0;
  file >> all >> resident;
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

std::int64_t lines_of(const char* path) {
  std::ifstream file(path);
  return static_cast<std::int64_t>(
      std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

/// What one thread does: services come and go, handles outlive them, tuning is paused and resumed.
void mixed_use(Tally& tally, std::int64_t plans, std::uint64_t seed, Clock::time_point end) {
  std::mt19937_64 random(seed);
  std::optional<RopeService> service;
  std::vector<RopeKernel> held(8);
  while (Clock::now() < end) {
    const std::uint64_t dice = random() % 100;
    if (!service || dice < 2) {
      ServiceOptions options = tally.options();
      if (dice == 0) {
        options.tuning = Tuning::background;
        options.tuning_share = 1;
        options.tuning_tokens = {1, 64};
      }
      service.emplace(options);
    } else if (dice < 4) {
      service->pause_tuning();
      tally.use(*service, static_cast<int>(random() % static_cast<std::uint64_t>(plans)), random());
      service->resume_tuning();
    } else if (dice < 60) {
      tally.use(*service, static_cast<int>(random() % static_cast<std::uint64_t>(plans)), random());
    } else if (dice < 70) {
      const SmallPlan plan = small_plan(static_cast<int>(random() % static_cast<std::uint64_t>(plans)));
      held[random() % held.size()] = service->get(plan.spec, plan.form);
    } else if (dice < 72) {
      held[random() % held.size()] = RopeKernel();
    } else if (const RopeKernel& kernel = held[random() % held.size()]; kernel) {
      tally.check(kernel, random());
    }
  }
}

}  // namespace

int soak_job(const WorkerArguments& arguments) {
  const auto start = Clock::now();
  const auto end = start + std::chrono::seconds(arguments.number("seconds", 10));
  const auto every = std::chrono::milliseconds(arguments.number("every_ms", 1000));
  Tally tally;
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    threads.emplace_back([&, seed] {
      try {
        mixed_use(tally, arguments.number("plans", 12), seed, end);
      } catch (const std::exception& error) {
        tally.fail(error.what());
      }
    });
  }
  while (Clock::now() < end) {
    std::this_thread::sleep_for(std::min<Clock::duration>(every, end - Clock::now()));
    print_line(llvm::json::Object{{"seconds", std::chrono::duration<double>(Clock::now() - start).count()},
                                  {"resident_kb", resident_kb()},
                                  {"descriptors", entries_of("/proc/self/fd")},
                                  {"threads", entries_of("/proc/self/task")},
                                  {"mappings", lines_of("/proc/self/maps")}});
  }
  for (std::thread& thread : threads) thread.join();
  tally.print();
  return tally.all_right() ? 0 : 1;
}

}  // namespace ropejit::test
