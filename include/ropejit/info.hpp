// What there is to say of a kernel: its binaries, where they came from and why they serve.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/export.hpp"

namespace ropejit {
inline namespace v0 {

/// Where a binary came from: the rungs of a ladder, in the order in which they are tried. A rung that fails costs time
/// and a line in VariantInfo::missed, and no more.
enum class CacheRung {
  memory,   ///< this service had it loaded
  disk,     ///< read from the cache directory
  shared,   ///< read from one of the read-only directories
  miss,     ///< compiled now
  generic,  ///< none of these: the kernel that is built into the library serves in its place
};
ROPEJIT_EXPORT const char* to_string(CacheRung rung) noexcept;

/// Why a variant serves a size.
enum class ChosenBy {
  untuned,  ///< a default, worked out from shapes alone
  near,     ///< a record of this class at another size, or of one with other numbers of heads; `octaves` says how near
  exact,    ///< this class was tuned at a size at most an octave away
};
ROPEJIT_EXPORT const char* to_string(ChosenBy by) noexcept;

/// One of the binaries behind a kernel.
struct VariantInfo {
  std::string variant;                ///< "flat_v16_h8_t128": see `ropejit inspect`; "universal_..." takes any strides
  std::string entry;                  ///< the name a profiler shows
  std::int64_t min_tokens = 0;        ///< the table serves it from this many tokens (batch * tokens) on
  CacheRung cache = CacheRung::miss;  ///< where it came from
  double compile_ms = 0;              ///< 0 unless it was compiled now
  double load_us = 0;                 ///< reading it from the store, checking and loading it
  int registers = -1;                 ///< registers of a thread; -1: not known
  int spill_bytes = -1;               ///< stores and loads together; -1: not known
  ChosenBy by = ChosenBy::untuned;    ///< why it serves
  double octaves = 0;                 ///< the farthest from what was timed: 1 is a factor of 2 in tokens (or bytes)
  std::int64_t tuned_tokens = 0;      ///< the size that was timed; 0 where untuned
  /// What was looked for in vain before this binary was found or made, and why: one line for each rung. "..._buffer" of
  /// variant says that the binary is of the class, and reads the plan's steps from a buffer.
  std::vector<std::string> missed;
};

/// What `get` did and what it made.
struct KernelInfo {
  std::string device;                 ///< "NVIDIA H100 80GB HBM3", or "host"
  std::string arch;                   ///< "sm_90", or "host-x86_64"
  std::string class_hash;             ///< the hash of the kernel class: 32 hex digits
  std::string plan_hash;              ///< the hash of class, steps and attention scale
  std::vector<VariantInfo> variants;  ///< in order of min_tokens; the universal entry comes last
};

}  // namespace v0
}  // namespace ropejit
