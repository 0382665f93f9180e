// The attention prologue of a decoder with a paged cache, the way a serving engine embeds it: one service, kernels got
// when the model is loaded, and one launch a layer, which takes q, k and v out of the packed rows of the projection,
// norms and rotates q in place, and appends k (normed and rotated) and v to the pages of the engine's block table.
// Prompts come in two chunks with padding; then one CUDA graph is replayed, whose positions and slots are in device
// memory. q of every step, and all pages at the end, are compared with fp64; attention itself is left out. Without a
// GPU the same runs on the host target, where nothing is captured. Exit status 0: all is right.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

#include "machine.hpp"
#include "ropejit/ropejit.hpp"

namespace {

constexpr char kConfig[] = R"({"model_type": "qwen3", "num_hidden_layers": 3, "hidden_size": 256, "head_dim": 64,
  "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 1000000.0, "rms_norm_eps": 1e-6,
  "max_position_embeddings": 4096, "dtype": "float32"})";
constexpr std::size_t kHeads = 4, kKeyHeads = 2, kDim = 64;
constexpr std::size_t kRow = (kHeads + 2 * kKeyHeads) * kDim;  // what a projection gives: q, k and v of a token

// The pool: each layer's keys and values are [kPages, kBlock, kKeyHeads, kDim]. Pages 2 and 6 are nobody's.
constexpr std::int64_t kBlock = 8;
constexpr std::size_t kPages = 7, kPlaces = kPages * kBlock, kPlaceLanes = kKeyHeads * kDim;
constexpr std::size_t kPool = kPlaces * kPlaceLanes;
const std::vector<std::vector<std::int64_t>> kBlockTable = {{5, 1, 3}, {4, 0}};  // a sequence's pages, in its order
constexpr float kFree = -77;             // what a place holds that was never written
constexpr std::size_t kMostTokens = 16;  // of a launch
constexpr std::size_t kGraphTokens = 4;  // of a decode step: two are padding while two sequences run

struct Token {
  std::size_t sequence;
  std::int64_t position;
};
constexpr std::size_t kNobody = 2;  // the sequence of padding, which has no slot

// Where the engine has a token's k and v: page * kBlock + the place there.
std::int64_t slot_of(const Token& token) {
  if (token.sequence == kNobody) return -1;
  return kBlockTable[token.sequence].at(static_cast<std::size_t>(token.position / kBlock)) * kBlock +
         token.position % kBlock;
}

struct Layer {
  std::size_t number;
  const ropejit::RopeSpec* spec;
  ropejit::RopeKernel kernel;
  float* qkv;            // [kMostTokens, kRow]
  float *keys, *values;  // the pools
  float* weights;        // of the norms: q's, then k's
};

// What all layers of a launch share, in device memory.
struct Batch {
  std::int64_t *positions, *slots;  // [kMostTokens]
  std::uint32_t* flags;
};

void launch(const Layer& layer, const Batch& batch, std::size_t tokens, void* stream) {
  const auto heads_from = [&](std::size_t head) {
    return ropejit::TensorView{layer.qkv + head * kDim, ropejit::kContiguous, kRow, kDim, 1};
  };
  ropejit::RopeArgs args;
  args.tokens = static_cast<std::int64_t>(tokens);
  args.positions = ropejit::Positions::ids64(batch.positions);
  args.q = heads_from(0);
  args.k = heads_from(kHeads);
  args.v = heads_from(kHeads + kKeyHeads);
  args.q_norm_weight = layer.weights;
  args.k_norm_weight = layer.weights + kDim;
  args.k_out.data = layer.keys;  // pages without gaps; strides would say another order
  args.v_out.data = layer.values;
  args.k_rows = args.v_rows = batch.slots;
  args.k_cache_rows = args.v_cache_rows = kPlaces;
  args.k_block_size = args.v_block_size = kBlock;
  args.flags = batch.flags;
  if (const auto status = layer.kernel.launch(args, stream); !status) throw std::runtime_error(status.message());
}

