#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/inspect_operands.hpp"
#include "cli/output.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "hf/model_json.hpp"
#include "spec/axes.hpp"
#include "spec/scaling_rules.hpp"

namespace ropejit::internal {
namespace {

// What most specs leave at its default.
void add_unusual(llvm::json::OStream& out, const RopeSpec& spec) {
  if (spec.layout_out) attribute(out, "layout_out", to_string(*spec.layout_out));
  if (spec.direction != Direction::forward) attribute(out, "direction", to_string(spec.direction));
  if (!spec.axes.sections.empty()) {
    out.attributeObject("axes", [&] {
      out.attributeArray("sections", [&] {
        for (const std::int64_t section : spec.axes.sections) out.value(section);
      });
      attribute(out, "order", to_string(spec.axes.order));
      attribute(out, "frequencies", to_string(spec.axes.frequencies));
    });
  }
  if (spec.rounding != Rounding::exact) attribute(out, "rounding", to_string(spec.rounding));
  if (spec.angle != AngleRounding::exact) attribute(out, "angle", to_string(spec.angle));
  if (spec.sine != Sine::polynomial) attribute(out, "sine", to_string(spec.sine));
}

std::string unusual_text(const RopeSpec& spec) {
  std::string text;
  if (!spec.axes.sections.empty()) {
    text += fmt::format("pairs of each axis {} ({}), frequencies {}\n", fmt::join(spec.axes.sections, ", "),
                        to_string(spec.axes.order), to_string(spec.axes.frequencies));
  }
  if (spec.rounding != Rounding::exact) text += fmt::format("rounding {}\n", to_string(spec.rounding));
  if (spec.angle != AngleRounding::exact) text += fmt::format("angle {}\n", to_string(spec.angle));
  if (spec.sine != Sine::polynomial) text += fmt::format("sine {}\n", to_string(spec.sine));
  return text.empty() ? text : text + "\n";
}

std::string inspect_json(const Case& given, const RotationPlan& plan) {
  const RopeSpec& spec = given.spec;
  return json_object([&](llvm::json::OStream& out) {
    attribute_known(out, given.known);
    attribute(out, "layout", to_string(spec.layout));
    attribute(out, "head_dim", spec.q.head_dim);
    attribute(out, "rotary_dim", spec.rotary_dim);
    attribute(out, "first_lane", spec.q.first_lane);
    attribute(out, "q_heads", spec.q.heads);
    attribute(out, "kv_heads", spec.k ? spec.k->heads : 0);
    attribute(out, "dtype", to_string(spec.dtype));
    add_unusual(out, spec);
    add_operands(out, spec, plan.kernel_class);
    attribute(out, "theta", spec.theta);
    out.attributeBegin("scaling");
    out.rawValue(scaling_to_json(spec.scaling));
    out.attributeEnd();
    out.attributeArray("inv_freq", [&] {
      for (const double w : plan.inv_freq) out.rawValue(json_number(w, 17));
    });
    out.attributeArray("steps", [&] {
      // Strings: most readers of JSON keep 53 bits of a number.
      for (const std::uint64_t step : plan.steps) out.value(fmt::format("{}", step));
    });
    attribute(out, "attention_scale", plan.attention_scale);
    attribute(out, "softmax_scale", spec.softmax_scale());
    attribute(out, "class_hash", plan.kernel_class.hash());
    attribute(out, "plan_hash", plan.hash());
  });
}

std::string inspect_table(const RopeSpec& spec, const RotationPlan& plan) {
  constexpr double kTwoPi = 6.283185307179586;
  std::string text =
      fmt::format("{}\n\nclass {}\nplan  {}\n\n", spec.to_string(), plan.kernel_class.hash(), plan.hash());
  text += operands_text(spec, plan.kernel_class);
  text += unusual_text(spec);
  const double softmax_scale = spec.softmax_scale();
  if (plan.attention_scale != 1) text += fmt::format("cos and sin times {:.17g}\n\n", plan.attention_scale);
  if (softmax_scale != 1) text += fmt::format("the caller's softmax scale times {:.17g}\n\n", softmax_scale);
  const bool axes = !spec.axes.sections.empty();
  const std::vector<PairAxis> axis_of = pair_axes(spec);
  if (axes) text += fmt::format("{:>4}", "axis");
  text += fmt::format("{:>5}  {:>24}  {:>20}  {:>14}\n", "pair", "radians per position", "step (2^-64 turns)",
                      "wavelength");
  const std::size_t pairs = plan.steps.size();
  // Enough to see the rule at work; --json has all of them.
  const std::size_t stride = pairs <= 16 ? 1 : (pairs + 15) / 16;
  for (std::size_t i = 0; i < pairs; ++i) {
    if (i % stride != 0 && i + 1 != pairs) continue;
    if (axes) text += fmt::format("{:>4}", axis_of[i].axis);
    text += fmt::format("{:>5}  {:>24.17g}  {:>20}  {:>14.6g}\n", i, plan.inv_freq[i], plan.steps[i],
                        kTwoPi / plan.inv_freq[i]);
  }
  text += "\nserved by\n";
  for (const VariantChoice& choice : default_variants(plan.kernel_class, kAssumedMultiprocessors)) {
    text += fmt::format("  {:<28} from {} tokens on\n", to_string(choice.variant), choice.min_tokens);
  }
  return text + fmt::format("  {:<28} tensors that break the form's promise\n",
                            to_string(universal_variant(plan.kernel_class)));
}

// A line for each run of layers that are alike.
std::string layers_of_role(const ModelRopes& model, RopeRole role) {
  std::string text;
  std::int64_t first = 0;
  const std::int64_t layers = model.layers(role);
  const auto kind = [&](std::int64_t layer) { return role == RopeRole::vision ? "attention" : model.kind(layer); };
  for (std::int64_t layer = 1; layer <= layers; ++layer) {
    const RopeSpec* spec = model.find(first, role);
    if (layer < layers && model.find(layer, role) == spec && kind(layer) == kind(first)) continue;
    const std::string range = first + 1 == layer ? fmt::format("{}", first) : fmt::format("{}-{}", first, layer - 1);
    text += fmt::format("{:>9}  {:<18}  {}\n", range, kind(first), spec != nullptr ? spec->to_string() : "none");
    first = layer;
  }
  return text;
}

// With a heading for each role where there are several.
std::string layers_table(const ModelRopes& model) {
  std::string others;
  for (const RopeRole role : {RopeRole::indexer, RopeRole::vision}) {
    if (model.layers(role) == 0 || model.specs(role).empty()) continue;
    others += fmt::format("{}\n{}", to_string(role), layers_of_role(model, role));
  }
  const std::string main = layers_of_role(model, RopeRole::main);
  return others.empty() ? main : fmt::format("{}\n{}{}", to_string(RopeRole::main), main, others);
}

int run_inspect(const Arguments& arguments) {
  if (arguments.has("--layers")) {
    const ModelRopes model = read_layers(arguments);
    print(arguments.has("--json") ? model_ropes_to_json(model) : layers_table(model));
    return 0;
  }
  const Case given = read_case(arguments);
  const RotationPlan plan = plan_of(given);
  print(arguments.has("--json") ? inspect_json(given, plan) : inspect_table(given.spec, plan));
  return 0;
}

}  // namespace

Command inspect_command() {
  return {"inspect",
          "shows what a model's RoPE is: its lanes, frequencies, hashes and variants",
          joined({case_flags(),
                  {{"--layers", "", "the rotation of every layer of the model instead"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_inspect};
}

}  // namespace ropejit::internal
