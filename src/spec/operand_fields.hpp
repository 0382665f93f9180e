// The fields of an operand of a spec, and of what it holds, said once: JSON, checks and texts walk them. A visitor has
//     number(key, std::int64_t&, range, Told)
//     real(key, double&, range, Told)            and for what may be absent
//     real(key, std::optional<double>&, range)
//     dtype(key, std::optional<DType>&)
//     choice(key, E&)                            an enumeration, whose first value is the default
//     flag(key, bool&, usual)                    and for what may be absent
//     flag(key, std::optional<bool>&)
//     part(key, std::optional<Norm>&)            with fields of its own; of a Temperature likewise
//     order(key, std::vector<StageName>&)
// (const references for a const operand), which are called in the order of the JSON. A new field stands at the end.
#pragma once

#include <array>
#include <concepts>
#include <type_traits>

#include "ropejit/spec.hpp"
#include "spec/limits.hpp"

namespace ropejit::internal {

/// When a field stands in a text of JSON. Numbers that are written where they differ alone are 0 by default.
enum class Told {
  required,   ///< always, and readers insist on it
  always,     ///< in ours always; readers take the default where it is absent
  different,  ///< in ours where it is not the default
};

template <class N, class V>
requires std::same_as<std::remove_const_t<N>, Norm>
void visit_fields(N& norm, V& visitor) {
  visitor.real("eps", norm.eps, norm.kind == NormKind::l2 ? kL2Eps : kEps, Told::always);
  visitor.dtype("weight_dtype", norm.weight_dtype);
  visitor.choice("statistic", norm.statistic);
  visitor.choice("kind", norm.kind);
  visitor.choice("span", norm.span);
  visitor.choice("weight", norm.weight);
  visitor.flag("plus_one", norm.plus_one, false);
  visitor.flag("bias", norm.bias, false);
  visitor.number("first_lane", norm.first_lane, kFirstLane, Told::different);
  visitor.number("lanes", norm.lanes, kNormLanes, Told::different);
  visitor.number("global_heads", norm.global_heads, kGlobalHeads, Told::different);
}

template <class T, class V>
requires std::same_as<std::remove_const_t<T>, Temperature>
void visit_fields(T& temperature, V& visitor) {
  visitor.real("coefficient", temperature.coefficient, kScale, Told::required);
  visitor.number("length", temperature.length, kTemperatureLength, Told::required);
  visitor.flag("steps", temperature.steps, true);
  visitor.number("offset", temperature.offset, kTemperatureOffset, Told::different);
}

template <class O, class V>
requires std::same_as<std::remove_const_t<O>, Operand>
void visit_fields(O& operand, V& visitor) {
  visitor.number("heads", operand.heads, kHeads, Told::required);
  visitor.number("head_dim", operand.head_dim, kHeadDim, Told::required);
  visitor.number("first_lane", operand.first_lane, kFirstLane, Told::always);
  visitor.dtype("dtype_out", operand.dtype_out);
  visitor.part("norm", operand.norm);
  visitor.flag("rotates", operand.rotates);
  visitor.flag("bias", operand.bias, false);
  visitor.real("clamp", operand.clamp, kClamp);
  visitor.real("scale", operand.scale, kScale);
  visitor.flag("head_scales", operand.head_scales, false);
  visitor.part("temperature", operand.temperature);
  visitor.order("order", operand.order);
}

/// A stage with the key of the field that asks for it, and whether an operand goes through it.
struct OperandStage {
  StageName name;
  const char* key;
  bool is_there;
};

/// Every stage, in the order of StageName, which is that in which lanes go through those that are there where the
/// operand says none. `rotates`: what operands of that name do where this one does not say.
inline std::array<OperandStage, 7> stages_of(const Operand& operand, bool rotates) {
  return {{{StageName::bias, "bias", operand.bias},
           {StageName::norm, "norm", operand.norm.has_value()},
           {StageName::clamp, "clamp", operand.clamp.has_value()},
           {StageName::scale, "scale", operand.scale.has_value()},
           {StageName::head_scale, "head_scales", operand.head_scales},
           {StageName::rotate, "rotates", operand.rotates.value_or(rotates)},
           {StageName::temperature, "temperature", operand.temperature.has_value()}}};
}

}  // namespace ropejit::internal
