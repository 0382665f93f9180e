// The commands of ropejit_bench: each reads its own words, prints to stdout, and throws Error.
#pragma once

#include <string_view>
#include <vector>

namespace ropejit::bench {

using Words = std::vector<std::string_view>;

/// Times variants beside copies of the same bytes.
void sweep_command(const Words& words);
/// What launch adds to the driver's own launch, on the host.
void host_command(const Words& words);
/// The first launch of a process.
void first_command(const Words& words);
/// Tunes the shapes of well-known models into a file of records.
void records_command(const Words& words);
/// What tuning in the background costs a stream of launches beside it.
void background_command(const Words& words);
/// Tables of what sweeps wrote.
void report_command(const Words& words);

}  // namespace ropejit::bench