float random_number(std::size_t index) {  // from -1 to 1
  auto bits = static_cast<std::uint32_t>(index);
  for (int i = 0; i < 3; ++i) bits = (bits ^ (bits >> 15)) * 0x9E3779B1u;
  return static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f;
}

// What the projection of a layer would give for a token; and the weights of its norms.
float projected(std::size_t layer, const Token& token, std::size_t lane) {
  const auto place = (token.sequence * 64) + static_cast<std::size_t>(token.position);
  return 3 * random_number(((layer + 1) * 4096 + place) * kRow + lane);
}
float weight(std::size_t layer, std::size_t i) { return 1 + 0.5f * random_number(layer * 2 * kDim + i); }

// The largest |error| over its bound of the head at lane `first` of a packed row, by the formulas of spec.hpp.
double head_error(const Layer& layer, const Token& token, std::size_t first, const float* got) {
  const bool is_key = first >= kHeads * kDim;
  const ropejit::Norm& norm = is_key ? *layer.spec->k->norm : *layer.spec->q.norm;
  double squares = 0;
  for (std::size_t i = 0; i < kDim; ++i) squares += std::pow(double{projected(layer.number, token, first + i)}, 2);
  const double r = 1 / std::sqrt(squares / kDim + norm.eps);
  const auto normed = [&](std::size_t i) {
    return projected(layer.number, token, first + i) * r * weight(layer.number, is_key * kDim + i);
  };
  double worst = 0;
  for (std::size_t i = 0; i < kDim / 2; ++i) {
    const double t =
        static_cast<double>(token.position) * std::pow(layer.spec->theta, -2.0 * static_cast<double>(i) / kDim);
    const double a = normed(i), b = normed(i + kDim / 2);
    const double error = std::max(std::abs(got[i] - (a * std::cos(t) - b * std::sin(t))),
                                  std::abs(got[i + kDim / 2] - (b * std::cos(t) + a * std::sin(t))));
    worst = std::max(worst, error / (0x1p-19 * (std::abs(a) + std::abs(b))));  // more than docs/prologue.md allows
    if (!std::isfinite(got[i] + got[i + kDim / 2])) return INFINITY;
  }
  return worst;
}

