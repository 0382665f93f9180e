// The attention of a decoder over ropejit, the way a runtime embeds it: one service for all layers; kernels got when
// the model is loaded; prompts rotated where they lie in the packed [q k v] rows, with k going straight into its cache;
// then decode steps that replay one CUDA graph, whose positions are in device memory. Attention itself is done on the
// CPU, from what the device has and once more in fp64. Without a GPU the same runs on the host target, where nothing is
// captured. Exit status 0: all is right.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "machine.hpp"
#include "ropejit/ropejit.hpp"

namespace {

// A model with two kinds of layers: five that see a window and turn by one theta, then one that sees all and turns by
// another. Its rotations are read from what a checkpoint comes with.
constexpr char kConfig[] = R"({"model_type": "gemma3_text", "num_hidden_layers": 6, "hidden_size": 128,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "rope_theta": 1000000.0,
  "rope_local_base_freq": 10000.0, "sliding_window": 16, "sliding_window_pattern": 6, "torch_dtype": "float32"})";
constexpr std::size_t kHeads = 4, kKeyHeads = 2, kDim = 32, kWindow = 16;
constexpr std::size_t kRow = (kHeads + 2 * kKeyHeads) * kDim;  // what a projection gives: q, k and v of a token
constexpr std::size_t kSequences = 2, kPrompt = 24, kSteps = 8, kRoom = kPrompt + kSteps;
constexpr std::size_t kLengths[kSequences] = {24, 17};  // of the prompts; the second is padded

struct Layer {
  std::size_t number;
  const ropejit::RopeSpec* spec;
  ropejit::RopeKernel prefill, decode;
  float* qkv;   // [sequences, tokens, kRow]
  float* keys;  // the cache: [sequences * kRoom, kKeyHeads, kDim]
  bool has_window;
};

// q and k are parts of the packed rows: q is rotated there, and k goes to rows of the cache.
void rotate(const Layer& layer, const ropejit::RopeKernel& kernel, std::size_t tokens,
            const ropejit::Positions& positions, const std::int32_t* rows, void* stream) {
  const auto sequence_stride = static_cast<std::int64_t>(tokens * kRow);
  ropejit::RopeArgs args;
  args.q = {layer.qkv, sequence_stride, kRow, kDim, 1};  // strides: sequence, token, head, lane
  args.k = {layer.qkv + kHeads * kDim, sequence_stride, kRow, kDim, 1};
  args.k_out.data = layer.keys;
  args.k_rows = rows;
  args.k_cache_rows = kSequences * kRoom;
  args.positions = positions;
  args.batch = kSequences;
  args.tokens = static_cast<std::int64_t>(tokens);
  const ropejit::LaunchStatus status = kernel.launch(args, stream);
  if (!status) throw std::runtime_error(status.message());
}

// What the projection of a layer would give: numbers that look random, from -1 to 1.
float projected(std::size_t layer, std::size_t sequence, std::size_t position, std::size_t lane) {
  auto bits = static_cast<std::uint32_t>(((layer * kSequences + sequence) * kRoom + position) * kRow + lane);
  for (int i = 0; i < 3; ++i) bits = (bits ^ (bits >> 15)) * 0x9E3779B1u;
  return static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f;
}

using Vector = std::vector<double>;

// A head of a token in fp64, by the formula of spec.hpp.
Vector rotated(const Layer& layer, std::size_t sequence, std::size_t position, std::size_t first_lane) {
  Vector head(kDim);
  for (std::size_t i = 0; i < kDim / 2; ++i) {
    const double t = static_cast<double>(position) * std::pow(layer.spec->theta, -2.0 * static_cast<double>(i) / kDim);
    const double a = projected(layer.number, sequence, position, first_lane + i);
    const double b = projected(layer.number, sequence, position, first_lane + i + kDim / 2);
    head[i] = a * std::cos(t) - b * std::sin(t);
    head[i + kDim / 2] = b * std::cos(t) + a * std::sin(t);
  }
  return head;
}

Vector attend(const Vector& query, const std::vector<Vector>& keys, const std::vector<Vector>& values) {
  Vector result(kDim);
  double sum = 0;
  for (std::size_t p = 0; p < keys.size(); ++p) {
    double score = 0;
    for (std::size_t i = 0; i < kDim; ++i) score += query[i] * keys[p][i];
    const double weight = std::exp(score / std::sqrt(double{kDim}));
    sum += weight;
    for (std::size_t i = 0; i < kDim; ++i) result[i] += weight * values[p][i];
  }
  for (double& lane : result) lane /= sum;
  return result;
}

// The largest difference between a token's attention over what the device has (`row` of qkv, the cache) and over fp64.
double difference(const Layer& layer, const std::vector<float>& qkv, const std::vector<float>& cache, std::size_t row,
                  std::size_t sequence, std::size_t position) {
  double worst = 0;
  for (std::size_t h = 0; h < kHeads; ++h) {
    const std::size_t g = h / (kHeads / kKeyHeads);
    std::vector<Vector> keys, exact, values;
    for (std::size_t p = layer.has_window && position >= kWindow ? position - kWindow + 1 : 0; p <= position; ++p) {
      const float* const key = &cache[((sequence * kRoom + p) * kKeyHeads + g) * kDim];
      keys.emplace_back(key, key + kDim);
      exact.push_back(rotated(layer, sequence, p, (kHeads + g) * kDim));
      values.emplace_back();
      for (std::size_t i = (kHeads + kKeyHeads + g) * kDim; values.back().size() < kDim; ++i)
        values.back().push_back(projected(layer.number, sequence, p, i));
    }
    const float* const query = &qkv[row * kRow + h * kDim];
    const Vector got = attend({query, query + kDim}, keys, values);
    const Vector want = attend(rotated(layer, sequence, position, h * kDim), exact, values);
    for (std::size_t i = 0; i < kDim; ++i)
      worst = std::isfinite(got[i]) ? std::max(worst, std::abs(got[i] - want[i])) : INFINITY;
  }
  return worst;
}

