#include "support/direct_launch.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "launch/operand_args.hpp"
#include "support/catch.hpp"
#include "support/stage_inputs.hpp"
#include "verify/oracle.hpp"

namespace ropejit::test {
namespace {

using internal::DeviceBuffer;

std::int64_t row_of(const Operand& operand) { return operand.heads * operand.head_dim; }

DType weight_type(const RopeSpec& spec, const Operand& operand) {
  return operand.norm->weight_dtype.value_or(spec.dtype);
}

Bits slice(const Bits& bits, std::int64_t first, std::int64_t count) {
  if (bits.empty()) return {};
  return {bits.begin() + first, bits.begin() + first + count};
}

/// The memory of one launch.
class Memory {
 public:
  explicit Memory(const internal::Target& target) : target_(target) {}

  void* put(const void* data, std::size_t bytes) {
    buffers_.push_back(target_.allocate(std::max<std::size_t>(bytes, 1)));
    if (bytes > 0) target_.upload(buffers_.back().data(), data, bytes);
    return buffers_.back().data();
  }
  void* put(DType dtype, const Bits& bits) {
    if (bits.empty()) return nullptr;
    const std::vector<unsigned char> bytes = bytes_of(dtype, bits);
    return put(bytes.data(), bytes.size());
  }
  const void* put(const std::vector<std::int64_t>& numbers) { return put(numbers.data(), numbers.size() * 8); }
  Bits get(DType dtype, const void* from, std::size_t count) const {
    std::vector<unsigned char> bytes(count * internal::element_bytes(dtype));
    target_.download(bytes.data(), from, bytes.size());
    return bits_of(dtype, bytes);
  }

