// What the stages of an operand read beside its lanes (weights, biases, scales of heads): random numbers on a target,
// and as the oracle takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/spec.hpp"
#include "ropejit/tensor.hpp"
#include "spec/plan.hpp"
#include "target/target.hpp"
#include "verify/row_data.hpp"

namespace ropejit::internal {

class StageMemory {
 public:
  StageMemory() = default;
  /// The target must outlive it.
  StageMemory(const Target& target, const RopeSpec& spec, const Operand& operand, std::uint64_t seed);

  /// Sets the addresses of what the operand has.
  void set(OperandName name, RopeArgs& args) const;

  /// For a head of a token at that position. It must not outlive this.
  RowData data(std::int64_t head, std::int64_t position) const;

 private:
  /// Numbers of one kind; without any there is no buffer either.
  struct Numbers {
    std::vector<double> values;
    DeviceBuffer buffer;
  };
  static Numbers make(const Target& target, DType dtype, std::int64_t count, double middle, std::uint64_t seed);

  Numbers weights_;
  Numbers norm_biases_;
  Numbers biases_;
  Numbers head_scales_;
};

}  // namespace ropejit::internal
