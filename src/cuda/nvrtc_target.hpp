// NVRTC for one architecture, without a device: what makes binaries for GPUs elsewhere.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "target/target.hpp"

namespace ropejit::internal {

/// Binaries and keys for `arch` ("sm_90") are the ones that cuda_target makes on a GPU of it. NVRTC is loaded at the
/// first call of compiler(), which throws Error where there is none, or where it does not know the architecture.
/// `nvrtc`: ServiceOptions::nvrtc.
std::shared_ptr<const BuildTarget> nvrtc_build_target(std::string arch, std::optional<std::string> nvrtc);

/// What of NVRTC's options is part of keys, in one line.
const std::string& nvrtc_recipe();

}  // namespace ropejit::internal
