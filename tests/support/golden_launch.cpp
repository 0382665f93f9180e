#include "support/golden_launch.hpp"

#include <optional>

#include "codegen/default_variant.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

namespace ropejit::test {
namespace {

using internal::DeviceBuffer;

DeviceBuffer upload(const internal::Target& target, const void* data, std::size_t bytes) {
  DeviceBuffer buffer = target.allocate(bytes);
  target.upload(buffer.data(), data, bytes);
  return buffer;
}

DeviceBuffer upload(const internal::Target& target, const std::vector<unsigned char>& bytes) {
  return upload(target, bytes.data(), bytes.size());
}

/// transformers' cos or sin in the form in which it has them; `other` is the one beside it in a complex tensor.
Bits table_of(const GoldenRotation& given, DType dtype, const std::vector<float>& values,
              const std::vector<float>& other) {
  const auto pairs = static_cast<std::size_t>(given.stated.rotary_dim / 2);
  Bits bits;
  for (std::size_t t = 0; t < static_cast<std::size_t>(given.tokens); ++t) {
    const auto put = [&](float value) { bits.push_back(internal::encode(dtype, double{value})); };
    const std::size_t repeats = given.table == AngleSource::full ? 2 : 1;
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
      for (std::size_t i = t * pairs; i < (t + 1) * pairs; ++i) {
        put(values[i]);
        if (given.table == AngleSource::repeated) put(values[i]);
        if (given.table == AngleSource::complex) put(other[i]);
      }
    }
  }
  return bits;
}

Rotated launch(const GoldenRotation& given, const internal::Target& target, const GoldenKernel& golden, DType dtype,
               RopeArgs args) {
  Rotated made{dtype, given.q_input(dtype), given.k_input(dtype), {}, {}};
  const DeviceBuffer q = upload(target, bytes_of(dtype, made.q_in));
  const DeviceBuffer k = upload(target, bytes_of(dtype, made.k_in));
  const DeviceBuffer q_out = target.allocate(made.q_in.size() * internal::element_bytes(dtype));
  const DeviceBuffer k_out = target.allocate(made.k_in.size() * internal::element_bytes(dtype));
  args.q = TensorView::input(q.data());
  args.k = TensorView::input(k.data());
  args.q_out.data = q_out.data();
  args.k_out.data = k_out.data();
  args.tokens = given.tokens;
  const LaunchStatus status = internal::launch_prepared(golden.kernel, golden.lengths, args, nullptr);
  INFO(status.message());
  REQUIRE(status);
  target.synchronize();
  const auto download = [&](const DeviceBuffer& buffer, std::size_t count) {
    std::vector<unsigned char> bytes(count * internal::element_bytes(dtype));
    target.download(bytes.data(), buffer.data(), bytes.size());
    Bits bits(count);
    for (std::size_t i = 0; i < count; ++i) {
      bits[i] = internal::load_bits(dtype, bytes.data(), static_cast<std::int64_t>(i));
    }
    return bits;
  };
  made.q = download(q_out, made.q_in.size());
  made.k = download(k_out, made.k_in.size());
  return made;
}

std::size_t differing(const Bits& a, const Bits& b) {
  REQUIRE(a.size() == b.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i] ? 1U : 0U;
  return count;
}

}  // namespace

GoldenKernel Kernels::get(const RopeSpec& spec, const LaunchForm& form) {
  const internal::RotationPlan plan = internal::lower(spec, form);
  internal::Variant variant = internal::default_variants(plan.kernel_class, target_->multiprocessors()).front().variant;
  variant.buffered_steps = form.angles == AngleSource::computed;
  // One for all plans of a class; but the generic kernel has the plan's own numbers in it.
  const std::optional<internal::PreparedVariant> generic = generic_in_place_of_next(target_, plan);
  const auto [place, is_new] =
      variants_.try_emplace(only_generic() || generic ? plan.hash() : plan.kernel_class.hash());
  if (is_new) place->second = generic ? *generic : prepare_variant(target_, plan, variant);
  // All tensors below keep the form's promise: one variant serves.
  GoldenKernel golden{kernel_of(target_, plan, place->second, place->second), {}};
  golden.kernel.needs_length = variant.buffered_steps;
  if (variant.buffered_steps) golden.lengths = {buffers_.of(plan)};
  return golden;
}

Rotated rotate_with_table(const GoldenRotation& given, Kernels& kernels, DType dtype) {
  RopeSpec spec = given.stated;
  spec.dtype = dtype;
  // The table says it all, but that split_sections needs to know the sections.
  if (spec.layout != Layout::split_sections) spec.axes = {};
  const DType table_dtype = spec.rounding == Rounding::p3 ? DType::fp32 : dtype;
  const LaunchForm form = LaunchForm::out_of_place_start().with_table(given.table, table_dtype);
  const internal::Target& target = kernels.target();
  const DeviceBuffer cos = upload(target, bytes_of(table_dtype, table_of(given, table_dtype, given.cos, given.sin)));
  const DeviceBuffer sin = upload(target, bytes_of(table_dtype, table_of(given, table_dtype, given.sin, given.cos)));
  RopeArgs args;
  args.table.cos = cos.data();
  if (given.table != AngleSource::complex) args.table.sin = sin.data();
  args.table.rows = given.tokens;
  args.positions = Positions::start(0);
  return launch(given, target, kernels.get(spec, form), dtype, args);
}

Rotated rotate_at_positions(const GoldenRotation& given, Kernels& kernels, const RopeSpec& spec) {
  const internal::Target& target = kernels.target();
  const DeviceBuffer ids = upload(target, given.positions.data(), given.positions.size() * 8);
  RopeArgs args;
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids.data()));
  return launch(given, target, kernels.get(spec, LaunchForm::out_of_place_ids()), spec.dtype, args);
}

Bits rotating_lanes(const RopeSpec& spec, const Operand& operand, const Bits& in, const Bits& out) {
  Bits lanes;
  std::size_t changed = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto lane = static_cast<std::int64_t>(i) % operand.head_dim - operand.first_lane;
    if (lane >= 0 && lane < spec.rotary_dim) {
      lanes.push_back(out[i]);
    } else if (in[i] != out[i]) {
      ++changed;
    }
  }
  CHECK(changed == 0);
  return lanes;
}

std::size_t differing(const GoldenRotation& given, const Rotated& ours, const GoldenOutputs& theirs) {
  return differing(rotating_lanes(given.stated, given.stated.q, ours.q_in, ours.q), theirs.q) +
         differing(rotating_lanes(given.stated, *given.stated.k, ours.k_in, ours.k), theirs.k);
}

}  // namespace ropejit::test
