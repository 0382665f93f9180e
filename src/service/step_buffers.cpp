#include "service/step_buffers.hpp"

#include <bit>
#include <variant>

#include "spec/lower.hpp"

namespace ropejit::internal {
namespace {

ResolvedSteps resolve(RopeSpec spec, const LaunchForm& form, std::int64_t length, std::int64_t up_to,
                      StepBuffers& buffers) {
  spec.max_length = length;
  return {up_to, buffers.of(lower(spec, form))};
}

}  // namespace

std::shared_ptr<const void> StepBuffers::of(const RotationPlan& plan) {
  std::vector<std::uint64_t> numbers = plan.steps;
  numbers.push_back(std::bit_cast<std::uint32_t>(static_cast<float>(plan.attention_scale)));
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const void>& made = made_[numbers];
  if (!made) made = target_->constant(numbers.data(), numbers.size() * sizeof(std::uint64_t));
  return made;
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
