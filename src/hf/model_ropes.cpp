#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "hf/model.hpp"
#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/limits.hpp"
#include "spec/names.hpp"
#include "support/field_error.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit {
inline namespace v0 {

struct ModelRopesBuilder {
  static ModelRopes build(const internal::HfModel& model, const ModelOptions& options) {
    ModelRopes result;
    std::map<internal::HfLayerSort, std::optional<std::size_t>> mains;
    std::map<std::string, std::optional<std::size_t>> indexers;
    ModelRopes::Role& main = result.roles_[place(RopeRole::main)];
    ModelRopes::Role& indexer = result.roles_[place(RopeRole::indexer)];
    const std::vector<internal::HfLayer>& layers = model.layers();
    const auto rounded = [&](const RopeSpec& spec) {
      return options.round_as ? rounded_as(spec, *options.round_as) : spec;
    };
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string& kind = layers[i].kind;
      result.kinds_.push_back(kind);
      const std::optional<internal::HfLayerSort> sort = model.sort(i, options);
      add(sort.has_value(), mains[sort.value_or(internal::HfLayerSort{})], main,
          [&] { return rounded(model.spec(*sort, options)); });
      add(model.rotates(i) && layers[i].has_indexer, indexers[kind], indexer,
          [&] { return rounded(model.indexer_spec(kind, options)); });
    }
    std::optional<internal::HfVision> vision = model.vision(options);
    if (vision && vision->spec) vision->spec = rounded(*vision->spec);
    result.warnings_ = model.warnings(options);
    if (vision) add_vision(*vision, result);
    return result;
  }

  static std::size_t place(RopeRole role) { return static_cast<std::size_t>(role); }

 private:
  // A layer's entry; `known`: the spec of its sort, made once. Sorts that come to the same share a spec.
  template <class Make>
  static void add(bool has_spec, std::optional<std::size_t>& known, ModelRopes::Role& role, const Make& make) {
    if (has_spec && !known) known = add_spec(make(), role.specs);
    role.index.push_back(has_spec ? known : std::nullopt);
  }

  static std::size_t add_spec(const RopeSpec& spec, std::vector<RopeSpec>& specs) {
    const auto same = std::find(specs.begin(), specs.end(), spec);
    const auto index = static_cast<std::size_t>(same - specs.begin());
    if (same == specs.end()) specs.push_back(spec);
    return index;
  }

  static void add_vision(const internal::HfVision& vision, ModelRopes& result) {
    if (!vision.spec) {
      result.vision_refusal_ = vision.refusal;
      result.warnings_.push_back(vision.refusal);
      return;
    }
    ModelRopes::Role& role = result.roles_[place(RopeRole::vision)];
    role.specs.push_back(*vision.spec);
    role.index.assign(static_cast<std::size_t>(vision.layers), std::size_t{0});
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
  if (!options.round_as) return;
  internal::require_enum(*options.round_as, "round_as");
  if (options.parity) {
    throw internal::field_error(ErrorCode::invalid_argument, "round_as",
                                fmt::format("{} with parity", to_string(*options.round_as)),
                                "one of round_as and parity");
  }
}

void require_layer(std::int64_t layer, std::int64_t layers) {
  const internal::IntRange range{0, layers - 1};
  if (range.contains(layer)) return;
  throw internal::field_error(ErrorCode::invalid_argument, "layer", fmt::format("{}", layer),
                              layers == 0 ? "nothing: the model has no such layers" : range.describe());
}

}  // namespace

const char* to_string(RopeRole role) noexcept {
  switch (role) {
    case RopeRole::main: return "main";
    case RopeRole::indexer: return "indexer";
    case RopeRole::vision: return "vision";
  }
  return "unknown";
}

ModelRopes ModelRopes::from_hf_config(std::string_view text, const ModelOptions& options) {
  return internal::read_model_ropes(text, options, false);
}

RopeSpec RopeSpec::from_hf_config(std::string_view text, std::vector<std::string>* warnings) {
  const ModelRopes model = internal::read_model_ropes(text, ModelOptions{}, true);
  RopeSpec spec = model.single();
  if (warnings != nullptr) {
    *warnings = model.warnings();
  } else if (!model.warnings().empty()) {
    throw Error(ErrorCode::unsupported, "spec",
                model.warnings().front() + " (from_hf_config goes on where it is given a place for warnings)");
  }
  return spec;
}

const ModelRopes::Role& ModelRopes::of(RopeRole role) const {
  const std::size_t place = ModelRopesBuilder::place(role);
  if (place >= roles_.size()) {
    throw internal::field_error(ErrorCode::invalid_argument, "role", fmt::format("{}", static_cast<int>(role)),
                                "main, indexer, vision");
  }
  if (role == RopeRole::vision && !vision_refusal_.empty())
    throw Error(ErrorCode::unsupported, "spec", vision_refusal_);
  return roles_[place];
}

std::int64_t ModelRopes::layers(RopeRole role) const {
  if (role == RopeRole::vision && !vision_refusal_.empty()) return 0;
  return static_cast<std::int64_t>(of(role).index.size());
}

const RopeSpec* ModelRopes::find(std::int64_t layer, RopeRole role) const {
  const Role& found = of(role);
  require_layer(layer, layers(role));
  const std::optional<std::size_t>& index = found.index[static_cast<std::size_t>(layer)];
  return index ? &found.specs[*index] : nullptr;
}

const std::string& ModelRopes::kind(std::int64_t layer) const {
  require_layer(layer, layers());
  return kinds_[static_cast<std::size_t>(layer)];
}

const std::vector<RopeSpec>& ModelRopes::specs(RopeRole role) const { return of(role).specs; }

RopeSpec ModelRopes::single() const {
  const Role& main = of(RopeRole::main);
  const auto still = static_cast<std::size_t>(std::count(main.index.begin(), main.index.end(), std::nullopt));
  if (main.specs.size() == 1 && still == 0) return main.specs.front();
  throw internal::field_error(
      ErrorCode::unsupported, "layers",
      fmt::format("{} rotations, and {} of {} layers without one", main.specs.size(), still, main.index.size()),
      "a model whose layers share one rotation; ModelRopes has those of each layer");
}

}  // namespace v0

namespace internal {

ModelRopes read_model_ropes(std::string_view text, const ModelOptions& options, bool lenient) {
  return read_model_ropes(parse_json_object(text), options, lenient);
}

ModelRopes read_model_ropes(const llvm::json::Object& config, const ModelOptions& options, bool lenient) {
  const UsualArithmetic arithmetic;
  validate(options);
  return ModelRopesBuilder::build(HfModel(config, options.as, lenient), options);
}

}  // namespace internal
}  // namespace ropejit
