#include "support/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace ropejit::internal {

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr first_problem;
  std::mutex mutex;
  const auto loop = [&] {
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!first_problem) first_problem = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    const std::int64_t cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
    try {
      for (std::int64_t i = 1; i < std::min(cores, count); ++i) threads.emplace_back(loop);
    } catch (const std::system_error&) {
      // No more threads to be had: those that are there and this one do the work.
    }
    loop();
  }
  if (first_problem) std::rethrow_exception(first_problem);
}

}  // namespace ropejit::internal
