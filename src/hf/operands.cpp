#include "hf/operands.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kHiddenSize{1, std::int64_t{1} << 40};

// The usual name of a size, or GPT-J's where the family has it.
const char* key_of(const ObjectReader& config, const HfFamily& family, const char* usual, const char* gpt_j) {
  return family.gpt_j_names && !config.has(usual) && config.has(gpt_j) ? gpt_j : usual;
}

std::int64_t read_kv_heads(const ObjectReader& config, const HfFamily& family, std::int64_t q_heads) {
  if (family.kv_heads != nullptr) return family.kv_heads(config, q_heads);
  if ((family.needs & needs_kv_heads) != 0) return config.get_int("num_key_value_heads", kHeads);
  if (const auto heads = config.find_int("num_key_value_heads", kHeads)) return *heads;
  return family.one_kv_head || config.find_bool("multi_query").value_or(false) ? 1 : q_heads;
}

std::int64_t read_head_dim(const ObjectReader& config, const HfFamily& family, std::int64_t q_heads) {
  // Zamba 2 has one of another meaning.
  if (std::string_view(family.head_dim_key) == "attention_head_dim") config.pass_over({"kv_channels"});
  for (const char* key : {"head_dim", family.head_dim_key}) {
    if (const auto head_dim = config.find_int(key, kHeadDim); head_dim && !family.shares_width) return *head_dim;
  }
  if ((family.needs & needs_head_dim) != 0) throw missing_field(config.path("head_dim"), kHeadDim.describe());
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
  const auto said = config.find_int("head_dim", kHeadDim);
  if (said && *said != head_dim) {
    throw field_error(ErrorCode::unsupported, config.path("head_dim"), fmt::format("{}", *said),
                      fmt::format("{}, the share of a head that the model's class takes", head_dim));
  }
  return head_dim;
}

// How many of the lanes rotate, under any of its names.
std::optional<SourcedNumber> read_fraction(const ObjectReader& config, const HfRopeDict& dict) {
  if (dict.of_layer_kind && dict.fraction) return dict.fraction;
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
  const auto [first, second] = family.lanes_keys;
  const char* key = *second == '\0' || config.has(first) ? first : second;
  const std::optional<std::int64_t> lanes = config.find_int(key, IntRange{2, head_dim, true});
  if (lanes && of_fraction && *lanes != *of_fraction) {
    throw field_error(ErrorCode::invalid_argument, config.path(key), fmt::format("{}", *lanes),
                      fmt::format("{}, which {} {} gives", *of_fraction, fraction->field, fraction->value));
  }
  if (lanes) return *lanes;
  if (of_fraction) return *of_fraction;
  if ((family.needs & needs_lanes) != 0) throw missing_field(config.path(key), kRotaryDim.describe());
  if ((family.needs & needs_fraction) != 0) {
    throw missing_field(config.path("partial_rotary_factor"), kFraction.describe());
  }
  return head_dim;
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
  config.pass_over({"head_dim", "num_key_value_heads", "q_head_dim", "qk_head_dim"});
  spec.rotary_dim = rotary_dim;
  spec.q.head_dim = still + rotary_dim;
  spec.q.first_lane = still;
  spec.k = Operand{1, latent + rotary_dim, latent};
}

}  // namespace

std::int64_t share_q_heads(const std::string& field, std::int64_t heads, std::int64_t tp) {
  if (heads % tp == 0) return heads / tp;
  throw field_error(ErrorCode::invalid_argument, "tp", fmt::format("{}", tp),
                    fmt::format("a divisor of {} {}", field, heads));
}

HfHeads read_hf_heads(const ObjectReader& config, const HfFamily& family, const std::string& kind, std::int64_t tp,
                      RopeSpec& spec) {
  const char* heads_key = key_of(config, family, "num_attention_heads", "n_head");
  const std::int64_t q_heads = config.get_int(heads_key, kHeads);
  if (family.latent) {
    spec.q.heads = share_q_heads(config.path(heads_key), q_heads, tp);
    read_latent_operands(config, spec);
    return HfHeads{spec.q.head_dim, 1, q_heads};
  }
  HfHeads heads{read_head_dim(config, family, q_heads), read_kv_heads(config, family, q_heads), q_heads};
  if (family.heads_of_kind != nullptr) heads = family.heads_of_kind(config, kind, heads);
  spec.q.heads = share_q_heads(config.path(heads_key), heads.q_heads, tp);
  spec.q.head_dim = heads.head_dim;
  spec.k = Operand{share_kv_heads(config, heads.kv_heads, tp), heads.head_dim, 0};
  return heads;
}

void read_hf_rotating_lanes(const ObjectReader& config, const HfFamily& family, const HfRopeDict& dict,
                            RopeSpec& spec) {
  if (family.latent) return;
  const std::optional<SourcedNumber> fraction = read_fraction(config, dict);
  if (auto* rule = std::get_if<ProportionalScaling>(&spec.scaling)) {
    // The fraction is the rule's: all lanes of the head form its pairs.
    if (fraction) rule->partial_rotary_factor = fraction->value;
    spec.rotary_dim = spec.q.head_dim;
  } else {
    spec.rotary_dim = read_rotary_dim(config, family, fraction, spec.q.head_dim);
  }
  if (family.last_lanes) spec.q.first_lane = spec.k->first_lane = spec.q.head_dim - spec.rotary_dim;
}

}  // namespace ropejit::internal
