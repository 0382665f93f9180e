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

/// What one thread does beside others that use `lasting` too: services of its own come and go, handles outlive them,
/// tuning is paused and resumed. All but `lasting` is gone when it returns.
void mixed_use(Tally& tally, const RopeService& lasting, std::int64_t plans, std::uint64_t seed,
               Clock::time_point end) {
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
    } else if (dice < 20) {
      tally.use(lasting, static_cast<int>(random() % static_cast<std::uint64_t>(plans)), random());
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

int thetas_job(const WorkerArguments& arguments) {
  const std::int64_t count = arguments.number("count", 3000);
  const std::int64_t samples = arguments.number("samples", 20);
  Tally tally;
  ServiceOptions options = tally.options();
  options.on_miss = OnMiss::generic;  // no compiler: what is looked at is what a service keeps
  options.most_kernels = arguments.number("most", options.most_kernels);
  std::uint64_t forgotten = 0;
  {
    const RopeService service(options);
    SmallPlan plan = small_plan(0);
    const RopeKernel held = service.get(plan.spec, plan.form);
    for (std::int64_t i = 0; i < count; ++i) {
      plan.spec.theta = 10'000 + static_cast<double>(i);
      const RopeKernel kernel = service.get(plan.spec, plan.form);
      if (i % 50 == 0) tally.check(kernel, static_cast<std::uint64_t>(i));
      if ((i + 1) % (count / samples) == 0) {
        print_line(llvm::json::Object{
            {"thetas", i + 1}, {"resident_kb", resident_kb()}, {"mappings", lines_of("/proc/self/maps")}});
      }
    }
    tally.check(held, 1);
    forgotten = service.stats().kernels_forgotten;
  }
  llvm::json::Object object = tally.json();
  object["forgotten"] = static_cast<std::int64_t>(forgotten);
  print_line(std::move(object));
  return tally.all_right() ? 0 : 1;
}

int soak_job(const WorkerArguments& arguments) {
  const auto start = Clock::now();
  const std::int64_t rounds = arguments.number("rounds", 10);
  const auto length = std::chrono::milliseconds(arguments.number("round_ms", 1000));
  const std::int64_t plans = arguments.number("plans", 12);
  Tally tally;
  {
    const RopeService lasting(tally.options());
    for (int number = 0; number < plans; ++number) tally.use(lasting, number, 0);
    for (std::int64_t round = 0; round < rounds; ++round) {
      const auto end = Clock::now() + length;
      std::vector<std::thread> threads;
      for (std::int64_t t = 0; t < 2; ++t) {
        threads.emplace_back([&, seed = static_cast<std::uint64_t>(round * 2 + t)] {
          try {
            mixed_use(tally, lasting, plans, seed, end);
          } catch (const std::exception& error) {
            tally.fail(error.what());
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      // Between rounds the same things are alive each time, so that what is counted can be compared.
      print_line(llvm::json::Object{{"seconds", std::chrono::duration<double>(Clock::now() - start).count()},
                                    {"resident_kb", resident_kb()},
                                    {"descriptors", entries_of("/proc/self/fd")},
                                    {"threads", entries_of("/proc/self/task")},
                                    {"mappings", lines_of("/proc/self/maps")}});
    }
  }
  tally.print();
  return tally.all_right() ? 0 : 1;
}

}  // namespace ropejit::test
