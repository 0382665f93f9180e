#include "bench/environment.hpp"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cuda/cuda_target.hpp"
#include "ropejit/version.hpp"

namespace ropejit::bench {
namespace {

std::string driver() {
  const internal::CudaInfo info = internal::cuda_info();
  if (info.devices == 0) return {};
  std::ifstream file("/proc/driver/nvidia/version");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::string version = driver_version_in(text);
  return version.empty() ? "CUDA " + info.driver : fmt::format("{} (CUDA {})", version, info.driver);
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

}  // namespace

std::string driver_version_in(std::string_view text) {
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const bool digits = std::all_of(
        word.begin(), word.end(), [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.'; });
    if (digits && word.find('.') != std::string::npos && word.front() != '.') return word;
  }
  return {};
}

internal::KernelSource empty_kernel() {
  return {"nothing",
          "#include \"launch_params.cuh\"\nextern \"C\" __global__ void "
          "nothing(const __grid_constant__ ropejit::LaunchParams) {}\n"};
}

Environment environment_of(const internal::Target& target, const std::vector<std::string_view>& command_line) {
  Environment environment;
  environment.gpu = target.name();
  environment.arch = target.arch();
  if (target.name() != "host") environment.driver = driver();
  environment.nvrtc = target.compiler().compile(empty_kernel()).compiler;
  environment.version = ROPEJIT_VERSION;
  environment.date = today();
  environment.command = fmt::format("ropejit_bench {}", fmt::join(command_line, " "));
  return environment;
}

}  // namespace ropejit::bench
