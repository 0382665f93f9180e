#include "deploy/build_archs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/host_compiler.hpp"

namespace ropejit::internal {
namespace {

constexpr KnownGpu kGpus[] = {
    {"T4", "sm_75", 40},
    {"RTX 2080 Ti", "sm_75", 68},
    {"Quadro RTX 8000", "sm_75", 72},
    {"A30", "sm_80", 56},
    {"A100", "sm_80", 108},
    {"A10", "sm_86", 72},
    {"RTX 3090", "sm_86", 82},
    {"A40, RTX A6000", "sm_86", 84},
    {"AGX Orin 64GB", "sm_87", 16},
    {"L4", "sm_89", 58},
    {"RTX 4090", "sm_89", 128},
    {"L40, L40S, RTX 6000 Ada", "sm_89", 142},
    {"H20", "sm_90", 78},
    {"H100 PCIe", "sm_90", 114},
    {"H100 SXM, H200, GH200", "sm_90", 132},
    {"B200", "sm_100", 148},
    {"Jetson AGX Thor", "sm_110", 20},
    {"RTX 5080", "sm_120", 84},
    {"RTX 5090", "sm_120", 170},
    {"RTX PRO 6000 Blackwell", "sm_120", 188},
    {"GB10", "sm_121", 48},
};

constexpr std::string_view kArchs[] = {"sm_75", "sm_80",  "sm_86",  "sm_87",  "sm_88",  "sm_89",
                                       "sm_90", "sm_100", "sm_103", "sm_110", "sm_120", "sm_121"};

// Above any GPU's by far: no row of the defaults begins below one token then (codegen/default_variant.cpp).
constexpr std::uint32_t kEveryRow = 4096;

}  // namespace

std::span<const KnownGpu> known_gpus() { return kGpus; }

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

std::vector<std::uint32_t> default_multiprocessors(std::string_view arch) {
  if (arch == kHostArch) return {1};
  std::vector<std::uint32_t> numbers = {kEveryRow};
  for (const KnownGpu& gpu : kGpus) {
    if (gpu.arch == arch) numbers.push_back(gpu.multiprocessors);
  }
  return numbers;
}

}  // namespace ropejit::internal
