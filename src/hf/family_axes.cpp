// Families whose tokens have several positions, and families with an indexer.
#include "hf/family_tables.hpp"

namespace ropejit::internal {
namespace {

constexpr HfAxes kQwen2Axes{AxisOrder::chunked, {16, 24, 24}};
constexpr HfAxes kGlmAxes{AxisOrder::chunked, {8, 12, 12}};
constexpr HfAxes kQwen3Axes{AxisOrder::interleaved, {24, 20, 20}};
constexpr HfAxes kQwen35Axes{AxisOrder::interleaved, {11, 11, 10}};
constexpr HfAxes kErnieAxes{AxisOrder::alternating, {22, 22, 20}, true};
// transformers gives the two lanes of a pair positions of different axes, which is no rotation; Tencent's own code and
// vLLM deal whole pairs.
constexpr HfAxes kHunyuanAxes{AxisOrder::chunked, {0, 0, 0}};

struct AxesRow {
  std::string_view model_type;
  const HfAxes* axes;
};

constexpr AxesRow kAxesRows[] = {
    {"cosmos3_edge", &kQwen3Axes},
    {"ernie4_5_vl_moe", &kErnieAxes},
    {"glm4v", &kGlmAxes},
    {"glm4v_moe", &kGlmAxes},
    {"glm_image", &kGlmAxes},
    {"glm_ocr", &kGlmAxes},
    {"hunyuan_vl", &kHunyuanAxes},
    {"paddleocr_vl", &kQwen2Axes},
    {"qwen2_5_omni", &kQwen2Axes},
    {"qwen2_5_omni_talker", &kQwen2Axes},
    {"qwen3_omni_moe_talker", &kQwen3Axes},
    {"qwen2_5_vl", &kQwen2Axes},
    {"qwen2_vl", &kQwen2Axes},
    {"qwen3_5", &kQwen35Axes},
    {"qwen3_5_moe", &kQwen35Axes},
    {"qwen3_omni_moe", &kQwen3Axes},
    {"qwen3_vl", &kQwen3Axes},
    {"qwen3_vl_moe", &kQwen3Axes},
};

constexpr HfIndexer kHalves64{false, false, 64, 128};
constexpr HfIndexer kHalves16{false, false, 16, 128};
constexpr HfIndexer kLastHalves16{false, true, 16, 128};
constexpr HfIndexer kDeinterleaved32{true, false, 32, 128};
constexpr HfIndexer kLastNeighbours64{false, true, 64, 128};

struct IndexerRow {
  std::string_view model_type;
  const HfIndexer* indexer;
};

constexpr IndexerRow kIndexers[] = {
    {"axk2", &kHalves16},
    {"deepseek_v32", &kHalves64},
    {"deepseek_v4", &kLastNeighbours64},
    {"glm_moe_dsa", &kDeinterleaved32},
    {"hy_v4", &kLastHalves16},
};

}  // namespace

void set_hf_axes(std::string_view model_type, HfFamily& family) {
  for (const AxesRow& row : kAxesRows) {
    if (row.model_type == model_type) family.axes = row.axes;
  }
  for (const IndexerRow& row : kIndexers) {
    if (row.model_type == model_type) family.indexer = row.indexer;
  }
}

}  // namespace ropejit::internal
