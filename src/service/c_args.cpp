#include "service/c_args.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "launch/operand_args.hpp"

namespace ropejit::internal {
namespace {

static_assert(ROPEJIT_CONTIGUOUS == kContiguous);
static_assert(ROPEJIT_POSITIONS_START == static_cast<int>(PositionSource::start));
static_assert(ROPEJIT_POSITIONS_IDS64 == static_cast<int>(PositionSource::ids64));
static_assert(ROPEJIT_POSITIONS_RAGGED == static_cast<int>(PositionSource::ragged));
static_assert(ROPEJIT_FLAG_NO_TABLE_ROW == kNoTableRow);
static_assert(ROPEJIT_FLAG_NO_CACHE_ROW == kNoCacheRow);

static_assert(ROPEJIT_Q == static_cast<int>(OperandName::q));
static_assert(ROPEJIT_K == static_cast<int>(OperandName::k));
static_assert(ROPEJIT_V == static_cast<int>(OperandName::v));
static_assert(ROPEJIT_GATE == static_cast<int>(OperandName::gate));

// The first version ended behind `tokens`.
constexpr GrowingStruct kArgs = {offsetof(ropejit_args, tokens) + sizeof(int64_t), sizeof(ropejit_args),
                                 "args.size: found the size of no version of the struct, allowed: sizeof(ropejit_args)",
                                 "args.size: above 65536, allowed: sizeof(ropejit_args)",
                                 "args: a member that this version of ropejit does not know is set, allowed: 0"};
// The first version of it ended behind `cache_rows`.
constexpr GrowingStruct kOperand = {
    offsetof(ropejit_operand, cache_rows) + sizeof(int64_t), sizeof(ropejit_operand),
    "args.operands.size: found the size of no version of the struct, allowed: sizeof(ropejit_operand)",
    "args.operands.size: found more than 65536, allowed: sizeof(ropejit_operand)",
    "args.operands: found a member set that this version of ropejit does not know, allowed: 0"};

// Structs grow by whole words, so no version ends within one.
constexpr std::size_t kWord = 8;
constexpr std::size_t kLargest = 65536;

TensorView view(const ropejit_tensor& tensor) noexcept {
  TensorView result;
  result.data = tensor.data;
  result.batch_stride = tensor.batch_stride;
  result.token_stride = tensor.token_stride;
  result.head_stride = tensor.head_stride;
  result.lane_stride = tensor.lane_stride;
  return result;
}

// In C 0 is the default of each. What C++ has for "every token" is what C has for none, and goes to 0.
void read_slots(const ropejit_operand& operand, const SlotMembers& members, RopeArgs& out) noexcept {
  out.*members.block_size = operand.block_size;
  out.*members.stride = operand.slot_stride == 0 ? 1 : operand.slot_stride;
  if (operand.slot_count == 0) {
    out.*members.count = kEveryToken;
  } else {
    out.*members.count = operand.slot_count == ROPEJIT_NO_SLOTS ? 0 : operand.slot_count;
  }
}

// In C a stride of 0 is the default, as of a tensor that is written no other 0 means anything.
TensorView view_of_beside(const ropejit_tensor& tensor) noexcept {
  TensorView result = view(tensor);
  for (std::int64_t* stride : {&result.batch_stride, &result.token_stride, &result.head_stride, &result.lane_stride}) {
    if (*stride == 0) *stride = kContiguous;
  }
  return result;
}

// Likewise.
PageTable view_of_table(const ropejit_page_table& table) noexcept {
  PageTable result;
  result.pages = table.pages;
  result.first_entries = table.first_entries;
  result.last_page_lengths = table.last_page_lengths;
  result.requests = table.requests;
  result.entries = table.entries;
  if (table.row_stride != 0) result.row_stride = table.row_stride;
  return result;
}

// Likewise.
template <class View>
View view_of_statistic(const ropejit_statistic& statistic) noexcept {
  View result;
  result.data = statistic.data;
  if (statistic.token_stride != 0) result.token_stride = statistic.token_stride;
  if (statistic.head_stride != 0) result.head_stride = statistic.head_stride;
  return result;
}

void read_stages(const ropejit_operand& operand, const OperandMembers& members, RopeArgs& out) noexcept {
  out.*members.weight = operand.norm_weight;
  out.*members.norm_bias = operand.norm_bias;
  out.*members.bias = operand.bias;
  out.*members.head_scales = operand.head_scales;
  out.*members.statistic = view_of_statistic<NormStatistic>(operand.norm_statistic);
  out.*members.statistic_out = view_of_statistic<NormStatisticOut>(operand.norm_statistic_out);
}

// In C a stride of 0 is the default here, too.
const char* read_groups(const ropejit_operand& operand, RopeArgs& out) noexcept {
  if (operand.name != ROPEJIT_Q) {
    return operand.group_stride == 0 && operand.out_group_stride == 0
               ? nullptr
               : "args.operands: found a group_stride or out_group_stride of another operand than q, allowed: 0";
  }
  if (operand.group_stride != 0) out.q_group_stride = operand.group_stride;
  if (operand.out_group_stride != 0) out.q_out_group_stride = operand.out_group_stride;
  return nullptr;
}

bool brings_stages(const ropejit_operand& operand) noexcept {
  return operand.norm_weight != nullptr || operand.norm_bias != nullptr || operand.bias != nullptr ||
         operand.head_scales != nullptr || operand.norm_statistic.data != nullptr ||
         operand.norm_statistic_out.data != nullptr;
}

// The struct has every member.
const char* read_operand(const ropejit_operand& operand, unsigned& seen, RopeArgs& out) noexcept {
  if (operand.reserved != 0) return "args.operands: found a reserved that is not 0, allowed: 0";
  if (operand.name < ROPEJIT_Q || operand.name > ROPEJIT_GATE) {
    return "args.operands: found an unknown name, allowed: ROPEJIT_Q, ROPEJIT_K, ROPEJIT_V, ROPEJIT_GATE";
  }
  const unsigned bit = 1U << static_cast<unsigned>(operand.name);
  if ((seen & bit) != 0) return "args.operands: found a name twice, allowed: each once";
  seen |= bit;
  const OperandMembers members = members_of(static_cast<OperandName>(operand.name));
  out.*members.in = view(operand.in);
  out.*members.out = view(operand.out);
  if (members.has_stages()) {
    read_stages(operand, members, out);
  } else if (brings_stages(operand)) {
    return "args.operands: found memory of a norm or another stage of the gate, allowed: null (it is copied alone)";
  }
  if (const char* why = read_groups(operand, out)) return why;
  if (members.beside != nullptr) {
    out.*members.beside = view_of_beside(operand.beside);
  } else if (operand.beside.data != nullptr) {
    return "args.operands: found a beside of q or of the gate, allowed: null (neither has a cache)";
  }
  if (members.table != nullptr) {
    out.*members.table = view_of_table(operand.page_table);
  } else if (operand.page_table.pages != nullptr) {
    return "args.operands: found a page_table of q or of the gate, allowed: null (neither has a cache)";
  }
  if (members.split_stride != nullptr) {
    if (operand.split_stride != 0) out.*members.split_stride = operand.split_stride;
  } else if (operand.split_stride != 0) {
    return "args.operands: found a split_stride of another operand than k, allowed: 0";
  }
  if (members.rows != nullptr) {
    out.*members.rows = operand.rows;
    out.*members.cache_rows = operand.cache_rows;
    read_slots(operand, members.slots, out);
    return nullptr;
  }
  if (operand.rows != nullptr) return "args.operands: found rows of q or of the gate, allowed: null";
  if (operand.block_size != 0 || operand.slot_count != 0 || operand.slot_stride != 0) {
    return "args.operands: found a block_size, slot_count or slot_stride of q or of the gate, allowed: 0";
  }
  return nullptr;
}

const char* read_operands(const ropejit_args& args, RopeArgs& out) noexcept {
  if (args.q.data != nullptr || args.k.data != nullptr || args.q_out.data != nullptr || args.k_out.data != nullptr ||
      args.k_rows != nullptr) {
    return "args.q, k, q_out, k_out or k_rows: found a pointer beside operands, allowed: null";
  }
  if (args.operand_count < 1 || args.operand_count > static_cast<std::int64_t>(kMostOperands)) {
    return "args.operand_count: found other than 1 to 4, allowed: that";
  }
  unsigned seen = 0;
  const auto* at = reinterpret_cast<const char*>(args.operands);
  for (std::int64_t i = 0; i < args.operand_count; ++i) {
    const std::size_t size = reinterpret_cast<const ropejit_operand*>(at)->size;
    if (const char* why = why_unreadable(at, size, kOperand)) return why;
    // Behind a shorter struct is the next one, or whatever the caller's program has there.
    ropejit_operand complete = ropejit_operand_of(ROPEJIT_Q, nullptr, nullptr);
    std::memcpy(&complete, at, std::min(size, sizeof complete));
    if (const char* why = read_operand(complete, seen, out)) return why;
    at += size;
  }
  return nullptr;
}

// The struct has every member.
const char* read_complete(const ropejit_args& args, RopeArgs& out) noexcept {
  out.positions.source = static_cast<PositionSource>(args.position_source);
  out.positions.ids = args.position_ids;
  out.positions.first = args.first_position;
  out.positions.batch_stride = args.position_batch_stride;
  out.positions.token_stride = args.position_token_stride;
  out.positions.cu_seqlens = args.cu_seqlens;
  out.positions.sequences = args.sequences;
  out.positions.axis_stride = args.position_axis_stride;
  out.positions.ranks = args.ranks == 0 ? 1 : args.ranks;
  out.positions.rank = args.rank;
  out.table.cos = args.table_cos;
  out.table.sin = args.table_sin;
  out.table.rows = args.table_rows;
  out.table.row_stride = args.table_row_stride;
  out.table.batch_stride = args.table_batch_stride;
  out.batch = args.batch;
  out.tokens = args.tokens;
  out.token_count = args.token_count;
  out.flags = args.flags;
  out.token_requests = args.token_requests;
  out.token_places = args.token_places;
  if (args.operands != nullptr) return read_operands(args, out);
  if (args.operand_count != 0) return "args.operand_count: found other than 0 without operands, allowed: 0";
  out.q = view(args.q);
  out.k = view(args.k);
  out.q_out = view(args.q_out);
  out.k_out = view(args.k_out);
  out.k_rows = args.k_rows;
  out.k_cache_rows = args.k_cache_rows;
  return nullptr;
}

}  // namespace

const char* why_unreadable(const void* bytes, std::size_t size, const GrowingStruct& known_as) noexcept {
  if (size < known_as.first || size % kWord != 0) return known_as.no_version;
  if (size > kLargest) return known_as.too_large;
  const auto* const first = static_cast<const unsigned char*>(bytes);
  const bool is_zero = size <= known_as.known ||
                       std::all_of(first + known_as.known, first + size, [](unsigned char byte) { return byte == 0; });
  return is_zero ? nullptr : known_as.unknown_member;
}

const char* read_args(const ropejit_args& args, RopeArgs& out) noexcept {
  if (const char* why = why_unreadable(&args, args.size, kArgs)) return why;
  if (args.reserved != 0) return "args.reserved: not 0, allowed: 0";
  if (args.position_source < ROPEJIT_POSITIONS_START || args.position_source > ROPEJIT_POSITIONS_RAGGED) {
    return "args.position_source: unknown, allowed: one of the ROPEJIT_POSITIONS_ values";
  }
  if (args.size >= sizeof(ropejit_args)) return read_complete(args, out);
  // Behind the caller's struct is whatever its program has there.
  ropejit_args complete = ropejit_args_default();
  std::memcpy(&complete, &args, args.size);
  return read_complete(complete, out);
}

}  // namespace ropejit::internal
