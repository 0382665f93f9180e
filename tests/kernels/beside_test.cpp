// k written a second time, beside its cache: over itself or to a tensor of its own.
#include <cstdint>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"

namespace {

using namespace ropejit;
using test::Arrangement;
using test::NumericCase;
using test::Pages;

constexpr CacheRows kKinds[] = {CacheRows::rows32, CacheRows::rows64, CacheRows::slots32, CacheRows::slots64};
constexpr Placement kPlacements[] = {Placement::in_place, Placement::out_of_place};

bool are_slots(CacheRows kind) { return kind == CacheRows::slots32 || kind == CacheRows::slots64; }

/// Eight tokens whose k goes to a cache of 16 rows and beside it; of slots, in two pages of eight places. Lanes of k
/// that do not rotate stand on both sides.
NumericCase with_beside(CacheRows kind, Placement placement) {
  NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {6, 48, 16};
  given.spec.k = Operand{3, 64, 16};
  given.form = LaunchForm::in_place_ids();
  given.form.placement = placement;
  given.form.k_rows = kind;
  given.form.k_beside = true;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  given.k_cache_rows = 16;
  if (are_slots(kind)) given.k_block_size = 8;
  given.k_rows = {15, 0, 7, 8, 3, 12, 1, 9};
  return given;
}

void set_norms(NumericCase& given) { given.spec.q.norm = given.spec.k->norm = Norm{}; }

internal::PreparedKernel kernel_of_case(const test::TargetPtr& target, const NumericCase& given) {
  return test::prepare(target, internal::lower(given.spec, given.form));
}

}  // namespace

TEST_CASE(
    "k goes to its cache and over itself or to a tensor beside it with the same bits, and nothing else is written",
    "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const Placement placement : kPlacements) {
        for (const bool normed : {false, true}) {
          NumericCase given = with_beside(kind, placement);
          if (normed) set_norms(given);
          given.form.strides = number % 3 == 0 ? Strides::contiguous : Strides::free;
          given.spec.dtype = number % 5 == 4 ? DType::fp32 : number % 5 == 2 ? DType::fp16 : DType::bf16;
          if (number % 4 == 1) given.spec.layout = Layout::interleaved;
          if (number % 4 == 2) given.spec.layout_out = Layout::interleaved;
          const internal::PreparedKernel kernel = kernel_of_case(target, given);
          for (const Arrangement in : {Arrangement::bshd, Arrangement::packed_qkv, Arrangement::bhsd,
                                       Arrangement::misaligned, Arrangement::lane_strided}) {
            given.in = given.out = in == Arrangement::packed_qkv ? Arrangement::padded : in;
            given.in = in;
            given.pages = in == Arrangement::bhsd ? Pages::hnd : Pages::nhd;
            test::check_case(kernel, given, 91);
          }
          ++number;
        }
      }
    }
  }
}

TEST_CASE("A token without a place in the cache is written beside it all the same", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const Placement placement : kPlacements) {
        NumericCase given = with_beside(kind, placement);
        if (kind == CacheRows::slots32 || kind == CacheRows::rows64) set_norms(given);
        const internal::PreparedKernel kernel = kernel_of_case(target, given);
        const std::int64_t most = kind == CacheRows::rows32 || kind == CacheRows::slots32 ? INT32_MAX : INT64_MAX;
        for (const std::int64_t row : {std::int64_t{-1}, -most - 1, std::int64_t{16}, most}) {
          given.k_rows = {15, row, 7, 8, row, 12, 1, 9};
          test::check_case(kernel, given, 92);
        }
        given.k_rows = std::vector<std::int64_t>(8, -1);
        test::check_case(kernel, given, 92);
        if (!are_slots(kind)) continue;
        for (const std::int64_t count : {0, 5}) {
          given.k_rows = {15, 0, 7, 8, 3, 15, most, -1};
          given.k_slot_count = count;
          test::check_case(kernel, given, 93);
        }
      }
    }
  }
}

TEST_CASE("What is beside a cache goes with padding, counts on the device, tables and every kind of position",
          "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Placement placement : kPlacements) {
      for (const bool normed : {false, true}) {
        const auto usual = [&](CacheRows kind) {
          NumericCase given = with_beside(kind, placement);
          if (normed) set_norms(given);
          return given;
        };
        const CacheRows kind = kKinds[number++ % 4];
        for (const Padding padding : {Padding::zero, Padding::keep}) {
          NumericCase padded = usual(kind);
          padded.form.padding = padding;
          padded.positions[2] = -1;
          padded.positions[5] = -(1LL << 31);
          padded.k_rows[5] = -1;
          if (padding == Padding::keep && normed) padded.spec.layout_out = Layout::interleaved;
          test::check_case(target, padded, 94);
        }
        NumericCase counted = usual(CacheRows::rows32);
        counted.form.counted = true;
        const internal::PreparedKernel kernel = kernel_of_case(target, counted);
        for (const std::int32_t count : {0, 3, 8}) {
          counted.token_count = count;
          test::check_case(kernel, counted, 95);
        }
        NumericCase table = usual(CacheRows::slots64);
        table.form = table.form.with_table(AngleSource::cos_sin, DType::bf16);
        table.positions = {5, 6, 40, 7, 64, 0, 9, 3};  // the fifth has no row
        test::check_case(target, table, 96);
        NumericCase ragged = usual(CacheRows::slots32);
        ragged.form.positions = PositionSource::ragged;
        ragged.form.overlaps_previous = ragged.form.ready_lists = true;
        ragged.batch = 1;
        ragged.tokens = 8;
        ragged.cu_seqlens = {0, 3, 7};
        ragged.positions = {100, 7};
        test::check_case(target, ragged, 97);
      }
    }
  }
}