 private:
  const internal::Target& target_;
  std::vector<DeviceBuffer> buffers_;
};

/// One tensor's way through a launch: what it is written over or into.
struct Written {
  DType dtype = DType::bf16;
  const void* data = nullptr;
  std::size_t count = 0;
};

Written place(Memory& memory, const RopeSpec& spec, const Operand& operand, bool in_place, const Bits& in,
              const Bits& cache, TensorView& view, TensorView& out) {
  if (in.empty()) return {};
  const DType dtype = operand.dtype_out.value_or(spec.dtype);
  view.data = memory.put(spec.dtype, in);
  if (in_place) return {dtype, view.data, in.size()};
  const Bits before = cache.empty() ? Bits(in.size(), 0) : cache;
  out.data = memory.put(dtype, before);
  return {dtype, out.data, before.size()};
}

/// What a case has of one operand.
struct Given {
  internal::OperandName name;
  const Operand& operand;
  const Bits& in;
  const Bits& weight;
  const Bits& norm_bias;
  const Bits& bias;
  const Bits& head_scales;
  const Bits& statistic;
};

/// Of those operands that are not left out.
std::vector<Given> given_operands(const DirectCase& given) {
  const RopeSpec& spec = given.spec;
  std::vector<Given> all = {{internal::OperandName::q, spec.q, given.q, given.q_weight, given.q_norm_bias, given.q_bias,
                             given.q_head_scales, given.q_r}};
  if (spec.k && !given.k.empty()) {
    all.push_back({internal::OperandName::k, *spec.k, given.k, given.k_weight, given.k_norm_bias, given.k_bias,
                   given.k_head_scales, given.k_r});
  }
  if (spec.v && !given.v.empty()) {
    all.push_back({internal::OperandName::v, *spec.v, given.v, given.v_weight, given.v_norm_bias, given.v_bias,
                   given.v_head_scales, given.v_r});
  }
  return all;
}

void put_stages(Memory& memory, const RopeSpec& spec, const Given& given, RopeArgs& args) {
  const internal::OperandMembers members = internal::members_of(given.name);
  if (weights_of(given.operand) > 0) {
    args.*members.weight = memory.put(weight_type(spec, given.operand), given.weight);
    if (given.operand.norm->bias)
      args.*members.norm_bias = memory.put(weight_type(spec, given.operand), given.norm_bias);
  }
  args.*members.bias = memory.put(spec.dtype, given.bias);
  args.*members.head_scales = static_cast<const float*>(memory.put(DType::fp32, given.head_scales));
}

void check_operand(const internal::Oracle& oracle, const DirectCase& direct, const Given& given, const Bits& out,
                   internal::Comparison& comparison) {
  const Operand& operand = given.operand;
  const DType dtype = direct.spec.dtype;
  const DType dtype_out = operand.dtype_out.value_or(dtype);
  const std::vector<unsigned char> before = bytes_of(dtype, given.in);
  const std::vector<unsigned char> after = bytes_of(dtype_out, out);
  const StageInputs stages{
      operand.norm ? decoded(weight_type(direct.spec, operand), given.weight) : std::vector<double>{},
      operand.norm ? decoded(weight_type(direct.spec, operand), given.norm_bias) : std::vector<double>{},
      decoded(dtype, given.bias), decoded(DType::fp32, given.head_scales)};
  const bool is_by_token = operand.norm && operand.norm->span == NormSpan::token;
  for (std::int64_t token = 0; token < direct.tokens(); ++token) {
    const std::int64_t position = direct.positions[static_cast<std::size_t>(token)];
    const internal::Angles angles =
        given.name == internal::OperandName::v ? internal::Angles{} : oracle.angles(position);
    std::vector<internal::HeadRow> rows;
    const auto at = [&](std::int64_t head) {
      return static_cast<std::size_t>(token * row_of(operand) + head * operand.head_dim);
    };
    for (std::int64_t head = 0; head < operand.heads; ++head) {
      rows.push_back({&before[at(head) * internal::element_bytes(dtype)], 1});
    }
    internal::RowData data = stages.data(0, position);
    if (is_by_token && given.statistic.empty()) data.of_token = oracle.statistic(angles, operand, rows, data);
    for (std::int64_t head = 0; head < operand.heads; ++head) {
      data.head = head;
      const std::int64_t r = is_by_token ? token : token * operand.heads + head;
      if (!given.statistic.empty()) {
        data.given = internal::decode(DType::fp32, given.statistic[static_cast<std::size_t>(r)]);
      }
      oracle.check(angles, operand, rows[static_cast<std::size_t>(head)],
                   {&after[at(head) * internal::element_bytes(dtype_out)], 1}, {0, token, head, 0}, comparison, data);
    }
  }
}

}  // namespace

DirectCase DirectCase::part(std::int64_t first, std::int64_t count) const {
  DirectCase result = *this;
  result.positions = {positions.begin() + first, positions.begin() + first + count};
  if (!slots.empty()) result.slots = {slots.begin() + first, slots.begin() + first + count};
  result.q = slice(q, first * row_of(spec.q), count * row_of(spec.q));
  if (spec.k) result.k = slice(k, first * row_of(*spec.k), count * row_of(*spec.k));
  if (spec.v) result.v = slice(v, first * row_of(*spec.v), count * row_of(*spec.v));
  const auto statistics = [&](const Operand& operand, const Bits& bits) {
    return bits.empty() ? Bits{} : slice(bits, first * statistics_of(operand), count * statistics_of(operand));
  };
  result.q_r = statistics(spec.q, q_r);
  if (spec.k) result.k_r = statistics(*spec.k, k_r);
  if (spec.v) result.v_r = statistics(*spec.v, v_r);
  return result;
}

DirectResult launch_direct(const internal::PreparedKernel& kernel, const DirectCase& given) {
  const internal::Target& target = *kernel.target;
  const RopeSpec& spec = given.spec;
  Memory memory(target);
  RopeArgs args;
  args.tokens = given.tokens();
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(memory.put(given.positions)));
  // Where nothing is stored, tensors are read alone.
  const bool is_read = given.form.statistics_only;
  const bool in_place = is_read || given.form.placement == Placement::in_place;
  const Written q = place(memory, spec, spec.q, in_place, given.q, {}, args.q, args.q_out);
  Written k;
  Written v;
  if (spec.k) {
    const bool apart = given.form.k_rows != CacheRows::none;
    k = place(memory, spec, *spec.k, in_place && !apart, given.k, given.k_cache, args.k, args.k_out);
    if (apart && k.data != nullptr) {
      args.k_rows = memory.put(given.slots);
      args.k_cache_rows = static_cast<std::int64_t>(given.k_cache.size()) / row_of(*spec.k);
      args.k_block_size = given.block_size;
      args.k_slot_count = given.slot_count;
    }
  }
  if (spec.v) {
    v = place(memory, spec, *spec.v, is_read, given.v, given.v_cache, args.v, args.v_out);
    if (given.form.v_rows != CacheRows::none && v.data != nullptr) {
      args.v_rows = memory.put(given.slots);
      args.v_cache_rows = static_cast<std::int64_t>(given.v_cache.size()) / row_of(*spec.v);
      args.v_block_size = given.block_size;
      args.v_slot_count = given.slot_count;
    }
  }
  for (const Given& one : given_operands(given)) put_stages(memory, spec, one, args);
  Written q_r;
  Written k_r;
  Written v_r;
  const auto place_statistic = [&](const Operand& operand, const Written& written, const Bits& r, NormStatistic& in,
                                   NormStatisticOut& out) -> Written {
    if (!operand.norm || written.data == nullptr) return {};
    if (operand.norm->statistic != Statistic::computed) in.data = static_cast<const float*>(memory.put(DType::fp32, r));
    if (in.data != nullptr || !given.form.norm_statistics) return {};
    const Bits zeroes(static_cast<std::size_t>(given.tokens() * statistics_of(operand)), 0);
    out.data = static_cast<float*>(memory.put(DType::fp32, zeroes));
    return {DType::fp32, out.data, zeroes.size()};
  };
  q_r = place_statistic(spec.q, q, given.q_r, args.q_norm_statistic, args.q_norm_statistic_out);
  if (spec.k) k_r = place_statistic(*spec.k, k, given.k_r, args.k_norm_statistic, args.k_norm_statistic_out);
  if (spec.v) v_r = place_statistic(*spec.v, v, given.v_r, args.v_norm_statistic, args.v_norm_statistic_out);
  if (given.form.angles == AngleSource::half) {
    args.table.cos = memory.put(given.form.table_dtype, given.cos);
    args.table.sin = memory.put(given.form.table_dtype, given.sin);
    args.table.rows = static_cast<std::int64_t>(given.cos.size()) / (spec.rotary_dim / 2);
  }
  const LaunchStatus status = internal::launch_prepared(kernel, args, nullptr);
  INFO(status.message());
  REQUIRE(status);
  target.synchronize();
  const auto get = [&](const Written& written) {
    return written.data == nullptr ? Bits{} : memory.get(written.dtype, written.data, written.count);
  };
  return {get(q), get(k), get(v), get(q_r), get(k_r), get(v_r)};
}

