#include <cstdlib>
#include <string>
#include <vector>

#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/parallel.hpp"
#include "support/targets.hpp"

using namespace ropejit;

namespace {

struct Plan {
  const char* what;
  internal::RotationPlan plan;
};

internal::RotationPlan plan_of(DType dtype, Layout layout, std::int64_t rotary, Operand q, Operand k,
                               const LaunchForm& form, void (*change)(RopeSpec&) = nullptr) {
  RopeSpec spec;
  spec.dtype = dtype;
  spec.layout = layout;
  spec.rotary_dim = rotary;
  spec.q = q;
  if (k.heads > 0) spec.k = k;
  if (change != nullptr) change(spec);
  return internal::lower(spec, form);
}

// Of q and k alike.
template <class Change>
void change_both(RopeSpec& spec, const Change& change) {
  change(spec.q);
  change(*spec.k);
}

std::vector<Plan> staged_plans() {
  const LaunchForm in = LaunchForm::in_place_ids();
  LaunchForm cached = in.with_free_strides();
  cached.k_rows = CacheRows::slots64;
  return {
      {"a norm over 40 heads", plan_of(DType::bf16, Layout::split_half, 128, {40, 128, 0}, {8, 128, 0}, cached,
                                       [](RopeSpec& spec) {
                                         change_both(spec, [](Operand& operand) {
                                           operand.norm = Norm{};
                                           operand.norm->span = NormSpan::token;
                                           operand.norm->weight = NormWeight::heads;
                                         });
                                       })},
      {"layer norms with a head's own weights",
       plan_of(DType::bf16, Layout::interleaved, 128, {32, 128, 0}, {8, 128, 0}, in,
               [](RopeSpec& spec) {
                 change_both(spec, [](Operand& operand) {
                   operand.norm = Norm{};
                   operand.norm->kind = NormKind::layer;
                   operand.norm->weight = NormWeight::heads;
                   operand.norm->bias = true;
                 });
               })},
      {"norms behind the rotation, and a temperature",
       plan_of(DType::bf16, Layout::interleaved, 128, {40, 128, 0}, {8, 128, 0}, cached,
               [](RopeSpec& spec) {
                 change_both(spec, [](Operand& operand) {
                   operand.norm = Norm{};
                   operand.norm->weight = NormWeight::none;
                   operand.temperature = Temperature{0.1, 8192, true, 1};
                   operand.order = {StageName::rotate, StageName::norm, StageName::temperature};
                 });
               })},
  };
}

// k and v where page tables say, with and without norms, in groups of lanes and beside their caches.
std::vector<Plan> store_plans() {
  LaunchForm lists = LaunchForm::in_place_ids().with_free_strides();
  lists.k_rows = lists.v_rows = CacheRows::page_lists;
  lists.token_requests = TokenRequests::ids32;
  lists.token_places = TokenPlaces::ids64;
  LaunchForm tables = LaunchForm::out_of_place_ids(PositionSource::ids32);
  tables.positions = PositionSource::ragged;
  tables.k_rows = tables.v_rows = CacheRows::block_table;
  tables.k_split = tables.k_beside = tables.v_beside = true;
  const auto with_v = [](RopeSpec& spec) { spec.v = Operand{spec.k->heads, spec.k->head_dim, 0}; };
  const auto normed = [](RopeSpec& spec) {
    spec.v = Operand{spec.k->heads, spec.k->head_dim, 0};
    change_both(spec, [](Operand& operand) { operand.norm = Norm{}; });
  };
  const Operand q{32, 128, 0};
  const Operand k{8, 128, 0};
  return {
      {"page lists", plan_of(DType::bf16, Layout::split_half, 128, q, k, lists, with_v)},
      {"page lists behind norms", plan_of(DType::bf16, Layout::split_half, 128, q, k, lists, normed)},
      {"a block table, groups of lanes and tensors beside",
       plan_of(DType::bf16, Layout::split_half, 128, q, k, tables, with_v)},
      {"the same behind norms", plan_of(DType::fp16, Layout::interleaved, 128, q, k, tables, normed)},
  };
}

std::vector<Plan> ten_plans() {
  const LaunchForm in = LaunchForm::in_place_ids();
  const LaunchForm out = LaunchForm::out_of_place_ids(PositionSource::ids32);
  LaunchForm serving = in.with_free_strides();
  serving.positions = PositionSource::ragged;
  serving.counted = true;
  LaunchForm cached = LaunchForm::in_place_ids(PositionSource::ids32);
  cached.k_rows = CacheRows::rows64;
  cached.overlaps_previous = true;
  return {
      {"Llama in place", plan_of(DType::bf16, Layout::split_half, 128, {32, 128, 0}, {8, 128, 0}, in)},
      {"Llama's gradient, out of place, fp16",
       plan_of(DType::fp16, Layout::split_half, 128, {64, 128, 0}, {8, 128, 0}, out,
               [](RopeSpec& spec) { spec.direction = Direction::adjoint; })},
      {"Meta's layout, fp32", plan_of(DType::fp32, Layout::interleaved, 128, {32, 128, 0}, {8, 128, 0}, in)},
      {"another layout written", plan_of(DType::bf16, Layout::interleaved, 128, {28, 128, 0}, {4, 128, 0}, out,
                                         [](RopeSpec& spec) { spec.layout_out = Layout::split_half; })},
      {"another layout in place", plan_of(DType::bf16, Layout::interleaved, 64, {16, 64, 0}, {2, 64, 0}, in,
                                          [](RopeSpec& spec) { spec.layout_out = Layout::split_half; })},
      {"Falcon served", plan_of(DType::bf16, Layout::split_half, 64, {71, 64, 0}, {1, 64, 0}, serving)},
      {"a quarter of each head", plan_of(DType::fp16, Layout::split_half, 24, {64, 96, 0}, {64, 96, 0}, out)},
      {"latent attention into a cache",
       plan_of(DType::bf16, Layout::interleaved, 64, {128, 192, 128}, {1, 576, 512}, cached)},
      {"a caller's table", plan_of(DType::bf16, Layout::split_half, 128, {32, 128, 0}, {8, 128, 0},
                                   in.with_table(AngleSource::half, DType::fp32))},
      {"one wide head", plan_of(DType::fp32, Layout::split_half, 4096, {1, 4096, 0}, {0, 0, 0}, out)},
  };
}

// All of them take a long while: CI looks at a few of each (`./dev variants` at all), in a short run for two of the
// architectures in turn.
void check_all_compile(const std::vector<Plan>& plans, std::size_t step, std::size_t least) {
  const char* const wanted = std::getenv("ROPEJIT_TEST_VARIANTS");
  const bool all = wanted != nullptr && std::string(wanted) == "all";
  const bool half = test::short_run() && !all;
  std::size_t compiled = 0;
  std::size_t number = 0;
  for (const Plan& plan : plans) {
    ++number;
    for (const char* arch : {"sm_80", "sm_90", "sm_100", "sm_120"}) {
      if (half && number++ % 2 != 0) continue;
      std::unique_ptr<internal::Compiler> compiler;
      try {
        compiler = internal::nvrtc_compiler(arch, std::nullopt);
      } catch (const Error& error) {
        WARN("no NVRTC here: " << error.what());
        return;
      }
      const std::vector<internal::Variant> space = internal::variant_space(plan.plan.kernel_class, true);
      std::vector<internal::Variant> chosen;
      // A prime step meets every family, width and number of heads over the plans.
      for (std::size_t i = compiled % 7; i < space.size(); i += all ? 1 : step) chosen.push_back(space[i]);
      std::vector<std::string> wrong(chosen.size());
      internal::parallel_for(static_cast<std::int64_t>(chosen.size()), [&](std::int64_t i) {
        const auto at = static_cast<std::size_t>(i);
        const internal::CompiledBinary binary = compiler->compile(internal::generate(plan.plan, chosen[at]));
        if (binary.spill_bytes != 0)
          wrong[at] = to_string(chosen[at]) + " spills " + std::to_string(binary.spill_bytes);
        if (binary.stack_bytes != 0) wrong[at] = to_string(chosen[at]) + " has a stack";
      });
      compiled += chosen.size();
      for (const std::string& text : wrong) {
        INFO(plan.what << " for " << arch << ": " << text);
        CHECK(text.empty());
      }
    }
  }
  INFO(compiled << " compiled");
  CHECK(compiled >= (half ? least / 2 : least));
  if (all) WARN(compiled << " variants compiled");
}

}  // namespace

TEST_CASE("Variants of ten plans compile for four architectures without a spill", "[every-variant]") {
  check_all_compile(ten_plans(), 211, 40);
}

TEST_CASE("Variants of stores compile for four architectures without a spill", "[every-variant]") {
  check_all_compile(store_plans(), 83, 12);
}

TEST_CASE("Variants of norms and stages compile for four architectures without a spill", "[every-variant]") {
  check_all_compile(staged_plans(), 83, 12);
}
