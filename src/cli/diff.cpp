// Two models side by side: the same plan, or what differs and by how much.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "ropejit/error.hpp"
#include "spec/attention_scale.hpp"
#include "spec/axes.hpp"
#include "spec/lower.hpp"
#include "spec/operand_text.hpp"
#include "spec/scaling_rules.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kShownPairs = 8;

// One of the two.
struct Side {
  RopeSpec spec;
  std::optional<KnownRotation> known;
  RotationPlan plan;
  std::vector<PairAxis> axes;
  double sign = 1;
};

struct Field {
  const char* name;
  std::string a;
  std::string b;
};

struct Pair {
  std::size_t pair = 0;
  double a = 0;  // radians per position, with the direction's sign
  double b = 0;
  double relative() const { return a == b ? 0 : std::fabs(a - b) / std::max(std::fabs(a), std::fabs(b)); }
};

struct Comparison {
  bool same = false;
  std::vector<Field> fields;  // that differ
  std::vector<Pair> pairs;    // that differ
  std::size_t compared = 0;   // pairs of both
  std::optional<std::int64_t> max_length;
  std::size_t worst_pair = 0;
  double worst_angle = 0;  // radians
};

std::string axes_text(const Axes& axes) {
  if (axes.sections.empty()) return "one";
  return fmt::format("{} [{}], frequencies {}", to_string(axes.order), fmt::join(axes.sections, ", "),
                     to_string(axes.frequencies));
}

// Positions are ids, of all axes, and tensors are written elsewhere: a form that every spec has.
Side lowered(const RopeSpec& spec, const std::optional<KnownRotation>& known) {
  LaunchForm form;
  form.placement = Placement::out_of_place;
  form.positions = PositionSource::ids64;
  Side side;
  side.spec = spec;
  side.known = known;
  side.plan = lower(spec, form);
  if (side.plan.needs_length) require_max_length(spec);
  side.axes = pair_axes(spec);
  side.sign = side.plan.kernel_class.negate_sin ? -1 : 1;
  return side;
}

// Everything about a plan but its frequencies.
std::vector<Field> differing_fields(const Side& a, const Side& b) {
  const auto row = [&](const char* name, const auto& text) { return Field{name, text(a), text(b)}; };
  const auto number = [](double value) { return fmt::format("{}", value); };
  std::vector<Field> fields = {
      row("layout", [](const Side& s) { return std::string(to_string(s.spec.layout)); }),
      row("layout_out",
          [](const Side& s) { return std::string(to_string(s.spec.layout_out.value_or(s.spec.layout))); }),
      row("sign", [&](const Side& s) { return number(s.sign); }),
      row("dtype", [](const Side& s) { return std::string(to_string(s.spec.dtype)); }),
      row("q", [](const Side& s) { return operand_to_string(s.spec.q); }),
      row("k", [](const Side& s) { return s.spec.k ? operand_to_string(*s.spec.k) : "none"; }),
      row("rotary_dim", [](const Side& s) { return fmt::format("{}", s.spec.rotary_dim); }),
      row("axes", [](const Side& s) { return axes_text(s.spec.axes); }),
      row("attention_scale", [&](const Side& s) { return number(s.plan.attention_scale); }),
      row("rounding", [](const Side& s) { return std::string(to_string(s.spec.rounding)); }),
      row("angle", [](const Side& s) { return std::string(to_string(s.spec.angle)); }),
      row("sine", [](const Side& s) { return std::string(to_string(s.spec.sine)); }),
  };
  fields.erase(std::remove_if(fields.begin(), fields.end(), [](const Field& field) { return field.a == field.b; }),
               fields.end());
  return fields;
}

// The most that the pair's angles can be apart at positions from 0 to max_length - 1: on one axis at the last one, on
// two where one is there and the other at 0.
double widest(const Side& a, const Side& b, const Pair& pair, std::int64_t max_length) {
  const bool one_axis = a.axes[pair.pair].axis == b.axes[pair.pair].axis;
  const double rate = one_axis ? std::fabs(pair.a - pair.b)
                               : std::max({std::fabs(pair.a), std::fabs(pair.b), std::fabs(pair.a - pair.b)});
  return rate * static_cast<double>(max_length - 1);
}

