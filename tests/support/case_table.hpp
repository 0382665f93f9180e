// The caller's cos and sin of a NumericCase, in the form that is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ropejit/tensor.hpp"
#include "support/arena.hpp"
#include "support/caller_table.hpp"
#include "support/numeric_case.hpp"
#include "verify/oracle.hpp"

namespace ropejit::test {

class CaseTable {
 public:
  /// The exact angles that the case's spec would turn forward by, rounded to the table's dtype.
  explicit CaseTable(const NumericCase& given);

  AngleTable upload(Inputs& inputs) const;

  /// What the table makes of a token of sequence b with these positions (one an axis), in the spec's direction: NaN for
  /// the pairs whose position has no row, which `missing` is then set by.
  internal::Angles angles(std::int64_t b, std::span<const std::int64_t> positions, bool& missing) const;

 private:
  std::int64_t row_elements() const;
  bool one_tensor() const;
  std::int64_t offset() const { return given_.table_misaligned ? 1 : 0; }
  std::int64_t tensor_elements() const { return batches_ * given_.table_rows * row_elements(); }
  /// Writes pair i of a row that begins at element `at`, and returns what can be read of it.
  internal::Turn put(std::int64_t at, std::int64_t i, const internal::Turn& exact);
  double put(std::int64_t at, double value);

  const NumericCase& given_;
  internal::Oracle forward_;
  std::int64_t batches_;
  std::vector<unsigned char> bytes_;
  std::vector<internal::Turn> turns_;  // [batches, rows, pairs]
};

}  // namespace ropejit::test
