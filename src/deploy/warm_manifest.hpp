// WarmManifest: which models, in which dtypes, forms and degrees of tensor parallelism, are to be ready. The grammar is
// in cache/manifests/README.md. (The manifest of a cache directory, store/manifest.hpp, is another thing.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "deploy/problems.hpp"
#include "deploy/warm_form.hpp"
#include "deploy/warm_model.hpp"
#include "ropejit/spec.hpp"

namespace ropejit::internal {

struct WarmManifest {
  std::vector<WarmModel> models;
  std::vector<DType> dtypes;
  std::vector<std::optional<Layout>> layouts = {std::nullopt};  ///< nothing: the model's own
  std::vector<WarmForm> forms;
  std::vector<std::int64_t> tensor_parallel = {1};
  std::vector<std::string> archs;  ///< as arch_named has them; may be empty
};

/// Of models, those that `known` has may be named. What is wrong goes to `problems`, all of it: the manifest is of use
/// only where there is none.
WarmManifest read_warm_manifest(std::string_view text, const std::vector<WarmModel>& known, Problems& problems);

/// "1,2,4,8" of a command line, as the manifest's key has it; `what` names it in messages.
std::vector<std::int64_t> read_degrees(std::string_view what, std::string_view list, Problems& problems);
/// The same for "bf16,fp16", for "vllm,hf" and for archs.
std::vector<DType> read_dtypes(std::string_view what, std::string_view list, Problems& problems);
std::vector<WarmForm> read_forms(std::string_view what, std::string_view list, Problems& problems);
std::vector<std::string> read_archs(std::string_view what, std::string_view list, Problems& problems);

}  // namespace ropejit::internal
