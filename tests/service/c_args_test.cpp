// The growth of ropejit_args: programs that were compiled with an older header go on meaning what they meant.
#include "service/c_args.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

const std::int32_t kNumber = 0;

constexpr std::size_t kFirstVersion = offsetof(ropejit_args, table_cos);

// A struct of `size` bytes and behind it what another program has in memory there.
struct Older {
  Older(const ropejit_args& args, std::size_t size) : bytes(sizeof(ropejit_args), 0xA5) {
    std::memcpy(bytes.data(), &args, size);
    std::memcpy(bytes.data(), &size, sizeof size);
  }
  const ropejit_args& args() const { return *reinterpret_cast<const ropejit_args*>(bytes.data()); }
  std::vector<unsigned char> bytes;
};

const char* why_unreadable(const ropejit_args& args) {
  RopeArgs ignored;
  return read_args(args, ignored);
}

RopeArgs rope_args(const ropejit_args& args) {
  RopeArgs read;
  const char* const why = read_args(args, read);
  INFO((why == nullptr ? "" : why));
  REQUIRE(why == nullptr);
  return read;
}

// All but operands, which stand for some of them.
ropejit_args every_member_set() {
  static unsigned char memory[16];
  ropejit_args args = ropejit_args_default();
  std::int64_t next = 1000;
  const auto tensor = [&](int place) { return ropejit_tensor{memory + place, ++next, ++next, ++next, ++next}; };
  args.q = tensor(0);
  args.k = tensor(1);
  args.q_out = tensor(2);
  args.k_out = tensor(3);
  args.position_source = ROPEJIT_POSITIONS_RAGGED;
  args.position_ids = memory + 4;
  args.first_position = ++next;
  args.position_batch_stride = ++next;
  args.position_token_stride = ++next;
  args.batch = ++next;
  args.tokens = ++next;
  args.table_cos = memory + 5;
  args.table_sin = memory + 6;
  args.table_rows = ++next;
  args.table_row_stride = ++next;
  args.table_batch_stride = ++next;
  args.cu_seqlens = reinterpret_cast<const std::int32_t*>(memory + 8);
  args.sequences = ++next;
  args.position_axis_stride = ++next;
  args.ranks = ++next;
  args.rank = ++next;
  args.k_rows = memory + 7;
  args.k_cache_rows = ++next;
  args.token_count = reinterpret_cast<const std::int32_t*>(memory + 12);
  args.flags = reinterpret_cast<std::uint32_t*>(memory);
  args.token_requests = reinterpret_cast<const std::int32_t*>(memory + 4);
  args.token_places = memory + 9;
  return args;
}

void check_first_version(const RopeArgs& got, const ropejit_args& given) {
  const auto same = [](const TensorView& a, const ropejit_tensor& b) {
    return a.data == b.data && a.batch_stride == b.batch_stride && a.token_stride == b.token_stride &&
           a.head_stride == b.head_stride && a.lane_stride == b.lane_stride;
  };
  CHECK(same(got.q, given.q));
  CHECK(same(got.k, given.k));
  CHECK(same(got.q_out, given.q_out));
  CHECK(same(got.k_out, given.k_out));
  CHECK(got.positions.source == PositionSource::ragged);
  CHECK(got.positions.ids == given.position_ids);
  CHECK(got.positions.first == given.first_position);
  CHECK(got.positions.batch_stride == given.position_batch_stride);
  CHECK(got.positions.token_stride == given.position_token_stride);
  CHECK(got.batch == given.batch);
  CHECK(got.tokens == given.tokens);
}

// What came after the first version, one row a member.
struct LaterMember {
  const char* name;
  std::size_t offset;
  bool (*given)(const RopeArgs& got, const ropejit_args& args);
  bool (*same)(const RopeArgs& got, const RopeArgs& other);
};

#define ROPEJIT_LATER(member, field)                                                                                   \
  {                                                                                                                    \
#member, offsetof(ropejit_args, member),                                                                           \
        [](const RopeArgs& got,                                                                                        \
           const ropejit_args&                                                                                         \
               args) { return got.field == args.member; },                                                             \
                                                        [](const RopeArgs& got,                                        \
                                                           const RopeArgs& other) { return got.field == other.field; } \
  }
