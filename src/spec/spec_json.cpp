// The spec as JSON: the one text form of a spec, whose numbers read back to the same bits.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <functional>
#include <iterator>

#include "ropejit/error.hpp"
#include "ropejit/spec.hpp"
#include "spec/limits.hpp"
#include "spec/names.hpp"
#include "spec/operand_json.hpp"
#include "spec/read_spec.hpp"
#include "spec/round_points.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit {
namespace internal {
namespace {

constexpr IntRange kSchema{1, 1};

/// ,"key":"value" where it is not the default.
template <class E>
std::string enum_to_json(const char* key, E value, E usual) {
  return value == usual ? std::string() : fmt::format(R"(,"{}":"{}")", key, to_string(value));
}

// Whether they fit the rest of the spec is for validate.
Axes read_axes(const ObjectReader& reader) {
  reader.reject_unknown_keys({"sections", "order", "frequencies"});
  constexpr const char* kArray = "an array of 2 to 4 integers";
  const llvm::json::Value* value = reader.find("sections");
  if (value == nullptr) throw missing_field(reader.path("sections"), kArray);
  const llvm::json::Array* array = value->getAsArray();
  if (array == nullptr) throw field_error(ErrorCode::parse_error, reader.path("sections"), describe(*value), kArray);
  Axes axes;
  for (const llvm::json::Value& element : *array) {
    const auto section = element.getAsInteger();
    if (!section || !kSection.contains(*section)) {
      const bool number = element.kind() == llvm::json::Value::Number;
      throw field_error(number ? ErrorCode::invalid_argument : ErrorCode::parse_error,
                        fmt::format("{}[{}]", reader.path("sections"), axes.sections.size()), describe(element),
                        kSection.describe());
    }
    axes.sections.push_back(*section);
  }
  axes.order = read_enum(reader, "order", axes.order);
  axes.frequencies = read_enum(reader, "frequencies", axes.frequencies);
  return axes;
}

RoundAfter read_round_after(const ObjectReader& reader) {
  RoundAfter points;
  const llvm::json::Value* const value = reader.find("round_after");
  if (value == nullptr) return points;
  const std::string allowed =
      fmt::format("an array of {}", fmt::join(llvm::map_range(kRoundPoints, std::mem_fn(&RoundPoint::name)), ", "));
  const llvm::json::Array* const names = value->getAsArray();
  if (names == nullptr) {
    throw field_error(ErrorCode::parse_error, reader.path("round_after"), describe(*value), allowed);
  }
  for (const llvm::json::Value& name : *names) {
    const RoundPoint* const point = llvm::find_if(
        kRoundPoints, [&](const RoundPoint& one) { return name.getAsString() == llvm::StringRef(one.name); });
    if (point == std::end(kRoundPoints) || points.*point->member) {
      throw field_error(ErrorCode::invalid_argument, reader.path("round_after"), describe(name),
                        allowed + ", each at most once");
    }
    points.*point->member = true;
  }
  return points;
}

std::int64_t read_rotary_dim(const ObjectReader& reader, std::int64_t head_dim) {
  const std::optional<std::int64_t> lanes = reader.find_int("rotary_dim", kRotaryDim);
  const std::optional<double> fraction = reader.find_number("partial_rotary_factor", kFraction);
  if (lanes && fraction) {
    throw field_error(ErrorCode::invalid_argument, "partial_rotary_factor", fmt::format("{}", *fraction),
                      fmt::format("absent, where rotary_dim is given as {}", *lanes));
  }
  if (fraction) return rotary_dim_of_fraction(head_dim, *fraction, "partial_rotary_factor");
  return lanes.value_or(head_dim);
}

// A dictionary of one of our own specs: strict, and in the words of one release of Hugging Face only.
Scaling read_strict_scaling(const ObjectReader& dict) {
  const std::string name = dict.get_string("rope_type", scaling_rule_names());
  const ScalingRule& rule = require_scaling_rule(name, dict.path("rope_type"));
  dict.reject_unknown_keys(rule.keys());
  return rule.read(dict);
}

std::string axes_to_json(const Axes& axes) {
  return fmt::format(R"({{"sections":[{}]{}{}}})", fmt::join(axes.sections, ","),
                     enum_to_json("order", axes.order, AxisOrder::chunked),
                     enum_to_json("frequencies", axes.frequencies, AxisFrequencies::shared));
}

void reject_unknown_spec_keys(const ObjectReader& reader, std::initializer_list<std::string_view> other_keys) {
  std::vector<std::string_view> keys = {
      "layout",   "layout_out", "direction", "dtype",      "rope_theta",   "rotary_dim", "partial_rotary_factor",
      "q",        "k",          "v",         "gate",       "rope_scaling", "max_length", "axes",
      "rounding", "angle",      "sine",      "round_after"};
  keys.insert(keys.end(), other_keys);
  reader.reject_unknown_keys(keys);
}

RopeSpec read_fields(const ObjectReader& reader) {
  RopeSpec spec;
  spec.layout = read_enum(reader, "layout", spec.layout);
  spec.layout_out = find_enum<Layout>(reader, "layout_out");
  spec.direction = read_enum(reader, "direction", spec.direction);
  spec.dtype = read_enum(reader, "dtype", spec.dtype);
  spec.theta = reader.find_number("rope_theta", kTheta).value_or(spec.theta);
  spec.q = read_operand(reader.get_object("q"));
  if (const std::optional<ObjectReader> k = reader.find_object("k")) spec.k = read_operand(*k);
  if (const std::optional<ObjectReader> v = reader.find_object("v")) spec.v = read_operand(*v);
  if (const std::optional<ObjectReader> gate = reader.find_object("gate")) spec.gate = read_operand(*gate);
  spec.rotary_dim = read_rotary_dim(reader, spec.q.head_dim);
  if (const std::optional<ObjectReader> dict = reader.find_object("rope_scaling")) {
    spec.scaling = read_strict_scaling(*dict);
  }
  spec.max_length = reader.find_int("max_length", kContextLength);
  if (const std::optional<ObjectReader> axes = reader.find_object("axes")) spec.axes = read_axes(*axes);
  spec.rounding = read_enum(reader, "rounding", spec.rounding);
  spec.angle = read_enum(reader, "angle", spec.angle);
  spec.sine = read_enum(reader, "sine", spec.sine);
  spec.round_after = read_round_after(reader);
  spec.validate();
  return spec;
}

}  // namespace

RopeSpec read_spec(const ObjectReader& reader, std::initializer_list<std::string_view> other_keys) {
  reject_unknown_spec_keys(reader, other_keys);
  return read_fields(reader);
}

}  // namespace internal

