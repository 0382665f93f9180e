#include "cli/case.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/files.hpp"
#include "cli/output.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "hf/model.hpp"
#include "ropejit/error.hpp"
#include "spec/attention_scale.hpp"
#include "spec/limits.hpp"
#include "spec/lower.hpp"
#include "spec/names.hpp"
#include "support/json.hpp"
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

// On stderr, with the file that they are about.
void warn_of_model(const std::string& path, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    print_error_line(fmt::format("ropejit: warning: {}: {}", excerpt(path, 4096), line));
  }
}

// Calls `read` with the text; its errors then name the file.
template <typename Read>
auto with_model_text(std::string_view what, const std::string& path, const Read& read) {
  const std::string text = read_file(what, path, kModelFileLimit);
  try {
    return read(text);
  } catch (const Error& error) {
    throw Error(error.code(), error.stage(), fmt::format("{}: {}", excerpt(path, 4096), error.what()), error.log());
  }
}

RopeSpec spec_of_layer(const ModelRopes& model, std::int64_t layer, RopeRole role) {
  if (const RopeSpec* spec = model.find(layer, role)) return *spec;
  throw bad_argument("--layer: found {}, where nothing of role {} rotates, allowed: a layer with a rotation", layer,
                     to_string(role));
}

RopeSpec spec_of_role(const ModelRopes& model, RopeRole role) {
  if (role == RopeRole::main) return model.single();
  const std::vector<RopeSpec>& specs = model.specs(role);
  if (specs.size() == 1) return specs.front();
  throw bad_argument("--role: found {}, of which the model has {}, allowed: a role with one rotation, or --layer",
                     to_string(role), specs.size());
}

// The tokens that a config says its model takes.
std::optional<std::int64_t> context_of(std::string_view text) {
  const llvm::json::Object object = parse_json_object(text);
  std::optional<ObjectReader> reader(object);
  for (const char* part : {"", "thinker_config", "text_config"}) {
    if (*part != '\0') reader = reader->find_object(part) ? reader->find_object(part) : reader;
    if (const auto length = reader->find_int("max_position_embeddings", kContextLength)) return length;
  }
  return std::nullopt;
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
  std::vector<std::string_view> names;
  for (const Named<Enum>& one : kNames<Enum>) names.emplace_back(one.name);
  const std::optional<std::size_t> place = arguments.choice(flag, names);
  return place ? std::optional<Enum>(kNames<Enum>[*place].value) : std::nullopt;
}

template <typename T>
void override_with(const std::optional<T>& given, T& field) {
  if (given) field = *given;
}

}  // namespace

ModelCase read_model_case(std::string_view what, const std::string& path, const Arguments& arguments) {
  const std::optional<std::int64_t> layer = read_layer(arguments);
  const RopeRole role = read_role(arguments);
  return with_model_text(what, path, [&](const std::string& text) {
    ModelCase result;
    if (has_schema(text)) {
      if (what == "--model" && arguments.has("--as")) {
        throw bad_argument("--as: found with a spec, allowed: with a model's config.json");
      }
      result.spec = RopeSpec::from_json(text);
      return result;
    }
    const ModelRopes model = read_model_ropes(text, read_model_options(arguments), !layer && role == RopeRole::main);
    warn_of_model(path, model.warnings());
    result.spec = layer ? spec_of_layer(model, *layer, role) : spec_of_role(model, role);
    result.context = context_of(text);
    return result;
  });
}

Flag as_flag() {
  return {"--as", "TYPE", "read a config.json as one of this model type, such as llama, whatever it says; warns"};
}

ModelOptions read_model_options(const Arguments& arguments) {
  ModelOptions options;
  options.as = arguments.text("--as");
  return options;
}

std::vector<Flag> layer_flags() {
  return {
      as_flag(),
      {"--layer", "N", "the layer that is meant, from 0, where a model's layers differ"},
      {"--role", "ROLE", "main, indexer or vision: what in the layer is meant (main)"},
  };
}

std::optional<std::int64_t> read_layer(const Arguments& arguments) {
  if (!arguments.has("--layer")) return std::nullopt;
  return arguments.integer("--layer", 0, 0, std::numeric_limits<std::int32_t>::max());
}

RopeRole read_role(const Arguments& arguments) {
  return chosen_of(arguments, "--role", std::array{RopeRole::main, RopeRole::indexer, RopeRole::vision})
      .value_or(RopeRole::main);
}

std::vector<Flag> case_flags() {
  const std::vector<Flag> model = {{"--model", "FILE", "a Hugging Face config.json, or a spec (JSON with \"schema\")"}};
  const std::vector<Flag> others = {
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
  return joined({model, layer_flags(), others});
}

Case read_case(const Arguments& arguments) {
  // Options first: a typing error need not wait for a file.
  const std::int64_t tokens = arguments.integer("--tokens", 4096, 1, std::numeric_limits<std::int32_t>::max());
  Case result = read_case_of_any_size(arguments);
  result.tokens = tokens;
  return result;
}

Case read_case_of_any_size(const Arguments& arguments) {
  Case result;
  const std::string path = arguments.required("--model", "config.json");
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

  result.spec = read_model_case("--model", path, arguments).spec;
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
  const std::string path = arguments.required("--model", "config.json");
  return with_model_text("--model", path, [&](const std::string& text) {
    if (has_schema(text)) throw bad_argument("--layers: found a spec, allowed: a model's config.json");
    ModelRopes model = ModelRopes::from_hf_config(text, read_model_options(arguments));
    warn_of_model(path, model.warnings());
    return model;
  });
}

Flag variant_flag() { return {"--variant", "ID", "how, e.g. flat_v16_h8_t128 (what serves --tokens by default)"}; }

Variant default_variant_for(const KernelClass& kernel_class, std::int64_t tokens) {
  return variant_at(default_variants(kernel_class, kAssumedMultiprocessors), tokens);
}

Variant read_variant(const Arguments& arguments, const KernelClass& kernel_class, std::int64_t tokens) {
  const std::optional<std::string> name = arguments.text("--variant");
  if (!name) return default_variant_for(kernel_class, tokens);
  const std::optional<Variant> variant = parse_variant(*name);
  const std::string problem = variant ? why_illegal(kernel_class, *variant) : "not the name of a variant";
  if (problem.empty()) return *variant;
  const std::vector<Variant> space = variant_space(kernel_class);
  throw bad_argument(
      "--variant: found {}: {}; allowed: FAMILY_vBYTES_hHEADS_tTHREADS, of flat, lanes "
      "and shared, {} here such as {}, and {}",
      quoted(*name), problem, space.size(), to_string(space.front()), to_string(universal_variant(kernel_class)));
}

std::vector<Flag> service_flags() {
  return {
      {"--device", "DEVICE", "auto, cuda, cuda:N or host ($ROPEJIT_DEVICE, else auto)"},
      {"--cache-dir", "DIR", "where binaries are kept; empty: nowhere (see `ropejit cache path`)"},
      {"--on-miss", "WAY", "compile, generic or error: where no cache has a binary ($ROPEJIT_ON_MISS, else compile)"},
  };
}

ServiceOptions read_options(const Arguments& arguments) {
  ServiceOptions options;
  options.device = arguments.text("--device");
  options.cache_dir = arguments.text("--cache-dir");
  options.on_miss = chosen<OnMiss>(arguments, "--on-miss");
  options.warn = [](std::string_view line) { print_error_line(fmt::format("ropejit: warning: {}", line)); };
  return options;
}

}  // namespace ropejit::internal
