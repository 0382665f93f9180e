#include "deploy/build_archs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/host_compiler.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kArchs[] = {"sm_75", "sm_80",  "sm_86",  "sm_87",  "sm_88",  "sm_89",
                                       "sm_90", "sm_100", "sm_103", "sm_110", "sm_120", "sm_121"};

}  // namespace

std::vector<std::string> build_archs() { return {std::begin(kArchs), std::end(kArchs)}; }

std::optional<std::string> arch_named(std::string_view text) {
  if (text == "host" || text == kHostArch) return std::string(kHostArch);
  if (text.starts_with("sm_")) text.remove_prefix(3);
  std::string digits(text);
  // "9.0", "12.0": one digit behind the dot, and one dot.
  if (const std::size_t dot = digits.find('.'); dot != std::string::npos) {
    if (dot + 2 != digits.size()) return std::nullopt;
    digits.erase(dot, 1);
  }
  const std::string name = "sm_" + digits;
  if (std::find(std::begin(kArchs), std::end(kArchs), name) == std::end(kArchs)) return std::nullopt;
  return name;
}

std::string allowed_archs() { return fmt::format("{}, host", fmt::join(kArchs, ", ")); }

}  // namespace ropejit::internal
