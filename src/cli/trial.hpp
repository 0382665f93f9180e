// Trial: tensors on a target for one launch of a kernel, and the check of every element that comes out. In memory
// each tensor stands between guard zones; what a kernel writes is filled with NaNs before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/case.hpp"
#include "cli/stage_memory.hpp"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"
#include "verify/comparison.hpp"
#include "verify/oracle.hpp"

namespace ropejit::internal {

/// What a check found.
struct TrialResult {
  /// Of each operand of the spec, by its name.
  std::vector<std::pair<OperandName, Comparison>> operands;
  std::string stray_write;  ///< empty, or one line: which zone, input or place of a cache was written to

  Comparison all() const;
  bool passed() const { return problem().empty(); }
  /// One line: the first thing wrong. Empty when passed.
  std::string problem() const;
  /// A line for people, with its newline: what was verified, or what is wrong.
  std::string verdict() const;
};

/// Allocates at construction; the target must outlive it. Not thread-safe.
class Trial {
 public:
  /// Throws Error{invalid_argument} where tensors of so many tokens do not fit into this machine's memory.
  Trial(const Target& target, const Case& given, std::int64_t first_position);

  /// The arguments of a launch; the tensors hold their first values until one runs. With free strides they are [head,
  /// token, lane], else [token, head, lane]; caches are [page, place, head, lane], have a page more than the tokens
  /// fill, and take these in no order.
  RopeArgs args() const;

  /// Downloads, and checks against the oracle what one launch made of the first values. Uses all cores.
  TrialResult check() const;

  /// Bytes that a launch must read and write.
  double moved_bytes() const;

 private:
  struct Tensor {
    OperandName name = OperandName::q;
    Operand shape;
    std::int64_t token_stride = 0;
    std::int64_t head_stride = 0;
    std::int64_t group_heads = 0;   ///< where heads lie in groups: heads of one; else 0
    std::int64_t group_stride = 0;  ///< and from a group to the next, behind which as much as two heads is left alone
    std::vector<unsigned char> before;  ///< guards included, as uploaded
    DeviceBuffer in;
    DeviceBuffer out;     ///< empty in place
    DeviceBuffer beside;  ///< what is written beside a cache; empty where that is `in`, or nothing is
    bool in_place = true;
    bool paged = false;
    bool is_beside = false;  ///< paged, and written beside the cache
    DType dtype_out = DType::bf16;
    std::size_t bytes_out = 0;  ///< bytes of the tensor that is written, guards included
    StageMemory stages;
    std::vector<float> given;  ///< the statistic of its norm, [token, statistic]; empty where none is given
    DeviceBuffer statistic;    ///< those given, or with guards where they are handed out; else empty

    /// Whether its lanes are turned.
    bool rotates() const { return !is_copied(name) && shape.rotates != false; }
    /// Elements from the first to a head's, of a tensor that is no cache.
    std::int64_t place_of(std::int64_t token, std::int64_t head) const {
      if (group_heads == 0) return token * token_stride + head * head_stride;
      return token * token_stride + head / group_heads * group_stride + head % group_heads * head_stride;
    }
    /// How many statistics of its norm a token has.
    std::int64_t statistics() const { return shape.norm->span == NormSpan::token ? 1 : shape.heads; }
  };
  Tensor make_tensor(OperandName name, const Operand& shape, CacheRows rows) const;
  void fill(Tensor& tensor, std::uint64_t seed) const;
  void make_statistic(Tensor& tensor, std::uint64_t seed) const;
  /// Whether the norm hands its statistic out.
  bool hands_out(const Operand& shape) const;
  void make_slots();
  std::int64_t position(std::int64_t axis, std::int64_t token) const;
  /// One tensor that is written of an operand.
  struct Output {
    const DeviceBuffer* buffer;
    bool paged;
    std::size_t bytes;  ///< guards included
  };
  std::vector<Output> outputs_of(const Tensor& tensor) const;
  /// Bytes of so many tokens, guards included, of a tensor that is no cache; and of a cache.
  std::size_t bytes_of(const Tensor& tensor, DType dtype) const;
  static std::size_t bytes_of_cache(const Operand& shape, std::int64_t tokens, DType dtype);
  TensorView view(const Tensor& tensor, const DeviceBuffer& buffer) const;
  Comparison check(const Tensor& tensor, const Oracle& oracle, std::string& stray_write) const;
  Comparison check(const Tensor& tensor, const Output& output, const Oracle& oracle, std::string& stray_write) const;
  /// A token of a tensor, and all that the oracle is to know of it but the statistic that is given.
  struct Token {
    std::int64_t number;
    Angles angles;
    RowData data;
  };
  Token token_of(const Tensor& tensor, const Oracle& oracle, std::int64_t number) const;
  HeadRow given_head(const Tensor& tensor, std::int64_t token, std::int64_t head) const;
  /// visit(token, comparison) for all tokens, on all cores.
  template <class Visit>
  Comparison check_tokens(const Tensor& tensor, const Oracle& oracle, const Visit& visit) const;
  /// The statistics that the norm handed out.
  Comparison check_statistic(const Tensor& tensor, const Oracle& oracle, std::string& stray_write) const;
  bool has_strays(const Tensor& tensor, const std::vector<unsigned char>& after) const;
  /// Whether something was written between the groups of heads.
  bool has_strays_between_groups(const Tensor& tensor, const Output& output,
                                 const std::vector<unsigned char>& after) const;
  void refuse_what_does_not_fit() const;
  std::int64_t capacity() const;  ///< places of a cache

  const Target& target_;
  Case case_;
  std::int64_t first_position_;
  std::vector<Tensor> tensors_;  ///< those of the spec, q first
  DeviceBuffer ids_;
  std::vector<std::int64_t> slots_;
  DeviceBuffer slot_list_;
};

}  // namespace ropejit::internal
