#include "tune/timed_size.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

constexpr double kTrialUs = 100;
constexpr double kInEarnestUs = 300;

char* set_of(char* memory, const WorkingSet& set, int launch) {
  return memory + static_cast<std::size_t>(launch) % set.sets * set.set_bytes;
}

}  // namespace

TimedSize::TimedSize(const Target& target, const KernelClass& kernel_class, std::int64_t tokens, std::size_t most_bytes)
    : target_(target), workload_(target, kernel_class, tokens) {
  const std::size_t set_bytes = workload_.set_bytes();
  if (set_bytes > most_bytes / 2) {
    throw Error(ErrorCode::device_unavailable, "tuning",
                fmt::format("found tensors of {} MiB, allowed: an eighth of the device's free memory, {} MiB", tokens,
                            set_bytes >> 20, most_bytes >> 21));
  }
  const CacheSizes sizes = CacheSizes::of(target);
  trial_ = WorkingSet::of(set_bytes, workload_.moved_bytes(), L2::automatic, sizes, kTrialUs);
  in_earnest_ = WorkingSet::of(set_bytes, workload_.moved_bytes(), L2::automatic, sizes, kInEarnestUs);
  in_earnest_.sets = std::min(in_earnest_.sets, most_bytes / set_bytes);
  trial_.sets = in_earnest_.sets;
}

std::size_t TimedSize::bytes() const {
  // A single set has its copy behind it.
  return in_earnest_.sets == 1 ? 2 * in_earnest_.set_bytes : in_earnest_.bytes();
}

TimedReplay TimedSize::replay(const PreparedKernel& kernel, char* memory, const WorkingSet& set) const {
  const auto launch = [this, memory, &kernel, &set](Recorder& recorder, int i) {
    const LaunchStatus status = launch_prepared(kernel, workload_.args(set_of(memory, set, i)), &recorder);
    if (!status) throw Error(status.code, "launch", status.message());
  };
  return {target_.record(launch, set.launches), set.launches};
}

TimedReplay TimedSize::copy(char* memory) const {
  const auto bytes = static_cast<std::size_t>(workload_.moved_bytes() / 2);
  const auto copy = [this, memory, bytes](Recorder& recorder, int i) {
    char* const to = in_earnest_.sets == 1 ? memory + in_earnest_.set_bytes : set_of(memory, in_earnest_, i + 1);
    recorder.copy(to, set_of(memory, in_earnest_, i), bytes);
  };
  return {target_.record(copy, in_earnest_.launches), in_earnest_.launches};
}

}  // namespace ropejit::internal
