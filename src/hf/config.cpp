// What a Hugging Face config.json says about the rotary embeddings of a model, refused rather than guessed.
#include <fmt/format.h>

#include <map>
#include <utility>

#include "hf/axes.hpp"
#include "hf/deepseek_v4.hpp"
#include "hf/model.hpp"
#include "hf/operands.hpp"
#include "hf/refused_keys.hpp"
#include "hf/rope_dict.hpp"
#include "hf/rope_keys.hpp"
#include "hf/unread_keys.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit {
namespace internal {
namespace {

constexpr const char* kFull = "full_attention";

// DeepSeek-V2's code has an ordinary attention too (DeepSeek-OCR): that of a Llama.
HfFamily with_attention_of(const ObjectReader& config, HfFamily family) {
  const std::optional<bool> latent = config.find_bool("use_mla");
  if (!latent || *latent == family.latent) return family;
  if (!family.latent_flag) {
    throw field_error(ErrorCode::unsupported, config.path("use_mla"), *latent ? "true" : "false",
                      family.latent ? "true, for this model type" : "false, for this model type");
  }
  return HfFamily{};
}

double read_theta(const ObjectReader& config, const HfFamily& family, const HfRopeDict& dict) {
  if (dict.of_layer_kind && dict.theta) return dict.theta->value;
  std::optional<SourcedNumber> theta = dict.theta;
  take(theta, config, "rope_theta", kTheta);
  take(theta, config, "rotary_emb_base", kTheta);
  if (theta) return theta->value;
  if (family.needs_theta) throw missing_field(config.path("rope_theta"), kTheta.describe());
  return RopeSpec{}.theta;
}

// bf16 where the config does not say: a caller's tensors decide in the end, and may be set in the spec.
DType read_dtype(const ObjectReader& config, DType otherwise) {
  static constexpr const char* kAllowed = "bfloat16, float16, float32";
  for (const char* key : {"dtype", "torch_dtype"}) {
    const std::optional<std::string> text = config.find_string(key, kAllowed);
    if (!text) continue;
    std::string_view name = *text;
    if (name.substr(0, 6) == "torch.") name.remove_prefix(6);
    if (name == "bfloat16") return DType::bf16;
    if (name == "float16") return DType::fp16;
    if (name == "float32") return DType::fp32;
    throw field_error(ErrorCode::unsupported, config.path(key), quoted(*text), kAllowed);
  }
  return otherwise;
}

// What Gemma 4's class has where a config has no rope_parameters.
HfRopeDict gemma_4_dict(const std::string& kind) {
  HfRopeDict dict;
  dict.of_layer_kind = true;
  dict.theta = SourcedNumber{kind == kFull ? 1e6 : 1e4, "rope_parameters"};
  if (kind == kFull) dict.scaling = ProportionalScaling{1.0, 0.25};
  return dict;
}

// A family whose class knows thetas by kind of layer alone, in a config that has no such.
void require_no_theta_for_all(const ObjectReader& config) {
  for (const char* key : {"rope_theta", "partial_rotary_factor", "rope_parameters", "rope_scaling"}) {
    const llvm::json::Value* value = config.find(key);
    if (value == nullptr) continue;
    throw field_error(ErrorCode::unsupported, config.path(key), describe(*value),
                      "rope_parameters with an object for each kind of layer");
  }
}

// The rope dictionary of the layers of one kind. `nested`: see find_nested_rope_dicts.
HfRopeDict dict_of_kind(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind) {
  if (family.deepseek_v4) return deepseek_v4_dict(config, family, kind);
  const bool has_dict = config.has("rope_parameters") || config.has("rope_scaling");
  if (family.gemma_4 && !nested) {
    require_no_theta_for_all(config);
    return gemma_4_dict(kind);
  }
  if (!has_dict && family.needs_rope_dict) throw missing_field(config.path("rope_parameters"), "an object");
  HfRopeDict dict;
  if (nested) {
    dict = read_nested_rope_dict(nested->get_object(kind), config, family);
  } else {
    if (family.two_thetas != nullptr && *family.two_thetas->full_key == '\0') require_no_theta_for_all(config);
    dict = read_hf_rope_dict(config, family);
    if (family.two_thetas == nullptr) return dict;
    if (dict.theta) {
      throw field_error(ErrorCode::unsupported, dict.theta->field, fmt::format("{}", dict.theta->value),
                        "one for each kind of layer");
    }
    dict.of_layer_kind = true;
    if (kind != kFull && !family.two_thetas->scales_local) dict.scaling = NoScaling{};
  }
  if (family.two_thetas == nullptr || dict.theta) return dict;
  const bool full = kind == kFull;
  const char* key = full ? family.two_thetas->full_key : family.two_thetas->local_key;
  const double otherwise = full ? family.two_thetas->full : family.two_thetas->local;
  if (*key != '\0') {
    dict.theta = SourcedNumber{config.find_number(key, kTheta).value_or(otherwise), config.path(key)};
  } else if (!nested) {
    dict.theta = SourcedNumber{otherwise, config.path("rope_parameters")};
  }
  return dict;
}

}  // namespace

HfModel::HfModel(const llvm::json::Object& object, const std::optional<std::string>& as, bool lenient)
    : parts_(find_hf_parts(ObjectReader(object, {}, &log_))),
      config_(parts_.language),
      type_(read_hf_model_type({parts_.top, parts_.model, config_}, as)),
      family_(with_attention_of(config_, type_.family)) {
  refuse_hf_keys(config_, family_);
  for (const ObjectReader& config : {parts_.top, parts_.model, config_}) refuse_hidden_functions(config, family_);
  layers_ = read_hf_layers(config_, family_, lenient);
  nested_dicts_ = find_nested_rope_dicts(config_, layers_);
}

bool HfModel::rotates(std::size_t layer) const {
  if (!layers_[layer].rotates) return false;
  if (!nested_dicts_)
    return layers_[layer].kind != kFull || family_.two_thetas == nullptr || family_.two_thetas->full != 0;
  const llvm::json::Value* dict = nested_dicts_->object().get(layers_[layer].kind);
  return dict == nullptr || dict->kind() != llvm::json::Value::Null;
}

DType HfModel::dtype(const ModelOptions& options) const {
  return options.dtype ? *options.dtype
                       : read_dtype(config_, read_dtype(parts_.model, read_dtype(parts_.top, RopeSpec{}.dtype)));
}

RopeSpec HfModel::spec(const std::string& kind, const ModelOptions& options) const {
  RopeSpec spec;
  spec.layout = family_.layout;
  if (family_.deinterleaves && (!family_.interleave_flag || config_.find_bool("rope_interleave").value_or(true))) {
    spec.layout = Layout::interleaved;
    spec.layout_out = Layout::split_half;
  }
  if (family_.turns_back) spec.direction = Direction::adjoint;
  spec.dtype = dtype(options);
  const HfRopeDict dict = dict_of_kind(config_, family_, nested_dicts_, kind);
  spec.scaling = dict.scaling;
  spec.theta = read_theta(config_, family_, dict);
  read_hf_operands(config_, family_, dict, kind, options.tp, spec);
  if (family_.axes != nullptr) spec.axes = read_hf_axes(config_, family_, dict.sections, spec.rotary_dim);
  const bool needs_length =
      std::holds_alternative<DynamicScaling>(spec.scaling) || std::holds_alternative<LongRopeScaling>(spec.scaling);
  if (needs_length) spec.max_length = options.max_model_len;
  if (options.parity) {
    spec.rounding = family_.rounding;
    spec.angle = AngleRounding::fp32;
  }
  spec.validate();
  return spec;
}

// The same angles on lanes of its own.
RopeSpec HfModel::indexer_spec(const std::string& kind, const ModelOptions& options) const {
  RopeSpec spec = this->spec(kind, options);
  const std::int64_t head_dim = config_.find_int("index_head_dim", kHeadDim).value_or(family_.indexer->head_dim);
  if (spec.rotary_dim > head_dim) {
    throw field_error(ErrorCode::invalid_argument, config_.path("index_head_dim"), fmt::format("{}", head_dim),
                      fmt::format("{} or more, of which {} lanes rotate", spec.rotary_dim, spec.rotary_dim));
  }
  const std::int64_t first = family_.indexer->last_lanes ? head_dim - spec.rotary_dim : 0;
  spec.q = Operand{config_.find_int("index_n_heads", kHeads).value_or(family_.indexer->heads), head_dim, first};
  spec.k = Operand{1, head_dim, first};
  spec.layout_out.reset();
  spec.layout = family_.layout;
  if (!family_.deepseek_v4 && config_.find_bool("indexer_rope_interleave").value_or(family_.indexer->deinterleaves)) {
    spec.layout = Layout::interleaved;
    spec.layout_out = Layout::split_half;
  }
  // The attention's, not the indexer's.
  if (auto* yarn = std::get_if<YarnScaling>(&spec.scaling)) yarn->scale_softmax = false;
  spec.validate();
  return spec;
}

std::optional<HfVision> HfModel::vision(const ModelOptions& options) const {
  const std::string type = parts_.model.find_string("model_type", "a string").value_or("");
  return read_hf_vision(parts_.model, type, dtype(options), options);
}

std::vector<std::string> HfModel::warnings(ModelOptions options) const {
  std::vector<std::string> lines = type_.warnings;
  options.tp = 1;
  std::map<std::string, RopeSpec> of_kinds;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (rotates(i) && of_kinds.count(layers_[i].kind) == 0) of_kinds[layers_[i].kind] = spec(layers_[i].kind, options);
  }
  std::vector<RopeSpec> specs;
  for (auto& [kind, each] : of_kinds) specs.push_back(std::move(each));
  const std::vector<ObjectReader> configs{parts_.top, parts_.model, config_};
  // Where no layer rotates, nothing was read.
  if (!specs.empty()) {
    for (std::string& line : unread_keys({configs, log_, specs})) lines.push_back(std::move(line));
  }
  for (std::string& line : unread_rope_keys(config_, family_)) lines.push_back(std::move(line));
  for (std::string& line : unbuilt_hf_parts(parts_)) lines.push_back(std::move(line));
  if (const auto* heads = config_.peek("index_n_heads"); family_.indexer == nullptr && heads != nullptr) {
    lines.push_back(fmt::format("{}: found {}, the indexer of a family whose indexer is not known",
                                config_.path("index_n_heads"), describe(*heads)));
  }
  if (family_.deepseek_v4) {
    lines.emplace_back(
        "model_type: DeepSeek-V4 also turns the attention's outputs back (the spec of q with direction inverse), and "
        "compressed keys by positions of their own");
  }
  if (family_.alpha_is_ntk && family_.axes != nullptr) {
    lines.emplace_back(
        "model_type: HunYuan-VL's pairs are dealt to axes whole, as in Tencent's code and vLLM; transformers 5.24 "
        "differs where a token's positions do");
  }
  return lines;
}

}  // namespace internal
}  // namespace ropejit
