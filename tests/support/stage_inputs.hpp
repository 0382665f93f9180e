// What the stages of an operand read beside its lanes: random numbers in a launch's memory, and as the oracle takes
// them.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "launch/operand_args.hpp"
#include "ropejit/spec.hpp"
#include "ropejit/tensor.hpp"
#include "support/arena.hpp"
#include "verify/row_data.hpp"

namespace ropejit::test {

struct StageInputs {
  std::vector<double> weights, norm_biases, biases, head_scales;

  /// For a head at a token of that position.
  internal::RowData data(std::int64_t head, std::int64_t position) const {
    return {.weights = weights,
            .norm_biases = norm_biases,
            .biases = biases,
            .head_scales = head_scales,
            .head = head,
            .position = position};
  }
};

/// Draws what the stages of the operand read, puts it into memory and its addresses into `args`. `misaligned`: numbers
/// of lanes are aligned to their elements only.
StageInputs put_stage_inputs(const RopeSpec& spec, const Operand& operand, internal::OperandName name, bool misaligned,
                             std::mt19937_64& random, Inputs& inputs, RopeArgs& args);

/// How many weights, and biases, a norm has; and how many statistics, or r, a token has of it.
std::int64_t weights_of(const Operand& operand);
std::int64_t statistics_of(const Operand& operand);

/// A statistic that is given of an operand's norm, r or a sum, of a size that lanes near 1 have; some are 0, and some r
/// negative.
float random_statistic(std::mt19937_64& random, const Operand& operand);

}  // namespace ropejit::test
