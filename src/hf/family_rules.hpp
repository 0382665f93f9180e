// What single families do that no value of a row of the table says, a function each, to which rows point
// (hf/families.cpp). They have the signatures of HfFamily's members, and throw Error naming the field that they cannot
// read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hf/family.hpp"
#include "hf/layers.hpp"
#include "hf/rope_dict.hpp"

namespace ropejit::internal {

inline constexpr const char* kFull = "full_attention";
inline constexpr const char* kSliding = "sliding_attention";
inline constexpr const char* kSparse = "compressed_sparse_attention";
inline constexpr const char* kHeavy = "heavily_compressed_attention";

/// Falcon: multi_query counts unless new_decoder_architecture is set, and then num_kv_heads.
std::int64_t falcon_kv_heads(const ObjectReader& config, std::int64_t q_heads);
/// Gemma 4: full layers have heads of their own.
HfHeads gemma_4_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual);
/// Laguna: each layer has its own number of query heads, which those of a kind share.
HfHeads laguna_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual);
/// MiMo-V2-Flash: sliding layers have twice the key heads.
HfHeads mimo_v2_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual);
/// Step-3.7: sliding layers have query heads of their own.
HfHeads step_3_7_heads(const ObjectReader& config, llvm::StringRef kind, HfHeads usual);
/// Its files have another name for the key heads.
std::int64_t step_3_7_kv_heads(const ObjectReader& config, std::int64_t q_heads);
/// MiMo-V2-Flash: the first layer and every sixth are full; its first files say which are not.
std::vector<HfLayer> mimo_v2_layers(const ObjectReader& config, std::int64_t count);
/// Muse: every fourth layer is full, counted backward from the last.
std::vector<HfLayer> muse_layers(const ObjectReader& config, std::int64_t count);
/// DeepSeek-V4: a layer's kind follows from how it compresses its keys, which compress_ratios says, or the class's own
/// pattern.
std::vector<HfLayer> deepseek_v4_layers(const ObjectReader& config, std::int64_t count);
/// Gemma 4: where a config has no dictionaries by kind of layer, the class's own.
HfRopeDict gemma_4_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind);
/// Laguna: dictionaries by kind of layer, or the class's own.
HfRopeDict laguna_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                       const std::string& kind);
/// MiMo-V2-Flash: the same. Its first files have keys of their own.
HfRopeDict mimo_v2_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                        const std::string& kind);
/// Step-3.7: dictionaries by kind of layer, or arrays of a theta and a fraction a layer; scaling is for full layers.
HfRopeDict step_3_7_dict(const ObjectReader& config, const HfFamily& family, const std::optional<ObjectReader>& nested,
                         const std::string& kind);
/// Muse Spark: the class has a theta of its own where a config has no dictionary, whatever it says beside that.
HfRopeDict muse_spark_dict(const ObjectReader& config, const HfFamily& family,
                           const std::optional<ObjectReader>& nested, const std::string& kind);
/// DeepSeek-V4: a layer's rotation follows from whether it compresses its keys. The dictionary "main" is for
/// sliding_attention, which no scaling applies to, and "compress" for the other kinds of layers.
HfRopeDict deepseek_v4_dict(const ObjectReader& config, const HfFamily& family,
                            const std::optional<ObjectReader>& nested, const std::string& kind);
/// Llama 4 scales the queries of layers that do not rotate, by the token's place counted from 1.
std::optional<Temperature> llama_4_temperature(const ObjectReader& config, bool rotates);
/// Ministral 3: the rope dictionary has the numbers of that scale, which its class cannot do without.
std::optional<Temperature> ministral_3_temperature(const ObjectReader& config, bool rotates);

}  // namespace ropejit::internal
