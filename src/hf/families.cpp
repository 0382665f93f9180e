// The table of families: a row each, with everything in which it differs from a Llama. Every type was looked up in the
// code of Hugging Face transformers 5.24 (Kimi-K2's own is DeepSeek-V3's): which rotate function it calls, by what
// frequencies, in which layers, and what its class has where a config says nothing. Rounding p2 is cos and sin in the
// model's dtype and the rest in fp32, p3 all in fp32.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <cmath>

#include "hf/family.hpp"
#include "hf/layers.hpp"
#include "hf/rope_dict.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

// What families do that no value of a row says, a function each, which rows below point to.

constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";
constexpr const char* kSparse = "compressed_sparse_attention";
constexpr const char* kHeavy = "heavily_compressed_attention";

// Falcon: multi_query counts unless new_decoder_architecture is set, and then num_kv_heads.
std::int64_t falcon_kv_heads(const ObjectReader& config, std::int64_t q_heads) {
  config.pass_over({"num_kv_heads"});
  const bool grouped_heads = config.find_bool("new_decoder_architecture").value_or(false);
  if (!grouped_heads && config.find_bool("multi_query").value_or(true)) return 1;
  return config.find_int("num_kv_heads", kHeads).value_or(q_heads);
}

// What files of transformers 5 say of layers that differ from the rest: Gemma 4's full ones, which are all alike.
HfHeads of_differing_layers(const ObjectReader& layers, HfHeads usual) {
  std::optional<HfHeads> heads;
  for (const auto& member : layers.object()) {
    const ObjectReader layer = layers.get_object(llvm::StringRef(member.first));
    const HfHeads found{layer.find_int("head_dim", kHeadDim).value_or(usual.head_dim),
                        layer.find_int("num_key_value_heads", kHeads).value_or(usual.kv_heads), usual.q_heads};
    if (heads && (heads->head_dim != found.head_dim || heads->kv_heads != found.kv_heads)) {
      throw field_error(ErrorCode::unsupported, layer.path("head_dim"),
                        fmt::format("{} and {} key heads", found.head_dim, found.kv_heads),
                        fmt::format("{} and {} as in another layer", heads->head_dim, heads->kv_heads));
    }
    heads = found;
  }
  return heads.value_or(usual);
}

// Gemma 4: full layers have heads of their own.
HfHeads gemma_4_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  if (kind != kFull) return usual;
  if (const auto layers = config.find_object("per_layer_config")) return of_differing_layers(*layers, usual);
  usual.head_dim = config.find_int("global_head_dim", kHeadDim).value_or(512);
  const bool own_heads = config.find_bool("attention_k_eq_v").value_or(false);
  if (own_heads) usual.kv_heads = config.find_int("num_global_key_value_heads", kHeads).value_or(usual.kv_heads);
  return usual;
}

// Gemma 4: where a config has no dictionaries by kind of layer, the class's own.
HfRopeDict gemma_4_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_no_theta_for_all(config);
  HfRopeDict dict;
  dict.of_layer_kind = true;
  dict.theta = SourcedNumber{kind == kFull ? 1e6 : 1e4, "rope_parameters"};
  if (kind == kFull) dict.scaling = ProportionalScaling{1.0, 0.25};
  return dict;
}

// Laguna: each layer has its own number of query heads, which those of a kind share.
HfHeads laguna_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  static constexpr const char* kKey = "num_attention_heads_per_layer";
  const llvm::json::Value* heads_value = config.find(kKey);
  if (heads_value == nullptr) return usual;
  const llvm::json::Value* kinds_value = config.find("layer_types");
  const llvm::json::Array* heads = heads_value->getAsArray();
  const llvm::json::Array* kinds = kinds_value == nullptr ? nullptr : kinds_value->getAsArray();
  if (heads == nullptr || heads->empty()) {
    throw field_error(ErrorCode::parse_error, config.path(kKey), describe(*heads_value), "an array of integers");
  }
  std::optional<std::int64_t> found;
  for (std::size_t i = 0; i < heads->size(); ++i) {
    const bool is_of_kind = kinds == nullptr || (i < kinds->size() && (*kinds)[i].getAsString() == kind);
    if (!is_of_kind) continue;
    const auto count = (*heads)[i].getAsInteger();
    const std::string field = fmt::format("{}[{}]", config.path(kKey), i);
    if (!count || !kHeads.contains(*count)) {
      throw field_error(ErrorCode::invalid_argument, field, describe((*heads)[i]), kHeads.describe());
    }
    if (found && *found != *count) {
      throw field_error(ErrorCode::unsupported, field, fmt::format("{}", *count),
                        fmt::format("{} as in another layer of kind {}", *found, std::string_view(kind)));
    }
    found = *count;
  }
  usual.q_heads = found.value_or(usual.q_heads);
  return usual;
}

// MiMo-V2-Flash: sliding layers have twice the key heads.
HfHeads mimo_v2_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  config.pass_over({"swa_head_dim", "swa_v_head_dim", "swa_num_attention_heads"});
  if (kind != kSliding) return usual;
  usual.kv_heads = config.find_int("swa_num_key_value_heads", kHeads).value_or(2 * usual.kv_heads);
  return usual;
}

// Step-3.7: sliding layers have query heads of their own.
HfHeads step_3_7_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual) {
  if (kind != kSliding) return usual;
  std::optional<std::int64_t> heads = config.find_int("num_sliding_attention_heads", kHeads);
  if (const auto other = config.find_object("attention_other_setting"); other && !heads) {
    heads = other->find_int("num_attention_heads", kHeads);
  }
  usual.q_heads = heads.value_or(usual.q_heads);
  return usual;
}

// Its files have another name for the key heads.
std::int64_t step_3_7_kv_heads(const ObjectReader& config, std::int64_t /*q_heads*/) {
  const char* key = config.has("num_key_value_heads") ? "num_key_value_heads" : "num_attention_groups";
  return config.get_int(key, kHeads);
}

// The rotation of layers of one kind, as a family's class has it.
HfRopeDict dict_of_class(double theta, double fraction) {
  HfRopeDict dict;
  dict.of_layer_kind = true;
  dict.theta = SourcedNumber{theta, "rope_parameters"};
  dict.fraction = SourcedNumber{fraction, "rope_parameters"};
  return dict;
}

// One dictionary for all layers is nothing that these classes know.
void require_dicts_of_kinds(const ObjectReader& config) {
  const llvm::json::Value* value = config.find("rope_parameters");
  if (value == nullptr) return;
  throw field_error(ErrorCode::unsupported, config.path("rope_parameters"), describe(*value),
                    "an object for each kind of layer within it");
}

