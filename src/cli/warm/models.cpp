#include "cli/warm/models.hpp"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "cli/model_case.hpp"
#include "cli/model_source.hpp"
#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

using Kind = ModelSource::Kind;

WarmModel model_of_config(const ModelSource& source, const ModelOptions& options) {
  const ModelRopes model = ModelRopes::from_hf_config(source.text, options);
  WarmModel read{source.name, {}, warm_ropes_of(model), model.warnings()};
  if (read.ropes.empty()) throw Error(ErrorCode::unsupported, "manifest", "found no rotation in it");
  return read;
}

WarmModel known_model(const ModelSource& source) {
  WarmModel model = *source.known;
  for (WarmRope& rope : model.ropes) rope.spec.dtype = DType::bf16;
  print_taken(source.what, {model.name, std::nullopt});
  return model;
}

// All that can be found, each once, by whatever names.
std::vector<ModelSource> find_models(const Arguments& arguments, Problems& problems) {
  std::vector<std::string> values = {*arguments.text("--hf")};
  values.insert(values.end(), arguments.positional().begin(), arguments.positional().end());
  std::vector<ModelSource> sources;
  std::set<std::string> seen;
  const auto is_new = [&](const std::string& name) {
    if (seen.insert(name).second) return true;
    problems.add(fmt::format("--hf: found {} a second time, allowed: once", quoted(name)));
    return false;
  };
  for (const std::string& value : values) {
    if (!is_new(value)) continue;
    ModelSource source;
    if (!problems.attempt("", [&] { source = find_model("--hf", value); })) continue;
    if (source.name == value || is_new(source.name)) sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

std::vector<WarmModel> read_models(const Arguments& arguments, Problems& problems) {
  const ModelOptions options = read_model_options(arguments);
  const std::vector<ModelSource> sources = find_models(arguments, problems);
  std::vector<WarmModel> models;
  bool reads_config = false;
  for (const ModelSource& source : sources) {
    problems.attempt(source.kind == Kind::known ? "" : source.name, [&] {
      if (source.kind == Kind::spec) throw bad_argument("found a spec, allowed: a model's config.json");
      models.push_back(source.kind == Kind::known ? known_model(source) : model_of_config(source, options));
    });
    reads_config = reads_config || source.kind == Kind::config;
  }
  if (options.as && !reads_config && problems.empty()) {
    problems.add("--as: found with known models, allowed: with a model's config.json");
  }
  return models;
}

}  // namespace ropejit::internal
