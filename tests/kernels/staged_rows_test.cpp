// Operands through stages of every kind: norms, biases, clamps, scales and temperatures around the rotation, in any
// order. All sizes, layouts, placements, caches and roundings; judged by the oracle, and by one another.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/direct_launch.hpp"
#include "support/random_spec.hpp"
#include "support/random_stages.hpp"

namespace {

using namespace ropejit;
using test::NumericCase;
using test::NumericResult;

std::uint64_t seed() {
  const char* text = std::getenv("ROPEJIT_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20260201;
}

internal::PreparedKernel kernel_of(const test::TargetPtr& target, const internal::RotationPlan& plan,
                                   const internal::PreparedVariant& variant) {
  return test::kernel_of(target, plan, variant, variant);
}

/// Tensors that every binary can serve, in the order of its promise.
NumericCase served_by_all(NumericCase given) {
  given.in = given.out = test::Arrangement::bshd;
  given.table_misaligned = given.weights_misaligned = false;
  if (given.pages == test::Pages::misaligned) given.pages = test::Pages::nhd;
  return given;
}

}  // namespace

TEST_CASE("Random stages in any order come out within the oracle's bounds, and nothing else is written", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(seed());
    for (int i = 0; i < test::random_cases(40); ++i) {
      NumericCase given = test::random_staged_case(random);
      const bool universal = random() % 3 == 0;
      if (!universal) given = served_by_all(given);
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const NumericResult result = test::run_case(test::prepare_quickly(target, plan, universal), given, random());
      INFO(result.to_string());
      CHECK(result.passed());
    }
  }
}

TEST_CASE("Every variant, the universal entry and the generic kernel give the same bits, whatever the stages",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::mt19937_64 random(seed() + 1);
    for (int i = 0; i < test::random_cases(12); ++i) {
      const NumericCase given = served_by_all(test::random_staged_case(random));
      INFO(target->name() << " case " << i << ": " << given.to_string());
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class);
      std::vector<internal::Variant> variants = {internal::universal_variant(plan.kernel_class)};
      for (int draw = 0; draw < 2 && !space.empty(); ++draw) variants.push_back(space[random() % space.size()]);
      std::vector<internal::PreparedVariant> prepared = test::prepare_variants(target, plan, variants);
      const std::optional<internal::PreparedVariant> generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      prepared.push_back(*generic);
      const std::uint64_t values = random();
      std::optional<NumericResult> first;
      for (const internal::PreparedVariant& variant : prepared) {
        INFO(to_string(variant.variant));
        const NumericResult result = test::run_case(kernel_of(target, plan, variant), given, values);
        INFO(result.to_string());
        CHECK(result.passed());
        if (!first) first = result;
        CHECK(result.out_bytes == first->out_bytes);
        CHECK(result.statistics == first->statistics);
      }
    }
  }
}

namespace {

/// One operand, and one of its stages: what no random number decides.
struct StageRow {
  const char* what;
  void (*set)(Operand& operand);
};

const StageRow kStages[] = {
    {"bias", [](Operand& o) { o.bias = true; }},
    {"clamp", [](Operand& o) { o.clamp = 0.75; }},
    {"scale", [](Operand& o) { o.scale = 0.0883883; }},
    {"head_scale", [](Operand& o) { o.head_scales = true; }},
    {"temperature in steps",
     [](Operand& o) {
       o.temperature = Temperature{0.1, 8192, true, 1};
     }},
    {"temperature that is smooth",
     [](Operand& o) {
       o.temperature = Temperature{0.25, 512, false, 0};
     }},
    {"rms of a head's weights",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->weight = NormWeight::heads;
     }},
    {"rms without weights",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->weight = NormWeight::none;
     }},
    {"rms times 1 + w",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->plus_one = true;
     }},
    {"layer norm with biases",
     [](Operand& o) {
       o.norm = Norm{1e-5};
       o.norm->kind = NormKind::layer;
       o.norm->bias = true;
     }},
    {"layer norm of a head's weights and biases, of another dtype",
     [](Operand& o) {
       o.norm = Norm{1e-5, DType::fp32};
       o.norm->kind = NormKind::layer;
       o.norm->weight = NormWeight::heads;
       o.norm->bias = true;
     }},
    {"l2",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->kind = NormKind::l2;
     }},
    {"norm behind the rotation",
     [](Operand& o) {
       o.norm = Norm{};
       o.order = {StageName::rotate, StageName::norm};
     }},
    {"layer norm behind the rotation",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->kind = NormKind::layer;
       o.order = {StageName::rotate, StageName::norm};
     }},
    {"norm over the token behind the rotation",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->span = NormSpan::token;
       o.order = {StageName::rotate, StageName::norm};
     }},
    {"norm of the lanes that do not rotate",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->first_lane = o.head_dim / 2;
     }},
    {"norm of the lanes that rotate",
     [](Operand& o) {
       o.norm = Norm{};
       o.norm->lanes = o.head_dim / 2;
     }},
};

}  // namespace

TEST_CASE("Each stage by itself, of q and of a k in pages, before and behind the rotation", "[numeric]") {
  constexpr std::int64_t kDims[] = {64, 72, 80, 96, 112, 128, 192, 256, 576};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  for (const test::TargetPtr& target : test::targets()) {
    std::size_t number = 0;
    for (const StageRow& row : kStages) {
      const std::int64_t dim = kDims[number % 9];
      NumericCase given;
      given.spec.dtype = kTypes[number % 3];
      given.spec.rotary_dim = dim / 2;
      given.spec.layout = number % 2 == 0 ? Layout::split_half : Layout::interleaved;
      given.spec.q = {3, dim, 0};
      given.spec.k = Operand{2, dim, 0};
      row.set(given.spec.q);
      row.set(*given.spec.k);
      given.form = number % 4 < 2 ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
      if (number % 3 == 0) {
        given.form.k_rows = CacheRows::slots64;
        given.k_rows = {5, 0, 17, -1};
        given.k_cache_rows = 32;
        given.k_block_size = 16;
      }
      given.tokens = 4;
      given.positions = {0, 8191, 1000000, 77};
      INFO(row.what);
      test::check_case_quickly(target, given, 71 + number, number % 5 == 4);
      ++number;
    }
  }
}

TEST_CASE("Padding is untouched by every stage, or zero in all lanes of an operand that has one", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    std::size_t number = 0;
    for (const Padding padding : {Padding::zero, Padding::keep}) {
      for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
        for (const std::size_t stage : {0U, 4U, 9U, 12U}) {
          NumericCase given;
          given.spec.rotary_dim = 32;
          given.spec.q = {3, 64, 0};
          given.spec.k = Operand{2, 64, 16};
          kStages[stage].set(given.spec.q);
          given.form = LaunchForm::in_place_ids();
          given.form.placement = placement;
          given.form.padding = padding;
          given.tokens = 5;
          given.positions = {-1, 3, -(1LL << 31), 0, 9000};
          INFO(kStages[stage].what);
          test::check_case_quickly(target, given, 101 + number, number % 3 == 2);
          ++number;
        }
      }
    }
  }
}