// Laguna: dictionaries by kind of layer, or the class's own.
HfRopeDict laguna_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                       const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_no_theta_for_all(config);
  return kind == kFull ? dict_of_class(5e5, 0.5) : dict_of_class(1e4, 1);
}

// What a class has whatever a config says: one that says something else is refused.
void require_of_class(const ObjectReader& config, const char* key, double of_class) {
  const auto said = config.find_number(key, PositiveRange{});
  if (!said || *said == of_class) return;
  throw field_error(ErrorCode::unsupported, config.path(key), fmt::format("{}", *said),
                    fmt::format("{}, or rope_parameters with an object for each kind of layer", of_class));
}

// MiMo-V2-Flash: the same. Its first files have keys of their own.
HfRopeDict mimo_v2_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_dicts_of_kinds(config);
  require_of_class(config, "rope_theta", 5e6);
  require_of_class(config, "swa_rope_theta", 1e4);
  require_of_class(config, "partial_rotary_factor", 0.334);
  return dict_of_class(kind == kFull ? 5e6 : 1e4, 0.334);
}

// The number of the first layer of that kind in an array of one a layer, or the number for all layers.
std::optional<double> number_of_kind(const ObjectReader& config, const char* key, const PositiveRange& range,
                                     const std::string& kind) {
  const llvm::json::Value* value = config.find(key);
  const llvm::json::Array* numbers = value == nullptr ? nullptr : value->getAsArray();
  if (numbers == nullptr) return config.find_number(key, range);
  const llvm::json::Value* kinds = config.find("layer_types");
  const llvm::json::Array* names = kinds == nullptr ? nullptr : kinds->getAsArray();
  for (std::size_t i = 0; i < numbers->size(); ++i) {
    if (names != nullptr && (i >= names->size() || (*names)[i].getAsString() != llvm::StringRef(kind))) continue;
    const auto number = (*numbers)[i].getAsNumber();
    if (number && range.contains(*number)) return *number;
    throw field_error(ErrorCode::invalid_argument, fmt::format("{}[{}]", config.path(key), i), describe((*numbers)[i]),
                      range.describe());
  }
  return std::nullopt;
}

// Step-3.7: dictionaries by kind of layer, or arrays of a theta and a fraction a layer; scaling is for full layers.
HfRopeDict step_3_7_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                         const std::string& kind) {
  if (nested) return read_nested_rope_dict(nested->get_object(kind), config, family);
  require_dicts_of_kinds(config);
  HfRopeDict dict = dict_of_class(number_of_kind(config, "rope_theta", kTheta, kind).value_or(1e4),
                                  number_of_kind(config, "partial_rotary_factors", kFraction, kind).value_or(1));
  if (const llvm::json::Value* types = config.find("yarn_only_types");
      types != nullptr && *types != llvm::json::Value(llvm::json::Array{kFull})) {
    throw field_error(ErrorCode::unsupported, config.path("yarn_only_types"), describe(*types), "[\"full_attention\"]");
  }
  const std::optional<ObjectReader> scaling = config.find_object("rope_scaling");
  if (scaling && kind == kFull) dict.scaling = read_hf_scaling(*scaling, config, family, true);
  return dict;
}

// Muse Spark: the class has a theta of its own where a config has no dictionary, whatever it says beside that.
HfRopeDict muse_spark_dict(const ObjectReader& config, const HfFamily& family,
                           const std::optional<ObjectReader>& /*nested*/, const std::string& /*kind*/) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (const auto dict = config.find_object(key)) return read_nested_rope_dict(*dict, config, family);
  }
  require_no_theta_for_all(config);
  return dict_of_class(5e5, 1);
}

// MiMo-V2-Flash: the first layer and every sixth are full; its first files say which are not.
std::vector<HfLayer> mimo_v2_layers(const ObjectReader& config, std::int64_t count) {
  static constexpr const char* kKey = "hybrid_layer_pattern";
  std::vector<HfLayer> layers(static_cast<std::size_t>(count));
  const llvm::json::Value* value = config.find(kKey);
  const llvm::json::Array* pattern = value == nullptr ? nullptr : value->getAsArray();
  if (value != nullptr && (pattern == nullptr || pattern->size() != layers.size())) {
    throw field_error(ErrorCode::invalid_argument, config.path(kKey), describe(*value),
                      fmt::format("an array of {}, one for each layer", count));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool slides = pattern != nullptr ? (*pattern)[i].getAsNumber() == 1.0 : i != 0 && (i + 1) % 6 != 0;
    layers[i].kind = slides ? kSliding : kFull;
  }
  return layers;
}

// Muse: every fourth layer is full, counted backward from the last.
std::vector<HfLayer> muse_layers(const ObjectReader& /*config*/, std::int64_t count) {
  std::vector<HfLayer> layers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i].kind = (layers.size() - 1 - i) % 4 == 0 ? kFull : kSliding;
  }
  return layers;
}

const char* kind_of_ratio(const llvm::json::Value& ratio, const std::string& field) {
  const auto number = ratio.getAsNumber();
  if (number && *number == 0) return kSliding;
  if (number && *number == 4) return kSparse;
  if (number && *number == 128) return kHeavy;
  throw field_error(ErrorCode::invalid_argument, field, describe(ratio), "0, 4 or 128");
}

// DeepSeek-V4: a layer's kind follows from how it compresses its keys, which compress_ratios says, or the class's own
// pattern.
std::vector<HfLayer> deepseek_v4_layers(const ObjectReader& config, std::int64_t count) {
  std::vector<HfLayer> layers;
  if (const llvm::json::Value* value = config.find("compress_ratios")) {
    const llvm::json::Array* ratios = value->getAsArray();
    if (ratios == nullptr || ratios->size() < static_cast<std::size_t>(count)) {
      throw field_error(ErrorCode::invalid_argument, config.path("compress_ratios"),
                        ratios == nullptr ? describe(*value) : fmt::format("{} elements", ratios->size()),
                        fmt::format("an array of {} or more, one for each layer", count));
    }
    // Published files list the layers that predict further tokens, too.
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const std::string field = fmt::format("{}[{}]", config.path("compress_ratios"), i);
      layers.push_back(HfLayer{kind_of_ratio((*ratios)[i], field)});
    }
    return layers;
  }
  layers.resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < layers.size(); ++i) layers[i].kind = i >= 2 && i % 2 == 1 ? kSparse : kHeavy;
  return layers;
}

