// EntryMetadata as JSON; the keys are listed in cache/FORMAT.md. Pure.
#pragma once

#include <string>
#include <string_view>

#include "store/entry.hpp"

namespace ropejit::internal {

/// Empty on success, else one line: a preimage or entry name that is not UTF-8 would not read back as it is.
std::string write_metadata(const EntryMetadata& metadata, std::string& json);

/// Empty on success, else one line.
std::string read_metadata(std::string_view json, EntryMetadata& metadata);

}  // namespace ropejit::internal
