// The oracle: what a RopeSpec means, worked out again in wide arithmetic from the public headers alone. It shares
// no code with the library, so that agreement is evidence.
//
// Frequencies are carried as sums of two long doubles (about 128 bits where long double has 64, as on x86), so an
// angle p * w is right to about 1e-15 while |p * w| < 2^60. cos and sin are then double, products too: far below
// the bound that is checked,
//     |error| <= 1/2 ulp of the dtype + 2^-20 A (|x_a| + |x_b|)
// where A is the attention scale and the ulp is that of the expected value (of the largest magnitude that the second
// term allows it, so that a value at a power of two is judged by the spacing it may land in).
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "ropejit/spec.hpp"
#include "verify/comparison.hpp"
#include "verify/element.hpp"
#include "verify/wide_number.hpp"

namespace ropejit::internal {

/// cos and sin (sign of the direction and attention scale included) of every pair at one position.
struct Angles {
  std::vector<double> cos;
  std::vector<double> sin;
};

/// One head: pointers to lane 0, and the stride of its lanes in elements.
struct HeadRow {
  const void* data = nullptr;
  std::int64_t lane_stride = 1;
};

class Oracle {
 public:
  /// `spec` must be valid, with a max_length where its scaling depends on one (the oracle does not check; it is the
  /// tests that compare validation with tables).
  explicit Oracle(const RopeSpec& spec);

  const RopeSpec& spec() const { return spec_; }
  std::int64_t pairs() const { return static_cast<std::int64_t>(frequencies_.size()); }
  /// A.
  double attention_scale() const { return attention_scale_; }
  /// w of pair i, in radians per position.
  long double frequency(std::int64_t pair) const { return frequencies_[static_cast<std::size_t>(pair)].hi; }
  /// p * w of pair i, reduced to [-pi, pi].
  long double angle(std::int64_t pair, std::int64_t position) const;

  /// Thread-safe. Costs two library calls a pair: keep the result while heads of one token are checked.
  Angles angles(std::int64_t position) const;
  /// The same, remembered (up to some 2^22 numbers, then forgotten all at once). Not thread-safe; the reference
  /// lives until the next call.
  const Angles& at(std::int64_t position);

  /// One head of `operand`: all its lanes as doubles in; expected values and bounds out (0 for lanes that do not
  /// rotate, which keep their value). Each span has operand.head_dim elements. Thread-safe.
  void expect(const Angles& angles, const Operand& operand, std::span<const double> in, std::span<double> out,
              std::span<double> bound) const;

  /// Checks one head of `operand`, given as elements of spec().dtype, and adds every lane to `result` under
  /// `index` (its lane is ignored). `before` is the head as it was given, `after` as it came out. Thread-safe.
  void check(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
             const ElementIndex& index, Comparison& result) const;

 private:
  struct Pair {
    std::int64_t a;
    std::int64_t b;
  };
  Pair lanes(Layout layout, const Operand& operand, std::int64_t pair) const;

  RopeSpec spec_;
  std::vector<WideNumber> frequencies_;
  double attention_scale_;
  std::unordered_map<std::int64_t, Angles> remembered_;
};

}  // namespace ropejit::internal
