#include "support/statistic_memory.hpp"

#include <bit>

#include <fmt/format.h>

namespace ropejit::test {
namespace {

constexpr std::int64_t kGuard = 64;             // elements before and after
constexpr std::uint32_t kUntouched = 0xffa5a5;  // a number that no norm hands out

}  // namespace

StatisticMemory::StatisticMemory(const internal::Target& target, StatisticRows rows, std::int64_t tokens,
                                 std::int64_t heads)
    : target_(target), rows_(rows), tokens_(tokens), heads_(heads) {
  first_ = kGuard;
  token_stride_ = heads;
  head_stride_ = 1;
  std::int64_t elements = tokens * heads;
  switch (rows) {
    case StatisticRows::contiguous: break;
    case StatisticRows::padded:
      token_stride_ = heads + 3;
      elements = tokens * token_stride_;
      break;
    case StatisticRows::heads_outside:
      token_stride_ = 1;
      head_stride_ = tokens + 1;
      elements = heads * head_stride_;
      break;
    case StatisticRows::backwards:
      token_stride_ = -heads;
      first_ += (tokens - 1) * heads;
      break;
    case StatisticRows::shared_by_heads:
      token_stride_ = 1;
      head_stride_ = 0;
      elements = tokens;
      break;
  }
  before_.assign(static_cast<std::size_t>(elements + 2 * kGuard), kUntouched);
  device_ = target.allocate(before_.size() * sizeof before_[0]);
  target.upload(device_.data(), before_.data(), before_.size() * sizeof before_[0]);
}

std::int64_t StatisticMemory::place(std::int64_t token, std::int64_t head) const {
  return first_ + token * token_stride_ + head * head_stride_;
}

void StatisticMemory::fill(const std::vector<float>& r) {
  for (std::int64_t token = 0; token < tokens_; ++token) {
    for (std::int64_t head = 0; head < heads_; ++head) {
      before_[static_cast<std::size_t>(place(token, head))] =
          std::bit_cast<std::uint32_t>(r[static_cast<std::size_t>(token * heads_ + head)]);
    }
  }
  target_.upload(device_.data(), before_.data(), before_.size() * sizeof before_[0]);
}

NormStatistic StatisticMemory::given() const {
  const NormStatisticOut view = handed_out();
  return {view.data, view.token_stride, view.head_stride};
}

NormStatisticOut StatisticMemory::handed_out() const {
  float* const data = static_cast<float*>(device_.data()) + first_;
  if (rows_ == StatisticRows::contiguous) return {data};
  return {data, token_stride_, head_stride_};
}

void StatisticMemory::download() {
  after_.resize(before_.size());
  target_.download(after_.data(), device_.data(), after_.size() * sizeof after_[0]);
}

float StatisticMemory::at(std::int64_t token, std::int64_t head) const {
  return std::bit_cast<float>(after_[static_cast<std::size_t>(place(token, head))]);
}

std::vector<std::uint32_t> StatisticMemory::bits() const {
  std::vector<std::uint32_t> all;
  for (std::int64_t token = 0; token < tokens_; ++token) {
    for (std::int64_t head = 0; head < heads_; ++head) {
      all.push_back(after_[static_cast<std::size_t>(place(token, head))]);
    }
  }
  return all;
}

std::string StatisticMemory::stray_write(std::int64_t written) const {
  std::vector<bool> may_change(before_.size());
  for (std::int64_t token = 0; token < written; ++token) {
    for (std::int64_t head = 0; head < heads_; ++head) may_change[static_cast<std::size_t>(place(token, head))] = true;
  }
  for (std::size_t i = 0; i < before_.size(); ++i) {
    if (!may_change[i] && after_[i] != before_[i]) {
      return fmt::format("a norm's statistic changed at element {}", static_cast<std::int64_t>(i) - first_);
    }
  }
  return {};
}

}  // namespace ropejit::test
