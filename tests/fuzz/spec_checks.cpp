#include "fuzz/spec_checks.hpp"

#include <cmath>
#include <string>

#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "fuzz/fuzzer.hpp"
#include "spec/lower.hpp"

namespace ropejit::test {

bool accepted(const std::function<void()>& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    const std::string_view line = error.what();
    require(!line.empty() && line.find('\n') == std::string_view::npos, "an error is one line");
    require(error.code() != ErrorCode::ok && error.code() != ErrorCode::internal, "an error of the input");
    return false;
  }
}

void check_lowering(const RopeSpec& spec, const LaunchForm& form) {
  internal::RotationPlan plan;
  if (!accepted([&] { plan = internal::lower(spec, form); })) return;
  const internal::KernelClass& kernel_class = plan.kernel_class;
  const bool no_steps = plan.needs_length || kernel_class.reads_table();
  require(plan.steps.size() == (no_steps ? 0 : kernel_class.pairs()), "a step for each pair");
  require(std::isfinite(plan.attention_scale), "the scale is finite");
  require(plan.hash().size() == 32, "a plan has a hash");
  for (const internal::VariantChoice& choice : internal::serving_variants(plan, 132)) {
    require(internal::why_illegal(kernel_class, choice.variant).empty(), "variants that serve are legal");
    require(!internal::generate(plan, choice.variant).text.empty(), "a kernel has a source");
  }
}

void check_spec(const RopeSpec& spec) {
  spec.validate();
  const std::string text = spec.to_json();
  const RopeSpec again = RopeSpec::from_json(text);
  require(again == spec, "a spec's JSON reads back as the spec");
  require(again.to_json() == text, "equal specs have one JSON");
  require(spec.to_string().find('\n') == std::string::npos, "a spec is one line for people");
  require(std::isfinite(spec.softmax_scale()), "the softmax scale is finite");
  check_lowering(spec, LaunchForm::in_place_ids());
  check_lowering(spec, LaunchForm::out_of_place_start().with_free_strides());
}

}  // namespace ropejit::test