TEST_CASE("k that does not rotate, k of another type, v beside it and launches without k", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    NumericCase copied = with_beside(CacheRows::slots64, Placement::out_of_place);
    copied.spec.k->rotates = false;
    copied.spec.k->first_lane = 0;
    copied.k_rows[3] = -5;
    test::check_case(target, copied, 98);
    copied.spec.k->dtype_out = DType::fp32;
    test::check_case(target, copied, 98);
    copied = with_beside(CacheRows::rows32, Placement::in_place);
    copied.spec.k->rotates = false;
    copied.spec.k->first_lane = 0;
    copied.spec.k->norm = Norm{};
    copied.k_rows[3] = -1;
    test::check_case(target, copied, 99);
    for (const CacheRows kind : {CacheRows::rows64, CacheRows::slots32}) {
      NumericCase widened = with_beside(kind, Placement::out_of_place);
      widened.spec.k->dtype_out = DType::fp32;
      widened.spec.q.norm = Norm{};
      test::check_case(target, widened, 100);
      for (const Placement placement : kPlacements) {
        NumericCase with_v = with_beside(kind, placement);
        with_v.spec.v = Operand{3, 64, 0};
        with_v.form.v_rows = kind;
        with_v.v_rows = with_v.k_rows;
        with_v.v_cache_rows = with_v.k_cache_rows;
        with_v.v_block_size = with_v.k_block_size;
        with_v.pages = Pages::beside;
        const internal::PreparedKernel kernel = kernel_of_case(target, with_v);
        test::check_case(kernel, with_v, 101);
        with_v.pass_k = false;
        test::check_case(kernel, with_v, 101);
      }
    }
  }
}

TEST_CASE("Every variant and the generic kernel write the same bits to a cache and beside it", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Placement placement : kPlacements) {
      for (const bool normed : {false, true}) {
        for (const bool relaid : {false, true}) {
          NumericCase given = with_beside(normed == relaid ? CacheRows::slots64 : CacheRows::rows32, placement);
          given.spec.rotary_dim = 64;
          given.spec.q = {9, 64, 0};
          given.spec.k = Operand{4, 128, 64};
          if (normed) set_norms(given);
          if (relaid) given.spec.layout_out = Layout::interleaved;
          given.k_rows[4] = -1;
          const internal::RotationPlan plan = internal::lower(given.spec, given.form);
          const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class, true);
          std::vector<internal::Variant> variants = {internal::universal_variant(plan.kernel_class)};
          // A compile takes a third of a second there.
          const std::size_t few = target->name() != "host" ? 12 : test::short_run() ? 1 : 3;
          for (std::size_t i = 0; i < space.size(); i += 1 + space.size() / few) variants.push_back(space[i]);
          std::vector<internal::PreparedVariant> prepared = test::prepare_variants(target, plan, variants);
          const auto generic = internal::generic_variant(*target, plan);
          REQUIRE(generic);
          prepared.push_back(*generic);
          std::vector<unsigned char> bits;
          for (const internal::PreparedVariant& variant : prepared) {
            const test::NumericResult result =
                test::run_case(test::kernel_of(target, plan, variant, variant), given, 102);
            INFO(target->name() << " " << to_string(variant.variant) << " " << given.to_string() << " "
                                << result.to_string());
            CHECK(result.passed());
            if (bits.empty()) bits = result.out_bytes;
            CHECK(result.out_bytes == bits);
          }
        }
      }
    }
  }
}

TEST_CASE("What is written beside a cache counts as moved", "[launch]") {
  constexpr std::uint64_t kLanes = 3 * 64;  // of a token's k
  for (const Placement placement : kPlacements) {
    for (const bool normed : {false, true}) {
      NumericCase given = with_beside(CacheRows::rows32, placement);
      if (normed) set_norms(given);
      const auto bytes = [&](bool beside) {
        given.form.k_beside = beside;
        return internal::bytes_per_token(internal::lower(given.spec, given.form).kernel_class);
      };
      // In place without a norm the lanes that rotate alone are written there.
      const bool part = placement == Placement::in_place && !normed;
      CHECK(bytes(true) - bytes(false) == 2 * (part ? kLanes / 2 : kLanes));
    }
  }
}
