#include "cuda/nvrtc_compiler.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cuda/nvrtc_library.hpp"
#include "cuda/nvrtc_recipe.hpp"
#include "cuda/ptxas_report.hpp"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

/// Owns an nvrtcProgram from its creation on.
class Program {
 public:
  Program(const NvrtcLibrary& nvrtc, const KernelSource& source) : nvrtc_(nvrtc) {
    std::vector<const char*> names;
    std::vector<const char*> texts;
    for (const TextFile& file : template_files()) {
      names.push_back(file.name.data());  // each ends with a NUL
      texts.push_back(file.text.data());
    }
    const std::string file_name = source.entry + ".cu";
    check(nvrtc_.nvrtcCreateProgram(&program_, source.text.c_str(), file_name.c_str(), static_cast<int>(names.size()),
                                    texts.data(), names.data()),
          "nvrtcCreateProgram");
  }
  ~Program() {
    if (program_ != nullptr) nvrtc_.nvrtcDestroyProgram(&program_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  nvrtcResult compile(const std::vector<std::string>& options) {
    std::vector<const char*> pointers;
    for (const std::string& option : options) pointers.push_back(option.c_str());
    return nvrtc_.nvrtcCompileProgram(program_, static_cast<int>(pointers.size()), pointers.data());
  }

  std::string log() const {
    std::size_t bytes = 0;
    if (nvrtc_.nvrtcGetProgramLogSize(program_, &bytes) != NVRTC_SUCCESS || bytes <= 1) return {};
    std::string text(bytes, '\0');
    if (nvrtc_.nvrtcGetProgramLog(program_, text.data()) != NVRTC_SUCCESS) return {};
    text.resize(bytes - 1);
    return text;
  }

  std::string cubin() const {
    std::size_t bytes = 0;
    check(nvrtc_.nvrtcGetCUBINSize(program_, &bytes), "nvrtcGetCUBINSize");
    std::string image(bytes, '\0');
    check(nvrtc_.nvrtcGetCUBIN(program_, image.data()), "nvrtcGetCUBIN");
    return image;
  }

 private:
  void check(nvrtcResult result, const char* call) const {
    if (result == NVRTC_SUCCESS) return;
    throw Error(ErrorCode::compile_failed, "compile", fmt::format("{}: {}", call, nvrtc_.nvrtcGetErrorString(result)));
  }

  const NvrtcLibrary& nvrtc_;
  nvrtcProgram program_ = nullptr;
};

class NvrtcCompiler : public Compiler {
 public:
  NvrtcCompiler(std::shared_ptr<const NvrtcLibrary> nvrtc, std::string arch)
      : nvrtc_(std::move(nvrtc)), arch_(std::move(arch)) {}

  CompiledBinary compile(const KernelSource& source) const override {
    const auto start = std::chrono::steady_clock::now();
    Program program(*nvrtc_, source);
    std::vector<std::string> options = nvrtc_options();
    options.push_back("--gpu-architecture=" + arch_);
    // From 12.9 on NVRTC has a cache of its own, whose hits come with an empty log: no register counts.
    if (nvrtc_->at_least(12, 9)) options.emplace_back("--no-cache");
    if (const nvrtcResult result = program.compile(options); result != NVRTC_SUCCESS) {
      throw Error(ErrorCode::compile_failed, "compile",
                  fmt::format("NVRTC {}.{} refused {} for {}: {}", nvrtc_->major, nvrtc_->minor, source.entry, arch_,
                              nvrtc_->nvrtcGetErrorString(result)),
                  program.log());
    }
    CompiledBinary binary;
    binary.image = program.cubin();
    binary.compiler = fmt::format("NVRTC {}.{}", nvrtc_->major, nvrtc_->minor);
    const PtxasReport report = read_ptxas_report(program.log());
    binary.registers = report.registers;
    binary.spill_bytes = report.spill_bytes;
    binary.stack_bytes = report.stack_bytes;
    binary.compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return binary;
  }

 private:
  std::shared_ptr<const NvrtcLibrary> nvrtc_;
  std::string arch_;
};

}  // namespace

std::unique_ptr<Compiler> nvrtc_compiler(const std::string& arch, const std::optional<std::string>& nvrtc) {
  std::shared_ptr<const NvrtcLibrary> library = load_nvrtc(nvrtc);
  const std::vector<std::string> known = library->archs();
  if (std::find(known.begin(), known.end(), arch) == known.end()) {
    throw Error(ErrorCode::invalid_argument, "compile",
                fmt::format("arch: found {}, allowed: {} (what NVRTC {}.{} knows)", arch, fmt::join(known, ", "),
                            library->major, library->minor));
  }
  return std::make_unique<NvrtcCompiler>(std::move(library), arch);
}

NvrtcInfo nvrtc_info(const std::optional<std::string>& nvrtc) {
  NvrtcInfo info;
  try {
    const std::shared_ptr<const NvrtcLibrary> library = load_nvrtc(nvrtc);
    info.available = true;
    info.version = fmt::format("{}.{}", library->major, library->minor);
    info.path = library->library.path();
    info.archs = library->archs();
  } catch (const Error& error) {
    info.problem = error.what();
  }
  return info;
}

}  // namespace ropejit::internal
