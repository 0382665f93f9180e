// The known models that a person's word means, and those that it may have been meant to say. The case of letters never
// matters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "deploy/warm_model.hpp"

namespace ropejit::internal {

/// The models of `known` that `word` names. The one whose whole name it is ("Qwen/Qwen3-8B") goes before those whose
/// name it is without the organisation, that is without what stands before the first slash ("qwen3-8b",
/// "qwen3-vl/vision"); these go before those whose name ends in it from a '/' or a '-' on ("llama-3.1-8b" of
/// "meta-llama/Meta-Llama-3.1-8B"); such an end has one of these inside, so "8b" is none, and may have the organisation
/// before it
/// ("meta-llama/Llama-3.1-8B"). Several: the word does not
/// tell them apart. None: it is no name.
std::vector<const WarmModel*> models_named(std::string_view word, const std::vector<WarmModel>& known);

/// The names of `known`, three at most, that a word which names none is nearest to. They are compared without the
/// organisation, from their beginning and from each '/' or '-' on, with the word and with what its first slash leaves
/// of it. Nearest is one that goes on where the word ends ("gemma-3"), or ends where the word goes on with a '-'
/// ("llama-3.1-8b-instruct"), and else one that differs by the fewest letters, at most a quarter of the word's and at
/// most four.
std::vector<std::string> near_names(std::string_view word, const std::vector<WarmModel>& known);

}  // namespace ropejit::internal
