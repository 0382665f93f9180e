#include <fmt/format.h>

#include <cstdint>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "spec/scaling_rules.hpp"

namespace ropejit::internal {
namespace {

std::string inspect_json(const RopeSpec& spec, const RotationPlan& plan) {
  return json_text([&](llvm::json::OStream& out) {
    out.object([&] {
      attribute(out, "layout", to_string(spec.layout));
      attribute(out, "head_dim", spec.q.head_dim);
      attribute(out, "rotary_dim", spec.rotary_dim);
      attribute(out, "first_lane", spec.q.first_lane);
      attribute(out, "q_heads", spec.q.heads);
      attribute(out, "kv_heads", spec.k ? spec.k->heads : 0);
      attribute(out, "dtype", to_string(spec.dtype));
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
  });
}

std::string inspect_table(const RopeSpec& spec, const RotationPlan& plan) {
  constexpr double kTwoPi = 6.283185307179586;
  std::string text =
      fmt::format("{}\n\nclass {}\nplan  {}\n\n", spec.to_string(), plan.kernel_class.hash(), plan.hash());
  const double softmax_scale = spec.softmax_scale();
  if (plan.attention_scale != 1) text += fmt::format("cos and sin times {:.17g}\n\n", plan.attention_scale);
  if (softmax_scale != 1) text += fmt::format("the caller's softmax scale times {:.17g}\n\n", softmax_scale);
  text += fmt::format("{:>5}  {:>24}  {:>20}  {:>14}\n", "pair", "radians per position", "step (2^-64 turns)",
                      "wavelength");
  const std::size_t pairs = plan.steps.size();
  // Enough to see the rule at work; --json has all of them.
  const std::size_t stride = pairs <= 16 ? 1 : (pairs + 15) / 16;
  for (std::size_t i = 0; i < pairs; ++i) {
    if (i % stride != 0 && i + 1 != pairs) continue;
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

std::string layers_json(const ModelRopes& model) {
  return json_text([&](llvm::json::OStream& out) {
    out.object([&] {
      out.attributeArray("layers", [&] {
        for (std::int64_t layer = 0; layer < model.layers(); ++layer) {
          out.object([&] {
            attribute(out, "layer", layer);
            attribute(out, "kind", model.kind(layer));
            out.attributeBegin("spec");
            const RopeSpec* spec = model.find(layer);
            out.rawValue(spec != nullptr ? spec->to_json() : "null");
            out.attributeEnd();
          });
        }
      });
    });
  });
}

// A line for each run of layers that are alike.
std::string layers_table(const ModelRopes& model) {
  std::string text;
  std::int64_t first = 0;
  for (std::int64_t layer = 1; layer <= model.layers(); ++layer) {
    const RopeSpec* spec = model.find(first);
    if (layer < model.layers() && model.find(layer) == spec && model.kind(layer) == model.kind(first)) continue;
    const std::string range = first + 1 == layer ? fmt::format("{}", first) : fmt::format("{}-{}", first, layer - 1);
    text += fmt::format("{:>9}  {:<18}  {}\n", range, model.kind(first), spec != nullptr ? spec->to_string() : "none");
    first = layer;
  }
  return text;
}

int run_inspect(const Arguments& arguments) {
  if (arguments.has("--layers")) {
    const ModelRopes model = read_layers(arguments);
    print(arguments.has("--json") ? layers_json(model) : layers_table(model));
    return 0;
  }
  const Case given = read_case(arguments);
  const RotationPlan plan = plan_of(given);
  print(arguments.has("--json") ? inspect_json(given.spec, plan) : inspect_table(given.spec, plan));
  return 0;
}

}  // namespace

Command inspect_command() {
  std::vector<Flag> flags = case_flags();
  flags.push_back({"--layers", "", "the rotation of every layer of the model instead"});
  flags.push_back({"--json", "", "one JSON object on stdout"});
  flags.push_back({"--help", "", "this text"});
  return {
      "inspect", "shows what a model's RoPE is: its lanes, frequencies, hashes and variants", flags, {}, run_inspect};
}

}  // namespace ropejit::internal
