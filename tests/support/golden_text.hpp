// What the goldens of transformers' own numbers have in common as text: words of enumerations, and bits.
#pragma once

#include <bit>
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "verify/element.hpp"

namespace ropejit::test {

/// The one of `all` with that name. Throws for a name that none of them has.
template <class Enum>
Enum parse_golden_word(const std::string& name, std::initializer_list<Enum> all) {
  for (const Enum value : all) {
    if (name == to_string(value)) return value;
  }
  throw std::runtime_error("golden: unknown word " + name);
}

/// `count` numbers of `digits` hexadecimal digits each, with nothing between. Throws for a text of another length.
inline std::vector<internal::ElementBits> parse_golden_bits(const std::string& text, std::size_t digits,
                                                            std::size_t count) {
  if (text.size() != digits * count) throw std::runtime_error("golden: a list of another length");
  std::vector<internal::ElementBits> bits(count);
  for (std::size_t i = 0; i < count; ++i) {
    bits[i] = static_cast<internal::ElementBits>(std::stoul(text.substr(digits * i, digits), nullptr, 16));
  }
  return bits;
}

/// Bits of fp32 as the numbers that they are.
inline std::vector<float> parse_golden_floats(const std::string& text, std::size_t count) {
  std::vector<float> values;
  for (const internal::ElementBits bits : parse_golden_bits(text, 8, count)) {
    values.push_back(std::bit_cast<float>(bits));
  }
  return values;
}

}  // namespace ropejit::test
