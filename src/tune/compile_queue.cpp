#include "tune/compile_queue.hpp"

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

namespace ropejit::internal {

CompileQueue::CompileQueue(const Compiler& compiler, const std::vector<KernelSource>& sources, unsigned threads)
    : compiler_(compiler), sources_(sources) {
  const std::size_t count = std::min<std::size_t>(std::max(threads, 1U), sources.size());
  try {
    while (threads_.size() < count) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // Fewer, then.
  }
}

CompileQueue::~CompileQueue() {
  begun_.store(sources_.size());
  for (std::thread& thread : threads_) thread.join();
}

CompileQueue::Done CompileQueue::compile(std::size_t source) const {
  Done done;
  done.source = source;
  try {
    done.binary = compiler_.compile(sources_[source]);
  } catch (const std::exception& error) {
    done.problem = error.what();
  }
  return done;
}

void CompileQueue::work() {
  for (;;) {
    const std::size_t source = begun_.fetch_add(1);
    if (source >= sources_.size()) return;
    Done done = compile(source);
    {
      const std::lock_guard lock(mutex_);
      done_.push_back(std::move(done));
    }
    ready_.notify_one();
  }
}

std::optional<CompileQueue::Done> CompileQueue::next() {
  if (handed_out_ == sources_.size()) return std::nullopt;
  if (threads_.empty()) return compile(handed_out_++);
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return !done_.empty(); });
  Done done = std::move(done_.front());
  done_.pop_front();
  ++handed_out_;
  return done;
}

}  // namespace ropejit::internal
