// What a service is made of. Handles of the service share it; kernels do not need it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ropejit/options.hpp"
#include "service/kernel_cell.hpp"
#include "service/record_shelf.hpp"
#include "service/single_flight.hpp"
#include "store/store.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

class BackgroundTuner;

inline constexpr const char* kTuningNames = "off, on_demand, background";
/// Throws Error{invalid_argument} that names `field`.
Tuning tuning_named(std::string_view field, std::string_view name);

struct ServiceState {
  explicit ServiceState(ServiceOptions given);
  ~ServiceState();
  ServiceState(const ServiceState&) = delete;
  ServiceState& operator=(const ServiceState&) = delete;

  std::shared_ptr<const Target> target();
  BackgroundTuner& background();

  /// Keeps what a tuner made until commit, or serves it at once, as the options say.
  void offer(const std::shared_ptr<KernelCell>& cell, Served better);
  std::size_t commit();

  const ServiceOptions options;
  const Tuning tuning;  ///< of the options, or the environment
  const BinaryStore store;
  RecordShelf records;
  SingleFlight<std::string, std::shared_ptr<KernelCell>> kernels;  ///< by plan hash

 private:
  std::mutex mutex_;
  std::shared_ptr<const Target> opened_;
  std::vector<std::pair<std::shared_ptr<KernelCell>, Served>> offered_;
  std::unique_ptr<BackgroundTuner> background_;  ///< last: it uses all of the above
};

}  // namespace ropejit::internal
