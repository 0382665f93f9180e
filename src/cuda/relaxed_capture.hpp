// For calls that CUDA refuses, or that end a capture, while a stream is being captured in the default mode.
#pragma once

#include "cuda/driver_api.hpp"

namespace ropejit::internal {

/// While it lives, this thread's calls are allowed whatever is being captured.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const DriverApi& api) : api_(api) { api_.p_cuThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { api_.p_cuThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  const DriverApi& api_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace ropejit::internal
