#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/hf_model.hpp"
#include "spec/limits.hpp"
#include "spec/names.hpp"
#include "support/field_error.hpp"

namespace ropejit {
inline namespace v0 {

struct ModelRopesBuilder {
  static ModelRopes build(const internal::HfModel& model, const ModelOptions& options) {
    ModelRopes result;
    std::map<std::string, std::size_t> specs_of_kinds;
    const std::vector<internal::HfLayer>& layers = model.layers();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string& kind = layers[i].kind;
      result.kinds_.push_back(kind);
      if (!model.rotates(i)) {
        result.index_.emplace_back();
        continue;
      }
      const auto known = specs_of_kinds.find(kind);
      result.index_.emplace_back(known != specs_of_kinds.end() ? known->second
                                                               : add(model.spec(kind, options), result.specs_));
      specs_of_kinds.emplace(kind, *result.index_.back());
    }
    return result;
  }

  // Kinds that rotate in one way share a spec.
  static std::size_t add(const RopeSpec& spec, std::vector<RopeSpec>& specs) {
    const auto same = std::find(specs.begin(), specs.end(), spec);
    const auto index = static_cast<std::size_t>(same - specs.begin());
    if (same == specs.end()) specs.push_back(spec);
    return index;
  }
};

namespace {

void validate(const ModelOptions& options) {
  constexpr internal::IntRange kRanks{1, 65'536};
  const auto bad = [](const char* field, std::int64_t found, const internal::IntRange& range) {
    return internal::field_error(ErrorCode::invalid_argument, field, fmt::format("{}", found), range.describe());
  };
  if (!kRanks.contains(options.tp)) throw bad("tp", options.tp, kRanks);
  if (options.dtype) internal::require_enum(*options.dtype, "dtype");
  if (options.max_model_len && !internal::kContextLength.contains(*options.max_model_len)) {
    throw bad("max_model_len", *options.max_model_len, internal::kContextLength);
  }
}

ModelRopes read(std::string_view text, const ModelOptions& options, bool lenient) {
  validate(options);
  const llvm::json::Object object = internal::parse_json_object(text);
  return ModelRopesBuilder::build(internal::HfModel(object, lenient), options);
}

void require_layer(std::int64_t layer, std::int64_t layers) {
  const internal::IntRange range{0, layers - 1};
  if (range.contains(layer)) return;
  throw internal::field_error(ErrorCode::invalid_argument, "layer", fmt::format("{}", layer), range.describe());
}

}  // namespace

ModelRopes ModelRopes::from_hf_config(std::string_view text, const ModelOptions& options) {
  return read(text, options, false);
}

RopeSpec RopeSpec::from_hf_config(std::string_view text) { return read(text, ModelOptions{}, true).single(); }

const RopeSpec* ModelRopes::find(std::int64_t layer, RopeRole role) const {
  require_layer(layer, layers());
  if (role != RopeRole::main) {
    throw internal::field_error(ErrorCode::invalid_argument, "role", fmt::format("{}", static_cast<int>(role)), "main");
  }
  const std::optional<std::size_t>& index = index_[static_cast<std::size_t>(layer)];
  return index ? &specs_[*index] : nullptr;
}

const std::string& ModelRopes::kind(std::int64_t layer) const {
  require_layer(layer, layers());
  return kinds_[static_cast<std::size_t>(layer)];
}

RopeSpec ModelRopes::single() const {
  const auto still = static_cast<std::size_t>(std::count(index_.begin(), index_.end(), std::nullopt));
  if (specs_.size() == 1 && still == 0) return specs_.front();
  throw internal::field_error(
      ErrorCode::unsupported, "layers",
      fmt::format("{} rotations, and {} of {} layers without one", specs_.size(), still, index_.size()),
      "a model whose layers share one rotation; ModelRopes has those of each layer");
}

}  // namespace v0
}  // namespace ropejit
