#include "cuda/nvrtc_target.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <utility>

#include "cuda/nvrtc_compiler.hpp"
#include "cuda/nvrtc_recipe.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

class NvrtcTarget final : public BuildTarget {
 public:
  NvrtcTarget(std::string arch, std::optional<std::string> nvrtc) : arch_(std::move(arch)), choice_(std::move(nvrtc)) {}
  ~NvrtcTarget() override { delete compiler_.made(); }

  const std::string& arch() const override { return arch_; }
  const std::string& recipe() const override { return nvrtc_recipe(); }

  const Compiler& compiler() const override {
    return *compiler_.get([this] { return nvrtc_compiler(arch_, choice_); });
  }

 private:
  const std::string arch_;
  const std::optional<std::string> choice_;
  const MadeOnce<std::unique_ptr<Compiler>> compiler_;
};

}  // namespace

std::shared_ptr<const BuildTarget> nvrtc_build_target(std::string arch, std::optional<std::string> nvrtc) {
  return std::make_shared<NvrtcTarget>(std::move(arch), std::move(nvrtc));
}

const std::string& nvrtc_recipe() {
  static constinit MadeOnce<std::string> recipe;
  return recipe.get([] { return fmt::format("{}", fmt::join(nvrtc_options(), " ")); });
}

}  // namespace ropejit::internal
