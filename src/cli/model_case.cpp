#include "cli/model_case.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <array>
#include <limits>

#include "cli/output.hpp"
#include "hf/model.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "spec/operand_text.hpp"
#include "spec/scaling_rules.hpp"
#include "support/json.hpp"

namespace ropejit::internal {
namespace {

using Kind = ModelSource::Kind;

constexpr std::int64_t kLast = std::numeric_limits<std::int32_t>::max();
constexpr std::array kRoles = {RopeRole::main, RopeRole::indexer, RopeRole::vision};

// On stderr, with the file or the known model that they are about.
void warn_of_model(const ModelSource& source, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) print_error_line(fmt::format("ropejit: warning: {}: {}", source.name, line));
}

// Calls `read` with the text; its errors then name the file.
template <typename Read>
auto with_text_of(const ModelSource& source, const Read& read) {
  try {
    return read(source.text);
  } catch (const Error& error) {
    throw Error(error.code(), error.stage(), fmt::format("{}: {}", source.name, error.what()), error.log());
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

ModelCase case_of_config(const ModelSource& source, const ModelPart& part) {
  return with_text_of(source, [&](const std::string& text) {
    const RopeRole role = part.role.value_or(RopeRole::main);
    const ModelRopes model = read_model_ropes(text, part.options, !part.layer && role == RopeRole::main);
    warn_of_model(source, model.warnings());
    ModelCase result;
    result.spec = part.layer ? spec_of_layer(model, *part.layer, role) : spec_of_role(model, role);
    result.context = context_of(text);
    return result;
  });
}

// What tells the rotations of one model apart: "split_half q 8x256 k 4x256 rotary 256 theta 1000000 linear".
std::string rotation_text(const RopeSpec& spec) {
  std::string text = fmt::format("{} q {}", to_string(spec.layout), operand_to_string(spec.q));
  if (spec.k) text += fmt::format(" k {}", operand_to_string(*spec.k));
  text += fmt::format(" rotary {} theta {}", spec.rotary_dim, spec.theta);
  if (!std::holds_alternative<NoScaling>(spec.scaling)) text += fmt::format(" {}", scaling_rule_name(spec.scaling));
  return text;
}

std::string rotations_text(const WarmModel& model) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < model.ropes.size(); ++i) {
    texts.push_back(fmt::format("{} ({})", i, rotation_text(model.ropes[i].spec)));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

// A model of one rotation has nothing to choose: expect_part_of has looked at what was chosen.
std::size_t rotation_of(const WarmModel& model, const std::optional<std::int64_t>& chosen) {
  const std::size_t count = model.ropes.size();
  if (count == 1) return 0;
  if (!chosen) {
    throw bad_argument("--rotation: missing; {} has {} rotations, allowed: {}", model.name, count,
                       rotations_text(model));
  }
  if (*chosen < static_cast<std::int64_t>(count)) return static_cast<std::size_t>(*chosen);
  throw bad_argument("--rotation: found {}, of the {} rotations of {}, allowed: {}", *chosen, count, model.name,
                     rotations_text(model));
}

ModelCase case_of_known(const ModelSource& source, const ModelPart& part) {
  const WarmModel& model = *source.known;
  const std::size_t place = rotation_of(model, part.rotation);
  ModelCase result;
  result.spec = model.ropes[place].spec;
  result.spec.dtype = DType::bf16;
  result.known = {model.name, std::nullopt};
  if (model.ropes.size() > 1) result.known->rotation = place;
  warn_of_model(source, model.warnings);
  return result;
}

}  // namespace

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
      {"--layer", "N", "of a config.json: the layer that is meant, from 0, where a model's layers differ"},
      {"--role", "ROLE", "of a config.json: main, indexer or vision: what in the layer is meant (main)"},
      {"--rotation", "N", "of a name of `ropejit warm --list`: which of its rotations, from 0, where it has several"},
      {"--prologue", "", "of a config.json: all of the attention's prologue: norms, and k and v to pages of a cache"},
  };
}

