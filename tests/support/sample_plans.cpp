#include "support/sample_plans.hpp"

#include "codegen/legality.hpp"
#include "spec/lower.hpp"

namespace ropejit::test {
namespace {

using internal::Family;

RopeSpec llama_3_1_8b() {
  RopeSpec spec;
  spec.theta = 500000.0;
  spec.rotary_dim = 128;
  spec.q = {32, 128, 0};
  spec.k = Operand{8, 128, 0};
  spec.scaling = Llama3Scaling{8.0, 1.0, 4.0, 8192};
  return spec;
}

RopeSpec falcon_interleaved() {
  RopeSpec spec;
  spec.layout = Layout::interleaved;
  spec.dtype = DType::fp16;
  spec.rotary_dim = 64;
  spec.q = {71, 64, 0};
  spec.k = Operand{1, 64, 0};
  return spec;
}

RopeSpec one_wide_head() {
  RopeSpec spec;
  spec.layout = Layout::interleaved;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 4096;
  spec.q = {1, 4096, 0};
  return spec;
}

RopeSpec latent_attention() {
  RopeSpec spec;
  spec.layout = Layout::interleaved;
  spec.rotary_dim = 64;
  spec.q = {16, 192, 128};
  spec.k = Operand{1, 576, 512};
  return spec;
}

RopeSpec pythia_gradient() {
  RopeSpec spec;
  spec.direction = Direction::adjoint;
  spec.dtype = DType::fp16;
  spec.rotary_dim = 20;
  spec.q = {32, 80, 0};
  spec.k = Operand{32, 80, 0};
  return spec;
}

/// Qwen3-8B: norms of q and k, and a v.
RopeSpec qwen3() {
  RopeSpec spec;
  spec.theta = 1000000.0;
  spec.rotary_dim = 128;
  spec.q = {32, 128, 0};
  spec.k = Operand{8, 128, 0};
  spec.v = Operand{8, 128, 0};
  spec.q.norm = spec.k->norm = Norm{};
  return spec;
}

LaunchForm to_pages() {
  LaunchForm form = LaunchForm::out_of_place_ids().with_free_strides();
  form.k_rows = form.v_rows = CacheRows::slots64;
  return form;
}

SamplePlan sample(std::string name, const RopeSpec& spec, const LaunchForm& form, const internal::Variant& variant) {
  return {std::move(name), internal::lower(spec, form), variant};
}

}  // namespace

std::vector<SamplePlan> sample_plans() {
  const LaunchForm odd = LaunchForm::out_of_place_start();
  SamplePlan universal = sample("llama_universal", llama_3_1_8b(), odd, {});
  universal.variant = internal::universal_variant(universal.plan.kernel_class);
  return {
      sample("llama_in_place", llama_3_1_8b(), LaunchForm::in_place_ids(), {Family::flat, 16, 8, 128}),
      sample("falcon_out_of_place", falcon_interleaved(), LaunchForm::out_of_place_ids(PositionSource::ids32),
             {Family::flat, 8, 10, 64}),
      sample("one_wide_head", one_wide_head(), LaunchForm::out_of_place_start(), {Family::flat, 16, 1, 256}),
      sample("latent_attention", latent_attention(), LaunchForm::out_of_place_ids(), {Family::flat, 16, 4, 128}),
      sample("pythia_gradient_rows", pythia_gradient(),
             LaunchForm::in_place_ids(PositionSource::ids32).with_free_strides(), {Family::flat, 4, 5, 32}),
      sample("qwen3_prologue", qwen3(), to_pages(), {Family::flat, 4, 4, 128}),
      universal,
  };
}

}  // namespace ropejit::test
