#include "ropejit/presets.hpp"

#include <llvm/ADT/STLExtras.h>

#include <vector>

#include "spec/names.hpp"

namespace ropejit {
inline namespace v0 {
namespace {

std::vector<const Operand*> operands_of(const RopeSpec& spec) {
  std::vector<const Operand*> all = {&spec.q};
  if (spec.k) all.push_back(&*spec.k);
  if (spec.v) all.push_back(&*spec.v);
  return all;
}

// The norm before the rotation, which says where a norm ends: v's ends at the store.
const Norm* norm_of(const RopeSpec& spec) {
  if (spec.q.norm) return &*spec.q.norm;
  return spec.k && spec.k->norm ? &*spec.k->norm : nullptr;
}

bool goes_on_after_rotation(const Operand& operand) {
  return operand.temperature || (!operand.order.empty() && operand.order.back() != StageName::rotate);
}

// What is stored between an engine's kernels, and read again.
RoundAfter between_kernels(const RopeSpec& spec) {
  const std::vector<const Operand*> operands = operands_of(spec);
  RoundAfter after;
  after.bias = llvm::any_of(operands, [](const Operand* one) { return one->bias; });
  after.scale = llvm::any_of(operands, [](const Operand* one) { return one->scale || one->head_scales; });
  after.rotation = llvm::any_of(operands, [](const Operand* one) { return goes_on_after_rotation(*one); });
  return after;
}

void round_after_norm(const Norm& norm, RoundAfter& after) {
  if (norm.weight == NormWeight::none) {
    after.norm = true;
  } else if (norm.bias) {
    after.norm_bias = true;
  } else {
    after.weight = true;
  }
}

}  // namespace

RopeSpec rounded_as(const RopeSpec& spec, Engine engine) {
  internal::require_enum(engine, "engine");
  RopeSpec result = spec;
  result.rounding = Rounding::exact;
  result.round_after = engine == Engine::exact ? RoundAfter{} : between_kernels(spec);
  const bool stores_normed = engine == Engine::vllm || engine == Engine::flashinfer || engine == Engine::aiter;
  const Norm* const norm = norm_of(spec);
  if (stores_normed && norm != nullptr) round_after_norm(*norm, result.round_after);
  return result;
}

}  // namespace v0
}  // namespace ropejit
