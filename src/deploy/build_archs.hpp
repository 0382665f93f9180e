// Architectures that binaries are made for, and the GPUs that have them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::internal {

/// A product: what of it decides which variants serve where nobody has tuned.
struct KnownGpu {
  std::string_view name;
  std::string_view arch;  ///< "sm_90"
  std::uint32_t multiprocessors = 0;
};

/// By arch. Public facts; not every product is there, and none needs to be (default_multiprocessors).
std::span<const KnownGpu> known_gpus();

/// Every architecture that this version is meant for, ascending: "sm_75", ... Which of them a compiler knows is its
/// matter.
std::vector<std::string> build_archs();

/// "9.0", "90" and "sm_90" are "sm_90"; "host" is the host target's ("host-x86_64"), as is that name. Nothing for any
/// other text, and for sm_90a and the like: no service looks for their binaries.
std::optional<std::string> arch_named(std::string_view text);

/// What arch_named takes, for messages.
std::string allowed_archs();

/// The numbers of multiprocessors that defaults are worked out for: those of the known GPUs of the arch; and one so
/// large that no row is left out, for slices of a GPU and products to come.
std::vector<std::uint32_t> default_multiprocessors(std::string_view arch);

}  // namespace ropejit::internal