const LaterMember kLater[] = {
    ROPEJIT_LATER(table_cos, table.cos),
    ROPEJIT_LATER(table_sin, table.sin),
    ROPEJIT_LATER(table_rows, table.rows),
    ROPEJIT_LATER(table_row_stride, table.row_stride),
    ROPEJIT_LATER(table_batch_stride, table.batch_stride),
    ROPEJIT_LATER(cu_seqlens, positions.cu_seqlens),
    ROPEJIT_LATER(sequences, positions.sequences),
    ROPEJIT_LATER(position_axis_stride, positions.axis_stride),
    ROPEJIT_LATER(ranks, positions.ranks),
    ROPEJIT_LATER(rank, positions.rank),
    ROPEJIT_LATER(k_rows, k_rows),
    ROPEJIT_LATER(k_cache_rows, k_cache_rows),
    ROPEJIT_LATER(token_count, token_count),
    ROPEJIT_LATER(flags, flags),
    ROPEJIT_LATER(token_requests, token_requests),
    ROPEJIT_LATER(token_places, token_places),
};
#undef ROPEJIT_LATER

}  // namespace

TEST_CASE(
    "a caller of any version says what its struct has, and gets the defaults of the rest, whatever lies behind it") {
  const ropejit_args given = every_member_set();
  // All but operands and operand_count.
  REQUIRE(kFirstVersion + (std::size(kLater) + 2) * 8 == sizeof(ropejit_args));
  for (std::size_t size = kFirstVersion; size <= sizeof(ropejit_args); size += 8) {
    const Older older(given, size);
    REQUIRE(why_unreadable(older.args()) == nullptr);
    const RopeArgs got = rope_args(older.args());
    check_first_version(got, given);
    for (const LaterMember& member : kLater) {
      INFO(member.name << " with a size of " << size);
      CHECK((member.offset < size ? member.given(got, given) : member.same(got, RopeArgs())));
    }
  }
}

TEST_CASE("sizes that no version of the struct has are refused") {
  const ropejit_args given = every_member_set();
  for (std::size_t size = 0; size <= sizeof(ropejit_args); ++size) {
    const bool a_version = size >= kFirstVersion && size % 8 == 0;
    CAPTURE(size);
    CHECK((why_unreadable(Older(given, size).args()) == nullptr) == a_version);
  }
}

TEST_CASE("the defaults in C are the defaults in C++, and no ranks are one") {
  ropejit_args args = ropejit_args_default();
  args.position_source = ROPEJIT_POSITIONS_START;
  const RopeArgs got = rope_args(args);
  const RopeArgs usual;
  CHECK(got.q.data == usual.q.data);
  CHECK(got.q.lane_stride == usual.q.lane_stride);
  CHECK(got.positions.batch_stride == usual.positions.batch_stride);
  CHECK(got.batch == usual.batch);
  CHECK(got.tokens == usual.tokens);
  for (const LaterMember& member : kLater) {
    INFO(member.name);
    CHECK(member.same(got, usual));
  }
  args.ranks = 1;
  CHECK(rope_args(args).positions.ranks == 1);
  args.ranks = -3;  // for the launch to refuse
  CHECK(rope_args(args).positions.ranks == -3);
}

