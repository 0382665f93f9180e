#include "cli/case.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "cli/files.hpp"
#include "cli/output.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "ropejit/error.hpp"
#include "spec/attention_scale.hpp"
#include "spec/limits.hpp"
#include "spec/lower.hpp"
#include "spec/names.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kModelFileLimit = std::size_t{16} << 20;

// The object has "schema" among its own keys: a spec, not a model's config. Only tells the two apart; whether the
// text is JSON at all is for the reader that it then goes to.
bool has_schema(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    const std::size_t begin = ++at;
    while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    if (at >= text.size()) return false;
    const std::size_t next = text.find_first_not_of(" \t\r\n", at + 1);
    const bool is_key = next != std::string_view::npos && text[next] == ':';
    if (depth == 1 && is_key && text.substr(begin, at - begin) == "schema") return true;
  }
  return false;
}

// Calls `read` with the text; its errors then name the file.
template <typename Read>
auto with_model_text(const std::string& path, const Read& read) {
  const std::string text = read_file("--model", path, kModelFileLimit);
  try {
    return read(text);
  } catch (const Error& error) {
    throw Error(error.code(), error.stage(), fmt::format("{}: {}", excerpt(path, 4096), error.what()), error.log());
  }
}

RopeSpec spec_of_layer(std::string_view text, std::int64_t layer) {
  const ModelRopes model = ModelRopes::from_hf_config(text);
  if (const RopeSpec* spec = model.find(layer)) return *spec;
  throw Error(ErrorCode::unsupported, "spec",
              fmt::format("layer: found {}, {} without a rotation; allowed: a layer that has one", layer,
                          quoted(model.kind(layer))));
}

RopeSpec read_model(const std::string& path, std::optional<std::int64_t> layer) {
  return with_model_text(path, [&](const std::string& text) {
    if (has_schema(text)) return RopeSpec::from_json(text);
    return layer ? spec_of_layer(text, *layer) : RopeSpec::from_hf_config(text);
  });
}

template <typename Enum, std::size_t kCount>
std::optional<Enum> chosen_of(const Arguments& arguments, std::string_view flag, const std::array<Enum, kCount>& all) {
  std::vector<std::string_view> names;
  for (const Enum value : all) names.emplace_back(to_string(value));
  const std::optional<std::size_t> place = arguments.choice(flag, names);
  return place ? std::optional<Enum>(all[*place]) : std::nullopt;
}

template <typename Enum>
std::optional<Enum> chosen(const Arguments& arguments, std::string_view flag) {
  return chosen_of(arguments, flag, Values<Enum>::all);
}

template <typename T>
void override_with(const std::optional<T>& given, T& field) {
  if (given) field = *given;
}

}  // namespace

std::vector<Flag> case_flags() {
  return {
      {"--model", "FILE", "a Hugging Face config.json, or a spec (JSON with \"schema\")"},
      {"--layer", "N", "the layer that is meant, from 0, where a model's layers differ"},
      {"--tokens", "N", "tokens of a launch (4096)"},
      {"--dtype", "TYPE", "bf16, fp16 or fp32 (the model's)"},
      {"--layout", "LAYOUT", "split_half, interleaved or split_sections (the model's)"},
      {"--max-length", "N", "tokens that dynamic and longrope scaling are resolved for (the spec's)"},
      {"--direction", "WAY", "forward, adjoint, inverse or shift (forward)"},
      {"--rounding", "POLICY", "where values are rounded: exact, p1, p2 or p3 (the spec's, else exact)"},
      {"--angle", "KIND", "where the angle is rounded: exact, fp32_inv_freq or fp32 (the spec's, else exact)"},
      {"--sine", "KIND", "polynomial or hardware (the spec's, else polynomial)"},
      {"--out-of-place", "", "write other tensors than those read (in place)"},
      {"--strides", "KIND", "contiguous or free (contiguous)"},
      {"--positions", "KIND", "start, ids32 or ids64 (ids64)"},
  };
}

