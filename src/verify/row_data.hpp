// What a launch brings for a head of an operand beside its lanes, as the stages of include/ropejit/spec.hpp read it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>

#include "verify/norm_rule.hpp"

namespace ropejit::internal {

/// Spans are of the whole operand, of which `head` says whose turn it is. What no stage of the operand reads is passed
/// over; where something is missing, or of another length, std::invalid_argument is thrown: nothing is judged without.
struct RowData {
  std::span<const double> weights = {};      ///< of the norm: head_dim, or [heads, head_dim]
  std::span<const double> norm_biases = {};  ///< as many
  std::span<const double> biases = {};       ///< [heads, head_dim]
  std::span<const double> head_scales = {};  ///< [heads]
  std::int64_t head = 0;                     ///< from 0
  std::int64_t position = 0;                 ///< of the token, on axis 0
  /// Of a norm of Statistic::given or given_sum: r, or the sum. It is taken as exact.
  std::optional<double> given = std::nullopt;
  /// Of a norm over the token: what Oracle::statistic makes of all its heads.
  std::optional<StatisticValue> of_token = std::nullopt;
};

/// The part of `all` that is head `head`'s, of so many elements each.
inline std::span<const double> part_of(std::span<const double> all, std::int64_t head, std::int64_t elements,
                                       const char* what) {
  const auto count = static_cast<std::size_t>(elements);
  const std::size_t first = static_cast<std::size_t>(head) * count;
  if (all.size() < first + count) throw std::invalid_argument(what);
  return all.subspan(first, count);
}

}  // namespace ropejit::internal
