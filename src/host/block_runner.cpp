#include "host/block_runner.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <vector>

#include "host/fiber.hpp"
#include "host_thread.cuh"
#include "support/usual_arithmetic.hpp"

namespace ropejit::internal {
namespace {

constexpr unsigned kWarp = 32;

/// Where a thread waits. Those of a warp go on together, from one place.
enum class Wait {
  none,
  warp,
  shuffle_given,  // its value is there for the others
  shuffle_taken,  // it has read another's
  block,
  done,
};

struct SimulatedThread : HostThread {
  class Block* block_state = nullptr;
  Fiber* fiber = nullptr;
  Wait wait = Wait::none;
  unsigned long long shuffle_slot = 0;
};

/// One block at a time; fibers and threads are reused for the next.
class Block {
 public:
  Block(const LaunchGeometry& geometry, const HostEntry& entry) : entry_(entry), threads_(geometry.threads) {
    static constexpr HostServices kServices = {&Block::block_barrier, &Block::warp_barrier, &Block::shuffle,
                                               &Block::misaligned_access};
    for (unsigned i = 0; i < geometry.threads; ++i) {
      threads_[i].thread = {i, 0, 0};
      threads_[i].block_dim = {geometry.threads, 1, 1};
      threads_[i].grid_dim = {geometry.blocks, 1, 1};
      threads_[i].services = &kServices;
      threads_[i].block_state = this;
    }
  }

  HostOutcome run(unsigned block) {
    for (SimulatedThread& thread : threads_) {
      thread.block = {block, 0, 0};
      thread.wait = Wait::none;
    }
    next_ = 0;
    while (true) {
      if (!ready_.empty()) {
        SimulatedThread* thread = ready_.front();
        ready_.pop_front();
        resume(*thread->fiber, thread);
      } else if (next_ < threads_.size()) {
        resume(idle_fiber(), nullptr);
      } else if (!release()) {
        break;
      }
    }
    for (const SimulatedThread& thread : threads_) {
      if (thread.wait != Wait::done) return HostOutcome::deadlock;
    }
    return defect_;
  }

 private:
  /// A fiber runs threads that have not started, one after another, until one of them waits.
  void run_threads(Fiber& self) {
    while (true) {
      while (next_ < threads_.size()) {
        SimulatedThread& thread = threads_[next_++];
        thread.fiber = &self;
        entry_.bind(&thread);
        entry_.run();
        thread.wait = Wait::done;
      }
      idle_.push_back(&self);
      self.suspend();
    }
  }

  Fiber& idle_fiber() {
    if (idle_.empty()) {
      fibers_.push_back(nullptr);
      std::unique_ptr<Fiber>& slot = fibers_.back();
      const std::size_t index = fibers_.size() - 1;
      slot = std::make_unique<Fiber>([this, index] { run_threads(*fibers_[index]); });
      return *slot;
    }
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return *fiber;
  }

  void resume(Fiber& fiber, SimulatedThread* waiting) {
    if (waiting != nullptr) {
      waiting->wait = Wait::none;
      entry_.bind(waiting);
    }
    fiber.resume();
  }

  /// Nothing can run: lets go whichever barriers and shuffles all their threads have reached (a thread that returned
  /// counts as having reached every one, as on the GPU). False when there is none.
  bool release() {
    bool all_at_block = true;
    bool any_at_block = false;
    for (std::size_t first = 0; first < threads_.size(); first += kWarp) {
      Wait place = Wait::done;  // where those of the warp wait that have not returned
      bool all_at_place = true;
      const std::size_t last = std::min(first + kWarp, threads_.size());
      for (std::size_t i = first; i < last; ++i) {
        const Wait wait = threads_[i].wait;
        if (wait == Wait::done) continue;
        if (place == Wait::done) place = wait;
        all_at_place &= wait == place;
        any_at_block |= wait == Wait::block;
        all_at_block &= wait == Wait::block;
      }
      if (all_at_place && place != Wait::done && place != Wait::block) make_ready(first, last);
    }
    if (any_at_block && all_at_block) make_ready(0, threads_.size());
    return !ready_.empty();
  }

  void make_ready(std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      if (threads_[i].wait != Wait::done) ready_.push_back(&threads_[i]);
    }
  }

  static SimulatedThread& simulated(HostThread* self) { return *static_cast<SimulatedThread*>(self); }

  static void wait_at(HostThread* self, Wait wait) {
    SimulatedThread& thread = simulated(self);
    thread.wait = wait;
    thread.fiber->suspend();
  }
  static void block_barrier(HostThread* self) { wait_at(self, Wait::block); }
  static void warp_barrier(HostThread* self) { wait_at(self, Wait::warp); }

  static unsigned long long shuffle(HostThread* self, unsigned long long value, unsigned lane) {
    SimulatedThread& thread = simulated(self);
    Block& block = *thread.block_state;
    thread.shuffle_slot = value;
    wait_at(self, Wait::shuffle_given);
    const std::size_t source = thread.thread.x / kWarp * kWarp + lane;
    unsigned long long result = 0;
    if (source < block.threads_.size() && block.threads_[source].wait != Wait::done) {
      result = block.threads_[source].shuffle_slot;
    } else {
      block.defect_ = HostOutcome::no_source;
    }
    wait_at(self, Wait::shuffle_taken);  // nobody overwrites a slot that another has yet to read
    return result;
  }

  static void misaligned_access(HostThread* self) { simulated(self).block_state->defect_ = HostOutcome::misaligned; }

  const HostEntry& entry_;
  std::vector<SimulatedThread> threads_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::deque<SimulatedThread*> ready_;
  std::size_t next_ = 0;
  HostOutcome defect_ = HostOutcome::ok;  // the last one seen
};

}  // namespace

HostOutcome run_grid(const LaunchGeometry& geometry, const HostEntry& entry) {
  // Fibers begin with it, and bring it back each time that they go on.
  const UsualArithmetic arithmetic;
  try {
    Block block(geometry, entry);
    for (unsigned b = 0; b < geometry.blocks; ++b) {
      if (const HostOutcome outcome = block.run(b); outcome != HostOutcome::ok) return outcome;
    }
  } catch (const std::bad_alloc&) {
    return HostOutcome::no_memory;
  }
  return HostOutcome::ok;
}

}  // namespace ropejit::internal
