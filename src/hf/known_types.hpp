// The model types whose config.json is read. Any other is an error: most models with a key that nobody knows would
// otherwise pass for a Llama.
#pragma once

#include <string_view>

namespace ropejit::internal {

/// A type whose own fields describe attention with a rotary embedding: "llama", "gemma3_text".
bool is_hf_language_type(std::string_view model_type);

/// The language type of a whole model's part, which counts where the part's config has none: "llama" of "llava". Empty:
/// not the type of a whole model.
std::string_view hf_language_type_of(std::string_view model_type);

/// A type of a model that has no rotary embedding: "bert".
bool has_no_rope(std::string_view model_type);

}  // namespace ropejit::internal
