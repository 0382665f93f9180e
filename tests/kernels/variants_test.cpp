#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/numeric_case.hpp"

namespace {

using namespace ropejit;

RopeSpec spec_of(Layout layout, DType dtype, std::int64_t rotary_dim, Operand q, std::optional<Operand> k) {
  RopeSpec spec;
  spec.layout = layout;
  spec.dtype = dtype;
  spec.rotary_dim = rotary_dim;
  spec.q = q;
  spec.k = k;
  return spec;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// All of `space` on a GPU; on the host, where a compile takes a third of a second, one in `stride`.
std::vector<internal::Variant> sample(const std::vector<internal::Variant>& space, const internal::Target& target,
                                      std::size_t stride) {
  if (target.name() != "host") return space;
  std::vector<internal::Variant> chosen;
  for (std::size_t i = 0; i < space.size(); i += stride) chosen.push_back(space[i]);
  return chosen;
}

}  // namespace

TEST_CASE("All variants of a plan, and its universal entry, give the same bits", "[numeric]") {
  struct Row {
    RopeSpec spec;
    LaunchForm form;
  };
  std::vector<Row> rows = {
      {spec_of(Layout::split_half, DType::bf16, 128, {32, 128, 0}, Operand{8, 128, 0}), LaunchForm::in_place_ids()},
      {spec_of(Layout::interleaved, DType::fp16, 64, {71, 64, 0}, Operand{1, 64, 0}),
       LaunchForm::out_of_place_ids(PositionSource::ids32)},
      {spec_of(Layout::split_half, DType::fp32, 24, {9, 96, 0}, Operand{3, 96, 0}), LaunchForm::out_of_place_start()},
      {spec_of(Layout::interleaved, DType::bf16, 64, {16, 192, 128}, Operand{1, 576, 512}),
       LaunchForm::out_of_place_ids()},
      {spec_of(Layout::split_half, DType::bf16, 64, {16, 256, 0}, Operand{2, 256, 0}),
       LaunchForm::in_place_start().with_free_strides()},
  };
  // What is new to plans: axes and sections, other types and layouts written, roundings, tokens that stand aside.
  Row image = {spec_of(Layout::split_sections, DType::bf16, 64, {8, 96, 16}, Operand{2, 64, 0}),
               LaunchForm::in_place_ids()};
  image.spec.axes = {{16, 16}, AxisOrder::chunked, AxisFrequencies::restarted};
  image.spec.layout_out = Layout::interleaved;
  image.spec.rounding = Rounding::p1;
  image.form.padding = Padding::zero;
  rows.push_back(image);
  Row cache = {spec_of(Layout::interleaved, DType::bf16, 64, {16, 64, 0}, Operand{4, 64, 0}),
               LaunchForm::out_of_place_ids(PositionSource::ids32)};
  cache.spec.layout_out = Layout::split_half;
  cache.spec.q.dtype_out = DType::fp32;
  cache.spec.rounding = Rounding::p2;
  cache.spec.angle = AngleRounding::fp32;
  cache.form.k_rows = CacheRows::rows32;
  cache.form.counted = true;
  rows.push_back(cache);
  for (const test::TargetPtr& target : test::targets()) {
    for (const Row& row : rows) {
      const internal::RotationPlan plan = internal::lower(row.spec, row.form);
      const internal::PreparedVariant universal =
          test::prepare_variant(target, plan, internal::universal_variant(plan.kernel_class));
      test::NumericCase given;
      given.spec = row.spec;
      given.form = row.form;
      given.batch = 2;
      given.tokens = 5;
      given.positions = {0, 1, 2, 4095, 131071, 1000000, 16777217, 2147483647, -1, -77};
      for (std::size_t i = 0; !row.spec.axes.sections.empty() && i < 10; ++i)
        given.positions.push_back(given.positions[9 - i]);
      given.k_rows = {3, 11, 0, -1, 7, 1, 2, 9, 4, 5};
      given.k_cache_rows = 12;
      given.token_count = 9;
      // Lanes apart break every fast kernel's promise: the universal entry serves.
      test::NumericCase strided = given;
      strided.in = strided.out = test::Arrangement::lane_strided;
      const std::vector<unsigned char> bits =
          test::run_case(test::kernel_of(target, plan, universal, universal), given, 7).out_bytes;
      // Wide accesses too: before sm_100 they are two.
      const std::vector<internal::Variant> variants =
          sample(internal::variant_space(plan.kernel_class, true), *target, 53);
      for (const internal::PreparedVariant& prepared : test::prepare_variants(target, plan, variants)) {
        INFO(target->name() << " " << plan.kernel_class.text() << " " << to_string(prepared.variant));
        const internal::PreparedKernel kernel = test::kernel_of(target, plan, prepared, universal);
        const test::NumericResult result = test::run_case(kernel, given, 7);
        INFO(result.to_string());
        REQUIRE(result.passed());
        CHECK(result.out_bytes == bits);
        CHECK(test::run_case(kernel, strided, 7).passed());
      }
    }
  }
}

TEST_CASE("Default variants are legal, cover every size from none up, and turn at growing token counts", "[codegen]") {
  for (const Layout layout : {Layout::split_half, Layout::interleaved}) {
    for (const DType dtype : {DType::bf16, DType::fp32}) {
      for (const std::int64_t rotary : {2, 20, 64, 128}) {
        for (const std::int64_t heads : {1, 3, 71, 65536}) {
          for (const std::uint32_t multiprocessors : {0U, 1U, 132U}) {
            const RopeSpec spec = spec_of(layout, dtype, rotary, {heads, 128, 0}, std::nullopt);
            const internal::KernelClass kernel_class = internal::lower(spec, LaunchForm::in_place_ids()).kernel_class;
            INFO(kernel_class.text() << " on " << multiprocessors);
            const auto choices = internal::default_variants(kernel_class, multiprocessors);
            REQUIRE_FALSE(choices.empty());
            CHECK(choices.front().min_tokens == 0);
            for (std::size_t i = 0; i < choices.size(); ++i) {
              CHECK(internal::why_illegal(kernel_class, choices[i].variant).empty());
              if (i > 0) CHECK(choices[i].min_tokens > choices[i - 1].min_tokens);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("Default variants of normed heads are legal, however wide these are, whatever of them rotates", "[codegen]") {
  std::vector<std::int64_t> dims;
  for (std::int64_t dim = 2; dim <= 1024; dim += dim < 80 ? 2 : 34) dims.push_back(dim);
  for (const std::int64_t dim : {770, 960, 1000, 1022, 1024}) dims.push_back(dim);
  int judged = 0;
  const auto judge = [&judged](const RopeSpec& spec, const LaunchForm& form) {
    const internal::KernelClass kernel_class = internal::lower(spec, form).kernel_class;
    for (const internal::VariantChoice& choice : internal::default_variants(kernel_class, 132)) {
      ++judged;
      const std::string why = internal::why_illegal(kernel_class, choice.variant);
      if (!why.empty()) FAIL_CHECK(kernel_class.text() << " " << to_string(choice.variant) << ": " << why);
    }
  };
  for (const std::int64_t dim : dims) {
    for (const std::int64_t rotary : {std::int64_t{2}, std::min<std::int64_t>(dim, 32), dim * 5 / 8 / 2 * 2, dim}) {
      if (rotary < 2) continue;
      for (const DType dtype : {DType::bf16, DType::fp32}) {
        for (const Layout layout : {Layout::split_half, Layout::interleaved}) {
          for (const bool k_is_normed : {false, true}) {
            RopeSpec spec = spec_of(layout, dtype, rotary, {5, dim, 0}, Operand{1, dim, 0});
            spec.q.norm = Norm{};
            if (k_is_normed) spec.k->norm = Norm{};
            judge(spec, LaunchForm::in_place_ids());
            judge(spec, LaunchForm::out_of_place_ids());
            spec.layout_out = layout == Layout::split_half ? Layout::interleaved : Layout::split_half;
            judge(spec, LaunchForm::in_place_ids());
          }
        }
      }
    }
  }
  CHECK(judged > 5000);
}

TEST_CASE("Where the layout changes in place, every row has a variant: the widest, and halves of an odd number",
          "[codegen]") {
  for (const DType dtype : {DType::bf16, DType::fp32}) {
    for (const std::int64_t rotary : {2, 6, 128, 2048, 4094, 4096}) {
      for (const Layout layout : {Layout::split_half, Layout::interleaved}) {
        RopeSpec spec = spec_of(layout, dtype, rotary, {3, 4096, 0}, std::nullopt);
        spec.layout_out = layout == Layout::split_half ? Layout::interleaved : Layout::split_half;
        const internal::KernelClass kernel_class = internal::lower(spec, LaunchForm::in_place_ids()).kernel_class;
        INFO(kernel_class.text());
        REQUIRE(kernel_class.by_rows());
        std::vector<internal::Variant> variants = internal::variant_space(kernel_class);
        CHECK_FALSE(variants.empty());
        for (const auto& choice : internal::default_variants(kernel_class, 132)) variants.push_back(choice.variant);
        variants.push_back(internal::universal_variant(kernel_class));
        for (const internal::Variant& variant : variants) {
          INFO(to_string(variant));
          CHECK(internal::why_illegal(kernel_class, variant).empty());
          const BlockSplit block = internal::work_of(kernel_class, variant).operands.front().block;
          const RowSplit split = internal::work_of(kernel_class, variant).operands.front().row;
          // Whole rows in a block, each chunk once.
          CHECK(block.threads() >= block.row_threads);
          CHECK(block.threads() <= variant.threads);
          CHECK(block.row_threads * block.rounds >= split.chunks);
          CHECK(split.chunks * split.pairs_per_thread == kernel_class.pairs());
        }
      }
    }
  }
}

TEST_CASE("A variant's name reads back as the variant and nothing else does", "[codegen]") {
  const internal::Variant variant{internal::Family::flat, 16, 8, 128};
  CHECK(internal::parse_variant(to_string(variant)) == variant);
  for (const char* text :
       {"", "flat", "flat_v16", "flat_v16_h8", "flat_v16_h8_t128 ", "flat_v16_h8_t128x", "flat_v016_h8_t128",
        "flat_v-1_h8_t128", "round_v16_h8_t128", "flat_h8_v16_t128", "flat_v99999999999_h8_t128"}) {
    INFO(text);
    CHECK_FALSE(internal::parse_variant(text).has_value());
  }
}

TEST_CASE("Every variant of a space is legal, and the reasons of the others name what is wrong", "[codegen]") {
  const internal::RotationPlan plan = internal::lower(
      spec_of(Layout::split_half, DType::bf16, 20, {32, 80, 0}, Operand{32, 80, 0}), LaunchForm::in_place_ids());
  const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class);
  REQUIRE_FALSE(space.empty());
  for (const internal::Variant& variant : space) {
    INFO(to_string(variant));
    CHECK(internal::why_illegal(plan.kernel_class, variant).empty());
    CHECK(variant.access_bytes <= 4);  // 10 pairs: halves of 20 bytes
  }
  using internal::Family;
  const auto why = [&plan](internal::Variant variant) { return internal::why_illegal(plan.kernel_class, variant); };
  CHECK(contains(why({Family::flat, 8, 1, 128}), "10 lanes"));
  CHECK(contains(why({Family::flat, 4, 0, 128}), "heads_per_thread 0"));
  CHECK(contains(why({Family::flat, 4, 33, 128}), "heads_per_thread 33"));
  CHECK(contains(why({Family::flat, 4, 1, 100}), "threads 100"));
  CHECK(contains(why({Family::flat, 1, 1, 128}), "access_bytes 1"));
  CHECK(contains(why({Family::flat, 64, 1, 128}), "access_bytes 64"));
  CHECK(contains(why({Family::lanes, 4, 1, 128}), "a divisor of its own 2 pairs") == false);
  CHECK(contains(why({Family::universal, 4, 1, 128}), "single elements"));
}
