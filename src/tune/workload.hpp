// Workload: tensors and arguments for launches of any class, made up: what is timed and what winners are checked on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// Bytes of a set of tensors.
struct Extent {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// One batch of contiguous tensors. Positions count from 0, a few sequences where the form is ragged; a caller's table
/// has a row for each, rows of a cache are the tokens, all tokens count. What is small (positions, tables) lies on the
/// device for as long as the object lives; operands and their outputs are a set, of which the owner has one or more.
class Workload {
 public:
  /// `tokens` in [1, 2^31); one more than asked for where the class needs an even number. `guard`: bytes around each
  /// tensor of a set, a multiple of 256. Throws Error.
  Workload(const Target& target, const KernelClass& kernel_class, std::int64_t tokens, std::size_t guard = 0);

  std::size_t set_bytes() const { return set_bytes_; }
  double moved_bytes() const { return moved_bytes_; }  ///< read and written by one launch

  /// The arguments of a launch on the set of set_bytes() bytes that begins at `set`, a multiple of 256.
  RopeArgs args(char* set) const;
  /// Where a launch writes; elsewhere a set stays as it is.
  const std::vector<Extent>& written() const { return written_; }

 private:
  struct Placed {
    OperandName name;
    Extent in;
    Extent out;        ///< in itself in place
    Extent beside;     ///< of what is written apart beside its cache; else empty
    Extent statistic;  ///< of a norm that hands it out; else empty
  };
  void place(const KernelClass& kernel_class, const PlanOperand& operand, std::size_t guard);
  std::int64_t rows_of(const KernelClass& kernel_class, const PlanOperand& operand) const;  ///< of its output
  void make_rows(const Target& target, const KernelClass& kernel_class, const PlanOperand& operand);
  void make_page_table(const Target& target, const KernelClass& kernel_class, const PlanOperand& operand);
  void make_stages(const Target& target, const KernelClass& kernel_class, const PlanOperand& operand);
  void make_statistic(const Target& target, const PlanOperand& operand);
  void make_positions(const Target& target, const KernelClass& kernel_class);
  void make_table(const Target& target, const KernelClass& kernel_class);

  std::int64_t tokens_;
  std::size_t set_bytes_ = 0;
  double moved_bytes_ = 0;
  std::vector<Placed> placed_;
  std::vector<Extent> written_;
  RopeArgs args_;  ///< all arguments but the tensors
  std::vector<DeviceBuffer> buffers_;
};

}  // namespace ropejit::internal
