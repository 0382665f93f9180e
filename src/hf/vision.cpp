#include "hf/vision.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "hf/known_types.hpp"
#include "hf/operands.hpp"
#include "hf/refusals.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kLayers{1, 65'536};
constexpr const char* kPositions = "the name of a kind of position embedding";
constexpr IntRange kWidth{1, std::int64_t{1} << 40};

// Positions in the order of the axes are height, width; Llama 4: x, y.
struct Tower {
  std::string_view model_type;  // of vision_config, or of the model where that has none
  Layout layout;
  AxisFrequencies frequencies;
  Rounding rounding;
  double theta;  // where the config has none, as the rest
  const char* layers_key;
  std::int64_t layers;
  const char* heads_key;
  std::int64_t heads;
  const char* width_key;
  std::int64_t width;
  std::int64_t head_dim;  // 0: the width over the heads
  std::int64_t kv_heads;  // 0: as many as heads
};

constexpr auto kHalf = Layout::split_half;
constexpr auto kRestarted = AxisFrequencies::restarted;

constexpr Tower qwen(std::string_view type, const char* width_key, std::int64_t layers, std::int64_t heads,
                     std::int64_t width) {
  return {type, kHalf, kRestarted, Rounding::p3, 1e4, "depth", layers, "num_heads", heads, width_key, width, 0, 0};
}

constexpr Tower kTowers[] = {
    qwen("ernie4_5_vl_moe", "hidden_size", 32, 16, 1280),
    qwen("ernie4_5_vl_moe_vision", "hidden_size", 32, 16, 1280),
    qwen("glm4v", "hidden_size", 24, 12, 1536),
    qwen("glm4v_moe", "hidden_size", 24, 12, 1536),
    qwen("glm4v_moe_vision", "hidden_size", 24, 12, 1536),
    qwen("glm4v_vision", "hidden_size", 24, 12, 1536),
    qwen("glm_ocr", "hidden_size", 24, 16, 1024),
    qwen("glm_ocr_vision", "hidden_size", 24, 16, 1024),
    qwen("qwen2_5_omni_thinker", "hidden_size", 32, 16, 3584),
    qwen("qwen2_5_omni_vision_encoder", "hidden_size", 32, 16, 3584),
    qwen("qwen2_5_vl", "hidden_size", 32, 16, 3584),
    qwen("qwen2_5_vl_vision", "hidden_size", 32, 16, 3584),
    qwen("qwen2_vl", "embed_dim", 32, 16, 1280),
    qwen("qwen2_vl_vision", "embed_dim", 32, 16, 1280),
    qwen("qwen3_5", "hidden_size", 27, 16, 1152),
    qwen("qwen3_5_moe", "hidden_size", 27, 16, 1152),
    qwen("qwen3_5_moe_vision", "hidden_size", 27, 16, 1152),
    qwen("qwen3_5_vision", "hidden_size", 27, 16, 1152),
    qwen("qwen3_omni_moe_thinker", "hidden_size", 27, 16, 1152),
    qwen("qwen3_omni_moe_vision_encoder", "hidden_size", 27, 16, 1152),
    qwen("qwen3_vl", "hidden_size", 27, 16, 1152),
    qwen("qwen3_vl_moe", "hidden_size", 27, 16, 1152),
    qwen("qwen3_vl_moe_vision", "hidden_size", 27, 16, 1152),
    qwen("qwen3_vl_vision", "hidden_size", 27, 16, 1152),
    {"gemma4_vision", Layout::split_sections, kRestarted, Rounding::p1, 100.0, "num_hidden_layers", 16,
     "num_attention_heads", 12, "hidden_size", 768, 64, 12},
    {"llama4_vision_model", Layout::interleaved, kRestarted, Rounding::p3, 1e4, "num_hidden_layers", 34,
     "num_attention_heads", 16, "hidden_size", 768, 0, 0},
    {"pixtral", kHalf, AxisFrequencies::strided, Rounding::p1, 1e4, "num_hidden_layers", 24, "num_attention_heads", 16,
     "hidden_size", 1024, 0, 0},
};

// Their patches have learned positions.
constexpr std::string_view kNoRotation[] = {
    "chinese_clip_vision_model", "clip_vision_model",    "clipseg_vision_model", "idefics2_vision",
    "idefics3_vision",           "intern_vit_6b",        "internvl_vision",      "janus_vision_model",
    "mllama_vision_model",       "siglip2_vision_model", "siglip_vision_model",  "smolvlm_vision",
};

const Tower* find_tower(std::string_view model_type) {
  const auto row = std::find_if(std::begin(kTowers), std::end(kTowers),
                                [&](const Tower& tower) { return tower.model_type == model_type; });
  return row == std::end(kTowers) ? nullptr : &*row;
}

double read_theta(const ObjectReader& config, const Tower& tower) {
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

RopeSpec read_tower(const ObjectReader& config, const Tower& tower, DType dtype, const ModelOptions& options) {
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
  const bool is_still =
      std::find(std::begin(kNoRotation), std::end(kNoRotation), type) != std::end(kNoRotation) || has_no_rope(type);
  const Tower* tower = find_tower(type);
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
