// What stands between text from outside and llvm::json, which overflows the stack on deep nesting, keeps one of two
// equal keys in silence and refuses the Infinity and NaN that Python's json writes into real configs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::internal {

inline constexpr std::size_t kMaxJsonBytes = 16u << 20;
inline constexpr std::size_t kMaxJsonDepth = 64;

/// One pass without recursion. Throws Error{parse_error} for text that is empty, larger than kMaxJsonBytes, not UTF-8,
/// nested deeper than kMaxJsonDepth, closed by the wrong bracket, or that has two equal keys (after unescaping) in one
/// object. Otherwise the same text, in which a bare Infinity, -Infinity or NaN has become a string of that name, so
/// that only a reader of that very field complains. Everything else about syntax is left to the parser.
std::string guard_json(std::string_view text);

/// Does so for readers that tell all problems at once: two equal keys are a line in `duplicates` and no error.
std::string guard_json(std::string_view text, std::vector<std::string>& duplicates);

}  // namespace ropejit::internal
