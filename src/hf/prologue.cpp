#include "hf/prologue.hpp"

#include <fmt/format.h>

#include <cmath>

#include "hf/keys.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kSharedLayers = "num_kv_shared_layers";

Error refusal(llvm::StringRef type, const char* what) {
  return field_error(ErrorCode::unsupported, "prologue", fmt::format("{}, {}", std::string_view(type), what),
                     "families whose attention has a prologue that this version builds (docs/models.md)");
}

// As Python takes it: any number but 0 is true.
bool is_true(const llvm::json::Value& value) { return !says_nothing(value) && value.getAsNumber() != 0.0; }

// Whether the attention has what the family may have.
bool is_on(const ObjectReader& config, const HfNorm& norm) {
  if (norm.kind == HfNormKind::none) return false;
  if (*norm.if_key == '\0') return true;
  const llvm::json::Value* value = config.find(norm.if_key);
  return value == nullptr ? norm.if_absent : is_true(*value);
}

// The least root of an L2 norm is the distance from 1 to the next number of the dtype.
double machine_epsilon(DType dtype) {
  switch (dtype) {
    case DType::bf16: return std::ldexp(1.0, -7);
    case DType::fp16: return std::ldexp(1.0, -10);
    case DType::fp32: return std::ldexp(1.0, -23);
  }
  return 0;
}

double read_eps(const ObjectReader& config, const HfNorm& norm, DType dtype) {
  if (norm.kind == HfNormKind::l2) return machine_epsilon(dtype);
  for (const char* key : norm.eps_keys) {
    if (const auto eps = config.find_number(key, kEps)) return *eps;
  }
  return norm.eps;
}

NormSpan read_span(const ObjectReader& config, const HfNorm& norm) {
  if (*norm.span_key == '\0') return norm.span;
  static constexpr const char* kAllowed = "qwen3, olmo";
  const std::string kind = config.find_string(norm.span_key, kAllowed).value_or("qwen3");
  if (kind == "olmo") return NormSpan::token;
  if (kind == "qwen3") return NormSpan::head;
  throw field_error(ErrorCode::unsupported, config.path(norm.span_key), kind, kAllowed);
}

Norm read_norm(const ObjectReader& config, const HfNorm& known, DType dtype) {
  Norm norm;
  norm.eps = read_eps(config, known, dtype);
  if (known.kind == HfNormKind::layer) norm.kind = NormKind::layer;
  if (known.kind == HfNormKind::l2) norm.kind = NormKind::l2;
  norm.span = read_span(config, known);
  norm.weight = norm.span == NormSpan::token ? NormWeight::heads : known.weight;
  norm.plus_one = known.plus_one;
  norm.bias = known.bias;
  return norm;
}

// Ranks have a part of the heads each, and the statistic is of all of them.
Norm of_rank(Norm norm, std::int64_t heads, const HfPrologueLayer& layer, std::int64_t tp) {
  if (norm.span != NormSpan::token || tp == 1) return norm;
  if (norm.kind != NormKind::rms) {
    throw field_error(ErrorCode::unsupported, "tp",
                      fmt::format("{} for {}, whose LayerNorm is over all heads", tp, std::string_view(layer.type)),
                      "1");
  }
  norm.statistic = Statistic::given_sum;
  norm.global_heads = heads;
  return norm;
}

// Null, which find() does not tell from absent, stands for 1.
double read_scale(const ObjectReader& config, const HfScale& scale, std::int64_t head_dim) {
  if (*scale.key == '\0') {
    return scale.head_dim_power == 0 ? scale.otherwise : std::pow(static_cast<double>(head_dim), scale.head_dim_power);
  }
  if (config.object().get(scale.key) == nullptr) return scale.otherwise;
  return config.find_fp32(scale.key, Fp32Range{}).value_or(1);
}

// What stands behind the rotation where the order is not the usual one.
void set_order(const HfFamily& family, Operand& operand) {
  const bool norm_after = operand.norm && family.norm.after;
  const bool scale_after = operand.scale && family.scale->after;
  if (!norm_after && !scale_after) return;
  if (operand.norm && !norm_after) operand.order.push_back(StageName::norm);
  if (operand.clamp) operand.order.push_back(StageName::clamp);
  if (operand.scale && !scale_after) operand.order.push_back(StageName::scale);
  if (operand.head_scales) operand.order.push_back(StageName::head_scale);
  if (operand.rotates.value_or(true)) operand.order.push_back(StageName::rotate);
  if (norm_after) operand.order.push_back(StageName::norm);
  if (scale_after) operand.order.push_back(StageName::scale);
  if (operand.temperature) operand.order.push_back(StageName::temperature);
}

// Whether q has stages that follow its rotation.
bool has_stages_behind(const HfFamily& family, const Operand& q) {
  return q.temperature || (q.norm && family.norm.after) || (q.scale && family.scale->after);
}

