#include "cuda/ptxas_report.hpp"

#include <charconv>
#include <optional>

namespace ropejit::internal {
namespace {

/// The number that stands right before `words`, at or after `from`.
std::optional<int> number_before(std::string_view log, std::string_view words) {
  const std::size_t at = log.find(words);
  if (at == std::string_view::npos) return std::nullopt;
  std::size_t first = at;
  while (first > 0 && log[first - 1] >= '0' && log[first - 1] <= '9') --first;
  int value = 0;
  const auto [end, error] = std::from_chars(log.data() + first, log.data() + at, value);
  if (error != std::errc{} || end != log.data() + at) return std::nullopt;
  return value;
}

}  // namespace

PtxasReport read_ptxas_report(std::string_view log) {
  PtxasReport report;
  report.registers = number_before(log, " registers").value_or(-1);
  report.stack_bytes = number_before(log, " bytes stack frame").value_or(-1);
  const std::optional<int> stores = number_before(log, " bytes spill stores");
  const std::optional<int> loads = number_before(log, " bytes spill loads");
  if (stores && loads) report.spill_bytes = *stores + *loads;
  return report;
}

}  // namespace ropejit::internal
