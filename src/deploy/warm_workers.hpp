// Workers: processes that do the items of a list. NVRTC takes turns with itself, so threads of one process compile
// three times as fast as one thread at most, whatever the cores; and what a compiler does to a process, end it above
// all, it does to one worker.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace ropejit::internal {

struct WorkerOptions {
  std::size_t items = 0;
  unsigned workers = 2;
  /// In a worker: does an item, and returns a line of text that says what came of it. Must not throw.
  std::function<std::string(std::size_t item)> work;
  /// In this process, in no order: what a worker said of an item. False: no more items are begun.
  std::function<bool(std::size_t item, const std::string& said)> done;
  /// In this process: the worker that did this item ended with it, and how ("signal 9"). False: no more are begun.
  std::function<bool(std::size_t item, const std::string& how)> lost;
};

/// Forks workers, which take items in order, each the next; one that ends before its time is replaced. Returns when all
/// that was begun is done. Call it where no other thread holds a lock that workers need. Workers end with this process.
/// False, and nothing is begun, where not one process can be had.
bool run_workers(const WorkerOptions& options);

}  // namespace ropejit::internal
