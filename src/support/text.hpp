// Text: what a user wrote, made fit to be quoted in one line, and lists and numbers read from it.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace ropejit::internal {

/// `text` in one line of at most `limit` bytes (limit >= 8): control characters, line separators and bytes that are not
/// UTF-8 become escapes such as \n or \x1b, and what does not fit is cut at a character's end, with "..." in its place.
std::string excerpt(std::string_view text, std::size_t limit = 80);

/// excerpt in double quotes.
std::string quoted(std::string_view text, std::size_t limit = 80);
/// The same of strings: std::quoted would be found too wherever <iomanip> is included by somebody, and preferred.
inline std::string quoted(const std::string& text, std::size_t limit = 80) {
  return quoted(std::string_view(text), limit);
}
inline std::string quoted(std::string& text, std::size_t limit = 80) { return quoted(std::string_view(text), limit); }

/// The parts of `text` between separators, empty ones too; at least one. They look at `text`.
std::vector<std::string_view> split(std::string_view text, char separator);

/// The number that `text` is from its first character to its last; nothing where it is none, or beyond its type.
template <typename Number>
std::optional<Number> number_in(std::string_view text, int base = 10) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

/// 65536 as "65,536", whatever the process's locale.
std::string grouped(std::int64_t value);
template <std::integral Number>
std::string grouped(Number value) {
  return grouped(static_cast<std::int64_t>(value));
}

}  // namespace ropejit::internal
