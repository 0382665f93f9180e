// The scaling rule of a rope dictionary.
#include <llvm/ADT/STLExtras.h>

#include <optional>

#include "hf/rope_dict.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

class ScalingReader {
 public:
  ScalingReader(const ObjectReader& dict, const ObjectReader& config, const HfFamily& family, bool nested)
      : dict_(dict), config_(config), family_(family), nested_(nested) {}

  // The rule of that name, which `key` gives.
  Scaling read(llvm::StringRef name, const char* key) const {
    if (name == "su" || name == "longrope" || (name == "yarn" && family_.yarn_is_longrope)) return longrope();
    if (name == "yarn") return yarn();
    if (name == "llama3") return llama3();
    if (name == "proportional") return proportional();
    // M-RoPE's names for what is no scaling, and for what Hunyuan's dynamic is.
    if (name == "mrope" && family_.axes) return NoScaling{};
    if (name == "dynamic" || (name == "xdrope" && family_.axes && family_.alpha_is_ntk)) return dynamic();
    return require_scaling_rule(name, dict_.path(key)).read(dict_);
  }

 private:
  static constexpr PositiveRange kAlpha{PositiveRange{}.max, true};

  Scaling dynamic() const {
    // Hunyuan's configs say dynamic and mean a fixed stretch. Elsewhere transformers does not look at an alpha, while
    // vLLM does.
    if (dict_.find_number("alpha", kAlpha).value_or(0) != 0) {
      if (family_.alpha_is_ntk) return NtkScaling{dict_.get_number("alpha", kFactor)};
      throw field_error(ErrorCode::unsupported, dict_.path("alpha"), describe(*dict_.find("alpha")),
                        "absent with dynamic scaling, but for Hunyuan's models");
    }
    const double factor = dict_.get_number("factor", kFactor);
    return DynamicScaling{factor, config_.get_int("max_position_embeddings", kContextLength)};
  }

  Scaling llama3() const {
    Llama3Scaling rule;
    rule.factor = dict_.get_number("factor", kFactor);
    rule.low_freq_factor = dict_.get_number("low_freq_factor", kFactor);
    rule.high_freq_factor = dict_.get_number("high_freq_factor", kFactor);
    rule.original_max_position_embeddings = original_length(kContextLength);
    return rule;
  }

  Scaling yarn() const {
    YarnScaling rule;
    rule.original_max_position_embeddings = original_length(kContextLength);
    rule.factor = dict_.find_number("factor", kFactor).value_or(0);
    if (rule.factor == 0) rule.factor = extension(rule.original_max_position_embeddings);
    // `or`, not a test for None: 0 stands for the default.
    rule.beta_fast = not_zero("beta_fast", rule.beta_fast);
    rule.beta_slow = not_zero("beta_slow", rule.beta_slow);
    // transformers looks for it beside the kinds of layers, not in their dictionaries.
    if (!nested_) rule.truncate = dict_.find_bool("truncate").value_or(true);
    rule.attention_factor = dict_.find_number("attention_factor", kFactor);
    rule.mscale = dict_.find_number("mscale", kMscale).value_or(0);
    rule.mscale_all_dim = dict_.find_number("mscale_all_dim", kMscale).value_or(0);
    rule.scale_softmax = family_.latent && rule.mscale_all_dim != 0;
    return rule;
  }

  Scaling longrope() const {
    LongRopeScaling rule;
    rule.short_factor = read_number_list(dict_, "short_factor", kFactor);
    rule.long_factor = read_number_list(dict_, "long_factor", kFactor);
    rule.original_max_position_embeddings = original_length(kLongRopeContextLength);
    rule.attention_factor = dict_.find_number("attention_factor", kFactor);
    if (family_.longrope_mscales) {
      rule.short_mscale = dict_.find_number("short_mscale", kFactor);
      rule.long_mscale = dict_.find_number("long_mscale", kFactor);
    }
    rule.factor = dict_.find_number("factor", kFactor);
    const bool needs_factor = !rule.attention_factor && !(rule.short_mscale && rule.long_mscale);
    if (!rule.factor && needs_factor) rule.factor = extension(rule.original_max_position_embeddings);
    return rule;
  }

  // Its partial_rotary_factor may stand in the config too, so that is for the reader of both.
  Scaling proportional() const { return ProportionalScaling{dict_.find_number("factor", kFactor).value_or(1.0), 1.0}; }

  // Beside the kinds of layers the config's own value wins over the dictionary's; then max_position_embeddings stands
  // in for it.
  std::int64_t original_length(const IntRange& range) const {
    static constexpr const char* kKey = "original_max_position_embeddings";
    if (!nested_) {
      if (const auto length = config_.find_int(kKey, range)) return *length;
    }
    if (const auto length = dict_.find_int(kKey, range)) return *length;
    if (!nested_ && family_.original_length != 0) return family_.original_length;
    if (const auto length = config_.find_int("max_position_embeddings", range)) return *length;
    throw missing_field(dict_.path(kKey), range.describe());
  }

  // M / L, for a factor that is absent.
  double extension(std::int64_t original) const {
    const auto length = config_.find_int("max_position_embeddings", kContextLength);
    if (!length) throw missing_field(dict_.path("factor"), kFactor.describe());
    return static_cast<double>(*length) / static_cast<double>(original);
  }

  double not_zero(const char* key, double fallback) const {
    const double value = dict_.find_number(key, kAlpha).value_or(0);
    return value == 0 ? fallback : value;
  }

  const ObjectReader& dict_;
  const ObjectReader& config_;
  const HfFamily& family_;
  bool nested_;
};

constexpr llvm::StringLiteral kNoScalingKeys[] = {
    "interleaved", "mrope_interleaved", "mrope_section", "partial_rotary_factor",
    "rope_theta",  "rope_type",         "type",          "xdrope_section",
};

}  // namespace

Scaling read_hf_scaling(const ObjectReader& dict, const ObjectReader& config, const HfFamily& family, bool nested) {
  // rope_type, or type in configs of older releases; transformers prefers the former too.
  for (const char* key : {"rope_type", "type"}) {
    const std::optional<std::string> name = dict.find_string(key, scaling_rule_names());
    if (name) return ScalingReader(dict, config, family, nested).read(*name, key);
  }
  // Without a type, a dictionary may hold only what is no scaling.
  for (const auto& member : dict.object()) {
    if (!llvm::is_contained(kNoScalingKeys, llvm::StringRef(member.first))) {
      throw missing_field(dict.path("rope_type"), scaling_rule_names());
    }
  }
  return NoScaling{};
}

}  // namespace ropejit::internal
