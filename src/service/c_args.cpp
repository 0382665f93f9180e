#include "service/c_args.hpp"

#include <cstddef>
#include <cstring>

#include "service/c_struct.hpp"

namespace ropejit::internal {
namespace {

static_assert(ROPEJIT_CONTIGUOUS == kContiguous);
static_assert(ROPEJIT_POSITIONS_START == static_cast<int>(PositionSource::start));
static_assert(ROPEJIT_POSITIONS_IDS64 == static_cast<int>(PositionSource::ids64));
static_assert(ROPEJIT_POSITIONS_RAGGED == static_cast<int>(PositionSource::ragged));
static_assert(ROPEJIT_FLAG_NO_TABLE_ROW == kNoTableRow);
static_assert(ROPEJIT_FLAG_NO_CACHE_ROW == kNoCacheRow);

// The first version ended behind `tokens`.
constexpr GrowingStruct kArgs = {offsetof(ropejit_args, tokens) + sizeof(int64_t), sizeof(ropejit_args)};

TensorView view(const ropejit_tensor& tensor) noexcept {
  TensorView result;
  result.data = tensor.data;
  result.batch_stride = tensor.batch_stride;
  result.token_stride = tensor.token_stride;
  result.head_stride = tensor.head_stride;
  result.lane_stride = tensor.lane_stride;
  return result;
}

// Of a struct that has every member.
RopeArgs converted(const ropejit_args& args) noexcept {
  RopeArgs launch;
  launch.q = view(args.q);
  launch.k = view(args.k);
  launch.q_out = view(args.q_out);
  launch.k_out = view(args.k_out);
  launch.positions.source = static_cast<PositionSource>(args.position_source);
  launch.positions.ids = args.position_ids;
  launch.positions.first = args.first_position;
  launch.positions.batch_stride = args.position_batch_stride;
  launch.positions.token_stride = args.position_token_stride;
  launch.positions.cu_seqlens = args.cu_seqlens;
  launch.positions.sequences = args.sequences;
  launch.positions.axis_stride = args.position_axis_stride;
  launch.positions.ranks = args.ranks == 0 ? 1 : args.ranks;
  launch.positions.rank = args.rank;
  launch.table.cos = args.table_cos;
  launch.table.sin = args.table_sin;
  launch.table.rows = args.table_rows;
  launch.table.row_stride = args.table_row_stride;
  launch.table.batch_stride = args.table_batch_stride;
  launch.batch = args.batch;
  launch.tokens = args.tokens;
  launch.k_rows = args.k_rows;
  launch.k_cache_rows = args.k_cache_rows;
  launch.token_count = args.token_count;
  launch.flags = args.flags;
  return launch;
}

}  // namespace

const char* why_unreadable(const ropejit_args& args) noexcept {
  switch (fault_of(&args, args.size, kArgs)) {
    case StructFault::none: break;
    case StructFault::no_version:
      return "args.size: found the size of no version of the struct, allowed: sizeof(ropejit_args)";
    case StructFault::too_large: return "args.size: above 65536, allowed: sizeof(ropejit_args)";
    case StructFault::unknown_member:
      return "args: a member that this version of ropejit does not know is set, allowed: 0";
  }
  if (args.reserved != 0) return "args.reserved: not 0, allowed: 0";
  if (args.position_source < ROPEJIT_POSITIONS_START || args.position_source > ROPEJIT_POSITIONS_RAGGED) {
    return "args.position_source: unknown, allowed: one of the ROPEJIT_POSITIONS_ values";
  }
  return nullptr;
}

RopeArgs rope_args(const ropejit_args& args) noexcept {
  if (args.size >= sizeof(ropejit_args)) return converted(args);
  // Behind the caller's struct is whatever its program has there.
  ropejit_args complete = ropejit_args_default();
  std::memcpy(&complete, &args, args.size);
  return converted(complete);
}

}  // namespace ropejit::internal
