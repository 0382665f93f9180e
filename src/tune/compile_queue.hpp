// Compiles a list of sources on several threads, and hands out what is done while the rest is being made.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "codegen/kernel_source.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

class CompileQueue {
 public:
  struct Done {
    std::size_t source = 0;
    CompiledBinary binary;
    std::string problem;  ///< why there is no binary; else empty
  };

  /// `threads`: at least 1. The compiler and the sources must outlive the object. Where no thread can be had, next()
  /// compiles.
  CompileQueue(const Compiler& compiler, const std::vector<KernelSource>& sources, unsigned threads);
  CompileQueue(const CompileQueue&) = delete;
  CompileQueue& operator=(const CompileQueue&) = delete;
  /// Begins no further compile and waits for those that have begun.
  ~CompileQueue();

  /// Waits for the next compile that is done, in whatever order. Nothing once all were handed out.
  std::optional<Done> next();

 private:
  Done compile(std::size_t source) const;
  void work();

  const Compiler& compiler_;
  const std::vector<KernelSource>& sources_;
  std::atomic<std::size_t> begun_{0};
  std::size_t handed_out_ = 0;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Done> done_;
  std::vector<std::thread> threads_;
};

}  // namespace ropejit::internal
