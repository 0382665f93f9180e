// Several kinds of work, timed in turns: one sample of each, then the next of each, so that whatever drifts (clocks,
// heat, neighbours) falls on all alike.
#pragma once

#include <functional>
#include <vector>

namespace ropejit::internal {

/// `work[i]()` runs once and returns its microseconds. Every one runs `turns` times; the samples of work i are at i.
std::vector<std::vector<double>> time_in_turns(const std::vector<std::function<double()>>& work, int turns);

}  // namespace ropejit::internal