Comparison compare(const Side& a, const Side& b, std::optional<std::int64_t> max_length) {
  Comparison result;
  result.fields = differing_fields(a, b);
  result.max_length = max_length;
  result.compared = std::min(a.plan.steps.size(), b.plan.steps.size());
  for (std::size_t i = 0; i < result.compared; ++i) {
    const bool same = a.plan.steps[i] == b.plan.steps[i] && a.plan.inv_freq[i] == b.plan.inv_freq[i] &&
                      a.sign == b.sign && a.axes[i].axis == b.axes[i].axis;
    if (same) continue;
    const Pair pair{i, a.sign * a.plan.inv_freq[i], b.sign * b.plan.inv_freq[i]};
    result.pairs.push_back(pair);
    if (!max_length) continue;
    const double angle = widest(a, b, pair, *max_length);
    if (result.pairs.size() == 1 || angle > result.worst_angle) {
      result.worst_angle = angle;
      result.worst_pair = i;
    }
  }
  result.same = result.fields.empty() && result.pairs.empty() && a.plan.hash() == b.plan.hash();
  return result;
}

// What does not change a plan, but explains it.
std::vector<Field> explanations(const Side& a, const Side& b) {
  std::vector<Field> fields;
  const auto add = [&](const char* name, std::string of_a, std::string of_b) {
    if (of_a != of_b) fields.push_back(Field{name, std::move(of_a), std::move(of_b)});
  };
  add("theta", fmt::format("{}", a.spec.theta), fmt::format("{}", b.spec.theta));
  add("scaling", scaling_to_string(a.spec.scaling), scaling_to_string(b.spec.scaling));
  add("softmax_scale", fmt::format("{}", a.spec.softmax_scale()), fmt::format("{}", b.spec.softmax_scale()));
  return fields;
}

std::string text_of(const Comparison& found, const Side& a, const Side& b) {
  std::string text = fmt::format("A  {}\nB  {}\n", a.spec.to_string(), b.spec.to_string());
  text += found.same ? fmt::format("\nsame plan {}\n", a.plan.hash())
                     : fmt::format("\nplans differ: {} and {}\n", a.plan.hash(), b.plan.hash());
  for (const std::vector<Field>& fields : {found.fields, explanations(a, b)}) {
    for (const Field& field : fields) text += fmt::format("  {:<16} {}  ->  {}\n", field.name, field.a, field.b);
  }
  if (found.same) return text;
  if (found.pairs.empty()) return text + fmt::format("\nthe frequencies of {} pairs are the same\n", found.compared);
  const auto [least, most] = std::minmax_element(
      found.pairs.begin(), found.pairs.end(), [](const Pair& x, const Pair& y) { return x.relative() < y.relative(); });
  text += fmt::format("\n{} of {} pairs differ, from {} to {}, relatively by {:.3g} to {:.3g}\n", found.pairs.size(),
                      found.compared, found.pairs.front().pair, found.pairs.back().pair, least->relative(),
                      most->relative());
  text += fmt::format("{:>5}  {:>24}  {:>24}  {:>10}\n", "pair", "A, radians per position", "B", "relative");
  for (std::size_t i = 0; i < std::min(found.pairs.size(), kShownPairs); ++i) {
    const Pair& pair = found.pairs[i];
    text += fmt::format("{:>5}  {:>24.17g}  {:>24.17g}  {:>10.3g}\n", pair.pair, pair.a, pair.b, pair.relative());
  }
  if (!found.max_length) return text + "\nno length is known: --max-length shows how far apart angles come\n";
  return text + fmt::format("\nwithin {} positions angles come {:.6g} radians apart, in pair {}\n", *found.max_length,
                            found.worst_angle, found.worst_pair);
}

