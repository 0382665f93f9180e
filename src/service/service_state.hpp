// What a service is made of. Handles of the service share it; kernels do not need it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ropejit/options.hpp"
#include "service/events.hpp"
#include "service/kernel_cell.hpp"
#include "service/kernel_maker.hpp"
#include "service/kernel_shelf.hpp"
#include "service/record_shelf.hpp"
#include "service/request_log.hpp"
#include "store/store.hpp"
#include "support/per_process.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

class BackgroundCompiler;
class BackgroundTuner;

struct ServiceState {
  explicit ServiceState(ServiceOptions given);
  ~ServiceState();
  ServiceState(const ServiceState&) = delete;
  ServiceState& operator=(const ServiceState&) = delete;

  /// Opened at the first call. Throws Error: device_unavailable, also in a child of fork whose parent had opened a GPU.
  /// In a child the first call gives its threads what those of the parent had yet to do.
  std::shared_ptr<const Target> target();
  /// The target for a background thread that is going to compile: its compiler is loaded, and its primary context
  /// current. At exit the thread then ends before what was loaded is taken down.
  std::shared_ptr<const Target> target_of_background();
  /// In a child of fork: has its threads take up what is left, before the first get does. Throws as target() does.
  void go_on();
  /// The threads of this process.
  BackgroundTuner& tuner();
  BackgroundCompiler& compiler();

  /// What records say of a class on the device: RecordShelf::about, which reads files.
  RecordSet known_of(const KernelClass& kernel_class);
  /// A kernel of the plan, with what is `known` of its class and kept here.
  std::shared_ptr<const PreparedKernel> make(const RotationPlan& plan, const RecordSet& known,
                                             const FreshBinaries& fresh, const std::shared_ptr<StepBuffers>& buffers,
                                             OnMiss when_missing);

  /// Writes down that this was asked for, where the user wants that.
  void note_request(const RopeSpec& spec, const LaunchForm& form, const RotationPlan& plan, const RecordSet& known);

  /// Keeps what a tuner made until commit, or serves it at once, as the options say.
  void offer(const std::shared_ptr<KernelCell>& cell, std::shared_ptr<const PreparedKernel> better);
  std::size_t commit();

  const ServiceOptions options;
  const bool frozen;  ///< as the options or the environment say; the two that follow likewise
  const Tuning tuning;
  const OnMiss on_miss;
  const std::chrono::milliseconds lock_bound;  ///< how long to wait for another process that compiles the same
  Events events;
  const BinaryStore store;
  RecordShelf records;
  const RequestLog requests;
  KernelShelf kernels;  ///< kernels by plan hash

 private:
  struct Workers {
    std::unique_ptr<BackgroundCompiler> compiler;
    std::unique_ptr<BackgroundTuner> tuner;
  };
  using Offered = std::vector<std::pair<std::shared_ptr<KernelCell>, std::shared_ptr<const PreparedKernel>>>;

  void take_up_what_is_left();

  PerProcess<std::shared_ptr<const Target>> opened_;
  PerProcess<Offered> offered_;
  PerProcess<Workers> workers_;  ///< last: their threads use all of the above
};

}  // namespace ropejit::internal