inline namespace v0 {

RopeSpec RopeSpec::from_json(std::string_view text) {
  const internal::UsualArithmetic arithmetic;
  const llvm::json::Object object = internal::parse_json_object(text);
  const internal::ObjectReader reader(object);
  internal::reject_unknown_spec_keys(reader, {"schema"});
  reader.get_int("schema", internal::kSchema);
  return internal::read_fields(reader);
}

std::string RopeSpec::to_json() const {
  using namespace internal;
  const UsualArithmetic arithmetic;
  validate();
  std::string text = fmt::format(
      R"({{"schema":1,"layout":"{}",{}"direction":"{}","dtype":"{}","rope_theta":{},"rotary_dim":{},"q":{})",
      v0::to_string(layout), layout_out ? fmt::format(R"("layout_out":"{}",)", v0::to_string(*layout_out)) : "",
      v0::to_string(direction), v0::to_string(dtype), theta, rotary_dim, operand_to_json(q));
  if (k) text += fmt::format(R"(,"k":{})", operand_to_json(*k));
  if (v) text += fmt::format(R"(,"v":{})", operand_to_json(*v));
  if (gate) text += fmt::format(R"(,"gate":{})", operand_to_json(*gate));
  text += fmt::format(R"(,"rope_scaling":{})", scaling_to_json(scaling));
  if (max_length) text += fmt::format(R"(,"max_length":{})", *max_length);
  if (axes != Axes{}) text += fmt::format(R"(,"axes":{})", axes_to_json(axes));
  text += enum_to_json("rounding", rounding, Rounding::exact);
  text += enum_to_json("angle", angle, AngleRounding::exact);
  text += enum_to_json("sine", sine, Sine::polynomial);
  if (const std::vector<const char*> places = names_of(round_after); !places.empty()) {
    text += fmt::format(R"(,"round_after":["{}"])", fmt::join(places, R"(",")"));
  }
  return text + "}";
}

}  // namespace v0
}  // namespace ropejit
