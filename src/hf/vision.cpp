// The vision tower of a model.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include "hf/family.hpp"
#include "hf/operands.hpp"
#include "hf/parts.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kLayers{1, 65'536};
constexpr const char* kPositions = "the name of a kind of position embedding";
constexpr IntRange kWidth{1, std::int64_t{1} << 40};

// Their patches have learned positions.
constexpr llvm::StringLiteral kNoRotation[] = {
    "chinese_clip_vision_model", "clip_vision_model",    "clipseg_vision_model", "idefics2_vision",
    "idefics3_vision",           "intern_vit_6b",        "internvl_vision",      "janus_vision_model",
    "mllama_vision_model",       "siglip2_vision_model", "siglip_vision_model",  "smolvlm_vision",
};

double read_theta(const ObjectReader& config, const HfTower& tower) {
  double theta = config.find_number("rope_theta", kTheta).value_or(tower.theta);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    for (const char* type_key : {"rope_type", "type"}) {
      const auto type = dict->find_string(type_key, "axial, default");
      if (!type || *type == "axial" || *type == "default") continue;
      throw field_error(ErrorCode::unsupported, dict->path(type_key), quoted(*type), "axial, default");
    }
    theta = dict->find_number("rope_theta", kTheta).value_or(theta);
  }
  return theta;
}

RopeSpec read_tower(const ObjectReader& config, const HfTower& tower, DType dtype, const ModelOptions& options) {
  const std::int64_t heads = config.find_int(tower.heads_key, kHeads).value_or(tower.heads);
  const std::int64_t width = config.find_int(tower.width_key, kWidth).value_or(tower.width);
  if (tower.head_dim == 0 && width % heads != 0) {
    throw field_error(ErrorCode::invalid_argument, config.path(tower.width_key), fmt::format("{}", width),
                      fmt::format("a multiple of the {} heads", heads));
  }
  const IntRange four_parts{4, kHeadDim.max, true};
  const std::int64_t otherwise = tower.head_dim != 0 ? tower.head_dim : width / heads;
  const std::int64_t head_dim = config.find_int("head_dim", four_parts).value_or(otherwise);
  if (!four_parts.contains(head_dim) || head_dim % 4 != 0) {
    throw field_error(ErrorCode::invalid_argument, config.path("head_dim"), fmt::format("{}", head_dim),
                      fmt::format("a multiple of 4 up to {}: two axes share its pairs", kHeadDim.max));
  }
  RopeSpec spec;
  spec.layout = tower.layout;
  spec.dtype = dtype;
  spec.theta = read_theta(config, tower);
  spec.rotary_dim = head_dim;
  spec.q = Operand{share_q_heads(config.path(tower.heads_key), heads, options.tp), head_dim, 0};
  spec.k = spec.q;
  const std::int64_t otherwise_kv = tower.kv_heads != 0 ? tower.kv_heads : heads;
  const std::int64_t kv_heads = config.find_int("num_key_value_heads", kHeads).value_or(otherwise_kv);
  spec.k->heads = share_q_heads(config.path("num_key_value_heads"), kv_heads, options.tp);
  spec.axes.sections = {head_dim / 4, head_dim / 4};
  spec.axes.frequencies = tower.frequencies;
  if (options.parity) {
    spec.rounding = tower.rounding;
    spec.angle = AngleRounding::fp32;
  }
  spec.validate();
  return spec;
}

}  // namespace

std::optional<HfVision> read_hf_vision(const ObjectReader& model, const std::string& model_type, DType dtype,
                                       const ModelOptions& options) {
  const std::optional<ObjectReader> config = model.find_object("vision_config");
  if (!config) return std::nullopt;
  const std::string type = config->find_string("model_type", "a string").value_or(model_type);
  HfVision vision;
  const bool is_still = llvm::is_contained(kNoRotation, type) || has_no_rope(type);
  const HfTower* tower = find_hf_tower(type);
  if (const auto positions = config->find_string("position_embedding_type", kPositions)) {
    const bool turns = *positions == "rope" || *positions == "rotary";
    if (is_still ? turns : tower != nullptr && !turns) {
      vision.refusal = field_error(ErrorCode::unsupported, config->path("position_embedding_type"), quoted(*positions),
                                   fmt::format("what the code of {} does", quoted(type)))
                           .what();
      return vision;
    }
  }
  if (is_still) return std::nullopt;
  if (tower != nullptr) {
    vision.layers = config->find_int(tower->layers_key, kLayers).value_or(tower->layers);
    vision.spec = read_tower(*config, *tower, dtype, options);
    return vision;
  }
  const char* why = hf_refusal(type);
  const Error error = field_error(ErrorCode::unsupported, config->path("model_type"),
                                  fmt::format("{}, {}", quoted(type), why != nullptr ? why : "which is not known"),
                                  "a vision tower whose rotation this version builds");
  vision.refusal = error.what();
  return vision;
}

}  // namespace ropejit::internal