namespace {

bool same_tensor(const TensorView& a, const ropejit_tensor& b) {
  return a.data == b.data && a.batch_stride == b.batch_stride && a.token_stride == b.token_stride &&
         a.head_stride == b.head_stride && a.lane_stride == b.lane_stride;
}

// Three operands, as a program whose structs are `size` bytes long has them: what is beyond ours is `fill`.
class Operands {
 public:
  explicit Operands(std::size_t size, unsigned char fill = 0) : size_(size), bytes_(3 * size, fill) {
    std::int64_t next = 100;
    for (const std::int32_t name : {ROPEJIT_V, ROPEJIT_Q, ROPEJIT_K}) {
      ropejit_operand operand = ropejit_operand_of(name, bytes_.data() + next, bytes_.data() + next + 1);
      operand.size = size;
      operand.in.token_stride = ++next;
      operand.out.head_stride = ++next;
      if (name != ROPEJIT_Q) operand.rows = bytes_.data() + ++next;
      if (name != ROPEJIT_Q) operand.cache_rows = ++next;
      operand.norm_weight = bytes_.data() + ++next;
      if (name != ROPEJIT_Q) operand.block_size = ++next;
      if (name != ROPEJIT_Q) operand.slot_count = ++next;
      if (name != ROPEJIT_Q) operand.slot_stride = ++next;
      if (name == ROPEJIT_K) operand.beside = {bytes_.data() + ++next, 0, ++next, 0, 1};
      operand.norm_statistic = {reinterpret_cast<float*>(bytes_.data() + ++next), ++next, 0};
      operand.norm_statistic_out = {reinterpret_cast<float*>(bytes_.data() + ++next), 0, ++next};
      operand.norm_bias = bytes_.data() + ++next;
      operand.bias = bytes_.data() + ++next;
      operand.head_scales = reinterpret_cast<float*>(bytes_.data() + ++next);
      set(static_cast<std::size_t>(name == ROPEJIT_V ? 0 : name + 1), operand);
    }
  }
  void set(std::size_t i, const ropejit_operand& operand) {
    std::memcpy(bytes_.data() + i * size_, &operand, std::min(size_, sizeof operand));
  }
  ropejit_operand& at(std::size_t i) { return *reinterpret_cast<ropejit_operand*>(bytes_.data() + i * size_); }
  ropejit_operand get(std::size_t i) const {
    ropejit_operand operand{};
    std::memcpy(&operand, bytes_.data() + i * size_, std::min(size_, sizeof operand));
    return operand;
  }
  ropejit_args args() const {
    ropejit_args args = ropejit_args_default();
    args.operands = reinterpret_cast<const ropejit_operand*>(bytes_.data());
    args.operand_count = 3;
    return args;
  }

 private:
  std::size_t size_;
  std::vector<unsigned char> bytes_;
};

}  // namespace

