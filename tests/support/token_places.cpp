#include "support/token_places.hpp"

#include <cstddef>

#include "verify/oracle_axes.hpp"

namespace ropejit::test {
namespace {

constexpr std::int64_t kBetweenAxes = 5;

bool are_ids(PositionSource source) { return source == PositionSource::ids32 || source == PositionSource::ids64; }

/// Where the position of a token on an axis stands among the ids in memory.
struct IdStrides {
  std::int64_t axis;
  std::int64_t batch;
  std::int64_t token;
  std::int64_t count;
};

IdStrides id_strides(const NumericCase& given) {
  const std::int64_t axes = internal::oracle_axis_count(given.spec);
  const std::int64_t batch_stride = given.share_positions ? 0 : given.tokens;
  const std::int64_t plane = given.batch * given.tokens;
  switch (given.axis_rows) {
    case AxisRows::padded: return {plane + kBetweenAxes, batch_stride, 1, axes * (plane + kBetweenAxes) - kBetweenAxes};
    case AxisRows::innermost: return {1, axes * batch_stride, axes, axes * plane};
    case AxisRows::contiguous: break;
  }
  return {plane, batch_stride, 1, axes * plane};
}

std::int64_t id_of(const NumericCase& given, std::int64_t axis, std::int64_t b, std::int64_t s) {
  return given.positions[static_cast<std::size_t>((axis * given.batch + b) * given.tokens + s)];
}

template <class Id>
const Id* put_ids(const NumericCase& given, Inputs& inputs) {
  const IdStrides strides = id_strides(given);
  // Between axes: positions that would show.
  std::vector<Id> ids(static_cast<std::size_t>(strides.count), static_cast<Id>(-987654321));
  for (std::int64_t a = 0; a < internal::oracle_axis_count(given.spec); ++a) {
    for (std::int64_t b = 0; b < given.batch; ++b) {
      for (std::int64_t s = 0; s < given.tokens; ++s) {
        if (given.share_positions && b > 0) continue;
        ids[static_cast<std::size_t>(a * strides.axis + b * strides.batch + s * strides.token)] =
            static_cast<Id>(id_of(given, a, b, s));
      }
    }
  }
  return inputs.put(ids);
}

template <class Id>
const Id* put_offsets(const NumericCase& given, Inputs& inputs) {
  if (given.positions.empty()) return nullptr;
  std::vector<Id> offsets;
  for (const std::int64_t offset : given.positions) offsets.push_back(static_cast<Id>(offset));
  return inputs.put(offsets);
}

std::int64_t ragged_position(const NumericCase& given, std::int64_t s) {
  const auto begin = [&](std::size_t sequence) { return given.cu_seqlens[sequence] / given.ranks; };
  const auto sequence = static_cast<std::size_t>(sequence_of(given, s));
  const std::int64_t place = token_of_whole(given, begin(sequence + 1) - begin(sequence), s - begin(sequence));
  return place + (given.positions.empty() ? 0 : given.positions[sequence]);
}

}  // namespace

std::int64_t sequence_of(const NumericCase& given, std::int64_t s) {
  std::size_t sequence = 0;
  while (sequence + 2 < given.cu_seqlens.size() && given.cu_seqlens[sequence + 1] / given.ranks <= s) ++sequence;
  return static_cast<std::int64_t>(sequence);
}

std::int64_t token_of_whole(const NumericCase& given, std::int64_t count, std::int64_t s) {
  switch (given.form.context_parallel) {
    case ContextParallel::none: break;
    case ContextParallel::contiguous: return given.rank * count + s;
    case ContextParallel::zigzag: {
      const std::int64_t half = count / 2;
      return s < half ? given.rank * half + s : (2 * given.ranks - 1 - given.rank) * half + s - half;
    }
  }
  return s;
}

std::vector<std::int64_t> positions_of(const NumericCase& given, std::int64_t b, std::int64_t s) {
  const std::int64_t axes = internal::oracle_axis_count(given.spec);
  std::vector<std::int64_t> positions;
  for (std::int64_t a = 0; a < axes; ++a) {
    switch (given.form.positions) {
      case PositionSource::start:
        positions.push_back(given.positions[0] + token_of_whole(given, given.tokens, s));
        break;
      case PositionSource::offsets32:
      case PositionSource::offsets64:
        positions.push_back(given.positions[static_cast<std::size_t>(given.share_positions ? 0 : b)] +
                            token_of_whole(given, given.tokens, s));
        break;
      case PositionSource::ragged: positions.push_back(ragged_position(given, s)); break;
      default: positions.push_back(id_of(given, a, given.share_positions ? 0 : b, s)); break;
    }
  }
  return positions;
}

Positions launch_positions(const NumericCase& given, Inputs& inputs) {
  Positions positions;
  switch (given.form.positions) {
    case PositionSource::start: positions = Positions::start(given.positions[0]); break;
    case PositionSource::ids32: positions = Positions::ids32(put_ids<std::int32_t>(given, inputs)); break;
    case PositionSource::ids64: positions = Positions::ids64(put_ids<std::int64_t>(given, inputs)); break;
    case PositionSource::offsets32: positions = Positions::offsets32(put_offsets<std::int32_t>(given, inputs)); break;
    case PositionSource::offsets64: positions = Positions::offsets64(put_offsets<std::int64_t>(given, inputs)); break;
    case PositionSource::ragged:
      positions =
          Positions::ragged(inputs.put(given.cu_seqlens), static_cast<std::int64_t>(given.cu_seqlens.size()) - 1,
                            put_offsets<std::int32_t>(given, inputs));
      break;
  }
  if (are_ids(given.form.positions) && given.axis_rows != AxisRows::contiguous) {
    const IdStrides strides = id_strides(given);
    positions.axis_stride = strides.axis;
    positions.batch_stride = strides.batch;
    positions.token_stride = strides.token;
  }
  if (given.share_positions) positions.batch_stride = 0;
  positions.ranks = given.ranks;
  positions.rank = given.rank;
  return positions;
}

}  // namespace ropejit::test
