// A cell on a device: copies and variants on the same memory, in turns.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/cells.hpp"
#include "bench/floors.hpp"
#include "bench/results.hpp"
#include "bench/selection.hpp"
#include "bench/tensors.hpp"
#include "launch/prepared_kernel.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"

namespace ropejit::bench {

struct MeasureOptions {
  Selection selection;
  L2 l2 = L2::automatic;
  double seconds = 0.6;  ///< for the turns of a cell, about
  /// Told what every copy and variant took when it was tried, fastest first.
  std::function<void(const Cell& cell, const std::vector<std::pair<std::string, double>>& us)> tried;
};

/// A variant, compiled and loaded.
struct LoadedVariant {
  internal::Variant variant;
  internal::PreparedKernel kernel;
  int registers = -1;
  int spill_bytes = -1;
};

class Measurer {
 public:
  /// The target must be current on this thread and outlive the object. `cells`: all that will be measured; what they
  /// compile for is kept from one cell of a case to the next.
  Measurer(const internal::Target& target, std::vector<Cell> cells, MeasureOptions options);
  ~Measurer();

  /// One record a variant, fastest first, without their environment. Throws Error.
  std::vector<Record> measure(const Cell& cell);

  /// Launches one variant `launches` times, and nothing else: for profilers.
  void run_once(const Cell& cell, const internal::Variant& variant, int launches);

 private:
  struct Contender;

  void prepare(const Case& what);
  std::vector<LoadedVariant> compile(const internal::RotationPlan& plan,
                                     const std::vector<internal::Variant>& variants) const;
  void load(std::vector<internal::KernelSource> sources);
  std::vector<Contender> rotation_copies(const Cell& cell, const Tensors& tensors, const SetLayout& layout);
  std::vector<Contender> append_copies(const Cell& cell, const Tensors& tensors, const SetLayout& layout);
  std::vector<Contender> contenders(const Cell& cell, const Tensors& tensors, const SetLayout& layout);
  std::vector<std::vector<double>> in_turns(const std::vector<Contender>& contenders, int turns) const;

  const internal::Target& target_;
  const std::vector<Cell> cells_;
  const MeasureOptions options_;
  const CacheSizes sizes_;
  const bool few_;  ///< a slow target: fewer of everything
  internal::DeviceBuffer memory_;
  internal::DeviceBuffer flushed_;
  std::unique_ptr<internal::Replay> flush_;
  std::map<std::string, std::shared_ptr<const internal::LoadedKernel>> copy_kernels_;  ///< by entry

  // Of the case that was measured last.
  std::string case_;
  internal::RotationPlan plan_;
  std::vector<LoadedVariant> variants_;
};

}  // namespace ropejit::bench
