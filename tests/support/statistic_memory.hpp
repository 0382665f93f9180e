// The statistic of an operand's norm in memory, between guards: as a launch is given it, or hands it out. A norm over
// the token has one of each token, as if that had one head.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/tensor.hpp"
#include "target/target.hpp"

namespace ropejit::test {

/// How r lies in memory.
enum class StatisticRows {
  contiguous,       ///< [tokens, heads], no stride given
  padded,           ///< the same with 3 elements between tokens
  heads_outside,    ///< [heads, tokens] with an element between heads
  backwards,        ///< tokens from the last to the first
  shared_by_heads,  ///< one for all heads of a token (of statistics that are given)
};

class StatisticMemory {
 public:
  /// For `tokens` tokens of `heads` heads.
  StatisticMemory(const internal::Target& target, StatisticRows rows, std::int64_t tokens, std::int64_t heads);

  /// Puts r of every token and head there, [tokens][heads].
  void fill(const std::vector<float>& r);
  NormStatistic given() const;
  NormStatisticOut handed_out() const;

  /// What is there now.
  void download();
  float at(std::int64_t token, std::int64_t head) const;
  /// Bits of all, [tokens][heads].
  std::vector<std::uint32_t> bits() const;
  /// Empty, or one line: a number is not as it was, other than those of tokens below `written`.
  std::string stray_write(std::int64_t written) const;

 private:
  std::int64_t place(std::int64_t token, std::int64_t head) const;

  const internal::Target& target_;
  StatisticRows rows_;
  std::int64_t tokens_;
  std::int64_t heads_;
  std::int64_t first_ = 0;  // elements from the buffer's first to r of head 0 of token 0
  std::int64_t token_stride_ = 0;
  std::int64_t head_stride_ = 0;
  std::vector<std::uint32_t> before_;
  std::vector<std::uint32_t> after_;
  internal::DeviceBuffer device_;
};

}  // namespace ropejit::test
