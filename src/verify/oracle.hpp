// The oracle: what a RopeSpec means, worked out again in wide arithmetic from the public headers alone. It shares
// no code with the library, so that agreement is evidence.
//
// Frequencies are carried as sums of two long doubles (about 128 bits where long double has 64, as on x86), so an
// angle p * w is right to about 1e-15 while |p * w| < 2^60. cos and sin are then double, products too: far below
// the bound that is checked,
//     |error| <= 1/2 ulp of the dtype + 2^-20 A (|x_a| + |x_b|)
// where A is the attention scale and the ulp is that of the expected value (of the largest magnitude that the second
// term allows it, so that a value at a power of two is judged by the spacing it may land in). The other rounding
// policies add what they round: see rounding_policy.hpp. Lanes that went through other stages before have errors of
// their own, which turn with them, and stages behind take what the rotation leaves: see lane_value.hpp, norm_rule.hpp
// and stage_rule.hpp. What is known to the bit, as it is a product or sum of known numbers of fp32 and no more, is
// asked for to the bit.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "verify/comparison.hpp"
#include "verify/element.hpp"
#include "verify/norm_rule.hpp"
#include "verify/oracle_axes.hpp"
#include "verify/rounding_policy.hpp"
#include "verify/row_data.hpp"
#include "verify/wide_number.hpp"

namespace ropejit::internal {

class UsualRounding;

/// cos and sin (sign of the direction and attention scale included) of every pair of one token. Without any, nothing is
/// turned, whatever the operand: v has such ones.
struct Angles {
  std::vector<double> cos;
  std::vector<double> sin;
  double scale = 1;  ///< their length at most: the A of the bound
  /// Whether cos and sin are a caller's very numbers. Policies but `exact` then give known bits, which are asked for.
  bool known = false;
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
  /// The attention scale A.
  double attention_scale() const { return attention_scale_; }
  /// w of pair i, in radians per position, rounded to fp32 where the spec says so.
  long double frequency(std::int64_t pair) const { return frequencies_[static_cast<std::size_t>(pair)].hi; }
  /// p * w of pair i, reduced to [-pi, pi]; for AngleRounding::fp32 the rounded product as it is.
  long double angle(std::int64_t pair, std::int64_t position) const;
  /// Which of a token's positions turns pair i.
  std::int64_t axis(std::int64_t pair) const { return axes_[static_cast<std::size_t>(pair)].axis; }
  std::int64_t axes() const { return oracle_axis_count(spec_); }

  /// Thread-safe. Costs two library calls a pair: keep the result while heads of one token are checked.
  Angles angles(std::int64_t position) const;
  /// The turns of a token with a position on every axis.
  Angles angles(std::span<const std::int64_t> positions) const;
  /// The turns of one position, remembered (up to some 2^22 numbers, then forgotten all at once). Not thread-safe; the
  /// reference lives until the next call.
  const Angles& at(std::int64_t position);

  // `data` below is what the operand's stages read beside the lanes: nothing is judged without (row_data.hpp).

  /// One head of `operand`: all its lanes as doubles in; expected values and bounds out (0 for lanes that are known, as
  /// those that no stage changes). Each span has operand.head_dim elements. Thread-safe.
  void expect(const Angles& angles, const Operand& operand, std::span<const double> in, std::span<double> out,
              std::span<double> bound, const RowData& data = {}) const;

  /// Checks one head of `operand`, which rotates unless it says otherwise, and adds every lane to `result` under
  /// `index` (its lane is ignored). `before` is the head as it was given, in elements of spec().dtype, `after` as it
  /// came out, in those of operand.dtype_out where there is one. Thread-safe.
  void check(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
             const ElementIndex& index, Comparison& result, const RowData& data = {}) const;

  /// Checks likewise a head of an operand that does not rotate, such as v: every lane is as it was, or what its other
  /// stages make of it, and converted where another type is written.
  void check_copy(const Operand& operand, const HeadRow& before, const HeadRow& after, const ElementIndex& index,
                  Comparison& result, const RowData& data = {}) const;

  /// Checks likewise a head of a token that is padding. zero: rotating lanes are +0, and all lanes of an operand with
  /// another stage. keep: every lane is as it was, untouched by all stages, those that rotate where layout_out has
  /// them. Operands that do not rotate know no padding.
  void check_padding(Padding padding, const Operand& operand, const HeadRow& before, const HeadRow& after,
                     const ElementIndex& index, Comparison& result, const RowData& data = {}) const;

  /// What the norm of `operand` knows of its lanes, which it computes: of a head, or for a norm over the token of all
  /// its heads in their order. `data.head` is not read for these. Lanes have gone through the stages before the norm.
  /// Thread-safe.
  StatisticValue statistic(const Angles& angles, const Operand& operand, std::span<const HeadRow> heads,
                           const RowData& data = {}) const;

  /// Checks r, or a sum of squares, as a launch handed it out, against what it is.
  static void check_statistic(const LaneValue& wanted, float got, const ElementIndex& index, Comparison& result);

 private:
  Oracle(const RopeSpec& spec, const UsualRounding&);

  struct Pair {
    std::int64_t a;
    std::int64_t b;
  };
  Pair lanes(Layout layout, const Operand& operand, std::int64_t pair) const;
  bool turns(const Angles& angles, const Operand& operand) const;
  /// Of an operand that rotates.
  bool turns(const Operand& operand, std::int64_t lane) const;
  /// Whether no stage changes the lane.
  bool stays(const Angles& angles, const Operand& operand, std::int64_t lane) const;
  std::vector<LaneValue> lanes_of(const Operand& operand, const HeadRow& before) const;

  // oracle_walk.cpp: lanes through the stages.

  /// What every lane comes out as.
  std::vector<LaneBound> expected(const Angles& angles, const Operand& operand, std::vector<LaneValue> lanes,
                                  const RowData& data) const;
  /// The lanes after `stages`.
  std::vector<LaneValue> walked(const Angles& angles, const Operand& operand, std::span<const StageName> stages,
                                std::vector<LaneValue> lanes, const RowData& data) const;
  std::vector<LaneValue> normed(const Operand& operand, const std::vector<LaneValue>& lanes, const RowData& data) const;
  /// Visits (lane as it is written, what it is turned to) for each lane that rotates.
  template <class Visit>
  void turn(const Angles& angles, const Operand& operand, const RoundingRule& rule, const std::vector<LaneValue>& lanes,
            const Visit& visit) const;
  /// What a lane is stored as behind a stage that is no rotation.
  LaneBound stored(const Operand& operand, const LaneValue& lane) const;

  void check_lanes(const Angles& angles, const Operand& operand, const HeadRow& before, const HeadRow& after,
                   const ElementIndex& index, Comparison& result, const RowData& data) const;
  /// Lane `lanes.a` of what was read against `lanes.b` of what was written.
  void check_copied(const Operand& operand, const Pair& lanes, const HeadRow& before, const HeadRow& after,
                    const ElementIndex& index, Comparison& result) const;
  void check_bound(const Operand& operand, std::int64_t lane, const LaneBound& bound, const HeadRow& after,
                   const ElementIndex& index, Comparison& result) const;
  void check_zero(const Operand& operand, std::int64_t lane, const HeadRow& after, const ElementIndex& index,
                  Comparison& result) const;

  RopeSpec spec_;
  std::vector<WideNumber> frequencies_;
  std::vector<OraclePairAxis> axes_;
  double attention_scale_;
  std::unordered_map<std::int64_t, Angles> remembered_;
};

}  // namespace ropejit::internal
