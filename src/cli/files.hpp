// Files that a person names: read with a limit, written whole or not at all. Errors name the path.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "store/file/output.hpp"

namespace ropejit::internal {

/// The whole file (or pipe). Throws Error{invalid_argument} where there is none, it is a directory, cannot be read
/// or holds more than `limit` bytes. `what` names the option in the message.
std::string read_file(std::string_view what, const std::string& path, std::size_t limit);

/// The same of standard input, by that name in messages.
std::string read_standard_input(std::string_view what, std::size_t limit);

/// What stands at a path, at the end of links where they lead somewhere. What the system does not let us look at is
/// `other`: whoever reads it is told why not.
enum class Found { nothing, folder, other };
Found found_at(const std::string& path);

/// Whether there is a directory. Throws Error{invalid_argument} where something else is there. `what` names the option
/// in the message.
bool is_folder(std::string_view what, const std::string& path);

/// Creates the directory, parents too. Throws Error{invalid_argument} where something else is there, and
/// Error{io_error}.
void make_directory(std::string_view what, const std::string& path);

/// Throws where `path` is known not to be writable: Error{invalid_argument} for what is there. That its folder is not
/// there is no reason. For commands that work for long, and make the folder, before they write.
void expect_output(const std::string& path);

/// Writes what a person named, by the rules of OutputFile: a regular file holds all of `content` or what it held
/// before. Throws Error{invalid_argument} for what is there, else Error{io_error}.
void write_file(const OutputFile& file, std::string_view content);
void write_file(const std::string& path, std::string_view content);

}  // namespace ropejit::internal