TEST_CASE("a list of operands is read in any order, with structs of this version, of those before and of later ones") {
  const std::size_t size = GENERATE(range(std::size_t{112}, sizeof(ropejit_operand) + 72, std::size_t{8}));
  CAPTURE(size);
  // Of structs that end before a member, what lies there is the next struct's.
  const Operands operands(size);
  const RopeArgs usual;
  const auto has = [&](std::size_t offset) { return size > offset; };
  const RopeArgs got = rope_args(operands.args());
  CHECK(same_tensor(got.v, operands.get(0).in));
  CHECK(same_tensor(got.v_out, operands.get(0).out));
  CHECK(got.v_rows == operands.get(0).rows);
  CHECK(got.v_cache_rows == operands.get(0).cache_rows);
  CHECK(same_tensor(got.q, operands.get(1).in));
  CHECK(same_tensor(got.q_out, operands.get(1).out));
  CHECK(same_tensor(got.k, operands.get(2).in));
  CHECK(same_tensor(got.k_out, operands.get(2).out));
  CHECK(got.k_rows == operands.get(2).rows);
  CHECK(got.k_cache_rows == operands.get(2).cache_rows);
  const bool has_weight = has(offsetof(ropejit_operand, norm_weight));
  CHECK(got.v_norm_weight == (has_weight ? operands.get(0).norm_weight : nullptr));
  CHECK(got.q_norm_weight == (has_weight ? operands.get(1).norm_weight : nullptr));
  CHECK(got.k_norm_weight == (has_weight ? operands.get(2).norm_weight : nullptr));
  const bool has_size = has(offsetof(ropejit_operand, block_size));
  CHECK(got.v_block_size == (has_size ? operands.get(0).block_size : usual.v_block_size));
  CHECK(got.k_block_size == (has_size ? operands.get(2).block_size : usual.k_block_size));
  const bool has_count = has(offsetof(ropejit_operand, slot_count));
  CHECK(got.v_slot_count == (has_count ? operands.get(0).slot_count : usual.v_slot_count));
  CHECK(got.k_slot_count == (has_count ? operands.get(2).slot_count : usual.k_slot_count));
  const bool has_stride = has(offsetof(ropejit_operand, slot_stride));
  CHECK(got.v_slot_stride == (has_stride ? operands.get(0).slot_stride : usual.v_slot_stride));
  CHECK(got.k_slot_stride == (has_stride ? operands.get(2).slot_stride : usual.k_slot_stride));
  const std::size_t beside = offsetof(ropejit_operand, beside);
  CHECK(got.k_beside.data == (has(beside) ? operands.get(2).beside.data : nullptr));
  const bool has_token_stride = has(beside + offsetof(ropejit_tensor, token_stride));
  CHECK(got.k_beside.token_stride == (has_token_stride ? operands.get(2).beside.token_stride : kContiguous));
  CHECK(got.k_beside.batch_stride == kContiguous);
  CHECK(got.k_beside.head_stride == kContiguous);
  const std::size_t given = offsetof(ropejit_operand, norm_statistic);
  const std::size_t token = offsetof(ropejit_statistic, token_stride);
  CHECK(got.v_norm_statistic.data == (has(given) ? operands.get(0).norm_statistic.data : nullptr));
  CHECK(got.q_norm_statistic.data == (has(given) ? operands.get(1).norm_statistic.data : nullptr));
  CHECK(got.k_norm_statistic.data == (has(given) ? operands.get(2).norm_statistic.data : nullptr));
  CHECK(got.q_norm_statistic.token_stride ==
        (has(given + token) ? operands.get(1).norm_statistic.token_stride : kContiguous));
  CHECK(got.q_norm_statistic.head_stride == kContiguous);
  const std::size_t out = offsetof(ropejit_operand, norm_statistic_out);
  const std::size_t head = offsetof(ropejit_statistic, head_stride);
  CHECK(got.v_norm_statistic_out.data == (has(out) ? operands.get(0).norm_statistic_out.data : nullptr));
  CHECK(got.k_norm_statistic_out.data == (has(out) ? operands.get(2).norm_statistic_out.data : nullptr));
  CHECK(got.k_norm_statistic_out.token_stride == kContiguous);
  CHECK(got.k_norm_statistic_out.head_stride ==
        (has(out + head) ? operands.get(2).norm_statistic_out.head_stride : kContiguous));
  const bool has_norm_bias = has(offsetof(ropejit_operand, norm_bias));
  CHECK(got.v_norm_bias == (has_norm_bias ? operands.get(0).norm_bias : nullptr));
  CHECK(got.q_norm_bias == (has_norm_bias ? operands.get(1).norm_bias : nullptr));
  CHECK(got.k_norm_bias == (has_norm_bias ? operands.get(2).norm_bias : nullptr));
  const bool has_bias = has(offsetof(ropejit_operand, bias));
  CHECK(got.v_bias == (has_bias ? operands.get(0).bias : nullptr));
  CHECK(got.q_bias == (has_bias ? operands.get(1).bias : nullptr));
  CHECK(got.k_bias == (has_bias ? operands.get(2).bias : nullptr));
  const bool has_scales = has(offsetof(ropejit_operand, head_scales));
  CHECK(got.v_head_scales == (has_scales ? operands.get(0).head_scales : nullptr));
  CHECK(got.q_head_scales == (has_scales ? operands.get(1).head_scales : nullptr));
  CHECK(got.k_head_scales == (has_scales ? operands.get(2).head_scales : nullptr));
}

TEST_CASE("an operand's members of 0 are the defaults in C++, and no slots are a count of 0") {
  struct Row {
    std::int64_t count;
    std::int64_t stride;
    std::int64_t wanted_count;
    std::int64_t wanted_stride;
  };
  const Row row = GENERATE(values<Row>({
      {0, 0, kEveryToken, 1}, {ROPEJIT_NO_SLOTS, 2, 0, 2}, {7, 1, 7, 1}, {-2, -3, -2, -3},  // for the launch to refuse
  }));
  Operands operands(sizeof(ropejit_operand));
  for (const std::size_t i : {0, 2}) {
    operands.at(i).slot_count = row.count;
    operands.at(i).slot_stride = row.stride;
  }
  const RopeArgs got = rope_args(operands.args());
  for (const std::int64_t count : {got.k_slot_count, got.v_slot_count}) CHECK(count == row.wanted_count);
  for (const std::int64_t stride : {got.k_slot_stride, got.v_slot_stride}) CHECK(stride == row.wanted_stride);
}

TEST_CASE("operands that are not in a shorter list are left out") {
  const Operands operands(sizeof(ropejit_operand));
  ropejit_args args = operands.args();
  args.operand_count = 2;
  const RopeArgs got = rope_args(args);
  CHECK(got.k.data == nullptr);
  CHECK(got.k_out.data == nullptr);
  CHECK(same_tensor(got.v, operands.get(0).in));
}

