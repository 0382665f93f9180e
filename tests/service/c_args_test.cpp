// The growth of ropejit_args: programs that were compiled with an older header go on meaning what they meant.
#include "service/c_args.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <vector>

#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

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
};
#undef ROPEJIT_LATER

}  // namespace

TEST_CASE(
    "a caller of any version says what its struct has, and gets the defaults of the rest, whatever lies behind it") {
  const ropejit_args given = every_member_set();
  REQUIRE(kFirstVersion + std::size(kLater) * 8 == sizeof(ropejit_args));
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
