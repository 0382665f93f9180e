// Records and classes to test with.
#pragma once

#include <cstdint>
#include <string>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "spec/lower.hpp"
#include "tune/record.hpp"

namespace ropejit::test {

/// bf16, head_dim 128, all of it rotating, in place. k_heads 0: there is no k.
inline internal::KernelClass sample_class(std::uint32_t q_heads = 32, std::uint32_t k_heads = 8) {
  RopeSpec spec;
  spec.rotary_dim = 128;
  spec.q = {q_heads, 128, 0};
  if (k_heads != 0) spec.k = Operand{k_heads, 128, 0};
  return internal::lower(spec, LaunchForm{}).kernel_class;
}

inline internal::DeviceKey sample_device() { return {"sm_90", 132, 2619, 5120, 52428800}; }

/// What a launch of the class reads and writes for each token, heads alone.
inline std::int64_t sample_bytes(const internal::KernelClass& kernel_class) {
  std::int64_t heads = 0;
  for (const ropejit::internal::PlanOperand& operand : kernel_class.operands) heads += operand.heads;
  return std::int64_t{4} * 128 * heads;
}

inline internal::TuningRecord sample_record(std::int64_t tokens = 4096, const std::string& variant = "flat_v8_h4_t128",
                                            double us = 12.5,
                                            const internal::KernelClass& kernel_class = sample_class()) {
  internal::TuningRecord record;
  record.device = sample_device();
  record.kernel_class = kernel_class.hash();
  record.kin = internal::kin_of(kernel_class);
  record.what = kernel_class.text();
  record.bytes_per_token = sample_bytes(kernel_class);
  record.tokens = tokens;
  record.variant = variant;
  record.us = us;
  record.copy_us = 11.75;
  record.spread_us = 0.125;
  record.cold = true;
  record.templates = "0123456789abcdef";
  record.version = "0.1.0";
  record.compiler = "NVRTC 13.0";
  record.driver = "580.65";
  record.gpu = "NVIDIA H100 80GB HBM3";
  return record;
}

}  // namespace ropejit::test