TEST_CASE("a list of operands that says something else than one launch is refused, with what is allowed") {
  struct Row {
    const char* words;
    void (*spoil)(Operands& operands, ropejit_args& args);
  };
  const Row row = GENERATE(values<Row>({
      {"args.operand_count", [](Operands&, ropejit_args& args) { args.operand_count = 0; }},
      {"args.operand_count", [](Operands&, ropejit_args& args) { args.operand_count = 5; }},
      {"args.operand_count", [](Operands&, ropejit_args& args) { args.operand_count = -1; }},
      {"args.operand_count", [](Operands&, ropejit_args& args) { args.operands = nullptr; }},
      {"beside operands", [](Operands&, ropejit_args& args) { args.q.data = &args; }},
      {"beside operands", [](Operands&, ropejit_args& args) { args.k.data = &args; }},
      {"beside operands", [](Operands&, ropejit_args& args) { args.q_out.data = &args; }},
      {"beside operands", [](Operands&, ropejit_args& args) { args.k_out.data = &args; }},
      {"beside operands", [](Operands&, ropejit_args& args) { args.k_rows = &args; }},
      {"twice", [](Operands& operands, ropejit_args&) { operands.set(2, operands.get(0)); }},
      {"rows of q", [](Operands& operands, ropejit_args& args) { operands.at(1).rows = &args; }},
      {"slot_stride of q", [](Operands& operands, ropejit_args&) { operands.at(1).block_size = 16; }},
      {"slot_stride of q", [](Operands& operands, ropejit_args&) { operands.at(1).slot_count = ROPEJIT_NO_SLOTS; }},
      {"slot_stride of q", [](Operands& operands, ropejit_args&) { operands.at(1).slot_stride = 1; }},
      {"beside of q", [](Operands& operands, ropejit_args& args) { operands.at(1).beside.data = &args; }},
      {"page_table of q", [](Operands& operands, ropejit_args&) { operands.at(1).page_table.pages = &kNumber; }},
      {"split_stride of another operand", [](Operands& operands, ropejit_args&) { operands.at(1).split_stride = 64; }},
      {"split_stride of another operand", [](Operands& operands, ropejit_args&) { operands.at(0).split_stride = 64; }},
      {"unknown name", [](Operands& operands, ropejit_args&) { operands.at(1).name = 4; }},
      {"unknown name", [](Operands& operands, ropejit_args&) { operands.at(0).name = -1; }},
      {"reserved", [](Operands& operands, ropejit_args&) { operands.at(2).reserved = 1; }},
      {"no version", [](Operands& operands, ropejit_args&) { operands.at(0).size = 0; }},
      {"65536", [](Operands& operands, ropejit_args&) { operands.at(2).size = std::size_t{1} << 40; }},
  }));
  Operands operands(sizeof(ropejit_operand));
  ropejit_args args = operands.args();
  row.spoil(operands, args);
  const char* const why = why_unreadable(args);
  INFO(row.words);
  REQUIRE(why != nullptr);
  CAPTURE(why);
  CHECK(std::string(why).find(row.words) != std::string::npos);
}

TEST_CASE("the gate is the fourth operand, in any place of the list, and has two tensors alone") {
  int in = 0;
  int out = 0;
  ropejit_operand operands[2] = {ropejit_operand_of(ROPEJIT_GATE, &in, &out), ropejit_operand_of(ROPEJIT_Q, &in, &out)};
  operands[0].in.head_stride = 512;
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 2;
  const RopeArgs got = rope_args(args);
  CHECK(same_tensor(got.gate, operands[0].in));
  CHECK(same_tensor(got.gate_out, operands[0].out));
  CHECK(same_tensor(got.q, operands[1].in));
  CHECK(got.v.data == nullptr);

  struct Row {
    const char* words;
    void (*spoil)(ropejit_operand& gate);
  };
  static float number = 0;
  const Row rows[] = {
      {"stage of the gate", [](ropejit_operand& gate) { gate.norm_weight = &number; }},
      {"stage of the gate", [](ropejit_operand& gate) { gate.norm_bias = &number; }},
      {"stage of the gate", [](ropejit_operand& gate) { gate.bias = &number; }},
      {"stage of the gate", [](ropejit_operand& gate) { gate.head_scales = &number; }},
      {"stage of the gate", [](ropejit_operand& gate) { gate.norm_statistic.data = &number; }},
      {"stage of the gate", [](ropejit_operand& gate) { gate.norm_statistic_out.data = &number; }},
      {"rows of q or of the gate", [](ropejit_operand& gate) { gate.rows = &number; }},
      {"slot_stride of q or of the gate", [](ropejit_operand& gate) { gate.slot_stride = 1; }},
      {"beside of q or of the gate", [](ropejit_operand& gate) { gate.beside.data = &number; }},
      {"page_table of q or of the gate", [](ropejit_operand& gate) { gate.page_table.pages = &kNumber; }},
  };
  for (const Row& row : rows) {
    operands[0] = ropejit_operand_of(ROPEJIT_GATE, &in, &out);
    row.spoil(operands[0]);
    const char* const why = why_unreadable(args);
    INFO(row.words);
    REQUIRE(why != nullptr);
    CHECK(std::string(why).find(row.words) != std::string::npos);
  }
}

