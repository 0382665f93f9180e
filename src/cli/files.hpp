// Files that a person names: read with a limit, written whole or not at all. Errors name the path.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ropejit::internal {

/// The whole file (or pipe). Throws Error{invalid_argument} where there is none, it is a directory, cannot be read
/// or holds more than `limit` bytes. `what` names the option in the message.
std::string read_file(std::string_view what, const std::string& path, std::size_t limit);

/// Creates the directory, parents too. Throws Error{io_error}.
void make_directory(const std::string& path);

/// Writes a file beside `path` and renames it: `path` holds all of `content` or what it held before, and nothing
/// else stays behind. Throws Error{io_error}.
void write_file(const std::string& path, std::string_view content);

}  // namespace ropejit::internal