Case read_case(const Arguments& arguments) {
  Case result;
  // Options first: a typing error need not wait for a file.
  const std::string path = arguments.required("--model", "config.json");
  result.tokens = arguments.integer("--tokens", 4096, 1, std::numeric_limits<std::int32_t>::max());
  if (arguments.has("--out-of-place")) result.form.placement = Placement::out_of_place;
  override_with(chosen<Strides>(arguments, "--strides"), result.form.strides);
  override_with(chosen_of(arguments, "--positions",
                          std::array{PositionSource::start, PositionSource::ids32, PositionSource::ids64}),
                result.form.positions);
  std::optional<std::int64_t> max_length;
  if (arguments.has("--max-length")) {
    max_length = arguments.integer("--max-length", 1, kContextLength.min, kContextLength.max);
  }
  const auto dtype = chosen<DType>(arguments, "--dtype");
  const auto layout = chosen<Layout>(arguments, "--layout");
  const auto direction = chosen<Direction>(arguments, "--direction");
  const auto rounding = chosen<Rounding>(arguments, "--rounding");
  const auto angle = chosen<AngleRounding>(arguments, "--angle");
  const auto sine = chosen<Sine>(arguments, "--sine");
  std::optional<std::int64_t> layer;
  if (arguments.has("--layer")) layer = arguments.integer("--layer", 0, 0, std::numeric_limits<std::int32_t>::max());

  result.spec = read_model(path, layer);
  if (max_length) result.spec.max_length = max_length;
  override_with(dtype, result.spec.dtype);
  override_with(layout, result.spec.layout);
  override_with(direction, result.spec.direction);
  override_with(rounding, result.spec.rounding);
  override_with(angle, result.spec.angle);
  override_with(sine, result.spec.sine);
  return result;
}

RotationPlan plan_of(const Case& given) {
  RotationPlan plan = lower(given.spec, given.form);
  if (plan.needs_length) require_max_length(given.spec);
  return plan;
}

ModelRopes read_layers(const Arguments& arguments) {
  return with_model_text(arguments.required("--model", "config.json"), [](const std::string& text) {
    if (!has_schema(text)) return ModelRopes::from_hf_config(text);
    throw Error(ErrorCode::invalid_argument, "arguments", "--layers: found a spec, allowed: a model's config.json");
  });
}

Flag variant_flag() { return {"--variant", "ID", "how, e.g. flat_v16_h8_t128 (what serves --tokens by default)"}; }

Variant read_variant(const Arguments& arguments, const KernelClass& kernel_class, std::int64_t tokens) {
  const std::optional<std::string> name = arguments.text("--variant");
  if (!name) {
    const std::vector<VariantChoice> choices = default_variants(kernel_class, kAssumedMultiprocessors);
    Variant chosen = choices.front().variant;
    for (const VariantChoice& choice : choices) {
      if (choice.min_tokens <= tokens) chosen = choice.variant;
    }
    return chosen;
  }
  const std::optional<Variant> variant = parse_variant(*name);
  const std::string problem = variant ? why_illegal(kernel_class, *variant) : "not the name of a variant";
  if (problem.empty()) return *variant;
  std::vector<std::string> allowed;
  for (const Variant& legal : variant_space(kernel_class)) allowed.push_back(to_string(legal));
  allowed.push_back(to_string(universal_variant(kernel_class)));
  throw Error(ErrorCode::invalid_argument, "arguments",
              fmt::format("--variant: found {}: {}; allowed: {}", quoted(*name), problem, fmt::join(allowed, ", ")));
}

std::vector<Flag> service_flags() {
  return {
      {"--device", "DEVICE", "auto, cuda, cuda:N or host ($ROPEJIT_DEVICE, else auto)"},
      {"--cache-dir", "DIR", "where binaries are kept; empty: nowhere (see `ropejit cache path`)"},
  };
}

ServiceOptions read_options(const Arguments& arguments) {
  ServiceOptions options;
  options.device = arguments.text("--device");
  options.cache_dir = arguments.text("--cache-dir");
  options.warn = [](std::string_view line) { print_error_line(fmt::format("ropejit: warning: {}", line)); };
  return options;
}

}  // namespace ropejit::internal
