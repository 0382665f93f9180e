// Launches of small_spec's kernels on the host, and what came out.
#pragma once

#include <cmath>
#include <vector>

#include "ropejit/service.hpp"

namespace ropejit::test {

/// Rotates one token at position 0 and says whether it came out unchanged, as it must.
inline bool works(const RopeKernel& kernel) {
  std::vector<float> q = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<float> before = q;
  RopeArgs args;
  args.q.data = q.data();
  args.tokens = 1;
  args.positions = Positions::start(0);
  return kernel.launch(args) && q == before;
}

/// Rotates a token at position 3: the second pair turns by 3 / sqrt(theta) radians.
inline bool rotates_by(const RopeKernel& kernel, double theta) {
  std::vector<float> q = {0, 1, 0, 0, 0, 1, 0, 0};
  RopeArgs args;
  args.q.data = q.data();
  args.tokens = 1;
  args.positions = Positions::start(3);
  const double angle = 3 / std::sqrt(theta);
  return kernel.launch(args) && std::fabs(q[1] - std::cos(angle)) < 1e-6 && std::fabs(q[3] - std::sin(angle)) < 1e-6;
}

/// Whether the generic kernel stands in for one of its binaries.
inline bool has_generic(const RopeKernel& kernel) {
  for (const VariantInfo& variant : kernel.info().variants) {
    if (variant.cache == CacheRung::generic) return true;
  }
  return false;
}

}  // namespace ropejit::test
