// What comes before attention in one launch, as engines call it: q and k are normed, turned, and k and v appended to
// pages of a cache.
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "support/check_case.hpp"
#include "support/direct_launch.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::DirectCase;
using test::DirectResult;
using test::NumericCase;

/// Qwen3's, smaller: heads of 128, k and v in pages.
RopeSpec prologue_spec() {
  RopeSpec spec;
  spec.rotary_dim = 128;
  spec.q = {8, 128, 0};
  spec.k = Operand{2, 128, 0};
  spec.v = Operand{2, 128, 0};
  spec.q.norm = spec.k->norm = Norm{};
  return spec;
}

LaunchForm prologue_form() {
  LaunchForm form = LaunchForm::in_place_ids();
  form.k_rows = form.v_rows = CacheRows::slots64;
  return form;
}

NumericCase prologue_case(std::vector<std::int64_t> positions, std::vector<std::int64_t> slots,
                          std::int64_t block_size = 16, std::int64_t pages = 3) {
  NumericCase given;
  given.spec = prologue_spec();
  given.form = prologue_form();
  given.tokens = static_cast<std::int64_t>(positions.size());
  given.positions = std::move(positions);
  given.k_rows = given.v_rows = std::move(slots);
  given.k_block_size = given.v_block_size = block_size;
  given.k_cache_rows = given.v_cache_rows = pages * block_size;
  return given;
}

internal::PreparedKernel prologue_kernel(const test::TargetPtr& target) {
  return test::prepare(target, internal::lower(prologue_spec(), prologue_form()));
}

}  // namespace

TEST_CASE("Prompts and decoded tokens in one launch come out as launched apart", "[numeric]") {
  // Two prompts, one of them cut, then three sequences of one token each, far along.
  struct Part {
    std::int64_t first;
    std::int64_t count;
  };
  const Part parts[] = {{0, 6}, {6, 4}, {10, 1}, {11, 1}, {12, 1}};
  for (const test::TargetPtr& target : test::targets()) {
    const internal::PreparedKernel kernel = prologue_kernel(target);
    DirectCase all;
    all.spec = prologue_spec();
    all.form = prologue_form();
    all.positions = {0, 1, 2, 3, 4, 5, 16, 17, 18, 19, 1000, 131071, 32};
    all.slots = {32, 33, 34, 35, 36, 37, 0, 1, 2, 3, 63, 20, 48};
    all.block_size = 16;
    std::mt19937_64 random(4);
    test::fill_direct(random, all);
    all.k_cache = all.v_cache = test::random_elements(random, all.spec.dtype, 64 * 2 * 128);
    const DirectResult together = test::launch_direct(kernel, all);
    DirectResult apart{{}, all.k_cache, all.v_cache};
    for (const Part& part : parts) {
      DirectCase one = all.part(part.first, part.count);
      one.k_cache = apart.k;
      one.v_cache = apart.v;
      const DirectResult result = test::launch_direct(kernel, one);
      apart.q.insert(apart.q.end(), result.q.begin(), result.q.end());
      apart.k = result.k;
      apart.v = result.v;
    }
    INFO(target->name());
    CHECK(together.k != all.k_cache);
    CHECK(together.v != all.v_cache);
    CHECK(apart.q == together.q);
    CHECK(apart.k == together.k);
    CHECK(apart.v == together.v);
  }
}

TEST_CASE("Draft tokens of equal positions go to slots of their own", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    // A tree of drafts behind token 40: three at 41, four at 42.
    test::check_case(prologue_kernel(target),
                     prologue_case({40, 41, 41, 41, 42, 42, 42, 42}, {8, 9, 10, 11, 32, 33, 34, 35}), 91);
  }
}

TEST_CASE("A chunk of a prompt goes on in the next page, wherever that lies", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const internal::PreparedKernel kernel = prologue_kernel(target);
    NumericCase given = prologue_case({13, 14, 15, 16, 17, 18}, {45, 46, 47, 0, 1, 2});
    for (const test::Pages pages : {test::Pages::nhd, test::Pages::hnd, test::Pages::beside, test::Pages::padded}) {
      given.pages = pages;
      test::check_case(kernel, given, 92);
    }
  }
}

TEST_CASE("One handle serves launches of other slots, counts, pages and weights one after another", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const internal::PreparedKernel kernel = prologue_kernel(target);
    NumericCase first = prologue_case({0, 1, 2, 3}, {16, 17, 18, 19});
    NumericCase second = prologue_case({9, 77, 1000}, {5, 0, 2}, 3, 2);
    second.pages = test::Pages::hnd;
    second.k_slot_count = 2;
    second.v_slot_stride = 2;
    NumericCase third = prologue_case(std::vector<std::int64_t>(40, 7), std::vector<std::int64_t>(40, -1), 1, 1);
    third.k_rows[39] = 0;
    third.v_slot_count = 0;
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      test::check_case(kernel, first, 93 + seed);
      test::check_case(kernel, second, 95 + seed);
      test::check_case(kernel, third, 97 + seed);
    }
  }
}

TEST_CASE("A launch that is padded to a size has fewer slots than tokens", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    const internal::PreparedKernel kernel = prologue_kernel(target);
    NumericCase given = prologue_case({0, 1, 2, 900, 0, 0, 0, 0}, {0, 1, 2, 20, 20, 20, 20, 20});
    for (const std::int64_t count : {0, 1, 3, 4}) {
      given.k_slot_count = given.v_slot_count = count;
      test::check_case(kernel, given, 99);
    }
  }
}

TEST_CASE("A whole prologue is served for every type, layout and head that norms and slots may have", "[numeric]") {
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const std::int64_t dim : {64, 72, 96, 128, 256}) {
      for (const DType dtype : kTypes) {
        NumericCase given = prologue_case({0, 1, 4095, 131071, 5}, {3, 40, 0, 47, -1});
        given.spec.dtype = dtype;
        given.spec.rotary_dim = number % 2 == 0 ? dim : dim / 2;
        given.spec.layout = number % 3 == 0 ? Layout::interleaved : Layout::split_half;
        if (number % 3 == 1) given.spec.layout_out = Layout::interleaved;
        given.spec.q = {5, dim, dim - given.spec.rotary_dim, std::nullopt, std::nullopt, Norm{1e-5, DType::fp32}};
        given.spec.k = Operand{2, dim, 0, std::nullopt, std::nullopt, Norm{}};
        given.spec.v = Operand{2, dim, 0};
        if (number % 4 == 0) given.spec.v->norm = Norm{};
        if (number % 4 == 1) given.spec.k->dtype_out = given.spec.v->dtype_out = kTypes[(number + 1) % 3];
        if (number % 5 == 0) given.form.placement = Placement::out_of_place;
        given.spec.round_after = {number % 2 == 1, number % 3 == 1};
        given.pages = static_cast<test::Pages>(number % 5);  // all that fast kernels serve
        given.k_slot_count = 4;
        test::check_case_quickly(target, given, 100, number % 2 == 0);
        ++number;
      }
    }
  }
}
