// Which tokens are rotated, and where they go: padding, counts on the device, rows of a cache.
#include <cstdint>
#include <vector>

#include "support/check_case.hpp"

namespace {

using namespace ropejit;

test::NumericCase batch_case(LaunchForm form) {
  test::NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {6, 48, 16};
  given.spec.k = Operand{2, 40, 0};
  given.form = form;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, -1, 1000, 7, -(1LL << 31), 0, -9, 3};
  return given;
}

LaunchForm padded_form(Placement placement, Padding padding) {
  LaunchForm form;
  form.placement = placement;
  form.padding = padding;
  return form;
}

}  // namespace

TEST_CASE("Tokens at negative positions are rotated, zeroed or kept, as the form says", "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Padding padding : {Padding::rotate, Padding::zero, Padding::keep}) {
      for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
        for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
          test::NumericCase given = batch_case(padded_form(placement, padding));
          given.spec.dtype = dtype;
          given.spec.rounding = number % 2 == 0 ? Rounding::exact : Rounding::p1;
          if (number % 3 == 0) given.spec.layout_out = Layout::interleaved;
          if (placement == Placement::out_of_place && number % 4 == 0) given.spec.q.dtype_out = DType::fp32;
          test::check_case(target, given, 41);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("A NaN or an infinity in padding is zeroed and kept like any number", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Padding padding : {Padding::zero, Padding::keep}) {
      RopeSpec spec;
      spec.dtype = DType::bf16;
      spec.rotary_dim = 4;
      spec.q = {1, 4, 0};
      LaunchForm form = LaunchForm::in_place_start();
      form.padding = padding;
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(spec, form));
      const std::vector<std::uint16_t> in = {0x7fa5, 0xff80, 0x7f80, 0xffc1};  // NaNs with payloads, infinities
      const internal::DeviceBuffer buffer = target->allocate(8);
      target->upload(buffer.data(), in.data(), 8);
      RopeArgs args;
      args.q.data = buffer.data();
      args.tokens = 1;
      args.positions = Positions::start(-1);
      REQUIRE(internal::launch_prepared(kernel, args, nullptr));
      target->synchronize();
      std::vector<std::uint16_t> out(4);
      target->download(out.data(), buffer.data(), 8);
      INFO(target->name() << " " << to_string(padding));
      CHECK(out == (padding == Padding::zero ? std::vector<std::uint16_t>(4, 0) : in));
    }
  }
}

TEST_CASE("With several axes the first decides what is padding", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Padding padding : {Padding::zero, Padding::keep}) {
      test::NumericCase given = batch_case(padded_form(Placement::in_place, padding));
      given.spec.axes.sections = {6, 10};
      given.positions.resize(16);
      for (std::size_t i = 8; i < 16; ++i) given.positions[i] = i % 3 == 0 ? -40 : 25;
      test::check_case(target, given, 42);
    }
  }
}

TEST_CASE("Padding needs no row in a table, and is not reported", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Padding padding : {Padding::rotate, Padding::zero, Padding::keep}) {
      test::NumericCase given = batch_case(padded_form(Placement::in_place, padding).with_table(AngleSource::half));
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      given.positions = {5, -1, 10, 7, -(1LL << 31), 0, -9, 3};
      test::check_case(kernel, given, 43);
      given.positions[2] = 64;
      test::check_case(kernel, given, 44);
      given.pass_flags = false;
      test::check_case(kernel, given, 45);
    }
  }
}

TEST_CASE("Tokens beyond the count on the device are neither read nor written", "[numeric]") {
  constexpr PositionSource kSources[] = {PositionSource::ids32, PositionSource::start, PositionSource::offsets64,
                                         PositionSource::ragged};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const PositionSource source : kSources) {
      LaunchForm form = number % 2 == 0 ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
      form.positions = source;
      form.counted = true;
      test::NumericCase given = batch_case(form);
      if (source == PositionSource::start) given.positions = {70};
      if (source == PositionSource::offsets64) given.positions = {70, 9};
      if (source == PositionSource::ragged) {
        given.batch = 1;
        given.tokens = 8;
        given.cu_seqlens = {0, 3, 7};
        given.positions = {};
      }
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      std::int64_t checked = -1;
      for (const std::int32_t count : {-5, 0, 1, 4, 5, 7, 8, 9, 2147483647}) {
        given.token_count = count;
        test::check_case(kernel, given, 46);
        // A larger count must have more to show.
        const std::int64_t elements = test::run_case(kernel, given, 46).comparison.count();
        if (count > 0 && count <= 8) CHECK(elements > checked);
        checked = elements;
      }
      ++number;
    }
  }
}

TEST_CASE("Tokens beyond the count may hold positions and rows that nothing may follow", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    LaunchForm form = LaunchForm::in_place_ids().with_table(AngleSource::cos_sin);
    form.counted = true;
    form.k_rows = CacheRows::rows64;
    test::NumericCase given = batch_case(form);
    given.positions = {0, 1, 2, INT64_MAX, 64, -1, INT64_MIN, 99};
    given.k_rows = {4, 0, -1, INT64_MAX, 9, 100, INT64_MIN, -2};
    given.k_cache_rows = 5;
    given.token_count = 3;
    test::check_case(target, given, 47);
  }
}

TEST_CASE("k goes to the rows of a cache that a list names, and no other row is touched", "[numeric]") {
  using test::Arrangement;
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows rows : {CacheRows::rows32, CacheRows::rows64}) {
      for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
        for (const Strides strides : {Strides::contiguous, Strides::free}) {
          test::NumericCase given = batch_case({placement, strides, PositionSource::ids64});
          given.form.k_rows = rows;
          given.spec.layout = number % 2 == 0 ? Layout::split_half : Layout::interleaved;
          if (number % 3 == 1) given.spec.k->dtype_out = DType::fp32;
          if (number % 3 == 2) given.spec.layout_out = Layout::split_half;
          given.k_cache_rows = 11;
          given.k_rows = {10, 0, -1, 3, 7, -1, 1, 8};
          const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
          for (const Arrangement in : {Arrangement::bshd, Arrangement::packed_qkv, Arrangement::lane_strided}) {
            for (const Arrangement out : {Arrangement::bshd, Arrangement::padded, Arrangement::misaligned}) {
              given.in = in;
              given.out = out;
              test::check_case(kernel, given, 48);
            }
          }
          // k left out of the launch: its rows mean nothing.
          given.in = given.out = Arrangement::bshd;
          given.pass_k = false;
          test::check_case(kernel, given, 49);
          ++number;
        }
      }
    }
  }
}

TEST_CASE("A number that is no row of the cache is skipped and reported", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows rows : {CacheRows::rows32, CacheRows::rows64}) {
      test::NumericCase given = batch_case(LaunchForm::in_place_ids());
      given.form.k_rows = rows;
      given.k_cache_rows = 6;
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      const std::int64_t least = rows == CacheRows::rows32 ? INT32_MIN : INT64_MIN;
      const std::int64_t most = rows == CacheRows::rows32 ? INT32_MAX : INT64_MAX;
      for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{-2}, std::int64_t{6}, least, most}) {
        given.k_rows = {0, 1, 2, bad, 3, -1, 4, 5};
        given.pass_flags = true;
        test::check_case(kernel, given, 50);
        given.pass_flags = false;
        test::check_case(kernel, given, 50);
      }
    }
  }
}
