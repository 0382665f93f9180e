// `run --source`: a person's own kernel in place of the generated one. It takes the same arguments, is checked by the
// same trial, and is timed in turns with the generated one and a copy of as many bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/case.hpp"
#include "codegen/kernel_source.hpp"

namespace ropejit::internal {

/// --source, --variant and --entry.
std::vector<Flag> own_source_flags();

/// The file that --source names, in place of `generated`: its entry is --entry, else the generated one's, and its text
/// must name it. Steps are looked for in the binary where the text has them. Throws Error{invalid_argument}.
KernelSource read_own_source(const Arguments& arguments, const KernelSource& generated);

/// `word` stands in `text` with no letter, digit or underscore beside it.
bool has_word(std::string_view text, std::string_view word);

/// Returns the exit status: 1 where a check failed. Stores nothing. Throws Error.
int run_own_source(const Arguments& arguments, const Case& given, std::int64_t first_position);

}  // namespace ropejit::internal