TEST_CASE("q alone has strides between groups of heads, of which 0 is the default") {
  int in = 0;
  ropejit_operand operands[2] = {ropejit_operand_of(ROPEJIT_Q, &in, &in), ropejit_operand_of(ROPEJIT_K, &in, &in)};
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 2;
  CHECK(rope_args(args).q_group_stride == kContiguous);
  CHECK(rope_args(args).q_out_group_stride == kContiguous);
  operands[0].group_stride = 768;
  operands[0].out_group_stride = -512;
  CHECK(rope_args(args).q_group_stride == 768);
  CHECK(rope_args(args).q_out_group_stride == -512);
  for (int64_t ropejit_operand::*member : {&ropejit_operand::group_stride, &ropejit_operand::out_group_stride}) {
    operands[1] = ropejit_operand_of(ROPEJIT_K, &in, &in);
    operands[1].*member = 8;
    const char* const why = why_unreadable(args);
    REQUIRE(why != nullptr);
    CHECK(std::string(why).find("group_stride or out_group_stride of another operand than q") != std::string::npos);
  }
}

TEST_CASE("k and v have page tables and tensors beside their caches, and k a stride of groups of lanes") {
  int in = 0;
  ropejit_operand operands[3] = {ropejit_operand_of(ROPEJIT_Q, &in, &in), ropejit_operand_of(ROPEJIT_V, &in, &in),
                                 ropejit_operand_of(ROPEJIT_K, &in, &in)};
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 3;
  const RopeArgs usual = rope_args(args);
  CHECK(usual.k_page_table.pages == nullptr);
  CHECK(usual.k_page_table.row_stride == kContiguous);
  CHECK(usual.k_split_stride == kContiguous);
  CHECK(usual.v_beside.data == nullptr);
  static const std::int32_t lists[3] = {1, 2, 3};
  operands[1].page_table = {lists, lists + 1, lists + 2, 7, 8, 0};
  operands[2].page_table = {lists + 2, nullptr, nullptr, 9, 10, 11};
  operands[2].split_stride = 128;
  operands[1].beside = {&in, 0, 12, 0, 1};
  const RopeArgs got = rope_args(args);
  CHECK(got.v_page_table.pages == lists);
  CHECK(got.v_page_table.first_entries == lists + 1);
  CHECK(got.v_page_table.last_page_lengths == lists + 2);
  CHECK(got.v_page_table.requests == 7);
  CHECK(got.v_page_table.entries == 8);
  CHECK(got.v_page_table.row_stride == kContiguous);
  CHECK(got.k_page_table.pages == lists + 2);
  CHECK(got.k_page_table.first_entries == nullptr);
  CHECK(got.k_page_table.requests == 9);
  CHECK(got.k_page_table.entries == 10);
  CHECK(got.k_page_table.row_stride == 11);
  CHECK(got.k_split_stride == 128);
  CHECK(got.v_beside.data == &in);
  CHECK(got.v_beside.token_stride == 12);
  CHECK(got.v_beside.batch_stride == kContiguous);
}

TEST_CASE("an operand of a later version that asks for what this one does not have is refused") {
  const Operands operands(sizeof(ropejit_operand) + 16, 1);
  CHECK(std::string(why_unreadable(operands.args())).find("this version of ropejit does not know") !=
        std::string::npos);
}
