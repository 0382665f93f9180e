// k in pages whose heads have their lanes in groups of 16 bytes, and v with its lanes apart, as paged attention has
// them.
#include <cstdint>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"

namespace {

using namespace ropejit;
using test::NumericCase;
using test::Pages;

/// Eight tokens in pages of eight places: [pages, heads, head_dim / x, places, x].
NumericCase split(CacheRows kind) {
  NumericCase given;
  given.spec.rotary_dim = 48;
  given.spec.q = {6, 64, 0};
  given.spec.k = Operand{2, 64, 8};
  given.spec.v = Operand{2, 64, 0};
  given.form = LaunchForm::in_place_ids();
  given.form.k_rows = given.form.v_rows = kind;
  given.form.k_split = true;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  given.k_block_size = given.v_block_size = 8;
  given.k_cache_rows = given.v_cache_rows = 24;
  given.k_rows = given.v_rows = {15, 0, 7, 8, 3, 12, -1, 23};
  if (kind != CacheRows::slots32 && kind != CacheRows::slots64) {
    given.form.token_requests = TokenRequests::ids32;
    given.form.token_places = TokenPlaces::ids32;
    given.token_requests = {0, 1, 1, 0, 1, 0, -1, 0};
    given.token_places = {0, 0, 7, 15, 5, 8, 0, 3};
    given.k_table.requests = 2;
    given.k_table.pages = {2, 0, 1};
    given.k_table.entries = 3;
    given.k_table.first_entries = {0, 2, 3};
    if (kind == CacheRows::block_table) {
      given.k_table.pages = {2, 0, 1, -1};
      given.k_table.entries = 2;
      given.k_table.first_entries.clear();
    }
    given.v_table = given.k_table;
  }
  return given;
}

internal::PreparedKernel kernel_of_case(const test::TargetPtr& target, const NumericCase& given) {
  return test::prepare(target, internal::lower(given.spec, given.form));
}

}  // namespace

TEST_CASE("k goes to groups of lanes and v to lanes apart, by slots and by page tables", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind :
         {CacheRows::slots32, CacheRows::slots64, CacheRows::page_lists, CacheRows::block_table}) {
      for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
        NumericCase given = split(kind);
        given.spec.dtype = dtype;
        given.form.strides = number % 2 == 0 ? Strides::contiguous : Strides::free;
        if (number % 3 == 1) given.spec.q.norm = given.spec.k->norm = Norm{};
        if (number % 3 == 2) given.spec.layout = Layout::interleaved;
        if (number % 4 == 3) given.spec.layout_out = Layout::split_half;
        if (number % 5 == 4) given.spec.k->dtype_out = DType::fp32;
        if (number % 5 == 2) given.form.k_beside = true;
        const internal::PreparedKernel kernel = kernel_of_case(target, given);
        for (const Pages pages : {Pages::nhd, Pages::padded, Pages::lanes_apart, Pages::misaligned}) {
          given.pages = pages;
          test::check_case(kernel, given, 191);
        }
        ++number;
      }
    }
  }
}

TEST_CASE("Groups of lanes go with k alone, with k that is copied, and with what is written beside", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    NumericCase alone = split(CacheRows::slots64);
    alone.spec.v.reset();
    alone.form.v_rows = CacheRows::none;
    test::check_case(target, alone, 192);
    alone.pass_k = false;
    test::check_case(target, alone, 192);
    NumericCase copied = split(CacheRows::slots32);
    copied.form.placement = Placement::out_of_place;
    copied.form.k_beside = copied.form.v_beside = true;
    copied.spec.k->rotates = false;
    copied.spec.k->first_lane = 0;
    test::check_case(target, copied, 192);
    NumericCase turned = split(CacheRows::slots64);
    turned.form.k_beside = true;
    turned.spec.layout_out = Layout::interleaved;
    test::check_case(target, turned, 192);
  }
}

TEST_CASE("Every variant and the generic kernel write the same bits to groups of lanes", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const bool normed : {false, true}) {
      NumericCase given = split(CacheRows::slots64);
      if (normed) given.spec.q.norm = given.spec.k->norm = Norm{};
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class, true);
      REQUIRE(!space.empty());
      std::vector<internal::Variant> variants = {internal::universal_variant(plan.kernel_class)};
      const std::size_t few = test::short_run() ? 2 : 6;
      for (std::size_t i = 0; i < space.size(); i += 1 + space.size() / few) variants.push_back(space[i]);
      std::vector<internal::PreparedVariant> prepared = test::prepare_variants(target, plan, variants);
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      prepared.push_back(*generic);
      std::vector<unsigned char> bits;
      for (const internal::PreparedVariant& variant : prepared) {
        CHECK(variant.variant.access_bytes <= 16);
        const test::NumericResult result = test::run_case(test::kernel_of(target, plan, variant, variant), given, 193);
        INFO(target->name() << " " << to_string(variant.variant) << " " << result.to_string());
        CHECK(result.passed());
        if (bits.empty()) bits = result.out_bytes;
        CHECK(result.out_bytes == bits);
      }
    }
  }
}
