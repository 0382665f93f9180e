// What a Hugging Face config.json says about the rotary embeddings of a model, refused rather than guessed.
#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/hf_model.hpp"
#include "spec/hf_rope_dict.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit {
namespace internal {
namespace {

constexpr IntRange kHiddenSize{1, std::int64_t{1} << 40};
constexpr const char* kOneRotation = "a model whose layers share one rotation that this version builds";

// A key that, where it is set, makes the rotation depend on the layer or on something this version does not read.
constexpr std::string_view kUnsupportedKeys[] = {
    "compress_rope_theta",  "force_rope",       "global_head_dim", "global_rope_theta",
    "layer_rope_theta",     "local_rope_theta", "no_rope_layers",  "qk_rope_head_dim",
    "rope_local_base_freq", "rope_ratio",       "swa_rope_theta",  "xdrope_section",
};

// Whether the family gives the key a meaning that this version knows.
bool is_known(const HfFamily& family, std::string_view key) {
  if (key == "qk_rope_head_dim") return family.latent;
  if (key == "no_rope_layers") return family.no_rope_list;
  return family.two_thetas != nullptr && (key == family.two_thetas->full_key || key == family.two_thetas->local_key);
}

void refuse_unsupported_keys(const ObjectReader& config, const HfFamily& family) {
  for (const std::string_view key : kUnsupportedKeys) {
    const llvm::json::Value* value = config.find(key);
    if (value == nullptr || value->getAsBoolean() == false || is_known(family, key)) continue;
    throw field_error(ErrorCode::unsupported, config.path(key), describe(*value), kOneRotation);
  }
  if (config.find_bool("alibi").value_or(false)) {
    throw field_error(ErrorCode::unsupported, config.path("alibi"), "true", "a model with a rotary embedding");
  }
  if (family.layout == Layout::split_half && !family.deinterleaves &&
      config.find_bool("rope_interleave").value_or(false)) {
    throw field_error(ErrorCode::unsupported, config.path("rope_interleave"), "true", kOneRotation);
  }
  const std::optional<std::string> kind = config.find_string("position_embedding_type", "rope, rotary");
  if (kind && *kind != "rope" && *kind != "rotary") {
    throw field_error(ErrorCode::unsupported, config.path("position_embedding_type"), quoted(*kind), "rope, rotary");
  }
}

HfFamily supported_family(const ObjectReader& config, HfFamily otherwise) {
  const std::optional<std::string> type = config.find_string("model_type", "a string");
  if (!type) return otherwise;
  const HfFamily family = hf_family(*type);
  if (family.refusal == nullptr) return family;
  throw field_error(ErrorCode::unsupported, config.path("model_type"),
                    fmt::format("{}, {}", quoted(*type), family.refusal), kOneRotation);
}

// The usual name of a size, or GPT-J's where the family has it.
const char* key_of(const ObjectReader& config, const HfFamily& family, const char* usual, const char* gpt_j) {
  return family.gpt_j_names && !config.has(usual) && config.has(gpt_j) ? gpt_j : usual;
}

std::int64_t read_kv_heads(const ObjectReader& config, const HfFamily& family, std::int64_t q_heads) {
  if (family.falcon_heads) {
    const bool grouped_heads = config.find_bool("new_decoder_architecture").value_or(false);
    if (!grouped_heads && config.find_bool("multi_query").value_or(true)) return 1;
    return config.find_int("num_kv_heads", kHeads).value_or(q_heads);
  }
  if (const auto heads = config.find_int("num_key_value_heads", kHeads)) return *heads;
  return config.find_bool("multi_query").value_or(false) ? 1 : q_heads;
}

std::int64_t read_head_dim(const ObjectReader& config, const HfFamily& family, std::int64_t q_heads) {
  if (family.needs_head_dim) return config.get_int("head_dim", kHeadDim);
  if (const auto head_dim = config.find_int("head_dim", kHeadDim)) return *head_dim;
  const char* key = key_of(config, family, "hidden_size", "n_embd");
  const std::int64_t hidden_size = config.get_int(key, kHiddenSize);
  if (hidden_size % q_heads != 0) {
    throw field_error(ErrorCode::invalid_argument, config.path(key), fmt::format("{}", hidden_size),
                      fmt::format("a multiple of the {} attention heads, where head_dim is absent", q_heads));
  }
  const std::int64_t head_dim = hidden_size / q_heads;
  if (!kHeadDim.contains(head_dim)) {
    throw field_error(ErrorCode::invalid_argument, config.path("head_dim"),
                      fmt::format("{}, which is {} {} over {} heads", head_dim, key, hidden_size, q_heads),
                      kHeadDim.describe());
  }
  return head_dim;
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

// How many of the lanes rotate, under any of its names.
std::optional<SourcedNumber> read_fraction(const ObjectReader& config, const HfRopeDict& dict) {
  std::optional<SourcedNumber> fraction = dict.fraction;
  for (const char* key : {"partial_rotary_factor", "rotary_pct", "rope_pct", "rotary_emb_fraction"}) {
    take(fraction, config, key, kFraction);
  }
  return fraction;
}

std::int64_t read_rotary_dim(const ObjectReader& config, const HfFamily& family,
                             const std::optional<SourcedNumber>& fraction, std::int64_t head_dim) {
  std::optional<std::int64_t> of_fraction;
  if (fraction) of_fraction = rotary_dim_of_fraction(head_dim, fraction->value, fraction->field.c_str());
  const std::optional<std::int64_t> lanes = config.find_int("rotary_dim", IntRange{2, head_dim, true});
  if (lanes && of_fraction && *lanes != *of_fraction) {
    throw field_error(ErrorCode::invalid_argument, config.path("rotary_dim"), fmt::format("{}", *lanes),
                      fmt::format("{}, which {} {} gives", *of_fraction, fraction->field, fraction->value));
  }
  if (lanes) return *lanes;
  if (of_fraction) return *of_fraction;
  if (family.needs_fraction) {
    throw missing_field(config.path(family.gpt_j_names ? "rotary_dim" : "partial_rotary_factor"),
                        family.gpt_j_names ? kRotaryDim.describe() : kFraction.describe());
  }
  return head_dim;
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

// The object that describes the language model: the config itself, or text_config of a model with several parts.
ObjectReader language_model(const ObjectReader& top) {
  if (top.has("num_attention_heads") || top.has("n_head")) return top;
  return top.find_object("text_config").value_or(top);
}

// A rank's share of the heads.
std::int64_t share_q_heads(const ObjectReader& config, std::int64_t heads, std::int64_t tp) {
  if (heads % tp == 0) return heads / tp;
  throw field_error(ErrorCode::invalid_argument, "tp", fmt::format("{}", tp),
                    fmt::format("a divisor of {} {}", config.path("num_attention_heads"), heads));
}

std::int64_t share_kv_heads(const ObjectReader& config, std::int64_t heads, std::int64_t tp) {
  if (heads % tp == 0) return heads / tp;
  if (tp % heads == 0) return 1;
  throw field_error(ErrorCode::invalid_argument, "tp", fmt::format("{}", tp),
                    fmt::format("a divisor or a multiple of {} {}", config.path("num_key_value_heads"), heads));
}

// Latent attention: a rotating slice beside lanes that do not rotate, for k in the row that all heads share.
void read_latent_operands(const ObjectReader& config, RopeSpec& spec) {
  const std::int64_t rotary_dim = config.get_int("qk_rope_head_dim", kRotaryDim);
  const std::int64_t still = config.get_int("qk_nope_head_dim", kFirstLane);
  const std::int64_t latent = config.get_int("kv_lora_rank", kFirstLane);
  spec.rotary_dim = rotary_dim;
  spec.q.head_dim = still + rotary_dim;
  spec.q.first_lane = still;
  spec.k = Operand{1, latent + rotary_dim, latent};
}

void read_operands(const ObjectReader& config, const HfFamily& family, const HfRopeDict& dict, std::int64_t tp,
                   RopeSpec& spec) {
  const std::int64_t q_heads = config.get_int(key_of(config, family, "num_attention_heads", "n_head"), kHeads);
  spec.q.heads = share_q_heads(config, q_heads, tp);
  if (family.latent) return read_latent_operands(config, spec);
  spec.q.head_dim = read_head_dim(config, family, q_heads);
  const std::int64_t kv_heads = share_kv_heads(config, read_kv_heads(config, family, q_heads), tp);
  spec.k = Operand{kv_heads, spec.q.head_dim, 0};
  const std::optional<SourcedNumber> fraction = read_fraction(config, dict);
  if (auto* rule = std::get_if<ProportionalScaling>(&spec.scaling)) {
    // The fraction is the rule's: all lanes of the head form its pairs.
    if (fraction) rule->partial_rotary_factor = fraction->value;
    spec.rotary_dim = spec.q.head_dim;
  } else {
    spec.rotary_dim = read_rotary_dim(config, family, fraction, spec.q.head_dim);
  }
}

// The rope dictionary of the layers of one kind.
HfRopeDict dict_of_kind(const ObjectReader& config, const HfFamily& family, const std::vector<HfLayer>& layers,
                        const std::string& kind) {
  HfRopeDict dict;
  if (const auto nested = find_nested_rope_dicts(config, layers)) {
    dict = read_nested_rope_dict(nested->get_object(kind), config, family);
  } else {
    dict = read_hf_rope_dict(config, family);
    if (family.two_thetas == nullptr) return dict;
    if (dict.theta) {
      throw field_error(ErrorCode::unsupported, dict.theta->field, fmt::format("{}", dict.theta->value),
                        "one for each kind of layer");
    }
    dict.of_layer_kind = true;
    if (kind != "full_attention" && !family.two_thetas->scales_local) dict.scaling = NoScaling{};
  }
  if (family.two_thetas == nullptr || dict.theta) return dict;
  const bool full = kind == "full_attention";
  const char* key = full ? family.two_thetas->full_key : family.two_thetas->local_key;
  const double otherwise = full ? family.two_thetas->full : family.two_thetas->local;
  dict.theta = SourcedNumber{config.find_number(key, kTheta).value_or(otherwise), config.path(key)};
  return dict;
}

}  // namespace

HfModel::HfModel(const llvm::json::Object& object, bool lenient)
    : top_(object),
      config_(language_model(top_)),
      family_(supported_family(config_, supported_family(top_, HfFamily{}))) {
  refuse_unsupported_keys(config_, family_);
  layers_ = read_hf_layers(config_, family_, lenient);
}

bool HfModel::rotates(std::size_t layer) const {
  if (!layers_[layer].rotates) return false;
  const auto nested = find_nested_rope_dicts(config_, layers_);
  const llvm::json::Value* dict = nested ? nested->object().get(layers_[layer].kind) : nullptr;
  return dict == nullptr || dict->kind() != llvm::json::Value::Null;
}

RopeSpec HfModel::spec(const std::string& kind, const ModelOptions& options) const {
  RopeSpec spec;
  spec.layout = family_.layout;
  if (family_.deinterleaves && config_.find_bool("rope_interleave").value_or(true)) {
    spec.layout = Layout::interleaved;
    spec.layout_out = Layout::split_half;
  }
  spec.dtype = options.dtype ? *options.dtype : read_dtype(config_, read_dtype(top_, spec.dtype));
  const HfRopeDict dict = dict_of_kind(config_, family_, layers_, kind);
  spec.scaling = dict.scaling;
  spec.theta = read_theta(config_, family_, dict);
  read_operands(config_, family_, dict, options.tp, spec);
  const bool needs_length =
      std::holds_alternative<DynamicScaling>(spec.scaling) || std::holds_alternative<LongRopeScaling>(spec.scaling);
  if (needs_length) spec.max_length = options.max_model_len;
  spec.validate();
  return spec;
}

}  // namespace internal
}  // namespace ropejit
