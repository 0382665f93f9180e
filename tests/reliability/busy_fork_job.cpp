#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "reliability/small_plans.hpp"
#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"
#include "service/small_launch.hpp"

namespace ropejit::test {
namespace {

/// Fewer than there are plans: kernels come and go, so that gets, loads and unloads are under way at every fork.
constexpr std::int64_t kMostKernels = 2;

// No sink: what it locks would be the test's own, and another thread might hold it at a fork.
ServiceOptions options_of(const std::string& mode) {
  ServiceOptions options;
  options.device = "host";
  options.most_kernels = kMostKernels;
  if (mode == "background" || mode == "tuning") options.on_miss = OnMiss::background;
  if (mode == "tuning") {
    options.tuning = Tuning::background;
    options.tuning_share = 1;
    options.tuning_tokens = {1, 64};
  }
  return options;
}

/// What keeps a parent busy, until it is told to stop.
void be_busy(const RopeService& service, int plans, std::uint64_t seed, const std::atomic<bool>& done,
             std::atomic<std::int64_t>& failed) {
  std::mt19937_64 random(seed);
  while (!done) {
    try {
      const RopeKernel kernel = get(service, static_cast<int>(random() % static_cast<std::uint64_t>(plans)));
      if (random() % 8 == 0 && !launch_and_check(kernel, random()).empty()) ++failed;
      if (random() % 16 == 0) service.forget_unused();
      if (random() % 16 == 0) service.stats();
    } catch (const std::exception&) {
      ++failed;
    }
  }
}

/// All that a child is to be able to do. Empty, or what it could not.
std::string try_all(const RopeService& service, const RopeKernel& before, int plans, double limit) {
  if (std::string wrong = launch_and_check(before, 1); !wrong.empty()) return "a kernel of the parent: " + wrong;
  std::vector<RopeKernel> kernels{before};
  for (int number = 0; number < plans; ++number) {
    kernels.push_back(get(service, number));
    if (std::string wrong = launch_and_check(kernels.back(), 2); !wrong.empty()) return wrong;
  }
  if (!service.wait_for_compiles(limit)) return "compiles did not end";
  for (const RopeKernel& kernel : kernels) {
    if (has_generic(kernel)) return "a kernel kept the generic one";
    if (std::string wrong = launch_and_check(kernel, 3); !wrong.empty()) return wrong;
  }
  return {};
}

[[noreturn]] void be_child(const RopeService& service, const RopeKernel& before, int plans, unsigned limit,
                           bool by_exit) {
  ::alarm(limit);
  std::string wrong;
  try {
    wrong = try_all(service, before, plans, limit);
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  if (!wrong.empty()) std::fprintf(stderr, "child: %s\n", wrong.c_str());
  // Not by way of the parent's threads, which are variables here and run nowhere.
  by_exit ? std::exit(wrong.empty() ? 0 : 1) : ::_exit(wrong.empty() ? 0 : 1);
}

std::string word_of(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

int busy_fork_job(const WorkerArguments& arguments) {
  const std::string mode = arguments.text("mode", "compile");
  const auto plans = static_cast<int>(arguments.number("plans", 5));
  const auto limit = static_cast<unsigned>(arguments.number("limit_s", 60));
  const std::int64_t forks = arguments.number("forks", 20);
  std::mt19937_64 random(static_cast<std::uint64_t>(arguments.number("seed", 0)));
  std::atomic<bool> done = false;
  std::atomic<std::int64_t> failed = 0;
  std::map<std::string, std::int64_t> ends;
  double slowest = 0;
  {
    const RopeService service(options_of(mode));
    launch_and_check(get(service, 0), 0);  // what the checks themselves make once is made
    std::vector<std::thread> threads;
    for (std::int64_t t = 0; t < arguments.number("threads", 3); ++t) {
      threads.emplace_back([&, t] { be_busy(service, plans, static_cast<std::uint64_t>(t), done, failed); });
    }
    for (std::int64_t i = 0; i < forks; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
      const RopeKernel before = get(service, static_cast<int>(random() % static_cast<std::uint64_t>(plans)));
      const auto start = std::chrono::steady_clock::now();
      const pid_t child = ::fork();
      if (child < 0) throw std::runtime_error("cannot fork");
      if (child == 0) be_child(service, before, plans, limit, i % 2 == 0);
      int status = 0;
      ::waitpid(child, &status, 0);
      ++ends[word_of(status)];
      slowest = std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    done = true;
    for (std::thread& thread : threads) thread.join();
  }
  llvm::json::Object of_children;
  for (const auto& [word, count] : ends) of_children[word] = count;
  const bool right = failed == 0 && ends.size() == 1 && ends.begin()->first == "status 0";
  print_line(llvm::json::Object{{"children", std::move(of_children)},
                                {"well", ends["status 0"]},
                                {"parent_failed", failed.load()},
                                {"slowest_s", slowest}});
  return right ? 0 : 1;
}

}  // namespace ropejit::test
