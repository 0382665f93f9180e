#include "service/background_compiler.hpp"

#include <fmt/format.h>

#include "service/service_state.hpp"

namespace ropejit::internal {

void BackgroundCompiler::add(const RotationPlan& plan, const std::shared_ptr<KernelCell>& cell) {
  cell->awaits_compile.store(true);
  if (thread_.add([this, plan, cell] { compile(plan, *cell); })) return;
  cell->awaits_compile.store(false);
  state_.events.warn("nothing is compiled in the background: no thread can be had; the generic kernel serves");
}

void BackgroundCompiler::compile(const RotationPlan& plan, KernelCell& cell) {
  try {
    if (cell.current().complete) return cell.awaits_compile.store(false);
    state_.target_of_background();
    Served made = state_.make(plan, {}, cell.current().kernel->step_buffers, OnMiss::compile);
    if (made.complete) cell.put(std::move(made));
  } catch (const std::exception& error) {
    state_.events.warn(fmt::format("compiling in the background failed, the generic kernel serves: {}", error.what()));
  }
  cell.awaits_compile.store(false);
}

}  // namespace ropejit::internal
