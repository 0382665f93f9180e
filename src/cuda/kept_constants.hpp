// Constants in device memory that no kernel owns any more: those that a launch was given stay, and serve whoever has
// equal bytes; the others are freed.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cuda/driver_api.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {

/// What makes two constants the same.
struct ConstantKey {
  std::uint64_t context = 0;  ///< its number; numbers are not used again
  std::string bytes;
  auto operator<=>(const ConstantKey&) const = default;
};

/// Thread-safe. Memory is freed with its own context current alone: that of a context which is gone may be another's by
/// now. What is given up elsewhere waits for a call that comes with it.
class KeptConstants {
 public:
  /// A constant of the current context that stayed; 0: none. Also frees what waits in that context.
  CUdeviceptr find(const DriverApi& api, const ConstantKey& key) const;

  /// Takes over a constant whose last owner is gone. In a child of fork it does nothing.
  void release(const DriverApi& api, const ConstantKey& key, CUdeviceptr data, bool was_launched) const noexcept;

 private:
  struct Kept {
    std::map<ConstantKey, CUdeviceptr> launched;
    std::map<std::uint64_t, std::vector<CUdeviceptr>> waiting;  ///< by context
  };
  PerProcess<Kept> kept_;
};

/// The constants of the process; never destroyed.
const KeptConstants& kept_constants();

}  // namespace ropejit::internal
