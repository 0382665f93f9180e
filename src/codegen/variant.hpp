// Variant: how a plan is computed, never what. Every variant of a plan gives the same bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ropejit::internal {

enum class Family : std::uint32_t {
  flat,       ///< every thread works out the angles of its own pairs and uses them for several heads
  lanes,      ///< a warp's lanes work out a token's angles, each a few, and hand them to each other
  shared,     ///< a block works out its tokens' angles into shared memory while its loads are in flight
  universal,  ///< flat with scalar accesses and run-time strides: legal for any tensors
};

struct Variant {
  Family family = Family::flat;
  std::uint32_t access_bytes = 16;     ///< width of a load or store: 2 to 32 (before sm_100 two accesses of 16)
  std::uint32_t heads_per_thread = 1;  ///< need not divide the head counts
  std::uint32_t threads = 128;         ///< most threads of a block, which has as many as its tokens fill
  bool buffered_steps = false;         ///< steps and scale are read from a buffer of the launch, not built in

  friend bool operator==(const Variant&, const Variant&) = default;
  friend auto operator<=>(const Variant&, const Variant&) = default;
};

/// "flat_v16_h8_t128", "shared_v16_h8_t128", "flat_v16_h8_t128_buffer".
std::string to_string(const Variant& variant);
/// Reads what to_string wrote; nothing for any other text.
std::optional<Variant> parse_variant(std::string_view text);

}  // namespace ropejit::internal
