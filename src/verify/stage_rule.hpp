// What the stages of include/ropejit/spec.hpp that take each lane by itself make of it, in wide arithmetic, and how far
// fp32 and the rounding points may be from that.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/spec.hpp"
#include "verify/lane_value.hpp"
#include "verify/row_data.hpp"

namespace ropejit::internal {

/// The stages that an operand has, in the order in which lanes go through them. `turns`: whether it is rotated.
std::vector<StageName> stages_in_order(const Operand& operand, bool turns);

/// Whether it has a stage that changes lanes which do not rotate, too.
bool has_stage_beside_rotation(const Operand& operand);

/// tau of a token at `position`, not yet rounded to a dtype. It is exactly 1 where it has not begun to grow.
LaneValue temperature_factor(const Temperature& temperature, std::int64_t position);

/// All lanes of a head after one of the stages bias, clamp, scale, head_scale and temperature. `dtype` is the spec's.
std::vector<LaneValue> staged_lanes(StageName stage, const Operand& operand, DType dtype, const RoundAfter& round_after,
                                    std::vector<LaneValue> lanes, const RowData& data);

}  // namespace ropejit::internal
