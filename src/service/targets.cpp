#include "service/targets.hpp"

#include <fmt/format.h>

#include "cuda/cuda_target.hpp"
#include "host/host_target.hpp"
#include "ropejit/error.hpp"
#include "store/store_options.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

std::string device_name(const ServiceOptions& options) {
  if (options.device && !options.device->empty()) return *options.device;
  const std::string_view named = environment("ROPEJIT_DEVICE");
  return named.empty() ? "auto" : std::string(named);
}

}  // namespace

std::shared_ptr<const Target> open_target(const ServiceOptions& options) {
  const std::string name = device_name(options);
  if (name == "host") return host_target(options.host_compiler);
  if (name == "auto") {
    const CudaInfo cuda = cuda_info();
    // Not the host in its place: there is a GPU, but not for this process.
    if (cuda.is_forked) throw Error(ErrorCode::device_unavailable, "device", cuda.problem);
    if (cuda.devices > 0) return cuda_target(0, options.nvrtc);
    // The CPU would then serve for good, in a program that has a GPU.
    if (cuda.short_of_descriptors) {
      throw Error(ErrorCode::device_unavailable, "device",
                  fmt::format("device: found auto, and too few file descriptors to look for a GPU ({}), allowed: more "
                              "of them, or the name of a device",
                              cuda.problem));
    }
    return host_target(options.host_compiler);
  }
  if (name == "cuda") return cuda_target(0, options.nvrtc);
  if (name.starts_with("cuda:")) {
    const auto ordinal = number_in<int>(std::string_view(name).substr(5));
    if (ordinal && *ordinal >= 0) return cuda_target(*ordinal, options.nvrtc);
  }
  throw Error(ErrorCode::invalid_argument, "device",
              fmt::format("device: found {}, allowed: auto, cuda, cuda:N or host", quoted(name)));
}

}  // namespace ropejit::internal