// DeepSeek-V4: a layer's rotation follows from whether it compresses its keys. The dictionary "main" is for
// sliding_attention, which no scaling applies to, and "compress" for the other kinds of layers.
HfRopeDict deepseek_v4_dict(const ObjectReader& config, const HfFamily& family,
                            const std::optional<ObjectReader>& /*nested*/, const std::string& kind) {
  const bool compresses = kind != kSliding;
  HfRopeDict result;
  std::optional<ObjectReader> dict;
  bool by_use = false;  // the dictionaries are named by what they rotate
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> given = config.find_object(key);
    if (!given || dict) continue;
    by_use = given->has("main") && given->has("compress");
    dict = by_use ? given->get_object(compresses ? "compress" : "main") : *given;
  }
  if (dict && (by_use || compresses)) result = read_nested_rope_dict(*dict, config, family);
  result.of_layer_kind = true;
  // The class leaves YaRN's attention factor out, unless a dictionary of the kind says otherwise.
  if (auto* yarn = std::get_if<YarnScaling>(&result.scaling); yarn != nullptr && !by_use && !yarn->attention_factor) {
    yarn->attention_factor = 1.0;
  }
  if (!by_use) result.theta.reset();
  if (!result.theta) {
    const char* key = compresses ? "compress_rope_theta" : "rope_theta";
    result.theta =
        SourcedNumber{config.find_number(key, kTheta).value_or(compresses ? 160000.0 : 10000.0), config.path(key)};
  }
  return result;
}

constexpr const char* kPattern = "sliding_window_pattern";
constexpr const char* kEvery = "global_attn_every_n_layers";
constexpr const char* kInterval = "full_attention_interval";

constexpr HfAxes kQwen2Axes{.sections = {16, 24, 24}};
constexpr HfAxes kGlmAxes{.sections = {8, 12, 12}};
constexpr HfAxes kQwen3Axes{.order = AxisOrder::interleaved, .sections = {24, 20, 20}};
constexpr HfAxes kQwen35Axes{.order = AxisOrder::interleaved, .sections = {11, 11, 10}};
constexpr HfAxes kErnieAxes{.order = AxisOrder::alternating, .sections = {22, 22, 20}, .time_is_last = true};
constexpr HfTwoThetas kGemma3{.full_key = "rope_theta", .full = 1e6, .local_key = "rope_local_base_freq"};

// What attention does to q and k beside rotating them. By where the code rounds: x r and what the weight makes of it,
// as Llama's norm does; or the latter alone.
constexpr RoundAfter kRoundsResult{.weight = true};
constexpr RoundAfter kRoundsNormed{.norm = true};
constexpr RoundAfter kRoundsBiased{.norm_bias = true};
constexpr HfNorm kNoNorm{.kind = HfNormKind::none};
constexpr HfNorm kRms6{.kind = HfNormKind::rms};
constexpr HfNorm kRms5{.kind = HfNormKind::rms, .eps = 1e-5};
// OLMo's order of rounding, on each head, and over all of them.
constexpr HfNorm kOlmoHeadNorm{.kind = HfNormKind::rms, .rounds = kRoundsResult};
constexpr HfNorm kOlmoNorm{.kind = HfNormKind::rms, .span = NormSpan::token, .eps = 1e-5, .rounds = kRoundsResult};
constexpr HfNorm kFlexOlmoNorm{.kind = HfNormKind::rms, .span = NormSpan::token, .rounds = kRoundsResult};
constexpr HfNorm kLfm2Norm{.kind = HfNormKind::rms, .eps = 1e-5, .eps_keys = {"norm_eps", ""}};
constexpr HfNorm kOnePlusW{.kind = HfNormKind::rms, .plus_one = true, .rounds = kRoundsResult};
constexpr HfNorm kGemma4Norm{.kind = HfNormKind::rms, .of_v = true, .rounds = kRoundsResult};
constexpr HfNorm kHunYuanNorm{.kind = HfNormKind::rms, .after = true, .eps = 1e-5};
constexpr HfNorm kMuseNorm{.kind = HfNormKind::rms, .weight = NormWeight::none, .eps = 1e-5, .rounds = kRoundsNormed};
// Phi's and Persimmon's LayerNorm, which only some of their models have.
constexpr HfNorm kPhiNorm{.kind = HfNormKind::layer,
                          .bias = true,
                          .eps = 1e-5,
                          .eps_keys = {"layer_norm_eps", ""},
                          .rounds = kRoundsBiased,
                          .if_key = "qk_layernorm"};
// Cohere's and StableLM's, with weights for each head.
constexpr HfNorm head_layer_norm(const char* if_key) {
  return HfNorm{.kind = HfNormKind::layer,
                .weight = NormWeight::heads,
                .eps = 1e-5,
                .eps_keys = {"layer_norm_eps", ""},
                .rounds = kRoundsResult,
                .if_key = if_key};
}

// Llama 4 scales the queries of layers that do not rotate, by the token's place counted from 1.
std::optional<Temperature> llama_4_temperature(const ObjectReader& config, bool rotates) {
  const llvm::json::Value* on = config.find("attn_temperature_tuning");
  if (rotates || (on != nullptr && (on->getAsBoolean() == false || on->getAsNumber() == 0.0))) return std::nullopt;
  const double length = config.find_number("floor_scale", PositiveRange{0x1p40, false, 1}).value_or(8192);
  if (std::floor(length) != length) {
    throw field_error(ErrorCode::unsupported, config.path("floor_scale"), fmt::format("{}", length), "an integer");
  }
  const double coefficient = config.find_number("attn_scale", PositiveRange{}).value_or(0.1);
  return Temperature{coefficient, static_cast<std::int64_t>(length), true, 1};
}

// Ministral 3: the rope dictionary has the numbers of that scale, which its class cannot do without.
std::optional<Temperature> ministral_3_temperature(const ObjectReader& config, bool /*rotates*/) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> dict = config.find_object(key);
    if (!dict) continue;
    const double coefficient = dict->get_number("llama_4_scaling_beta", PositiveRange{1e300, true});
    const std::int64_t length = dict->get_int("original_max_position_embeddings", IntRange{1, std::int64_t{1} << 40});
    return Temperature{coefficient, length, true, 0};
  }
  throw missing_field(config.path("rope_parameters"), "an object with llama_4_scaling_beta");
}

