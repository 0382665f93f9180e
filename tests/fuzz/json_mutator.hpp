// Mutations of JSON that leave it JSON: bytes changed at random are refused by the parser nearly always, and what
// stands behind it would never be reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::test {

/// Keys, strings and numbers to put into objects.
class JsonMutator {
 public:
  /// Takes all words of these JSON texts.
  explicit JsonMutator(const std::vector<std::string>& texts);

  /// One to four changes: a value replaced, a member removed, added, renamed or copied from another place. Two times of
  /// three; else, and where `text` is no JSON object or the result is too long, bytes are changed.
  std::string operator()(const std::string& text, std::size_t limit, std::uint32_t seed) const;

  /// Keys and strings, sorted, each once.
  const std::vector<std::string>& words() const { return words_; }

 private:
  std::vector<std::string> words_;
};

}  // namespace ropejit::test
