#include "launch/step_buffers.hpp"

#include <variant>

#include "spec/lower.hpp"

namespace ropejit::internal {
namespace {

ResolvedSteps resolve(RopeSpec spec, const LaunchForm& form, std::int64_t length, std::int64_t up_to,
                      StepBuffers& buffers) {
  spec.max_length = length;
  return buffers.of(lower(spec, form), up_to);
}

}  // namespace

ResolvedSteps StepBuffers::of(const RotationPlan& plan, std::int64_t up_to) {
  return made_.with([&](Made& all) -> ResolvedSteps {
    DeviceConstant& made = all[{target_->current_context(), plan.steps}];
    if (!made.data) made = target_->constant(plan.steps.data(), plan.steps.size() * sizeof(std::uint64_t));
    return {up_to, made, static_cast<float>(plan.attention_scale)};
  });
}

void StepBuffers::set_launched() {
  made_.with([](Made& all) {
    for (const auto& [key, made] : all) {
      if (made.launched) made.launched->store(true);
    }
  });
}

std::vector<ResolvedSteps> steps_by_length(const RopeSpec& spec, const LaunchForm& form, StepBuffers& buffers) {
  if (form.positions != PositionSource::start) return {};
  if (const auto* rule = std::get_if<LongRopeScaling>(&spec.scaling)) {
    const std::int64_t original = rule->original_max_position_embeddings;
    return {resolve(spec, form, original, original, buffers),
            resolve(spec, form, original + 1, kAnyLength - 1, buffers)};
  }
  if (const auto* rule = std::get_if<DynamicScaling>(&spec.scaling)) {
    const std::int64_t trained = rule->max_position_embeddings;
    return {resolve(spec, form, trained, trained, buffers)};
  }
  return {};
}

}  // namespace ropejit::internal