int run() {
  Machine machine;
  std::printf("%s\n", machine.has_gpu() ? "on the first GPU" : "no GPU here: on the host target, without a graph");

  // At load: every token brings its position and its slot, so prefill and decode are launches of one form.
  ropejit::ServiceOptions options;
  options.device = machine.has_gpu() ? "cuda" : "host";
  const ropejit::RopeService service(options);
  ropejit::ModelOptions of_model;
  of_model.prologue = true;
  const ropejit::ModelRopes model = ropejit::ModelRopes::from_hf_config(kConfig, of_model);
  ropejit::LaunchForm form = ropejit::LaunchForm::in_place_ids().with_free_strides();  // parts of packed rows
  form.k_rows = form.v_rows = ropejit::CacheRows::slots64;
  std::vector<Layer> layers;
  for (std::int64_t i = 0; i < model.layers(); ++i) {
    const ropejit::RopeSpec& spec = *model.find(i);
    layers.push_back({layers.size(), &spec, service.get(spec, form), machine.allocate<float>(kMostTokens * kRow),
                      machine.allocate<float>(kPool), machine.allocate<float>(kPool),
                      machine.allocate<float>(2 * kDim)});
    machine.upload(layers.back().keys, std::vector<float>(kPool, kFree));
    machine.upload(layers.back().values, std::vector<float>(kPool, kFree));
    std::vector<float> weights;
    for (std::size_t n = 0; n < 2 * kDim; ++n) weights.push_back(weight(layers.back().number, n));
    machine.upload(layers.back().weights, weights);
  }
  const Batch batch = {machine.allocate<std::int64_t>(kMostTokens), machine.allocate<std::int64_t>(kMostTokens),
                       machine.allocate<std::uint32_t>(1)};
  machine.upload(batch.flags, std::vector<std::uint32_t>{0});
  const auto launch_all = [&](std::size_t tokens) {
    for (const Layer& layer : layers) launch(layer, batch, tokens, machine.stream());
  };

  bool good = true;
  double worst_q = 0, worst_k = 0;
  std::map<std::int64_t, Token> owners;  // of slots
  // A launch of every layer over these tokens. q is in the rows then; k and v must be there as they were.
  const auto step = [&](const std::vector<Token>& tokens, const std::function<void()>& launches) {
    std::vector<std::int64_t> positions, slots;
    for (const Token& token : tokens) {
      positions.push_back(token.position);
      slots.push_back(slot_of(token));
      if (token.sequence != kNobody) owners[slots.back()] = token;
    }
    machine.upload(batch.positions, positions);
    machine.upload(batch.slots, slots);
    for (const Layer& layer : layers) {
      std::vector<float> qkv;
      for (std::size_t i = 0; i < tokens.size() * kRow; ++i)
        qkv.push_back(projected(layer.number, tokens[i / kRow], i % kRow));
      machine.upload(layer.qkv, qkv);
    }
    launches();
    for (const Layer& layer : layers) {
      const std::vector<float> qkv = machine.download(layer.qkv, tokens.size() * kRow);
      for (std::size_t i = 0, lane = 0; i < qkv.size(); ++i, lane = i % kRow) {  // q of padding is made all the same
        const Token& token = tokens[i / kRow];
        if (lane >= kHeads * kDim) good = good && qkv[i] == projected(layer.number, token, lane);
        if (lane < kHeads * kDim && lane % kDim == 0)
          worst_q = std::max(worst_q, head_error(layer, token, lane, &qkv[i]));
      }
    }
  };

  // The next tokens of each sequence, and padding up to `all`.
  std::array<std::int64_t, kNobody> length = {};
  const auto next_tokens = [&](const std::array<int, kNobody>& counts, std::size_t all) {
    std::vector<Token> tokens;
    for (std::size_t s = 0; s < kNobody; ++s)
      for (int n = 0; n < counts[s]; ++n) tokens.push_back({s, length[s]++});
    tokens.resize(all, {kNobody, 0});
    return tokens;
  };
  // Prompts of 13 and 7 tokens, in two chunks. The second crosses from the first sequence's page 5 into its page 1.
  step(next_tokens({6, 4}, kMostTokens), [&] { launch_all(kMostTokens); });
  step(next_tokens({7, 3}, kMostTokens), [&] { launch_all(kMostTokens); });
  // All layers of a decode step are captured once. Which tokens they are is read at each replay.
  machine.capture([&] { launch_all(kGraphTokens); });
  for (int n = 0; n < 7; ++n) step(next_tokens({1, 1}, kGraphTokens), [&] { machine.replay(); });

  // Every place of the pool: what its owner's token comes to, or what was there at first.
  for (const Layer& layer : layers) {
    const std::vector<float> keys = machine.download(layer.keys, kPool);
    const std::vector<float> values = machine.download(layer.values, kPool);
    for (std::size_t i = 0; i < kPool; ++i) {
      const auto owner = owners.find(static_cast<std::int64_t>(i / kPlaceLanes));
      const std::size_t key_lane = kHeads * kDim + i % kPlaceLanes;
      const bool is_free = owner == owners.end();
      if (is_free) good = good && keys[i] == kFree && values[i] == kFree;
      if (!is_free) good = good && values[i] == projected(layer.number, owner->second, key_lane + kPlaceLanes);
      if (!is_free && i % kDim == 0) worst_k = std::max(worst_k, head_error(layer, owner->second, key_lane, &keys[i]));
    }
  }
  const std::uint32_t flags = machine.download(batch.flags, 1)[0];
  good = good && worst_q < 1 && worst_k < 1 && flags == 0;
  std::printf("%zu layers, %zu places of %zu written, flags %x\n", layers.size(), owners.size(), kPlaces, flags);
  std::printf("largest error over its bound: q %.2f, k %.2f%s\n", worst_q, worst_k, good ? "" : "  WRONG");
  return good ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "paged_decoder: %s\n", error.what());
    return 2;
  }
}
