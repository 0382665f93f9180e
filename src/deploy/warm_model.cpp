#include "deploy/warm_model.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <set>

#include "hf/model.hpp"
#include "spec/read_spec.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kSchema{1, 1};
constexpr std::string_view kManifestSuffix = ".json";
constexpr std::string_view kModelsFile = "models.json";

WarmRope read_rope(const ObjectReader& reader) {
  WarmRope rope;
  rope.spec = read_spec(reader, {"replicated"});
  if (reader.has("dtype")) throw Error(ErrorCode::parse_error, "manifest", "dtype: found one, allowed: none here");
  rope.replicated = reader.find_bool("replicated").value_or(false);
  return rope;
}

void read_ropes(const ObjectReader& reader, const std::string& where, WarmModel& model, Problems& problems) {
  const llvm::json::Value& value = *reader.find("ropes");
  const llvm::json::Array* array = value.getAsArray();
  if (array == nullptr || array->empty()) {
    problems.add(fmt::format("{}.ropes: found {}, allowed: an array of specs without dtype", where, describe(value)));
    return;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    const std::string place = fmt::format("{}.ropes[{}]", where, i);
    const llvm::json::Object* rope = (*array)[i].getAsObject();
    if (rope == nullptr) {
      problems.add(fmt::format("{}: found {}, allowed: a spec without dtype", place, describe((*array)[i])));
      continue;
    }
    problems.attempt(place, [&] { model.ropes.push_back(read_rope(ObjectReader(*rope))); });
  }
}

}  // namespace

std::optional<std::string_view> shipped_manifest(std::string_view name) {
  for (const TextFile& file : shipped_manifests()) {
    if (file.name.size() == name.size() + kManifestSuffix.size() && file.name.starts_with(name)) return file.text;
  }
  return std::nullopt;
}

std::vector<std::string> shipped_manifest_names() {
  std::vector<std::string> names;
  for (const TextFile& file : shipped_manifests()) {
    if (file.name != kModelsFile) names.emplace_back(file.name.substr(0, file.name.size() - kManifestSuffix.size()));
  }
  llvm::sort(names);
  return names;
}

llvm::json::Object parse_json_object(std::string_view text, Problems& problems) {
  std::vector<std::string> twice;
  llvm::json::Object object = parse_json_object(text, twice);
  for (std::string& line : twice) problems.add(std::move(line));
  return object;
}

WarmModel read_warm_model(const llvm::json::Object& object, const std::string& where, Problems& problems) {
  const ObjectReader reader(object);
  WarmModel model;
  problems.attempt(where, [&] {
    reader.reject_unknown_keys({"name", "family", "ropes", "config", "as", "prologue", "source", "note"});
  });
  problems.attempt(where, [&] { model.name = reader.get_string("name", "a string"); });
  problems.attempt(where, [&] { model.family = reader.find_string("family", "a string").value_or(""); });
  if (reader.has("ropes") == reader.has("config")) {
    problems.add(fmt::format("{}: found {} of ropes and config, allowed: one of them", where,
                             reader.has("ropes") ? "both" : "none"));
    return model;
  }
  if (reader.has("ropes") && reader.has("prologue")) {
    problems.add(fmt::format("{}.prologue: found it beside ropes, allowed: beside config", where));
  }
  if (reader.has("ropes")) {
    read_ropes(reader, where, model, problems);
  } else {
    problems.attempt(where + ".config", [&] {
      ModelOptions options;
      options.as = reader.find_string("as", "a model type");
      options.prologue = reader.find_bool("prologue").value_or(false);
      const ModelRopes ropes = read_model_ropes(reader.get_object("config").object(), options, false);
      model.ropes = warm_ropes_of(ropes, options.prologue);
      model.warnings = ropes.warnings();
    });
  }
  return model;
}

std::vector<WarmRope> warm_ropes_of(const ModelRopes& model, bool prologues) {
  std::vector<WarmRope> ropes;
  if (prologues) {
    for (const RopeSpec& spec : model.specs()) ropes.push_back({.spec = spec, .of_prologue = true});
    return ropes;
  }
  for (const RopeRole role : {RopeRole::main, RopeRole::indexer, RopeRole::vision}) {
    try {
      for (const RopeSpec& spec : model.specs(role))
        ropes.push_back({.spec = spec, .replicated = role == RopeRole::indexer});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
    }
  }
  return ropes;
}

std::vector<WarmModel> read_model_list(std::string_view text, Problems& problems) {
  std::vector<WarmModel> models;
  problems.attempt("", [&] {
    const llvm::json::Object object = parse_json_object(text, problems);
    const ObjectReader reader(object);
    problems.attempt("", [&] { reader.reject_unknown_keys({"schema", "note", "models"}); });
    problems.attempt("", [&] { reader.get_int("schema", kSchema); });
    const llvm::json::Value* list = reader.find("models");
    if (list == nullptr || list->getAsArray() == nullptr) {
      problems.add(fmt::format("models: found {}, allowed: an array of models", list ? describe(*list) : "nothing"));
      return;
    }
    std::set<std::string> names;
    for (std::size_t i = 0; i < list->getAsArray()->size(); ++i) {
      const llvm::json::Value& value = (*list->getAsArray())[i];
      const std::string where = fmt::format("models[{}]", i);
      if (value.getAsObject() == nullptr) {
        problems.add(fmt::format("{}: found {}, allowed: a model", where, describe(value)));
        continue;
      }
      WarmModel model = read_warm_model(*value.getAsObject(), where, problems);
      if (!names.insert(model.name).second) {
        problems.add(fmt::format("{}: found {} a second time, allowed: once", where, quoted(model.name)));
      }
      models.push_back(std::move(model));
    }
  });
  return models;
}

const std::vector<WarmModel>& shipped_models() {
  static const std::vector<WarmModel> models = [] {
    Problems problems;
    std::vector<WarmModel> read = read_model_list(shipped_manifest("models").value_or(""), problems);
    if (problems.empty()) return read;
    throw Error(ErrorCode::internal, "manifest", "models.json: " + problems.lines().front());
  }();
  return models;
}

}  // namespace ropejit::internal
