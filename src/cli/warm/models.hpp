// The models that `warm` and `check` are given by name or by file: --hf.
#pragma once

#include <vector>

#include "cli/arguments.hpp"
#include "deploy/problems.hpp"
#include "deploy/warm_model.hpp"

namespace ropejit::internal {

/// What --hf and the words behind it name, as cli/model_source.hpp finds models, but no specs: config.json files, by
/// their paths, in their own dtypes, read as --as says; and known models, in bf16. What is wrong goes to `problems`,
/// and which known models were taken is printed.
std::vector<WarmModel> read_models(const Arguments& arguments, Problems& problems);

}  // namespace ropejit::internal
