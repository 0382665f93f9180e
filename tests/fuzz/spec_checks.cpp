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

std::vector<std::string> staged_specs() {
  return {
      R"({"schema":1,"rotary_dim":64,"q":{"heads":4,"head_dim":128,"first_lane":64,"norm":{"eps":1e-5,"kind":"layer",)"
      R"("weight":"heads","weight_dtype":"fp32","bias":true,"first_lane":64,"lanes":64}},"k":{"heads":2,"head_dim":128,)"
      R"("norm":{"kind":"l2","weight":"none"}},"round_after":["norm","statistic","norm_bias"]})",
      R"({"schema":1,"q":{"heads":8,"head_dim":64,"norm":{"span":"token","statistic":"given_sum","global_heads":16}},)"
      R"("k":{"heads":2,"head_dim":64,"norm":{"span":"token","plus_one":true}},"v":{"heads":2,"head_dim":64,)"
      R"("norm":{"weight":"none"}},"round_after":["weight"]})",
      R"({"schema":1,"q":{"heads":4,"head_dim":64,"bias":true,"clamp":8,"temperature":{"coefficient":0.1,)"
      R"("length":8192,"steps":false,"offset":1},"order":["temperature","rotate","clamp","bias"]},"k":{"heads":1,)"
      R"("head_dim":64,"scale":-0.5,"head_scales":true,"norm":{},"order":["rotate","scale","norm","head_scale"]},)"
      R"("round_after":["bias","scale","rotation","tau"]})",
      R"({"schema":1,"q":{"heads":4,"head_dim":64,"rotates":false,"norm":{}},"k":{"heads":1,"head_dim":64,)"
      R"("rotates":false,"temperature":{"coefficient":1,"length":1099511627776}}})",
  };
}

void check_lowering(const RopeSpec& spec, const LaunchForm& form) {
  internal::RotationPlan plan;
  if (!accepted([&] { plan = internal::lower(spec, form); })) return;
  const internal::KernelClass& kernel_class = plan.kernel_class;
  const bool no_steps = plan.needs_length || kernel_class.reads_table();
  require(plan.steps.size() == (no_steps ? 0 : kernel_class.pairs()), "a step for each pair");
  require(std::isfinite(plan.attention_scale), "the scale is finite");
  for (const internal::StageConstants& one : plan.constants) {
    for (const float number : {one.eps, one.clamp, one.scale, one.tau_coefficient, one.norm_share}) {
      require(std::isfinite(number), "the numbers of stages are finite");
    }
    require(one.tau_length > 0, "a temperature's length divides");
  }
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
