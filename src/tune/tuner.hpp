// The tuner: which variant of a plan is fastest, for each of some numbers of tokens, on the device at hand.
//
// All candidates are compiled on as many threads as asked for, and timed a first time as they come; then, one size
// after the other, successive halving (search.hpp). Launches are replayed from graphs, on streams of their own, on
// memory of their own: at most a quarter of what is free. A winner must pass validation.hpp, else the next best does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codegen/kernel_source.hpp"
#include "codegen/variant.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

struct TuneOptions {
  std::vector<std::int64_t> tokens;  ///< sizes to tune for, of all sequences together
  double budget_s = 1e9;             ///< wall time for all sizes together, compiling included
  std::vector<Variant> variants;     ///< variants to choose from, simplest first; empty: candidate_variants
  unsigned compile_threads = 0;      ///< 0: as many as there are cores
  /// The clock. Empty: the system's steady clock.
  std::function<double()> seconds;
  /// Called before anything is queued, with the microseconds that the device has just worked for the tuner: may sleep,
  /// so that others get their share. False: stop, with what is known so far.
  std::function<bool(double device_us)> may_go_on;
};

/// What a variant took. Fastest first, winners may stand behind others that they tie with.
struct TriedVariant {
  Variant variant;
  double us = 0;
  double spread_us = 0;
  int samples = 0;
};

/// What was found out for one size.
struct TunedSize {
  std::int64_t tokens = 0;
  std::optional<Variant> winner;  ///< none: see problem
  double us = 0;                  ///< the winner's, median
  double spread_us = 0;
  double copy_us = 0;  ///< the driver's copy of as many bytes, in the same memory
  bool cold = false;   ///< the tensors were not in L2
  bool out_of_time = false;
  std::vector<TriedVariant> tried;
  std::string problem;  ///< one line: why there is no winner
};

struct TuneResult {
  std::vector<TunedSize> sizes;  ///< as asked for
  /// A line each for variants that did not compile, load, launch or validate.
  std::vector<std::string> problems;
  bool stopped = false;  ///< TuneOptions::may_go_on said so
  std::size_t compiled = 0;
  std::string compiler;  ///< CompiledBinary::compiler
  double compile_s = 0;  ///< until the last candidate was compiled; timing went on meanwhile
  double total_s = 0;
};

/// A binary that won, on its way to whoever keeps it.
using KeepBinary = std::function<void(const Variant&, const CompiledBinary&)>;

/// The target must be current on this thread. The plan has its steps (RotationPlan::needs_length is false). What goes
/// wrong with one variant or one size costs that alone. Throws Error where nothing can be done at all (no compiler, no
/// memory, a device that is gone).
TuneResult tune(const Target& target, const RotationPlan& plan, const TuneOptions& options, const KeepBinary& keep);

/// The sizes that are tuned for where nobody says: 1, 4, 16, ... 65536.
const std::vector<std::int64_t>& usual_sizes();

}  // namespace ropejit::internal
