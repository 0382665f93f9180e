#include "support/golden_rotation.hpp"

#include <llvm/Support/raw_ostream.h>

#include <stdexcept>

#include "support/golden_text.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

namespace ropejit::test {
namespace {

using internal::ElementBits;
using internal::IntRange;
using internal::ObjectReader;

constexpr IntRange kAny{};
constexpr const char* kText = "a string";

std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

Layout parse_layout(const std::string& name) {
  return parse_golden_word(name, {Layout::split_half, Layout::interleaved, Layout::split_sections});
}

Operand read_operand(const ObjectReader& reader) {
  return Operand{reader.get_int("heads", kAny), reader.get_int("head_dim", kAny), reader.get_int("first_lane", kAny)};
}

std::vector<std::int64_t> read_ints(const llvm::json::Value& value) {
  std::vector<std::int64_t> numbers;
  for (const llvm::json::Value& number : *value.getAsArray()) numbers.push_back(number.getAsInteger().value());
  return numbers;
}

Axes read_axes(const ObjectReader& reader) {
  Axes axes;
  axes.sections = read_ints(*reader.find("sections"));
  axes.order = parse_golden_word(reader.get_string("order", kText),
                                 {AxisOrder::chunked, AxisOrder::interleaved, AxisOrder::alternating});
  axes.frequencies = parse_golden_word(reader.find_string("frequencies", kText).value_or("shared"),
                                       {AxisFrequencies::shared, AxisFrequencies::restarted, AxisFrequencies::strided});
  return axes;
}

void read_positions(const llvm::json::Value& value, GoldenRotation& made) {
  const llvm::json::Array& list = *value.getAsArray();
  if (list.front().getAsArray() == nullptr) {
    made.positions = read_ints(value);
    made.tokens = static_cast<std::int64_t>(made.positions.size());
    return;
  }
  for (const llvm::json::Value& axis : list) {
    const std::vector<std::int64_t> positions = read_ints(axis);
    made.tokens = static_cast<std::int64_t>(positions.size());
    made.positions.insert(made.positions.end(), positions.begin(), positions.end());
  }
}

GoldenOutputs read_outputs(const ObjectReader& reader, const GoldenRotation& made, DType dtype) {
  const auto count = [&](const Operand& operand) {
    return static_cast<std::size_t>(made.tokens * operand.heads * made.stated.rotary_dim);
  };
  const ObjectReader part = reader.get_object(to_string(dtype));
  const auto digits = static_cast<std::size_t>(2 * size_of(dtype));
  return GoldenOutputs{dtype, parse_golden_bits(part.get_string("q", kText), digits, count(made.stated.q)),
                       parse_golden_bits(part.get_string("k", kText), digits, count(*made.stated.k))};
}

GoldenRotation read_case(const ObjectReader& reader) {
  GoldenRotation made;
  made.name = reader.get_string("name", kText);
  llvm::raw_string_ostream(made.config) << *reader.find("config");
  read_positions(*reader.find("positions"), made);

  RopeSpec& stated = made.stated;
  stated.layout = parse_layout(reader.get_string("layout", kText));
  if (const auto out = reader.find_string("layout_out", kText)) stated.layout_out = parse_layout(*out);
  if (const auto direction = reader.find_string("direction", kText)) {
    stated.direction = parse_golden_word(*direction, {Direction::forward, Direction::adjoint});
  }
  stated.theta = reader.get_number("theta", {});
  stated.rotary_dim = reader.get_int("rotary_dim", kAny);
  stated.q = read_operand(reader.get_object("q"));
  stated.k = read_operand(reader.get_object("k"));
  if (const auto axes = reader.find_object("axes")) stated.axes = read_axes(*axes);
  stated.rounding = parse_golden_word(reader.get_string("rounding", kText), {Rounding::p1, Rounding::p2, Rounding::p3});

  made.table = parse_golden_word(reader.get_string("table", kText),
                                 {AngleSource::half, AngleSource::full, AngleSource::repeated, AngleSource::complex});
  const auto pairs = static_cast<std::size_t>(stated.rotary_dim / 2);
  const std::size_t values = static_cast<std::size_t>(made.tokens) * pairs;
  made.cos = parse_golden_floats(reader.get_string("cos", kText), values);
  made.sin = parse_golden_floats(reader.get_string("sin", kText), values);
  if (const auto inv_freq = reader.find_string("inv_freq", kText)) {
    const std::vector<float> list = parse_golden_floats(*inv_freq, pairs);
    made.inv_freq.emplace(list.begin(), list.end());
  }
  made.attention_factor = reader.get_number("attention_factor", {});
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    made.outputs.push_back(read_outputs(reader, made, dtype));
  }
  made.role = parse_golden_word(reader.get_string("role", kText), {RopeRole::main, RopeRole::vision});
  made.layer = reader.get_int("layer", kAny);
  made.length = reader.find_int("length", kAny);
  return made;
}

}  // namespace

RopeSpec GoldenRotation::read(bool parity) const {
  ModelOptions options;
  options.parity = parity;
  const ModelRopes model = ModelRopes::from_hf_config(config, options);
  const RopeSpec* found = model.find(layer, role);
  if (found == nullptr) throw std::runtime_error(name + ": a layer that does not rotate");
  RopeSpec spec = *found;
  spec.q.heads = stated.q.heads;
  if (spec.k) spec.k->heads = stated.k->heads;
  spec.max_length = length;
  return spec;
}

std::vector<ElementBits> GoldenRotation::input(std::uint64_t seed, const Operand& operand, DType dtype) const {
  std::vector<ElementBits> bits(static_cast<std::size_t>(tokens * operand.heads * operand.head_dim));
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const auto top = static_cast<std::int64_t>(splitmix64((seed << 32) + i) >> 40);
    bits[i] = internal::encode(dtype, static_cast<double>(top - (1 << 23)) / (1 << 21));
  }
  return bits;
}

std::vector<GoldenRotation> read_golden_rotations() {
  const llvm::json::Object golden = internal::parse_json_object(read_test_file("golden/hf_rotations.json"));
  std::vector<GoldenRotation> cases;
  for (const llvm::json::Value& value : *golden.getArray("cases")) {
    cases.push_back(read_case(ObjectReader(*value.getAsObject())));
  }
  return cases;
}

}  // namespace ropejit::test
