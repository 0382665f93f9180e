#include "hf/deepseek_v4.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kSliding = "sliding_attention";
constexpr const char* kSparse = "compressed_sparse_attention";
constexpr const char* kHeavy = "heavily_compressed_attention";

const char* kind_of_ratio(const llvm::json::Value& ratio, const std::string& field) {
  const auto number = ratio.getAsNumber();
  if (number && *number == 0) return kSliding;
  if (number && *number == 4) return kSparse;
  if (number && *number == 128) return kHeavy;
  throw field_error(ErrorCode::invalid_argument, field, describe(ratio), "0, 4 or 128");
}

}  // namespace

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
  for (std::int64_t i = 0; i < count; ++i) layers.push_back(HfLayer{i >= 2 && i % 2 == 1 ? kSparse : kHeavy});
  return layers;
}

HfRopeDict deepseek_v4_dict(const ObjectReader& config, const HfFamily& family, const std::string& kind) {
  const bool compresses = kind != kSliding;
  HfRopeDict result;
  std::optional<ObjectReader> dict;
  bool nested = false;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const std::optional<ObjectReader> given = config.find_object(key);
    if (!given || dict) continue;
    nested = given->has("main") && given->has("compress");
    dict = nested ? given->get_object(compresses ? "compress" : "main") : *given;
  }
  if (dict && (nested || compresses)) result = read_nested_rope_dict(*dict, config, family);
  result.of_layer_kind = true;
  // The class leaves YaRN's attention factor out, unless a dictionary of the kind says otherwise.
  if (auto* yarn = std::get_if<YarnScaling>(&result.scaling); yarn != nullptr && !nested && !yarn->attention_factor) {
    yarn->attention_factor = 1.0;
  }
  if (!nested) result.theta.reset();
  if (!result.theta) {
    const char* key = compresses ? "compress_rope_theta" : "rope_theta";
    result.theta =
        SourcedNumber{config.find_number(key, kTheta).value_or(compresses ? 160000.0 : 10000.0), config.path(key)};
  }
  return result;
}

}  // namespace ropejit::internal