void attribute_fields(llvm::json::OStream& out, const char* key, const std::vector<Field>& fields) {
  attribute_objects(out, key, fields, [&](const Field& field) {
    attribute(out, "field", field.name);
    attribute(out, "a", field.a);
    attribute(out, "b", field.b);
  });
}

std::string json_of(const Comparison& found, const Side& a, const Side& b) {
  return json_object([&](llvm::json::OStream& out) {
    attribute(out, "same", found.same);
    attribute_known(out, a.known, "_a");
    attribute_known(out, b.known, "_b");
    attribute(out, "plan_hash_a", a.plan.hash());
    attribute(out, "plan_hash_b", b.plan.hash());
    attribute_fields(out, "fields", found.fields);
    attribute_fields(out, "explanations", explanations(a, b));
    attribute(out, "pairs_compared", found.compared);
    attribute_objects(out, "pairs", found.pairs, [&](const Pair& pair) {
      attribute(out, "pair", pair.pair);
      attribute(out, "a", pair.a, 17);
      attribute(out, "b", pair.b, 17);
      attribute(out, "relative", pair.relative());
    });
    if (found.max_length) attribute(out, "max_length", *found.max_length);
    if (!found.max_length) attribute_null(out, "max_length");
    if (found.pairs.empty() || !found.max_length) return attribute_null(out, "worst");
    out.attributeObject("worst", [&] {
      attribute(out, "pair", found.worst_pair);
      attribute(out, "radians", found.worst_angle);
    });
  });
}

// The length that angles are compared up to: the option's, else the larger of the files'.
std::optional<std::int64_t> length_of(const Arguments& arguments, const ModelCase& a, const ModelCase& b) {
  if (arguments.has("--max-length")) return arguments.integer("--max-length", 1, 1, std::int64_t{1} << 53);
  std::optional<std::int64_t> length;
  for (const ModelCase* model : {&a, &b}) {
    for (const std::optional<std::int64_t>& known : {model->context, model->spec.max_length}) {
      if (known) length = std::max(length.value_or(1), *known);
    }
  }
  return length;
}

// The rules that depend on a length are resolved for that one, where the file has none of its own.
RopeSpec resolved(RopeSpec spec, std::optional<std::int64_t> length) {
  const bool depends =
      std::holds_alternative<DynamicScaling>(spec.scaling) || std::holds_alternative<LongRopeScaling>(spec.scaling);
  if (depends && !spec.max_length) spec.max_length = length;
  return spec;
}

int run_diff(const Arguments& arguments) {
  const std::vector<std::string>& models = arguments.positional();
  if (models.size() != 2) {
    throw bad_argument("diff: found {} models, allowed: two, A and B", models.size());
  }
  if (models[0] == kStandardInput && models[1] == kStandardInput) {
    throw bad_argument("B: found {}, which A is, too, allowed: standard input once", kStandardInput);
  }
  const ModelPart part = read_model_part(arguments);
  const ModelSource source_a = find_model("A", models[0]);
  const ModelSource source_b = find_model("B", models[1]);
  expect_part_of({&source_a, &source_b}, part);
  const ModelCase of_a = read_model_case(source_a, part);
  const ModelCase of_b = read_model_case(source_b, part);
  const std::optional<std::int64_t> length = length_of(arguments, of_a, of_b);
  const Side a = lowered(resolved(of_a.spec, length), of_a.known);
  const Side b = lowered(resolved(of_b.spec, length), of_b.known);
  if (a.known) print_taken(source_a.what, *a.known);
  if (b.known) print_taken(source_b.what, *b.known);
  const Comparison found = compare(a, b, length);
  print(arguments.has("--json") ? json_of(found, a, b) : text_of(found, a, b));
  return found.same ? 0 : 1;
}

}  // namespace

Command diff_command() {
  return {"diff",
          "compares the rotations of two models, named as --model names one; status 1 where they differ",
          joined({layer_flags(),
                  {{"--max-length", "N", "tokens within which angles are compared (the longer model's)"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_diff,
          {"A", "B"}};
}

}  // namespace ropejit::internal
