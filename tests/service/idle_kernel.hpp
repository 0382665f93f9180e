// A kernel of a shelf that nothing is launched by.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "launch/prepared_kernel.hpp"
#include "service/kernel_cell.hpp"
#include "service/kernel_shelf.hpp"
#include "target/target.hpp"

namespace ropejit::test {

/// A kernel that cannot be launched, but says of itself whether it was.
class IdleKernel final : public internal::LoadedKernel {
 public:
  explicit IdleKernel(bool launched) : launched_(launched) {}
  int launch(const internal::LaunchGeometry&, LaunchParams&, void*) const noexcept override { return 1; }
  int record(const internal::LaunchGeometry&, LaunchParams&, internal::Recorder&) const noexcept override { return 1; }
  bool was_launched() const noexcept override { return launched_; }

 private:
  const bool launched_;
};

inline internal::CellPtr cell_of(bool launched = false, std::shared_ptr<internal::StepBuffers> buffers = {}) {
  auto kernel = std::make_shared<internal::PreparedKernel>();
  kernel->universal.kernel = std::make_shared<IdleKernel>(launched);
  kernel->step_buffers = std::move(buffers);
  return std::make_shared<internal::KernelCell>(std::move(kernel));
}

}  // namespace ropejit::test
