#include "support/text.hpp"

#include <fmt/format.h>

namespace ropejit::internal {
namespace {

// Bytes of the UTF-8 character at the front of `text`, or 0 where there is none. Only the shape is checked: enough
// to cut between characters and to keep stray bytes out of a terminal.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

bool breaks_a_line(std::string_view character) {
  if (character.size() == 1) {
    const auto byte = static_cast<unsigned char>(character[0]);
    return byte < 0x20 || byte == 0x7F;
  }
  const bool c1_control =
      character.size() == 2 && character[0] == '\xC2' && static_cast<unsigned char>(character[1]) < 0xA0;
  return c1_control || character == "\xE2\x80\xA8" || character == "\xE2\x80\xA9";
}

std::string escaped(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\r") return "\\r";
  if (bytes == "\t") return "\\t";
  std::string text;
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text;
}

}  // namespace

std::string excerpt(std::string_view text, std::size_t limit) {
  static constexpr std::string_view kCut = "...";
  std::string out;
  std::size_t fits_with_cut = 0;  // length of `out` up to which kCut still fits behind it
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    const std::string piece = length == 0 || breaks_a_line(character) ? escaped(character) : std::string(character);
    if (out.size() + piece.size() > limit) {
      out.resize(fits_with_cut);
      return out.append(kCut);
    }
    out += piece;
    if (out.size() + kCut.size() <= limit) fits_with_cut = out.size();
    text.remove_prefix(character.size());
  }
  return out;
}

std::string quoted(std::string_view text, std::size_t limit) { return fmt::format("\"{}\"", excerpt(text, limit - 2)); }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

std::string grouped(std::int64_t value) {
  std::string digits = fmt::format("{}", value);
  const std::size_t first = digits[0] == '-' ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

}  // namespace ropejit::internal
