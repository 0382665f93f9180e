#include "hf/scaling.hpp"

#include <optional>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

class HfScalingReader {
 public:
  HfScalingReader(const ObjectReader& dict, const HfScalingContext& context) : dict_(dict), context_(context) {}

  Scaling dynamic() const {
    // Hunyuan's configs say dynamic and mean a fixed stretch. Elsewhere transformers does not look at an alpha, while
    // vLLM does.
    if (dict_.find_number("alpha", kAlpha).value_or(0) != 0) {
      if (context_.family.alpha_is_ntk) return NtkScaling{dict_.get_number("alpha", kFactor)};
      throw field_error(ErrorCode::unsupported, dict_.path("alpha"), describe(*dict_.find("alpha")),
                        "absent with dynamic scaling, but for Hunyuan's models");
    }
    const double factor = dict_.get_number("factor", kFactor);
    return DynamicScaling{factor, context_.config.get_int("max_position_embeddings", kContextLength)};
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
    if (!context_.nested) rule.truncate = dict_.find_bool("truncate").value_or(true);
    rule.attention_factor = dict_.find_number("attention_factor", kFactor);
    rule.mscale = dict_.find_number("mscale", kMscale).value_or(0);
    rule.mscale_all_dim = dict_.find_number("mscale_all_dim", kMscale).value_or(0);
    rule.scale_softmax = context_.family.scales_softmax && rule.mscale_all_dim != 0;
    return rule;
  }

  Scaling longrope() const {
    LongRopeScaling rule;
    rule.short_factor = read_number_list(dict_, "short_factor", kFactor);
    rule.long_factor = read_number_list(dict_, "long_factor", kFactor);
    rule.original_max_position_embeddings = original_length(kLongRopeContextLength);
    rule.attention_factor = dict_.find_number("attention_factor", kFactor);
    if (context_.family.longrope_mscales) {
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

 private:
  static constexpr PositiveRange kAlpha{PositiveRange{}.max, true};

  // Beside the kinds of layers the config's own value wins over the dictionary's; then max_position_embeddings stands
  // in for it.
  std::int64_t original_length(const IntRange& range) const {
    static constexpr const char* kKey = "original_max_position_embeddings";
    if (!context_.nested) {
      if (const auto length = context_.config.find_int(kKey, range)) return *length;
    }
    if (const auto length = dict_.find_int(kKey, range)) return *length;
    if (!context_.nested && context_.family.original_length != 0) return context_.family.original_length;
    if (const auto length = context_.config.find_int("max_position_embeddings", range)) return *length;
    throw missing_field(dict_.path(kKey), range.describe());
  }

  // M / L, for a factor that is absent.
  double extension(std::int64_t original) const {
    const auto length = context_.config.find_int("max_position_embeddings", kContextLength);
    if (!length) throw missing_field(dict_.path("factor"), kFactor.describe());
    return static_cast<double>(*length) / static_cast<double>(original);
  }

  double not_zero(const char* key, double fallback) const {
    const double value = dict_.find_number(key, kAlpha).value_or(0);
    return value == 0 ? fallback : value;
  }

  const ObjectReader& dict_;
  const HfScalingContext& context_;
};

}  // namespace

Scaling read_hf_scaling(const ObjectReader& dict, std::string_view name, std::string_view name_field,
                        const HfScalingContext& context) {
  const HfScalingReader reader(dict, context);
  if (name == "su" || (name == "yarn" && context.family.yarn_is_longrope)) return reader.longrope();
  if (name == "dynamic") return reader.dynamic();
  if (name == "llama3") return reader.llama3();
  if (name == "longrope") return reader.longrope();
  if (name == "proportional") return reader.proportional();
  if (name == "yarn") return reader.yarn();
  return require_scaling_rule(name, name_field).read(dict);
}

}  // namespace ropejit::internal
