// What a measurement was made with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/results.hpp"
#include "target/target.hpp"

namespace ropejit::bench {

/// Compiles a small kernel to learn the compiler's version. Throws Error.
Environment environment_of(const internal::Target& target, const std::vector<std::string_view>& command_line);

/// "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build": "580.159.04". Empty where the
/// text has no such number.
std::string driver_version_in(std::string_view text);

/// An empty kernel.
internal::KernelSource empty_kernel();

}  // namespace ropejit::bench
