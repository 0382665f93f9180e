// Small plans for programs that try to bring a cache or a service down, and launches of them that are judged by the
// fp64 oracle.
#pragma once

#include <cstdint>
#include <string>

#include "ropejit/ropejit.hpp"

namespace ropejit::test {

struct SmallPlan {
  RopeSpec spec;
  LaunchForm form;
};

/// Plan `number`, any from 0 on: all differ, so each has binaries of its own; two or three, a few kilobytes each.
SmallPlan small_plan(int number);
/// The service's kernel of it.
RopeKernel get(const RopeService& service, int number);

/// Launches the kernel once on the host, on random tensors of at most some 100 tokens, both chosen by `seed`. Empty
/// when every element is within the oracle's bound; else what was wrong, in one line. Thread-safe.
std::string launch_and_check(const RopeKernel& kernel, std::uint64_t seed);

}  // namespace ropejit::test
