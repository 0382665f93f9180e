// What a scaling rule multiplies: cos and sin by A, and the softmax scale of models of DeepSeek's kind.
#pragma once

#include "ropejit/spec.hpp"

namespace ropejit::internal {

inline constexpr double kLeastAttentionScale = 0x1p-20;
inline constexpr double kMostAttentionScale = 0x1p20;

/// The attention scale A, correctly rounded from wide arithmetic. `is_long`: the length is beyond the rule's original
/// one, which only longrope asks. The rule's fields must be in range, but may be in no relation to each other.
double attention_scale(const Scaling& scaling, bool is_long);

/// Whether the rule resolves to other frequencies for another RopeSpec::max_length: dynamic and longrope do.
bool depends_on_length(const Scaling& scaling) noexcept;

/// Whether spec.max_length is beyond longrope's original_max_position_embeddings; false for every other rule. Throws
/// Error{unsupported} where the rule depends on a length and the spec has none.
bool is_long(const RopeSpec& spec);

/// Throws Error{unsupported} where spec.max_length is absent: "max_length: found nothing, allowed: ...".
std::int64_t require_max_length(const RopeSpec& spec);

/// The value of RopeSpec::softmax_scale.
double softmax_scale(const Scaling& scaling);

}  // namespace ropejit::internal
