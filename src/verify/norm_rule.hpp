// What the RMS norm of include/ropejit/spec.hpp (Norm, RoundAfter) makes of a head, in wide arithmetic, and how far
// fp32 and the rounding points may be from that.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ropejit/spec.hpp"
#include "verify/element.hpp"

namespace ropejit::internal {

struct NormRule {
  double eps = 1e-6;          ///< as it is given: it is used as fp32
  DType dtype = DType::bf16;  ///< the spec's, which values are rounded to
  RoundAfter round_after;     ///< where, if dtype has 16 bits
  /// r where it is given (Statistic::given): taken as exact, and eps is not used.
  std::optional<double> r = std::nullopt;
};

/// One lane on its way: what it is, and the most by which what is computed may differ. A value that is an infinity or
/// NaN is certain. An infinite error: whether the lane overflowed is not known.
struct LaneValue {
  double value = 0;
  double error = 0;
};

/// r of a head that computes it, of all its lanes; eps is used as fp32. A NaN makes it NaN, and squares whose sum is
/// beyond fp32 make it 0.
LaneValue reciprocal_root(std::span<const double> lanes, double eps);

/// The lanes of a head after its norm. `lanes` are all of the head, `weights` as many. A NaN makes all lanes NaN, and
/// squares whose sum is beyond fp32 all lanes 0, but for infinite ones: those are NaN.
std::vector<LaneValue> normed_lanes(const NormRule& rule, std::span<const double> lanes,
                                    std::span<const double> weights);

}  // namespace ropejit::internal
