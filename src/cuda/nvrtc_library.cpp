#include "cuda/nvrtc_library.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
constexpr int kLeastMajor = 12;
constexpr int kLeastMinor = 4;

std::vector<std::string> places(const std::optional<std::string>& choice) {
  std::string named = choice.value_or("");
  if (named.empty()) {
    if (const char* environment = std::getenv("ROPEJIT_NVRTC")) named = environment;
  }
  std::vector<std::string> result;
  const auto add_directory = [&result](const std::string& directory) {
    for (const char* name : kNames) result.push_back(directory + "/" + name);
  };
  if (!named.empty()) {
    std::error_code ignored;
    if (std::filesystem::is_directory(named, ignored)) {
      add_directory(named);
    } else {
      result.push_back(named);
    }
    return result;
  }
  for (const char* name : kNames) result.emplace_back(name);
  if (const char* home = std::getenv("CUDA_HOME"); home != nullptr && *home != '\0') {
    add_directory(std::string(home) + "/lib64");
  }
  add_directory("/usr/local/cuda/lib64");
  return result;
}

/// Empty where `library` is usable, else what is wrong with it.
std::string fill(NvrtcLibrary& library) {
#define ROPEJIT_LOOK_UP(name)                                                             \
  library.name = reinterpret_cast<decltype(library.name)>(library.library.symbol(#name)); \
  if (library.name == nullptr) return "it has no function " #name;
  ROPEJIT_NVRTC_FUNCTIONS(ROPEJIT_LOOK_UP)
#undef ROPEJIT_LOOK_UP
  if (library.nvrtcVersion(&library.major, &library.minor) != NVRTC_SUCCESS) return "it does not tell its version";
  if (!library.at_least(kLeastMajor, kLeastMinor)) {
    return fmt::format("it is version {}.{}, allowed: {}.{} or newer", library.major, library.minor, kLeastMajor,
                       kLeastMinor);
  }
  return {};
}

/// Loads what NVRTC would load when it first compiles: where it cannot then, for want of descriptors, it never tries
/// again, and refuses every compile for as long as the process lives. Empty, or why NVRTC had better not be used yet.
std::string load_builtins(NvrtcLibrary& nvrtc) {
  const std::string name = fmt::format("libnvrtc-builtins.so.{}.{}", nvrtc.major, nvrtc.minor);
  std::string problem;
  const std::filesystem::path beside = std::filesystem::path(nvrtc.library.path()).parent_path() / name;
  for (const std::string& place : {beside.string(), name}) {
    nvrtc.builtins = DynamicLibrary::open(place, problem);
    if (nvrtc.builtins) return {};
    if (lacks_descriptors(problem)) return problem;
  }
  return {};  // they are somewhere else, where NVRTC may find them
}

}  // namespace

std::vector<std::string> NvrtcLibrary::archs() const {
  int count = 0;
  if (nvrtcGetNumSupportedArchs(&count) != NVRTC_SUCCESS || count <= 0) return {};
  std::vector<int> numbers(static_cast<std::size_t>(count));
  if (nvrtcGetSupportedArchs(numbers.data()) != NVRTC_SUCCESS) return {};
  std::sort(numbers.begin(), numbers.end());
  std::vector<std::string> names;
  for (const int number : numbers) names.push_back(fmt::format("sm_{}", number));
  return names;
}

std::shared_ptr<const NvrtcLibrary> load_nvrtc(const std::optional<std::string>& choice) {
  std::string first_problem;
  for (const std::string& place : places(choice)) {
    auto library = std::make_shared<NvrtcLibrary>();
    std::string problem;
    library->library = DynamicLibrary::open(place, problem);
    if (library->library) {
      problem = fill(*library);
      if (problem.empty()) problem = load_builtins(*library);
      if (problem.empty()) return library;
      problem = fmt::format("{}: {}", place, problem);
    }
    if (first_problem.empty()) first_problem = problem;
  }
  throw Error(
      ErrorCode::compile_failed, "compile",
      fmt::format("NVRTC {}.{} or newer cannot be loaded ({}); install the CUDA toolkit or set ROPEJIT_NVRTC to "
                  "libnvrtc or its directory",
                  kLeastMajor, kLeastMinor, first_problem));
}

}  // namespace ropejit::internal