void add_norms(const ObjectReader& config, const HfFamily& family, const HfPrologueLayer& layer,
               const ModelOptions& options, RopeSpec& spec) {
  const HfNorm& known = family.norm;
  if (!is_on(config, known) || (known.where_rotating && !layer.rotates)) return;
  const Norm norm = read_norm(config, known, spec.dtype);
  spec.q.norm = of_rank(norm, layer.heads.q_heads, layer, options.tp);
  if (spec.k) spec.k->norm = of_rank(norm, layer.heads.kv_heads, layer, options.tp);
  if (spec.v && known.of_v) {
    spec.v->norm = Norm{norm.eps};
    spec.v->norm->weight = NormWeight::none;
  }
  if (!options.parity) return;
  spec.round_after = known.rounds;
  if (norm.weight == NormWeight::none) spec.round_after.weight = false;
}

void add_scales(const ObjectReader& config, const HfFamily& family, RopeSpec& spec) {
  if (!family.scale) return;
  const HfScale& known = *family.scale;
  const double scale = read_scale(config, known, spec.q.head_dim);
  if (scale != 1) {
    if (known.of_q) spec.q.scale = scale;
    if (known.of_k && spec.k) spec.k->scale = scale;
    if (known.of_v && spec.v) spec.v->scale = scale;
  }
  if (known.by_heads_of_k && spec.k) spec.k->head_scales = true;
}

void add_clamps(const ObjectReader& config, const HfFamily& family, RopeSpec& spec) {
  if (*family.clamp_key == '\0') return;
  const std::optional<double> clamp = config.find_number(family.clamp_key, PositiveRange{});
  spec.q.clamp = clamp;
  if (spec.k) spec.k->clamp = clamp;
  if (spec.v) spec.v->clamp = clamp;
}

Operand v_of(const ObjectReader& config, const HfFamily& family, const Operand& k) {
  Operand v{k.heads, k.head_dim};
  if (*family.v_head_dim_key == '\0') return v;
  v.head_dim = config.find_int(family.v_head_dim_key, kHeadDim).value_or(family.v_head_dim);
  return v;
}

}  // namespace

void add_hf_prologue(const ObjectReader& config, const HfFamily& family, const HfPrologueLayer& layer,
                     const ModelOptions& options, RopeSpec& spec) {
  if (family.latent) throw refusal(layer.type, "whose attention is latent");
  if (family.norm.kind == HfNormKind::unknown) throw refusal(layer.type, "whose norms are not known");
  if (family.norm.kind == HfNormKind::not_built && is_on(config, family.norm)) {
    throw refusal(layer.type, family.norm.what);
  }
  if (!layer.rotates && *family.still_layers_have != '\0') throw refusal(layer.type, family.still_layers_have);
  if (layer.shares_kv) {
    spec.k.reset();
  } else {
    spec.v = v_of(config, family, *spec.k);
  }
  if (family.gated) spec.gate = Operand{spec.q.heads, spec.q.head_dim};
  add_norms(config, family, layer, options, spec);
  add_scales(config, family, spec);
  add_clamps(config, family, spec);
  if (family.temperature != nullptr) spec.q.temperature = family.temperature(config, layer.rotates);
  set_order(family, spec.q);
  if (spec.k) set_order(family, *spec.k);
  if (!options.parity) return;
  if (family.scale && (spec.q.scale || (spec.k && (spec.k->scale || spec.k->head_scales)) || (spec.v && spec.v->scale)))
    spec.round_after.scale = true;
  spec.round_after.rotation = layer.rotates && has_stages_behind(family, spec.q);
  spec.round_after.tau = spec.q.temperature && family.rounds_tau;
}

std::int64_t read_shared_kv_layers(const ObjectReader& config, const HfFamily& family, std::int64_t layers) {
  if (!family.shared_kv_layers) return 0;
  const IntRange range{0, layers};
  const std::int64_t shared = config.find_int(kSharedLayers, range).value_or(*family.shared_kv_layers);
  if (!range.contains(shared)) throw missing_field(config.path(kSharedLayers), range.describe());
  return shared;
}

bool is_v_of_k(const ObjectReader& config, const HfFamily& family) {
  if (*family.v_is_k_key == '\0') return false;
  return config.find_bool(family.v_is_k_key).value_or(false);
}

std::vector<std::string> unread_norm_keys(const ObjectReader& config, const HfFamily& family) {
  const HfNorm& norm = family.norm;
  std::vector<std::string> lines;
  for (const llvm::StringRef key :
       {"attention_value_scale", "attn_temperature_tuning", "clip_qkv", "key_multiplier", kSharedLayers,
        "qk_layer_norms", "qk_layernorm", "qk_norm", "qk_scale_factor", "use_qk_layernorm", "use_qk_norm"}) {
    const llvm::json::Value* value = config.find(key);
    const bool reads_it = key == norm.if_key || key == family.clamp_key || (family.scale && key == family.scale->key) ||
                          (key == kSharedLayers && family.shared_kv_layers) ||
                          (key == "attn_temperature_tuning" && family.temperature != nullptr);
    if (value == nullptr || reads_it) continue;
    const bool has_it = norm.kind != HfNormKind::none && *norm.if_key == '\0' && key.contains("norm");
    if (is_true(*value) == has_it || value->getAsNumber() == 1.0) continue;
    lines.push_back(
        fmt::format("{}: found {}, which nothing reads in a model of this type", config.path(key), describe(*value)));
  }
  return lines;
}

}  // namespace ropejit::internal
