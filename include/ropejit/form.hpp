// LaunchForm: how a kernel will be called. It is given to RopeService::get because it decides which kernels are
// prepared; a launch never compiles.
#pragma once

#include <string>
#include <string_view>

#include "ropejit/export.hpp"

namespace ropejit {
inline namespace v0 {

enum class Placement {
  in_place,      ///< q and k are read and written; lanes that do not rotate are neither read nor written
  out_of_place,  ///< q and k are read, q_out and k_out written in full: lanes that do not rotate are copied
};

enum class Strides {
  /// Promise: tensors are [batch, token, head, lane] without gaps and 16-byte aligned. The fastest kernels.
  contiguous,
  /// Promise: nothing but element alignment. Rows that turn out to be vector-aligned still run fast.
  free,
};
// A launch whose tensors break the promise is not an error: it is served by the universal entry that every
// kernel carries, which takes any stride and any element-aligned pointer, slower.

enum class PositionSource {
  start,  ///< token s of every sequence is at position start + s
  ids32,  ///< an int32 position for every token, in device memory
  ids64,  ///< an int64 position for every token, in device memory
};

struct ROPEJIT_EXPORT LaunchForm {
  Placement placement = Placement::in_place;
  Strides strides = Strides::contiguous;
  PositionSource positions = PositionSource::ids64;

  static LaunchForm in_place_ids(PositionSource ids = PositionSource::ids64);
  static LaunchForm in_place_start();
  static LaunchForm out_of_place_ids(PositionSource ids = PositionSource::ids64);
  static LaunchForm out_of_place_start();

  /// The same form for tensors of any strides.
  LaunchForm with_free_strides() const;

  /// {"placement": "in_place", "strides": "contiguous", "positions": "ids64"}; absent keys take the defaults above.
  static LaunchForm from_json(std::string_view text);
  std::string to_json() const;
};

ROPEJIT_EXPORT bool operator==(const LaunchForm& a, const LaunchForm& b) noexcept;
inline bool operator!=(const LaunchForm& a, const LaunchForm& b) noexcept { return !(a == b); }

ROPEJIT_EXPORT const char* to_string(Placement placement) noexcept;
ROPEJIT_EXPORT const char* to_string(Strides strides) noexcept;
ROPEJIT_EXPORT const char* to_string(PositionSource positions) noexcept;

}  // namespace v0
}  // namespace ropejit
