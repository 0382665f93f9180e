// Words of refusals that are alike for q, k and v, joined when the library is compiled: a launch makes none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

namespace ropejit::internal {

/// A part of a refusal. Its members are public, as a template's arguments are asked to have them.
template <std::size_t Size>
struct Part {
  // Not explicit: what is written is "words".
  consteval Part(const char (&words)[Size]) { std::copy_n(words, Size, text); }
  consteval Part(const std::array<char, Size>& joined) { std::copy_n(joined.data(), Size, text); }

  char text[Size] = {};  ///< with a NUL at its end
};

template <Part... Parts>
inline constexpr auto kJoinedText = [] {
  std::array<char, (0 + ... + (sizeof(Parts.text) - 1)) + 1> all{};
  char* end = all.data();
  ((end = std::copy_n(Parts.text, sizeof(Parts.text) - 1, end)), ...);
  return all;
}();

/// The parts as one text, which lives as long as the program.
template <Part... Parts>
inline constexpr const char* kJoined = kJoinedText<Parts...>.data();

}  // namespace ropejit::internal
