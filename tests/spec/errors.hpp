// Catching a ropejit::Error to look at it.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "ropejit/error.hpp"

namespace ropejit::test {

/// The Error that `call` throws; nothing where it returns. Any other exception goes on to fail the test.
template <class Call>
std::optional<ropejit::Error> error_of(const Call& call) {
  try {
    static_cast<void>(call());
  } catch (const ropejit::Error& error) {
    return error;
  }
  return std::nullopt;
}

/// One line for a terminal: no control characters, and not longer than a person reads.
inline bool is_one_line(std::string_view text) {
  return !text.empty() && text.size() <= 600 &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace ropejit::test