ModelPart read_model_part(const Arguments& arguments) {
  ModelPart part;
  part.options = read_model_options(arguments);
  part.options.prologue = arguments.has("--prologue");
  if (arguments.has("--layer")) part.layer = arguments.integer("--layer", 0, 0, kLast);
  std::vector<std::string_view> roles;
  for (const RopeRole role : kRoles) roles.emplace_back(to_string(role));
  if (const auto place = arguments.choice("--role", roles)) part.role = kRoles[*place];
  if (arguments.has("--rotation")) part.rotation = arguments.integer("--rotation", 0, 0, kLast);
  return part;
}

void expect_part_of(std::initializer_list<const ModelSource*> sources, const ModelPart& part) {
  const auto any = [&](Kind kind) {
    return llvm::any_of(sources, [&](const ModelSource* source) { return source->kind == kind; });
  };
  const ModelSource& first = **sources.begin();
  if (part.options.as && !any(Kind::config)) {
    throw bad_argument("--as: found with {}, allowed: with a model's config.json", first.to_string());
  }
  if (part.options.prologue && any(Kind::known)) {
    throw bad_argument("--prologue: found with {}, allowed: with a model's config.json, or a spec", first.to_string());
  }
  if ((part.layer || part.role) && !any(Kind::config) && !any(Kind::spec)) {
    throw bad_argument("{}: found with {}, allowed: with a model's config.json (--rotation chooses in a known model)",
                       part.layer ? "--layer" : "--role", first.to_string());
  }
  if (!part.rotation) return;
  if (!any(Kind::known)) {
    throw bad_argument("--rotation: found with {}, allowed: with a name of `ropejit warm --list`{}", first.to_string(),
                       any(Kind::config) ? " (--layer and --role choose in a config.json)" : "");
  }
  const bool has_several = llvm::any_of(
      sources, [](const ModelSource* source) { return source->known != nullptr && source->known->ropes.size() > 1; });
  if (has_several || *part.rotation == 0) return;
  const ModelSource& known = **llvm::find_if(sources, [](const auto* source) { return source->known != nullptr; });
  throw bad_argument("--rotation: found {}, of {}, which has one rotation, allowed: 0", *part.rotation, known.name);
}

ModelCase read_model_case(const ModelSource& source, const ModelPart& part) {
  switch (source.kind) {
    case Kind::config: return case_of_config(source, part);
    case Kind::spec: {
      ModelCase result;
      result.spec = with_text_of(source, [](const std::string& text) { return RopeSpec::from_json(text); });
      return result;
    }
    case Kind::known: break;
  }
  return case_of_known(source, part);
}

ModelRopes read_layers(const Arguments& arguments) {
  const std::string value = arguments.required("--model", "config.json");
  const ModelPart part = read_model_part(arguments);
  const ModelSource source = find_model("--model", value);
  if (source.kind != Kind::config) {
    throw bad_argument(
        "--layers: found {}, allowed: a model's config.json{}", source.to_string(),
        source.kind == Kind::known ? " (a known model has rotations, which --rotation chooses among)" : "");
  }
  expect_part_of({&source}, part);
  return with_text_of(source, [&](const std::string& text) {
    ModelRopes model = ModelRopes::from_hf_config(text, part.options);
    warn_of_model(source, model.warnings());
    return model;
  });
}

void print_taken(std::string_view what, const KnownRotation& known) {
  print_error_line(fmt::format("ropejit: {}: the known model {}{}", what, known.model,
                               known.rotation ? fmt::format(", rotation {}", *known.rotation) : ""));
}

void attribute_known(llvm::json::OStream& json, const std::optional<KnownRotation>& known, std::string_view suffix) {
  if (!known) return;
  attribute(json, fmt::format("model{}", suffix), known->model);
  if (known->rotation) attribute(json, fmt::format("rotation{}", suffix), *known->rotation);
}

}  // namespace ropejit::internal