internal::Comparison compare_direct(const DirectCase& given, const DirectResult& result) {
  const internal::Oracle oracle(given.spec);
  internal::Comparison comparison;
  const Bits* const results[] = {&result.q, &result.k, &result.v};
  for (const Given& one : given_operands(given)) {
    check_operand(oracle, given, one, *results[static_cast<std::size_t>(one.name)], comparison);
  }
  return comparison;
}

Bits encoded(DType dtype, const std::vector<double>& values) {
  Bits bits;
  bits.reserve(values.size());
  for (const double value : values) bits.push_back(internal::encode(dtype, value));
  return bits;
}

std::vector<double> decoded(DType dtype, const Bits& bits) {
  std::vector<double> values;
  values.reserve(bits.size());
  for (const internal::ElementBits one : bits) values.push_back(internal::decode(dtype, one));
  return values;
}

Bits random_elements(std::mt19937_64& random, DType dtype, std::int64_t count, double deviation, double middle) {
  std::normal_distribution<double> normal(middle, deviation);
  Bits bits;
  for (std::int64_t i = 0; i < count; ++i) bits.push_back(internal::encode(dtype, normal(random)));
  return bits;
}

void fill_direct(std::mt19937_64& random, DirectCase& given, double deviation) {
  const RopeSpec& spec = given.spec;
  const auto fill = [&](const Operand& operand, Bits& in, Bits& weight, Bits& norm_bias, Bits& bias, Bits& scales) {
    in = random_elements(random, spec.dtype, given.tokens() * row_of(operand), deviation);
    if (const std::int64_t count = weights_of(operand); count > 0) {
      weight = random_elements(random, weight_type(spec, operand), count, 0.25, 1);
      if (operand.norm->bias) norm_bias = random_elements(random, weight_type(spec, operand), count, 0.25);
    }
    if (operand.bias) bias = random_elements(random, spec.dtype, row_of(operand), 0.25);
    if (operand.head_scales) scales = random_elements(random, DType::fp32, operand.heads, 0.25, 1);
  };
  fill(spec.q, given.q, given.q_weight, given.q_norm_bias, given.q_bias, given.q_head_scales);
  if (spec.k) fill(*spec.k, given.k, given.k_weight, given.k_norm_bias, given.k_bias, given.k_head_scales);
  if (spec.v) fill(*spec.v, given.v, given.v_weight, given.v_norm_bias, given.v_bias, given.v_head_scales);
}

std::vector<unsigned char> bytes_of(DType dtype, const Bits& bits) {
  std::vector<unsigned char> bytes(bits.size() * internal::element_bytes(dtype));
  for (std::size_t i = 0; i < bits.size(); ++i) {
    internal::store_bits(dtype, bytes.data(), static_cast<std::int64_t>(i), bits[i]);
  }
  return bytes;
}

Bits bits_of(DType dtype, const std::vector<unsigned char>& bytes) {
  Bits bits(bytes.size() / internal::element_bytes(dtype));
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = internal::load_bits(dtype, bytes.data(), static_cast<std::int64_t>(i));
  }
  return bits;
}

}  // namespace ropejit::test