constexpr HfFamily kFamilies[] = {
    {.types = "EvollaModel evolla", .rounding = Rounding::p2, .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    {.types = "afmoe",
     .norm = HfNorm{.kind = HfNormKind::rms, .eps = 1e-5, .rounds = kRoundsResult},
     .needs = needs_head_dim,
     .only_sliding_rotates = true,
     .full_every = 4,
     .full_every_key = kEvery},
    {.types = "apertus apertus1p5_text",
     .whole_models = "apertus1p5",
     .norm = kRms5,
     .needs = needs_theta | needs_rope_dict},
    {.types = "arcee", .norm = kNoNorm},
    {.types = "aria_text", .whole_models = "aria", .norm = kNoNorm},
    {.types = "axk1", .deinterleaves = true, .interleave_flag = true, .latent = true},
    {.types = "axk2", .deinterleaves = true, .indexer = HfIndexer{.heads = 16}, .latent = true},
    // Files of its first release have another name for how many lanes rotate.
    {.types = "bamba",
     .norm = kNoNorm,
     .needs = needs_fraction | needs_kv_heads,
     .lanes_keys = {"rotary_dim", "attn_rotary_emb"},
     .others_are_linear = true,
     .attention_layers_key = "attn_layer_indices"},
    {.types = "beam",
     .rounding = Rounding::p3,
     .norm = kOlmoHeadNorm,
     .still_layers_have = "whose layers without a rotation scale q by a power of the position",
     .needs = needs_head_dim | needs_kv_heads,
     .two_thetas = HfTwoThetas{},
     .full_every = 6,
     .pattern_ends_full = true},
    {.types = "bitnet", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    {.types = "blt_local_decoder blt blt_global_transformer blt_local_encoder",
     .whole_models = "blt",
     .layout = Layout::interleaved,
     .norm = kNoNorm,
     .needs = needs_theta},
    {.types = "blt_patcher", .layout = Layout::interleaved, .norm = kNoNorm},
    {.types = "chameleon",
     .norm = HfNorm{.kind = HfNormKind::layer,
                    .weight = NormWeight::heads,
                    .bias = true,
                    .eps = 1e-5,
                    .eps_keys = {"", ""},
                    .rounds = RoundAfter{.norm = true, .weight = true, .norm_bias = true}},
     .needs = needs_kv_heads},
    {.types = "cohere",
     .layout = Layout::interleaved,
     .rounding = Rounding::p2,
     .norm = head_layer_norm("use_qk_norm"),
     .needs = needs_theta},
    {.types = "cohere2",
     .whole_models = "aya_vision cohere2_vision",
     .layout = Layout::interleaved,
     .rounding = Rounding::p2,
     .norm = kNoNorm,
     .only_sliding_rotates = true,
     .null_window = HfNullWindow::none_rotates,
     .full_every = 4,
     .full_every_key = kPattern},
    {.types = "cohere2_moe",
     .layout = Layout::interleaved,
     .rounding = Rounding::p2,
     .norm = kNoNorm,
     .needs = needs_head_dim,
     .only_sliding_rotates = true,
     .dense_layers_rotate = true,
     .null_window = HfNullWindow::none_rotates},
    {.types = "cosmos3_edge_text",
     .whole_models = "cosmos3_edge",
     .axes = kQwen3Axes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "csm csm_depth_decoder_model", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    {.types = "cwm", .norm = kNoNorm, .needs = needs_theta | needs_rope_dict | needs_head_dim | needs_kv_heads},
    {.types = "deepseek_ocr2_text", .whole_models = "deepseek_ocr2", .norm = kNoNorm, .shares_width = true},
    // The code has an ordinary attention too (DeepSeek-OCR). Files of DeepSeek-VL2 say the language model's fields at
    // the top, too.
    {.types = "deepseek_v2 deepseek_vl_v2",
     .layout = Layout::interleaved,
     .rounding = Rounding::p3,
     .latent = true,
     .latent_flag = true},
    {.types = "deepseek_v3 kimi_k2",
     .whole_models = "kimi_k25",
     .deinterleaves = true,
     .interleave_flag = true,
     .latent = true},
    {.types = "deepseek_v32", .deinterleaves = true, .indexer = HfIndexer{}, .latent = true},
    // The indexer chooses among compressed keys, and only some layers have more of those than they attend to.
    {.types = "deepseek_v4",
     .warning = "model_type: DeepSeek-V4 also turns the attention's outputs back (the spec of q with direction "
                "inverse), and compressed keys by positions of their own",
     .layout = Layout::interleaved,
     .last_lanes = true,
     .rounding = Rounding::p2,
     .indexer = HfIndexer{.has_flag = false, .last_lanes = true, .layer_kind = "compressed_sparse_attention"},
     .norm = HfNorm{.kind = HfNormKind::not_built, .what = "whose norm of q has no weights"},
     .needs = needs_lanes | needs_head_dim,
     .lanes_keys = {"qk_rope_head_dim", ""},
     .one_kv_head = true,
     .own_keys = "compress_rope_theta qk_rope_head_dim",
     .layers = deepseek_v4_layers,
     .rope_dict = deepseek_v4_dict},
    {.types = "dia_decoder dia_encoder",
     .whole_models = "dia",
     .norm = kNoNorm,
     .needs = needs_head_dim | needs_kv_heads},
    {.types = "diffllama", .norm = kNoNorm},
    {.types = "doge", .norm = kRms6},
    {.types = "dory",
     .norm =
         HfNorm{.kind = HfNormKind::not_built, .what = "whose q is multiplied by learned weights behind the rotation"},
     .needs = needs_head_dim | needs_kv_heads,
     .two_thetas = HfTwoThetas{.full = 1e7},
     .full_every = 4},
    {.types = "dots1", .norm = kRms6, .needs = needs_kv_heads},
    {.types = "emu3_text_model", .whole_models = "emu3", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    {.types = "ernie4_5",
     .layout = Layout::interleaved,
     .rounding = Rounding::p3,
     .norm = kNoNorm,
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "ernie4_5_moe",
     .layout = Layout::interleaved,
     .rounding = Rounding::p3,
     .norm = kNoNorm,
     .needs = needs_theta | needs_kv_heads},
    {.types = "ernie4_5_vl_moe_text",
     .whole_models = "ernie4_5_vl_moe",
     .tower = HfTower{.types = "ernie4_5_vl_moe ernie4_5_vl_moe_vision", .layers = 32, .width = 1280},
     .layout = Layout::interleaved,
     .rounding = Rounding::p3,
     .axes = kErnieAxes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_kv_heads},
    {.types = "esm",
     .rounding = Rounding::p2,
     .norm = kNoNorm,
     .scale = HfScale{.of_q = true, .head_dim_power = -0.5},
     .rotates_if_key = "position_embedding_type",
     .rotates_if_value = "rotary"},
    {.types = "esmc",
     .norm = HfNorm{.kind = HfNormKind::layer,
                    .span = NormSpan::token,
                    .eps = 1e-5,
                    .eps_keys = {"", ""},
                    .rounds = kRoundsResult}},
    {.types = "eurobert", .norm = kNoNorm},
    {.types = "exaone", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    {.types = "exaone4",
     .whole_models = "exaone4_5",
     .norm = kRms5,
     .needs = needs_kv_heads,
     .only_sliding_rotates = true,
     .null_window = HfNullWindow::all_rotate,
     .full_every = 4,
     .full_every_key = kPattern},
    {.types = "exaone_moe",
     .norm = kRms5,
     .needs = needs_kv_heads,
     .only_sliding_rotates = true,
     .null_window = HfNullWindow::all_rotate},
    {.types = "falcon", .norm = kNoNorm, .kv_heads = falcon_kv_heads},
    {.types = "falcon_h1",
     .norm = kNoNorm,
     .scale = HfScale{.of_k = true, .key = "key_multiplier"},
     .needs = needs_kv_heads},
    {.types = "flex_olmo", .rounding = Rounding::p3, .norm = kFlexOlmoNorm, .needs = needs_theta},
    {.types = "flint",
     .norm = kOlmoHeadNorm,
     .needs = needs_head_dim | needs_kv_heads,
     .only_sliding_rotates = true,
     .null_window = HfNullWindow::none_rotates},
    {.types = "gemma gemma2 t5_gemma_module vaultgemma",
     .whole_models = "colpali paligemma",
     .norm = kNoNorm,
     .needs = needs_head_dim | needs_kv_heads},
    {.types = "gemma3_text t5gemma2_decoder t5gemma2_text",
     .whole_models = "gemma3 shieldgemma2",
     .norm = kOnePlusW,
     .needs = needs_head_dim | needs_kv_heads,
     .two_thetas = kGemma3,
     .full_every = 6,
     .full_every_key = kPattern},
    {.types = "gemma3n_text",
     .whole_models = "gemma3n",
     .norm = kGemma4Norm,
     .shared_kv_layers = 15,
     .needs = needs_head_dim | needs_kv_heads,
     .two_thetas = kGemma3,
     .full_every = 5,
     .full_every_key = kPattern},
    {.types = "gemma4_text gemma4_unified_text",
     .whole_models = "gemma4 gemma4_unified",
     .tower = HfTower{.types = "gemma4_vision",
                      .layout = Layout::split_sections,
                      .rounding = Rounding::p1,
                      .theta = 100,
                      .layers_key = "num_hidden_layers",
                      .layers = 16,
                      .heads_key = "num_attention_heads",
                      .heads = 12,
                      .width = 768,
                      .head_dim = 64,
                      .kv_heads = 12},
     .norm = kGemma4Norm,
     .shared_kv_layers = 0,
     .v_is_k_key = "attention_k_eq_v",
     .needs = needs_theta | needs_head_dim | needs_kv_heads,
     .own_keys = "global_head_dim per_layer_config",
     .heads_of_kind = gemma_4_heads,
     .full_every = 6,
     .ends_full = true,
     .rope_dict = gemma_4_dict},
    {.types = "glm glm4",
     .layout = Layout::interleaved,
     .norm = kNoNorm,
     .needs = needs_fraction | needs_head_dim | needs_kv_heads},
    {.types = "glm4_moe",
     .norm = HfNorm{.kind = HfNormKind::rms, .eps = 1e-5, .if_key = "use_qk_norm"},
     .needs = needs_fraction | needs_kv_heads},
    {.types = "glm4_moe_lite", .deinterleaves = true, .interleave_flag = true, .latent = true},
    {.types = "glm4v_moe_text",
     .whole_models = "glm4v_moe",
     .tower = HfTower{.types = "glm4v_moe glm4v_moe_vision", .layers = 24, .heads = 12, .width = 1536},
     .axes = kGlmAxes,
     .norm = kNoNorm,
     .needs = needs_fraction | needs_kv_heads},
    {.types = "glm4v_text",
     .whole_models = "glm46v glm4v glmga",
     .tower = HfTower{.types = "glm4v glm4v_vision", .layers = 24, .heads = 12, .width = 1536},
     .layout = Layout::interleaved,
     .axes = kGlmAxes,
     .norm = kNoNorm,
     .needs = needs_kv_heads},
    {.types = "glm_image_text",
     .whole_models = "glm_image",
     .axes = kGlmAxes,
     .norm = kNoNorm,
     .needs = needs_kv_heads},
    {.types = "glm_moe_dsa",
     .deinterleaves = true,
     .indexer = HfIndexer{.heads = 32, .deinterleaves = true, .has_types = true},
     .latent = true},
    {.types = "glm_ocr_text",
     .whole_models = "glm_ocr",
     .tower = HfTower{.types = "glm_ocr glm_ocr_vision", .layers = 24, .width = 1024},
     .layout = Layout::interleaved,
     .axes = kGlmAxes,
     .norm = kNoNorm,
     .needs = needs_kv_heads},
    {.types = "glmasr_encoder", .norm = kNoNorm, .needs = needs_fraction},
    {.types = "gpt_neox", .norm = kNoNorm, .needs = needs_fraction, .neox_fraction = 0.25},
    {.types = "gpt_neox_japanese", .norm = kNoNorm, .neox_fraction = 1},
    {.types = "gpt_oss", .norm = kNoNorm, .needs = needs_theta | needs_rope_dict | needs_head_dim | needs_kv_heads},
    {.types = "gptj codegen",
     .layout = Layout::interleaved,
     .norm = kNoNorm,
     .needs = needs_lanes,
     .gpt_j_names = true},
    {.types = "granite granite4_vision_text granitemoe granitemoe_swa granitemoeshared",
     .whole_models = "granite4_vision granite_speech granite_speech_plus",
     .norm = kNoNorm},
    {.types = "granite_docling_text granite_swa",
     .whole_models = "granite_docling",
     .norm = kNoNorm,
     .needs = needs_kv_heads},
    {.types = "granitemoehybrid",
     .norm = kNoNorm,
     .rotates_if_key = "position_embedding_type",
     .rotates_if_value = "rope",
     .others_are_linear = true},
    {.types = "gte jina_embeddings_v3 nomic_bert", .norm = kNoNorm, .needs = needs_theta},
    {.types = "helium",
     .layout = Layout::interleaved,
     .norm = kNoNorm,
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "higgs_audio_v2",
     .norm = kNoNorm,
     .needs = needs_theta | needs_rope_dict | needs_head_dim | needs_kv_heads},
    {.types = "hrm_text", .norm = kNoNorm, .needs = needs_head_dim},
    // vLLM reads the second name of head_dim.
    {.types = "hunyuan_v1_dense hunyuan_v1_moe",
     .norm = kHunYuanNorm,
     .head_dim_key = "attention_head_dim",
     .alpha_is_ntk = true},
    // transformers gives the two lanes of a pair positions of different axes, which is no rotation; Tencent's own code
    // and vLLM deal whole pairs.
    {.types = "hunyuan_vl_text",
     .whole_models = "hunyuan_vl",
     .warning = "model_type: HunYuan-VL's pairs are dealt to axes whole, as in Tencent's code and vLLM; transformers "
                "5.24 differs where a token's positions do",
     .rounding = Rounding::p2,
     .axes = HfAxes{},
     .norm = kHunYuanNorm,
     .head_dim_key = "attention_head_dim",
     .alpha_is_ntk = true},
    {.types = "hy_v3", .norm = kRms5, .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "hy_v4",
     .indexer = HfIndexer{.heads = 16, .last_lanes = true, .has_types = true, .every_fourth = true},
     .latent = true},
    {.types = "hyperclovax", .whole_models = "hyperclovax_vision_v2", .norm = kNoNorm},
    {.types = "idefics", .norm = HfNorm{.kind = HfNormKind::rms, .after = true, .if_key = "qk_layer_norms"}},
    {.types = "internlm3", .norm = kNoNorm, .needs = needs_head_dim | needs_kv_heads},
    {.types = "iquestcoder", .norm = kNoNorm, .needs = needs_head_dim | needs_kv_heads},
    {.types = "jais2", .norm = kNoNorm},
    {.types = "jetmoe", .norm = kNoNorm, .needs = needs_head_dim | needs_kv_heads, .head_dim_key = "kv_channels"},
    {.types = "kolibri1",
     .norm = kRms6,
     .needs = needs_head_dim | needs_kv_heads,
     .only_sliding_rotates = true,
     .null_window = HfNullWindow::all_rotate},
    {.types = "laguna",
     .norm = kRms6,
     .needs = needs_head_dim | needs_kv_heads,
     .heads_of_kind = laguna_heads,
     .full_every = 1,
     .rope_dict = laguna_dict},
    {.types = "lara_mini",
     .norm = kOlmoHeadNorm,
     .needs = needs_head_dim | needs_kv_heads,
     .only_sliding_rotates = true},
    {.types = "lfm2",
     .whole_models = "lfm2_vl",
     .norm = kLfm2Norm,
     .needs = needs_theta | needs_kv_heads,
     .others_are_linear = true,
     .attention_layers_key = "full_attn_idxs"},
    {.types = "lfm2_moe", .norm = kLfm2Norm, .needs = needs_theta | needs_kv_heads, .others_are_linear = true},
    {.types = "lfm3",
     .whole_models = "lfm3_vl",
     .rounding = Rounding::p3,
     .norm = HfNorm{.kind = HfNormKind::rms, .eps = 1e-5, .eps_keys = {"norm_eps", "rms_norm_eps"}},
     .needs = needs_rope_dict | needs_head_dim | needs_kv_heads,
     .others_are_linear = true},
    {.types = "llama",
     .whole_models = "deepseek_vl deepseek_vl_hybrid glmasr idefics3 janus llava llava_next llava_next_video omniasr "
                     "perception_lm smolvlm video_llava vipllava voxtral",
     .norm = kNoNorm},
    {.types = "llama4_text",
     .whole_models = "llama4",
     .tower = HfTower{.types = "llama4_vision_model",
                      .layout = Layout::interleaved,
                      .layers_key = "num_hidden_layers",
                      .layers = 34,
                      .heads_key = "num_attention_heads",
                      .width = 768},
     .layout = Layout::interleaved,
     .rounding = Rounding::p3,
     .norm = HfNorm{.kind = HfNormKind::rms,
                    .weight = NormWeight::none,
                    .after = true,
                    .where_rotating = true,
                    .eps = 1e-5,
                    .rounds = kRoundsNormed,
                    .if_key = "use_qk_norm",
                    .if_absent = true},
     .temperature = llama_4_temperature,
     .needs = needs_theta | needs_head_dim | needs_kv_heads,
     .no_rope_list = true},
    {.types = "longcat_flash", .deinterleaves = true, .needs = needs_theta, .latent = true},
    {.types = "mellum",
     .norm = kRms6,
     .needs = needs_head_dim | needs_kv_heads,
     .two_thetas = HfTwoThetas{.full = 5e5},
     .full_every = 1},
    {.types = "mimi mimi_decoder mimi_encoder", .norm = kNoNorm, .needs = needs_kv_heads},
    {.types = "mimo_v2_flash",
     .norm = kNoNorm,
     .scale = HfScale{.of_v = true, .key = "attention_value_scale", .otherwise = 0.707},
     .v_head_dim_key = "v_head_dim",
     .v_head_dim = 128,
     .needs = needs_head_dim | needs_kv_heads,
     .own_keys = "swa_rope_theta",
     .heads_of_kind = mimo_v2_heads,
     .layers = mimo_v2_layers,
     .rope_dict = mimo_v2_dict},
    {.types = "minicpm3", .latent = true},
    {.types = "minimax",
     .norm = kNoNorm,
     .needs = needs_theta | needs_kv_heads,
     .full_every = 2,
     .full_first = true,
     .others_are_linear = true},
    {.types = "minimax_m2",
     .norm = HfNorm{.kind = HfNormKind::rms, .span = NormSpan::token},
     .needs = needs_theta | needs_fraction | needs_head_dim | needs_kv_heads},
    {.types = "minimax_m3_vl_text",
     .whole_models = "minimax_m3_vl",
     .norm = kOnePlusW,
     .needs = needs_theta | needs_fraction | needs_head_dim | needs_kv_heads},
    {.types = "ministral3",
     .norm = kNoNorm,
     .temperature = ministral_3_temperature,
     .rounds_tau = true,
     .needs = needs_theta | needs_rope_dict | needs_head_dim | needs_kv_heads},
    {.types = "mistral ministral",
     .whole_models = "idefics2 mistral3",
     .tower = HfTower{.types = "pixtral",
                      .frequencies = AxisFrequencies::strided,
                      .rounding = Rounding::p1,
                      .layers_key = "num_hidden_layers",
                      .layers = 24,
                      .heads_key = "num_attention_heads",
                      .width = 1024},
     .norm = kNoNorm,
     .needs = needs_kv_heads},
    {.types = "mistral4", .deinterleaves = true, .interleave_flag = true, .needs = needs_rope_dict, .latent = true},
    {.types = "mixtral", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    {.types = "mllama_text_model", .whole_models = "mllama", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads},
    // Its files have a position_embedding_type that its code does not know.
    {.types = "modernbert modernbert-decoder",
     .whole_models = "modernvbert",
     .rounding = Rounding::p2,
     .norm = kNoNorm,
     .positions_unnamed = true,
     .two_thetas =
         HfTwoThetas{
             .full_key = "global_rope_theta", .full = 160000, .local_key = "local_rope_theta", .scales_local = true},
     .full_every = 3,
     .full_every_key = kEvery,
     .full_first = true},
    {.types = "molmo2_text",
     .whole_models = "molmo2",
     .norm =
         HfNorm{.kind = HfNormKind::rms, .span_key = "qk_norm_type", .eps_keys = {"rms_norm_eps", "layer_norm_eps"}},
     .needs = needs_head_dim | needs_kv_heads},
    {.types = "moonshine", .layout = Layout::interleaved, .norm = kNoNorm, .needs = needs_fraction | needs_kv_heads},
    {.types = "moonshine_streaming",
     .layout = Layout::interleaved,
     .norm = kNoNorm,
     .needs = needs_rope_dict | needs_fraction},
    {.types = "moshi kyutai_speech_to_text", .norm = kNoNorm},
    {.types = "muse_glimmer_text",
     .whole_models = "muse_glimmer",
     .norm = kMuseNorm,
     .scale = HfScale{.of_q = true, .key = "qk_scale_factor", .otherwise = 3.87},
     .needs = needs_head_dim | needs_kv_heads,
     .layer_thetas_key = "layer_rope_theta",
     .layers = muse_layers},
    {.types = "muse_spark_text",
     .whole_models = "muse_spark",
     .norm = kMuseNorm,
     .scale = HfScale{.of_q = true, .key = "qk_scale_factor", .otherwise = 5.4730064863875},
     .needs = needs_head_dim | needs_kv_heads,
     .layer_thetas_key = "layer_rope_theta",
     .layers = muse_layers,
     .rope_dict = muse_spark_dict},
    {.types = "nanochat",
     .turns_back = true,
     .norm = HfNorm{.kind = HfNormKind::rms, .weight = NormWeight::none, .after = true, .rounds = kRoundsNormed}},
    {.types = "nemotron", .norm = kNoNorm, .needs = needs_fraction},
    {.types = "olmo", .rounding = Rounding::p3, .norm = kNoNorm, .clamp_key = "clip_qkv"},
    {.types = "olmo2", .rounding = Rounding::p3, .norm = kOlmoNorm},
    {.types = "olmo3",
     .rounding = Rounding::p3,
     .norm = kOlmoNorm,
     .two_thetas = HfTwoThetas{.full_key = "rope_theta", .full = 5e5, .local = 5e5},
     .full_every = 4,
     .full_every_key = kPattern},
    {.types = "olmo_hybrid", .rounding = Rounding::p3, .norm = kFlexOlmoNorm, .others_are_linear = true},
    {.types = "olmoe",
     .norm = HfNorm{.kind = HfNormKind::rms, .span = NormSpan::token, .eps = 1e-5},
     .clamp_key = "clip_qkv"},
    {.types = "openai_privacy_filter",
     .layout = Layout::interleaved,
     .norm = kNoNorm,
     .scale = HfScale{.of_q = true, .of_k = true, .head_dim_power = -0.25, .after = true},
     .needs = needs_theta | needs_rope_dict | needs_head_dim | needs_kv_heads},
    {.types = "paddleocr_vl_text",
     .whole_models = "paddleocr_vl",
     .axes = kQwen2Axes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "persimmon",
     .whole_models = "fuyu",
     .norm = HfNorm{.kind = HfNormKind::layer,
                    .bias = true,
                    .eps = 1e-5,
                    .eps_keys = {"layer_norm_eps", ""},
                    .rounds = kRoundsBiased,
                    .if_key = "qk_layernorm",
                    .if_absent = true},
     .needs = needs_theta | needs_fraction},
    {.types = "phi", .norm = kPhiNorm, .needs = needs_fraction},
    {.types = "phi3", .norm = kNoNorm, .yarn_is_longrope = true, .original_length = 4096},
    {.types = "phi4_multimodal",
     .norm = kNoNorm,
     .needs = needs_kv_heads,
     .yarn_is_longrope = true,
     .original_length = 4096},
    {.types = "phimoe", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads, .longrope_mscales = true},
    {.types = "qwen2 qwen2_moe",
     .whole_models = "audioflamingo3 fast_vlm got_ocr2 internvl llava_onevision ovis2 pp_chart2table qwen2_audio "
                     "vibevoice vibevoice_asr video_llama_3",
     .norm = kNoNorm,
     .needs = needs_kv_heads},
    {.types = "qwen2_5_omni_talker",
     .axes = kQwen2Axes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "qwen2_5_omni_text",
     .whole_models = "qwen2_5_omni qwen2_5_omni_thinker",
     .tower = HfTower{.types = "qwen2_5_omni_thinker qwen2_5_omni_vision_encoder", .layers = 32, .width = 3584},
     .axes = kQwen2Axes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_kv_heads},
    {.types = "qwen2_5_vl_text",
     .whole_models = "qwen2_5_vl",
     .tower = HfTower{.types = "qwen2_5_vl qwen2_5_vl_vision", .layers = 32, .width = 3584},
     .axes = kQwen2Axes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_kv_heads},
    {.types = "qwen2_vl_text",
     .whole_models = "colqwen2 qwen2_vl",
     .tower = HfTower{.types = "qwen2_vl qwen2_vl_vision", .layers = 32, .width_key = "embed_dim", .width = 1280},
     .axes = kQwen2Axes,
     .norm = kNoNorm,
     .needs = needs_theta | needs_kv_heads},
    {.types = "qwen3 qwen3_omni_moe_talker_code_predictor",
     .whole_models = "fun_asr_nano lighton_ocr moss_transcribe_diarize qianfan_ocr qwen3_asr",
     .norm = kRms6,
     .needs = needs_head_dim | needs_kv_heads},
    {.types = "qwen3_5_text qwen3_5_moe_text",
     .whole_models = "minicpm_ocr minicpmv4_6 minicpmv4_7 qwen3_5 qwen3_5_moe",
     .tower = HfTower{.types = "qwen3_5 qwen3_5_moe qwen3_5_moe_vision qwen3_5_vision", .layers = 27, .width = 1152},
     .axes = kQwen35Axes,
     .norm = kOnePlusW,
     .needs = needs_fraction | needs_head_dim | needs_kv_heads,
     .full_every = 4,
     .full_every_key = kInterval,
     .others_are_linear = true},
    {.types = "qwen3_moe", .norm = kRms6, .needs = needs_kv_heads},
    {.types = "qwen3_next",
     .norm = kOnePlusW,
     .needs = needs_fraction | needs_head_dim | needs_kv_heads,
     .full_every = 4,
     .full_every_key = kInterval,
     .others_are_linear = true},
    {.types = "qwen3_omni_moe_talker_text",
     .whole_models = "qwen3_omni_moe_talker",
     .axes = kQwen3Axes,
     .norm = kRms6,
     .needs = needs_kv_heads},
    {.types = "qwen3_omni_moe_text",
     .whole_models = "qwen3_omni_moe qwen3_omni_moe_thinker",
     .tower = HfTower{.types = "qwen3_omni_moe_thinker qwen3_omni_moe_vision_encoder", .layers = 27, .width = 1152},
     .axes = kQwen3Axes,
     .norm = kRms6,
     .needs = needs_theta | needs_kv_heads},
    {.types = "qwen3_vl_moe_text",
     .whole_models = "qwen3_vl_moe",
     .tower = HfTower{.types = "qwen3_vl_moe qwen3_vl_moe_vision", .layers = 27, .width = 1152},
     .axes = kQwen3Axes,
     .norm = kRms6,
     .needs = needs_theta | needs_kv_heads},
    {.types = "qwen3_vl_text",
     .whole_models = "cosmos3_omni qwen3_vl",
     .tower = HfTower{.types = "qwen3_vl qwen3_vl_vision", .layers = 27, .width = 1152},
     .axes = kQwen3Axes,
     .norm = kRms6,
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "recurrent_gemma", .norm = kNoNorm, .needs = needs_fraction, .others_are_linear = true},
    {.types = "sarvam_mla", .deinterleaves = true, .interleave_flag = true, .latent = true},
    {.types = "sarvam_moe",
     .norm = HfNorm{.kind = HfNormKind::rms, .if_key = "use_qk_norm", .if_absent = true},
     .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "seed_oss", .norm = kNoNorm, .needs = needs_head_dim | needs_kv_heads},
    {.types = "smollm3", .norm = kNoNorm, .needs = needs_theta | needs_kv_heads, .no_rope_list = true},
    {.types = "solar_open", .norm = kNoNorm, .needs = needs_theta | needs_head_dim | needs_kv_heads},
    {.types = "stablelm", .norm = head_layer_norm("qk_layernorm"), .needs = needs_fraction | needs_kv_heads},
    {.types = "starcoder2", .norm = kNoNorm, .needs = needs_kv_heads},
    {.types = "step3p5",
     .whole_models = "step3p7",
     .norm = HfNorm{.kind = HfNormKind::rms, .plus_one = true, .eps = 1e-5, .rounds = kRoundsResult},
     .needs = needs_head_dim,
     .own_keys = "partial_rotary_factors per_layer_config yarn_only_types",
     .kv_heads = step_3_7_kv_heads,
     .heads_of_kind = step_3_7_heads,
     .full_every = 1,
     .rope_dict = step_3_7_dict},
    {.types = "timesfm2_5",
     .norm = HfNorm{.kind = HfNormKind::not_built, .what = "whose q is multiplied by learned weights behind its norm"},
     .needs = needs_head_dim | needs_kv_heads},
    {.types = "ultrabert",
     .whole_models = "ultravbert",
     .norm = kNoNorm,
     .two_thetas = HfTwoThetas{.full = 2.56e6},
     .full_every = 3},
    {.types = "unlimited_ocr_text",
     .whole_models = "unlimited_ocr",
     .norm = kNoNorm,
     .needs = needs_kv_heads,
     .shares_width = true},
    {.types = "voxtral_realtime_text", .whole_models = "voxtral_realtime", .norm = kNoNorm, .needs = needs_kv_heads},
    {.types = "youtu", .deinterleaves = true, .interleave_flag = true, .latent = true},
    {.types = "zamba2",
     .norm = kNoNorm,
     .needs = needs_head_dim,
     .head_dim_key = "attention_head_dim",
     .rotates_if_key = "use_mem_rope",
     .others_are_linear = true},
    {.types = "zaya",
     .norm = HfNorm{.kind = HfNormKind::l2, .weight = NormWeight::none, .rounds = RoundAfter{.statistic = true}},
     .scale = HfScale{.of_q = true, .of_k = true, .head_dim_power = 0.5, .by_heads_of_k = true},
     .needs = needs_rope_dict | needs_fraction | needs_head_dim | needs_kv_heads},
};

// The type of a part of a whole model: the one of the row that is named after it, or else the row's first.
llvm::StringRef part_of(llvm::StringRef whole_model, const HfFamily& family) {
  for (llvm::StringRef words = family.types; !words.empty();) {
    const auto [type, rest] = words.split(' ');
    llvm::StringRef part = type;
    if (part.consume_front(whole_model) && (part == "_text" || part == "_text_model")) return type;
    words = rest;
  }
  return llvm::StringRef(family.types).split(' ').first;
}

}  // namespace

const HfFamily* find_hf_family(llvm::StringRef language_type) {
  const auto* row =
      llvm::find_if(kFamilies, [&](const HfFamily& family) { return has_word(family.types, language_type); });
  return row == std::end(kFamilies) ? nullptr : row;
}

llvm::StringRef hf_language_type(llvm::StringRef model_type) {
  const auto* row =
      llvm::find_if(kFamilies, [&](const HfFamily& family) { return has_word(family.whole_models, model_type); });
  if (row != std::end(kFamilies)) return part_of(model_type, *row);
  return find_hf_family(model_type) != nullptr ? model_type : llvm::StringRef();
}

const HfTower* find_hf_tower(llvm::StringRef model_type) {
  const auto* row = llvm::find_if(
      kFamilies, [&](const HfFamily& family) { return family.tower && has_word(family.tower->types, model_type); });
  return row == std::end(kFamilies) ? nullptr : &*row->tower;
}

bool has_word(llvm::StringRef words, llvm::StringRef word) {
  while (!words.empty()) {
    const auto [first, rest] = words.split(' ');
    if (first == word) return true;
    words = rest;
  }
  return false;
}

}  // namespace ropejit::internal
