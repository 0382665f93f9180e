// The tensors of a NumericCase: buffers between guard zones on both sides, what became of them, and which elements may
// have changed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ropejit/tensor.hpp"
#include "support/numeric_case.hpp"
#include "verify/oracle.hpp"

namespace ropejit::test {

/// A tensor's place in a buffer, in elements from the buffer's first.
struct Placed {
  std::size_t buffer = 0;
  std::int64_t offset = 0;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t lane_stride = 1;
  std::int64_t group_heads = 0;  // where heads lie in groups: heads of one; else 0
  std::int64_t group_stride = 0;
  std::int64_t split_lanes = 0;  // where lanes lie in groups: lanes of one, side by side; else 0
  std::int64_t split_stride = 0;

  std::int64_t at(std::int64_t b, std::int64_t s, std::int64_t h) const {
    const std::int64_t token = offset + b * batch_stride + s * token_stride;
    if (group_heads == 0) return token + h * head_stride;
    return token + h / group_heads * group_stride + h % group_heads * head_stride;
  }
  /// From a head's first lane.
  std::int64_t lane(std::int64_t l) const {
    return split_lanes == 0 ? l * lane_stride : l / split_lanes * split_stride + l % split_lanes;
  }
};

class Arena {
 public:
  Arena(const internal::Target& target, std::uint64_t seed) : target_(target), random_(seed) {}

  /// [batch, tokens, heads, head_dim] of random values.
  Placed place(const Operand& operand, DType dtype, std::int64_t batch, std::int64_t tokens, Arrangement arrangement);
  /// A cache of `pages` pages of `places` each, whose batch is the page and whose token the place; and the other half
  /// of its buffer where caches lie side by side there.
  std::array<Placed, 2> place_pages(const Operand& operand, DType dtype, std::int64_t pages, std::int64_t places,
                                    Pages arrangement);
  /// The same of a cache in which a head's lanes lie in groups of 16 bytes: [pages, heads, groups, places, lanes], with
  /// gaps where `arrangement` is padded.
  Placed place_split_pages(const Operand& operand, DType dtype, std::int64_t pages, std::int64_t places,
                           Pages arrangement);
  /// q, k and a third tensor like k in one row for each token.
  std::array<Placed, 3> place_packed(const Operand& q, const Operand& k, DType dtype, std::int64_t batch,
                                     std::int64_t tokens);
  /// q and a gate of its heads, which lies behind q's lanes in each head.
  std::array<Placed, 2> place_gated(const Operand& q, DType dtype, std::int64_t batch, std::int64_t tokens);
  /// The heads of q that share one of k, then this and one like it, and so on for each head of k.
  std::array<Placed, 3> place_grouped(const Operand& q, const Operand& k, DType dtype, std::int64_t batch,
                                      std::int64_t tokens);
  TensorView view(const Placed& placed) const;
  /// Makes lanes of a head NaN, of which nothing may come.
  void poison(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t lanes);

  /// Once all is placed.
  void upload() const;
  void download();
  /// Of a head, before or after the launch. Valid once downloaded; of lanes in groups until the next such head.
  internal::HeadRow before(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h) const;
  internal::HeadRow after(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h) const;
  /// The head's lanes are checked elsewhere: they may differ.
  void account_for(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t lanes);

  /// Empty, or where an element changed that nobody accounted for.
  std::string stray_write() const;
  std::vector<unsigned char> all_bytes() const;

 private:
  struct Buffer {
    DType dtype = DType::bf16;
    std::vector<unsigned char> before;
    std::vector<unsigned char> after;
    std::vector<bool> may_change;  // one an element
    internal::DeviceBuffer device;
  };
  std::size_t make_buffer(DType dtype, std::int64_t elements);

  const internal::Target& target_;
  std::mt19937_64 random_;
  std::vector<Buffer> buffers_;
  mutable std::vector<unsigned char> gathered_;  // a head whose lanes lie in groups
};

/// Device memory that a launch reads: ids, lengths, counts. What it held must be there afterwards.
class Inputs {
 public:
  explicit Inputs(const internal::Target& target) : target_(target) {}

  template <class T>
  const T* put(const std::vector<T>& values) {
    return static_cast<const T*>(put_bytes(values.data(), values.size() * sizeof(T)));
  }
  void* put_bytes(const void* bytes, std::size_t size);

  std::string stray_write() const;

 private:
  struct Input {
    std::vector<unsigned char> before;
    internal::DeviceBuffer device;
  };
  const internal::Target& target_;
  std::vector<Input> inputs_;
};

}  // namespace ropejit::test
