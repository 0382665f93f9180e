#include <cmath>
#include <limits>
#include <vector>

#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/numeric_case.hpp"
#include "verify/element.hpp"

namespace {

using namespace ropejit;

test::NumericCase small_case(LaunchForm form) {
  test::NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {6, 48, 0};
  given.spec.k = Operand{2, 48, 0};
  given.form = form;
  given.batch = 2;
  given.tokens = 3;
  given.positions = {5, 0, 1000, 7, 8, -9};
  return given;
}

}  // namespace

TEST_CASE("Tensors in any arrangement are rotated where they lie, whatever the form promised", "[numeric]") {
  using test::Arrangement;
  for (const test::TargetPtr& target : test::targets()) {
    for (const Strides strides : {Strides::contiguous, Strides::free}) {
      for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
        test::NumericCase given = small_case({placement, strides, PositionSource::ids64});
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
        for (const Arrangement in :
             {Arrangement::bshd, Arrangement::bhsd, Arrangement::sbhd, Arrangement::packed_qkv, Arrangement::padded,
              Arrangement::lane_strided, Arrangement::misaligned, Arrangement::expanded}) {
          if (in == Arrangement::expanded && placement == Placement::in_place) continue;
          for (const Arrangement out : {Arrangement::bshd, Arrangement::bhsd, Arrangement::lane_strided}) {
            if (placement == Placement::in_place && out != Arrangement::bshd) continue;
            given.in = in;
            given.out = out;
            INFO(target->name() << " " << given.to_string());
            const test::NumericResult result = test::run_case(kernel, given, 11);
            INFO(result.to_string());
            CHECK(result.passed());
          }
        }
      }
    }
  }
}

TEST_CASE("Sequences may share one row of positions, and k may be left out of a launch", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const PositionSource source : {PositionSource::start, PositionSource::ids32, PositionSource::ids64}) {
      test::NumericCase given = small_case({Placement::out_of_place, Strides::contiguous, source});
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      for (const bool share : {false, true}) {
        for (const bool pass_k : {false, true}) {
          given.share_positions = share;
          given.pass_k = pass_k;
          INFO(target->name() << " " << given.to_string());
          const test::NumericResult result = test::run_case(kernel, given, 12);
          INFO(result.to_string());
          CHECK(result.passed());
        }
      }
    }
  }
}

TEST_CASE("Every sequence may start at an offset of its own, kept on the device", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const PositionSource source : {PositionSource::offsets32, PositionSource::offsets64}) {
      test::NumericCase given = small_case({Placement::in_place, Strides::contiguous, source});
      given.positions = {1000000, -7};
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      for (const bool share : {false, true}) {
        given.share_positions = share;
        INFO(target->name() << " " << given.to_string());
        const test::NumericResult result = test::run_case(kernel, given, 14);
        INFO(result.to_string());
        CHECK(result.passed());
      }
    }
  }
}

TEST_CASE("Sequences of different lengths one after another are told apart by cu_seqlens", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    test::NumericCase given = small_case({Placement::in_place, Strides::contiguous, PositionSource::ragged});
    given.batch = 1;
    given.tokens = 12;
    const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
    // One sequence, several, empty ones at every place, and tokens beyond the last (padding).
    for (const std::vector<std::int32_t>& cu_seqlens :
         std::vector<std::vector<std::int32_t>>{{0, 12}, {0, 5, 12}, {0, 0, 5, 5, 5, 11, 12, 12}, {0, 3, 9}}) {
      for (const bool offsets : {false, true}) {
        given.cu_seqlens = cu_seqlens;
        given.positions.clear();
        for (std::size_t i = 0; offsets && i + 1 < cu_seqlens.size(); ++i) {
          given.positions.push_back(static_cast<std::int64_t>(i * i) * 1000 - 50);
        }
        INFO(target->name() << " " << cu_seqlens.size() - 1 << " sequences, " << given.to_string());
        const test::NumericResult result = test::run_case(kernel, given, 15);
        INFO(result.to_string());
        CHECK(result.passed());
      }
    }
  }
}

TEST_CASE("Angles hold the bound at every position, long, negative and beyond what fp32 can count", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const double theta : {100.0, 10000.0, 500000.0, 1e7}) {
      test::NumericCase given;
      given.spec.theta = theta;
      given.spec.dtype = DType::fp32;
      given.spec.rotary_dim = 128;
      given.spec.q = {2, 128, 0};
      given.form = LaunchForm::out_of_place_ids();
      given.positions = {0,         1,          -1,          2,          2047,        2048,      2049,        4095,
                         4096,      4097,       131071,      1000000,    10000000,    16777215,  16777217,    -16777217,
                         100000000, 2147483647, -2147483648, 4294967296, -4294967297, 1LL << 40, -(1LL << 40)};
      given.tokens = static_cast<std::int64_t>(given.positions.size());
      INFO(target->name() << " theta " << theta);
      const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
      const test::NumericResult result = test::run_case(kernel, given, 13);
      INFO(result.to_string());
      CHECK(result.passed());
    }
  }
}

TEST_CASE("Special values keep their meaning: infinities and NaNs stay in their pair, zeros stay zeros", "[numeric]") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const test::TargetPtr& target : test::targets()) {
    for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
      RopeSpec spec;
      spec.dtype = dtype;
      spec.rotary_dim = 8;
      spec.q = {1, 8, 0};
      const internal::PreparedKernel kernel =
          test::prepare(target, internal::lower(spec, LaunchForm::in_place_start()));
      const std::vector<double> in = {infinity, 0.0, std::nan(""), 1.0, 2.0, 0.0, 3.0, 1.0};
      const auto bytes = static_cast<std::size_t>(8 * size_of(dtype));
      std::vector<unsigned char> memory(bytes);
      for (std::size_t i = 0; i < 8; ++i) {
        internal::store_bits(dtype, memory.data(), static_cast<std::int64_t>(i), internal::encode(dtype, in[i]));
      }
      const internal::DeviceBuffer buffer = target->allocate(bytes);
      target->upload(buffer.data(), memory.data(), bytes);
      RopeArgs args;
      args.q.data = buffer.data();
      args.tokens = 1;
      args.positions = Positions::start(1);
      REQUIRE(internal::launch_prepared(kernel, args, nullptr));
      target->synchronize();
      target->download(memory.data(), buffer.data(), bytes);
      const auto out = [&](std::int64_t lane) {
        return internal::decode(dtype, internal::load_bits(dtype, memory.data(), lane));
      };
      INFO(target->name() << " " << to_string(dtype));
      CHECK(out(0) == infinity);  // inf cos 1 - 2 sin 1
      CHECK(out(4) == infinity);
      CHECK(out(1) == 0.0);
      CHECK(out(5) == 0.0);
      CHECK(std::isnan(out(2)));
      CHECK(std::isnan(out(6)));
      CHECK(std::isfinite(out(3)));
      CHECK(std::isfinite(out(7)));
    }
  }
}
