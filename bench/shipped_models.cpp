#include "bench/shipped_models.hpp"

namespace ropejit::bench {

const std::vector<ShippedModel>& shipped_models() {
  static const std::vector<ShippedModel> models = {
      {"Llama 3.1 8B, Mistral 7B, Mixtral 8x7B, Qwen3 8B", {32, 128, 0}, {8, 128, 0}, 128},
      {"Llama 3.1 70B, Qwen2.5 72B", {64, 128, 0}, {8, 128, 0}, 128},
      {"Llama 3.1 405B", {128, 128, 0}, {8, 128, 0}, 128},
      {"Llama 3.2 3B", {24, 128, 0}, {8, 128, 0}, 128},
      {"Llama 3.2 1B", {32, 64, 0}, {8, 64, 0}, 64},
      {"Llama 2 7B, OLMo 2 7B", {32, 128, 0}, {32, 128, 0}, 128},
      {"Llama 2 13B", {40, 128, 0}, {40, 128, 0}, 128},
      {"Qwen2.5 7B", {28, 128, 0}, {4, 128, 0}, 128},
      {"Qwen2.5 32B, Llama 4 Scout", {40, 128, 0}, {8, 128, 0}, 128},
      {"Qwen2.5 1.5B", {12, 128, 0}, {2, 128, 0}, 128},
      {"Qwen2.5 0.5B", {14, 64, 0}, {2, 64, 0}, 64},
      {"Qwen3 0.6B", {16, 128, 0}, {8, 128, 0}, 128},
      {"Qwen3 235B A22B", {64, 128, 0}, {4, 128, 0}, 128},
      {"Gemma 2 9B", {16, 256, 0}, {8, 256, 0}, 256},
      {"Gemma 3 4B", {8, 256, 0}, {4, 256, 0}, 256},
      {"Phi 3 mini", {32, 96, 0}, {32, 96, 0}, 96},
      {"Phi 4", {40, 128, 0}, {10, 128, 0}, 128},
      {"Pythia 2.8B", {32, 80, 0}, {32, 80, 0}, 20},
      {"GPT-J 6B", {16, 256, 0}, {16, 256, 0}, 64},
      {"GLM 4 9B", {32, 128, 0}, {2, 128, 0}, 64},
      {"Falcon 7B", {71, 64, 0}, {1, 64, 0}, 64},
      {"DeepSeek V3, Kimi K2", {128, 192, 128}, {1, 576, 512}, 64},
  };
  return models;
}

std::vector<RopeSpec> shipped_specs() {
  std::vector<RopeSpec> specs;
  for (const ShippedModel& model : shipped_models()) {
    for (const Layout layout : {Layout::split_half, Layout::interleaved}) {
      for (const DType dtype : {DType::bf16, DType::fp16}) {
        RopeSpec spec;
        spec.dtype = dtype;
        spec.layout = layout;
        spec.rotary_dim = model.rotary_dim;
        spec.q = model.q;
        spec.k = model.k;
        specs.push_back(spec);
      }
    }
  }
  return specs;
}

}  // namespace ropejit::bench
