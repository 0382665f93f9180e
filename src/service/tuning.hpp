// Tuning as a service does it: what a plan's class lacks is tuned, and kept as records.
#pragma once

#include <cstdint>
#include <vector>

#include "service/kernel_maker.hpp"
#include "service/service_state.hpp"
#include "tune/tuner.hpp"

namespace ropejit::internal {

/// The plan to time for `spec`: its own, or where its numbers depend on a length that nobody has given, that of some
/// length. Both are of one class.
RotationPlan plan_to_time(const RopeSpec& spec, const LaunchForm& form);

/// The sizes that the service is to tune a class for, and of which what is `known` of it says nothing exact.
std::vector<std::int64_t> sizes_to_tune(ServiceState& state, const KernelClass& kernel_class, const RecordSet& known);

/// Tunes on this thread, with the device's primary context current. Records are kept; so are, for the caller, the
/// winners' binaries. Nothing that goes wrong is an error: it is a warning.
FreshBinaries tune_class(ServiceState& state, const RotationPlan& plan, const TuneOptions& options);

/// Tunes on a thread of its own, for callers whose current context must stay: waits for it.
FreshBinaries tune_class_aside(ServiceState& state, const RotationPlan& plan, const TuneOptions& options);

}  // namespace ropejit::internal