int run() {
  Machine machine;
  std::printf("%s\n", machine.has_gpu() ? "on the first GPU" : "no GPU here: on the host target, without a graph");

  // At load: every rotation of the model, for both ways it will be called. Layers that rotate alike share kernels.
  ropejit::ServiceOptions options;
  options.device = machine.has_gpu() ? "cuda" : "host";
  options.warn = [](std::string_view line) { std::fprintf(stderr, "%s\n", std::string(line).c_str()); };
  const ropejit::RopeService service(options);
  const ropejit::ModelRopes model = ropejit::ModelRopes::from_hf_config(kConfig);
  ropejit::LaunchForm prefill = ropejit::LaunchForm::in_place_ids().with_free_strides();
  prefill.k_rows = ropejit::CacheRows::rows32;
  ropejit::LaunchForm decode = prefill;
  decode.positions = ropejit::PositionSource::offsets32;
  std::vector<Layer> layers;
  for (std::int64_t i = 0; i < model.layers(); ++i) {
    const ropejit::RopeSpec& spec = *model.find(i);
    layers.push_back({layers.size(), &spec, service.get(spec, prefill), service.get(spec, decode),
                      machine.allocate<float>(kSequences * kPrompt * kRow),
                      machine.allocate<float>(kSequences * kRoom * kKeyHeads * kDim),
                      model.kind(i) == "sliding_attention"});
  }
  const ropejit::ServiceStats stats = service.stats();
  std::printf("%zu layers, %zu rotations: %d binaries compiled, %d from disk\n\n", layers.size(), model.specs().size(),
              static_cast<int>(stats.compiles), static_cast<int>(stats.disk_hits));

  auto* const ids = machine.allocate<std::int64_t>(kSequences * kPrompt);
  auto* const rows = machine.allocate<std::int32_t>(kSequences * kPrompt);
  auto* const offsets = machine.allocate<std::int32_t>(kSequences);
  // A launch of every layer, with what comes before and after it in a model: projections, attention. The first token of
  // sequence b is at first[b]. Returns the largest difference by layer.
  const auto step = [&](std::size_t tokens, const std::size_t(&first)[kSequences],
                        const std::function<void()>& launch) {
    std::vector<std::int64_t> position_of_token;
    std::vector<std::int32_t> row_of_token, position_of_sequence;
    for (std::size_t b = 0; b < kSequences; ++b) {
      position_of_sequence.push_back(static_cast<std::int32_t>(first[b]));
      for (std::size_t p = first[b]; p < first[b] + tokens; ++p) {
        const bool is_padding = tokens > 1 && p >= kLengths[b];
        position_of_token.push_back(static_cast<std::int64_t>(p));
        row_of_token.push_back(is_padding ? -1 : static_cast<std::int32_t>(b * kRoom + p));
      }
    }
    machine.upload(ids, position_of_token);
    machine.upload(rows, row_of_token);
    machine.upload(offsets, position_of_sequence);
    for (const Layer& layer : layers) {
      std::vector<float> qkv;
      for (std::size_t b = 0; b < kSequences; ++b)
        for (std::size_t i = 0; i < tokens * kRow; ++i)
          qkv.push_back(projected(layer.number, b, first[b] + i / kRow, i % kRow));
      machine.upload(layer.qkv, qkv);
    }
    launch();
    std::vector<double> worst;
    for (const Layer& layer : layers) {
      const auto qkv = machine.download(layer.qkv, kSequences * tokens * kRow);
      const auto keys = machine.download(layer.keys, kSequences * kRoom * kKeyHeads * kDim);
      worst.push_back(0);
      for (std::size_t b = 0; b < kSequences; ++b)
        for (std::size_t s = 0; s < tokens && (tokens == 1 || s < kLengths[b]); ++s)
          worst.back() = std::max(worst.back(), difference(layer, qkv, keys, b * tokens + s, b, first[b] + s));
    }
    return worst;
  };
  const auto rotate_all = [&](bool whole_prompts) {
    for (const Layer& layer : layers)
      whole_prompts ? rotate(layer, layer.prefill, kPrompt, ropejit::Positions::ids64(ids), rows, machine.stream())
                    : rotate(layer, layer.decode, 1, ropejit::Positions::offsets32(offsets), rows, machine.stream());
  };

  const std::vector<double> of_prefill = step(kPrompt, {0, 0}, [&] { rotate_all(true); });
  // All layers of a decode step are captured once. Where sequences stand and their keys go is read at each replay.
  machine.capture([&] { rotate_all(false); });
  std::vector<double> of_decode(layers.size());
  for (std::size_t n = 0; n < kSteps; ++n) {
    const std::vector<double> worst = step(1, {kLengths[0] + n, kLengths[1] + n}, [&] { machine.replay(); });
    for (std::size_t l = 0; l < layers.size(); ++l) of_decode[l] = std::max(of_decode[l], worst[l]);
  }

  bool good = true;
  std::printf("layer  attention  theta    prefill error  decode error\n");
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const bool layer_good = of_prefill[l] < 1e-5 && of_decode[l] < 1e-5;
    good = good && layer_good;
    std::printf("%5zu  %-9s  %-7g  %13.1e  %12.1e%s\n", l, layers[l].has_window ? "window" : "all",
                layers[l].spec->theta, of_prefill[l], of_decode[l], layer_good ? "" : "  WRONG");
  }
  return good ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "decoder: %s\n", error.what());
    return 2;
  }
}
