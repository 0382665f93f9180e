#include "cuda/nvrtc_target.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mutex>
#include <utility>

#include "cuda/nvrtc_compiler.hpp"
#include "cuda/nvrtc_recipe.hpp"

namespace ropejit::internal {
namespace {

class NvrtcTarget final : public BuildTarget {
 public:
  NvrtcTarget(std::string arch, std::optional<std::string> nvrtc) : arch_(std::move(arch)), choice_(std::move(nvrtc)) {}

  const std::string& arch() const override { return arch_; }
  const std::string& recipe() const override { return nvrtc_recipe(); }

  const Compiler& compiler() const override {
    const std::lock_guard lock(mutex_);
    if (!compiler_) compiler_ = nvrtc_compiler(arch_, choice_);
    return *compiler_;
  }

 private:
  const std::string arch_;
  const std::optional<std::string> choice_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<Compiler> compiler_;
};

}  // namespace

std::shared_ptr<const BuildTarget> nvrtc_build_target(std::string arch, std::optional<std::string> nvrtc) {
  return std::make_shared<NvrtcTarget>(std::move(arch), std::move(nvrtc));
}

const std::string& nvrtc_recipe() {
  static const std::string recipe = fmt::format("{}", fmt::join(nvrtc_options(), " "));
  return recipe;
}

}  // namespace ropejit::internal
