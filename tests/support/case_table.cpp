#include "support/case_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "verify/element.hpp"

namespace ropejit::test {
namespace {

RopeSpec table_spec(RopeSpec spec) {
  spec.direction = Direction::forward;
  spec.angle = AngleRounding::exact;
  return spec;
}

}  // namespace

CaseTable::CaseTable(const NumericCase& given)
    : given_(given), forward_(table_spec(given.spec)), batches_(given.table_per_batch ? given.batch : 1) {
  const std::int64_t tensors = one_tensor() ? 1 : 2;
  bytes_.resize(static_cast<std::size_t>((tensors * tensor_elements() + offset()) * size_of(given.form.table_dtype)));
  for (std::int64_t b = 0; b < batches_; ++b) {
    for (std::int64_t p = 0; p < given.table_rows; ++p) {
      const std::int64_t position = p + 3 * b;
      const std::int64_t at = (b * given.table_rows + p) * row_elements();
      const internal::Angles exact = forward_.angles(position);
      for (std::int64_t i = 0; i < forward_.pairs(); ++i) {
        if (given.form.angles == AngleSource::radians) {
          const double angle =
              put(at + i, static_cast<double>(static_cast<long double>(position) * forward_.frequency(i)));
          turns_.push_back({static_cast<double>(std::cos(static_cast<long double>(angle))),
                            static_cast<double>(std::sin(static_cast<long double>(angle)))});
        } else {
          turns_.push_back(
              put(at, i, {exact.cos[static_cast<std::size_t>(i)], exact.sin[static_cast<std::size_t>(i)]}));
        }
      }
    }
  }
}

std::int64_t CaseTable::row_elements() const {
  const AngleSource source = given_.form.angles;
  return source == AngleSource::half || source == AngleSource::radians ? forward_.pairs() : 2 * forward_.pairs();
}

bool CaseTable::one_tensor() const {
  const AngleSource source = given_.form.angles;
  return source == AngleSource::complex || source == AngleSource::cos_sin || source == AngleSource::radians;
}

double CaseTable::put(std::int64_t at, double value) {
  const DType dtype = given_.form.table_dtype;
  const internal::ElementBits bits = internal::encode(dtype, value);
  internal::store_bits(dtype, bytes_.data(), offset() + at, bits);
  return internal::decode(dtype, bits);
}

internal::Turn CaseTable::put(std::int64_t at, std::int64_t i, const internal::Turn& exact) {
  const std::int64_t pairs = forward_.pairs();
  const std::int64_t sin_at = at + tensor_elements();
  switch (given_.form.angles) {
    case AngleSource::complex: return {put(at + 2 * i, exact.cos), put(at + 2 * i + 1, exact.sin)};
    case AngleSource::cos_sin: return {put(at + i, exact.cos), put(at + pairs + i, exact.sin)};
    case AngleSource::repeated:
      put(at + 2 * i + 1, exact.cos);
      put(sin_at + 2 * i + 1, exact.sin);
      return {put(at + 2 * i, exact.cos), put(sin_at + 2 * i, exact.sin)};
    case AngleSource::full:
      put(at + pairs + i, exact.cos);
      put(sin_at + pairs + i, exact.sin);
      break;
    default: break;
  }
  return {put(at + i, exact.cos), put(sin_at + i, exact.sin)};
}

AngleTable CaseTable::upload(Inputs& inputs) const {
  const std::int64_t element = size_of(given_.form.table_dtype);
  AngleTable table;
  table.cos = static_cast<char*>(inputs.put_bytes(bytes_.data(), bytes_.size())) + offset() * element;
  if (!one_tensor()) table.sin = static_cast<const char*>(table.cos) + tensor_elements() * element;
  table.rows = given_.table_rows;
  if (given_.table_per_batch) table.batch_stride = given_.table_rows * row_elements();
  return table;
}

internal::Angles CaseTable::angles(std::int64_t b, std::span<const std::int64_t> positions, bool& missing) const {
  const Direction direction = given_.spec.direction;
  internal::Angles result;
  result.known = given_.form.angles != AngleSource::radians &&
                 (direction == Direction::forward || direction == Direction::adjoint);
  result.scale = 0;
  for (std::int64_t i = 0; i < forward_.pairs(); ++i) {
    const std::int64_t position = positions[static_cast<std::size_t>(forward_.axis(i))];
    const bool backwards = direction == Direction::shift && position < 0;
    // The least int64 has no opposite, and stays one without a row.
    const std::int64_t row = backwards && position != std::numeric_limits<std::int64_t>::min() ? -position : position;
    internal::Turn turn{std::nan(""), std::nan("")};
    if (row >= 0 && row < given_.table_rows) {
      const std::int64_t sequence = given_.table_per_batch ? b : 0;
      turn = internal::directed(
          direction, turns_[static_cast<std::size_t>((sequence * given_.table_rows + row) * forward_.pairs() + i)],
          backwards);
      result.scale = std::max(result.scale, std::hypot(turn.cos, turn.sin));
    } else {
      missing = true;
    }
    result.cos.push_back(turn.cos);
    result.sin.push_back(turn.sin);
  }
  return result;
}

}  // namespace ropejit::test
