// How many compiles may run side by side: by cores, and by memory, which runs out first on small machines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ropejit::internal {

/// What a compile may need, of NVRTC or of the host's compiler. Measured: 90 MB for NVRTC 13.0.
inline constexpr std::uint64_t kCompileBytes = std::uint64_t{256} << 20;

/// What this process may still take: the least of MemAvailable, and of what each memory limit of its control groups
/// leaves (files' pages that can be given back count as free). Nothing where neither can be read. `root`: what stands
/// before /proc and /sys, for tests.
std::optional<std::uint64_t> memory_left(const std::string& root = {});

/// The number of processes that may compile at once, of `cores`, with `left` bytes of memory: at least 1.
unsigned jobs_within(unsigned cores, std::optional<std::uint64_t> left);

/// jobs_within for this machine.
unsigned default_jobs();

}  // namespace ropejit::internal
