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

/// Every architecture that this version is meant for, ascending: "sm_75", ... Which of them a compiler knows is its
/// matter.
std::vector<std::string> build_archs();

/// "9.0", "90" and "sm_90" are "sm_90"; "host" is the host target's ("host-x86_64"), as is that name. Nothing for any
/// other text, and for sm_90a and the like: no service looks for their binaries.
std::optional<std::string> arch_named(std::string_view text);

/// What arch_named takes, for messages.
std::string allowed_archs();

struct WarmManifest {
  std::vector<WarmModel> models;
  std::vector<DType> dtypes;
  std::vector<std::optional<Layout>> layouts = {std::nullopt};  ///< nothing: the model's own
  std::vector<WarmForm> forms;
  std::vector<std::int64_t> tensor_parallel = {1};
  std::vector<std::string> archs;  ///< as arch_named has them; may be empty
};

/// Models that `known` has may be named. What is wrong goes to `problems`, all of it: the manifest is of use
/// only where there is none.
WarmManifest read_warm_manifest(std::string_view text, const std::vector<WarmModel>& known, Problems& problems);

/// "1,2,4,8" of a command line, as the manifest's key has it; `what` names it in messages.
std::vector<std::int64_t> read_degrees(std::string_view what, std::string_view list, Problems& problems);
/// These read "bf16,fp16", "vllm,hf" and archs likewise.
std::vector<DType> read_dtypes(std::string_view what, std::string_view list, Problems& problems);
std::vector<WarmForm> read_forms(std::string_view what, std::string_view list, Problems& problems);
std::vector<std::string> read_archs(std::string_view what, std::string_view list, Problems& problems);

}  // namespace ropejit::internal
