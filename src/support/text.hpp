// Text for messages: what a user wrote, made fit to be quoted in one line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ropejit::internal {

/// `text` in one line of at most `limit` bytes (limit >= 8): control characters, line separators and bytes that are not
/// UTF-8 become escapes such as \n or \x1b, and what does not fit is cut at a character's end, with "..." in its place.
std::string excerpt(std::string_view text, std::size_t limit = 80);

/// excerpt in double quotes.
std::string quoted(std::string_view text, std::size_t limit = 80);
/// The same of a string: std::quoted would be found too wherever <iomanip> is included by somebody, and preferred.
inline std::string quoted(const std::string& text, std::size_t limit = 80) {
  return quoted(std::string_view(text), limit);
}

/// 65536 as "65,536", whatever the process's locale.
std::string grouped(std::int64_t value);

}  // namespace ropejit::internal
