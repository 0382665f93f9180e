// The fields of an operand of a spec, said once: JSON, checks, comparison and the stages of its plan walk them. A
// visitor has
//     number(key, std::int64_t&, range, required)
//     dtype(key, std::optional<DType>&)
//     norm(key, std::optional<Norm>&)            Stage::norm, with what it is told
//     stage(key, std::optional<bool>&, Stage)    whether lanes go through it; absent: as operands of that name do
// (const references for a const operand), which are called in the order of the JSON; stages in that in which lanes go
// through them.
#pragma once

#include <concepts>
#include <type_traits>

#include "ropejit/spec.hpp"
#include "spec/limits.hpp"
#include "stage.cuh"

namespace ropejit::internal {

template <class O, class V>
requires std::same_as<std::remove_const_t<O>, Operand>
void visit_fields(O& operand, V& visitor) {
  visitor.number("heads", operand.heads, kHeads, true);
  visitor.number("head_dim", operand.head_dim, kHeadDim, true);
  visitor.number("first_lane", operand.first_lane, kFirstLane, false);
  visitor.dtype("dtype_out", operand.dtype_out);
  visitor.norm("norm", operand.norm);
  visitor.stage("rotates", operand.rotates, Stage::rotate);
}

}  // namespace ropejit::internal
