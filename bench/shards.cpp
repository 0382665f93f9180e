#include "bench/shards.hpp"

#include <limits>
#include <optional>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::bench {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

/// A number from 1 to kMost that is all of `text`.
std::optional<std::int64_t> number(std::string_view text) {
  const auto value = internal::number_in<std::int64_t>(text);
  return value && *value >= 1 && *value <= kMost ? value : std::nullopt;
}

Error bad(std::string_view flag, std::string_view found, std::string_view allowed) {
  return {ErrorCode::invalid_argument, "arguments",
          fmt::format("{}: found {}, allowed: {}", flag, internal::quoted(found), allowed)};
}

}  // namespace

Shard parse_shard(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto which = number(text.substr(0, slash));
    const auto count = number(text.substr(slash + 1));
    if (which && count && *which <= *count) return {*which, *count};
  }
  throw bad("--shard", text, "I/N with I from 1 to N");
}

std::vector<Cell> cells_of_shard(const std::vector<Cell>& cells, const Shard& shard) {
  std::vector<Cell> part;
  std::int64_t place = -1;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i == 0 || !(cells[i].what == cells[i - 1].what)) ++place;
    if (place % shard.count == shard.number - 1) part.push_back(cells[i]);
  }
  return part;
}

}  // namespace ropejit::bench
