#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "codegen/work.hpp"
#include "launch/strided_box.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit;
using internal::StridedBox;

/// What the kernels do with a FastDivisor.
std::uint32_t divide(std::uint32_t n, const FastDivisor& divisor) {
  if (divisor.multiplier == 0) return n;
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(n) * divisor.multiplier) >> 32) >> divisor.shift;
}

std::vector<std::int64_t> addresses(const StridedBox& box) {
  std::vector<std::int64_t> all{box.base};
  for (std::size_t d = 0; d <= box.count.size(); ++d) {
    // Last the units of an element.
    const std::int64_t count = d < box.count.size() ? box.count[d] : box.width;
    const std::int64_t stride = d < box.count.size() ? box.stride[d] : 1;
    const std::vector<std::int64_t> so_far = std::exchange(all, {});
    for (const std::int64_t address : so_far) {
      for (std::int64_t i = 0; i < count; ++i) all.push_back(address + i * stride);
    }
  }
  return all;
}

StridedBox random_box(std::mt19937& random) {
  StridedBox box;
  box.width = 1 + static_cast<std::int64_t>(random() % 2);
  box.base = static_cast<std::int64_t>(random() % 40);
  // Every other box has a fifth dimension, as tensors have whose heads lie in groups.
  const std::size_t dimensions = 4 + random() % 2;
  for (std::size_t d = 0; d < dimensions; ++d) {
    box.count[d] = 1 + static_cast<std::int64_t>(random() % 3);
    box.stride[d] = static_cast<std::int64_t>(random() % 60) - 20;
  }
  return box;
}

}  // namespace

TEST_CASE("A fast divisor divides every number below 2^31 exactly", "[launch]") {
  std::mt19937 random(5);
  std::vector<std::uint32_t> divisors = {
      1,           2,          3, 5, 7, 641, 4096, 65535, 65536, 65537, (1U << 30) - 1, 1U << 30, (1U << 30) + 1,
      0x7ffffffeU, 0x7fffffffU};
  for (int i = 0; i < 500; ++i) divisors.push_back(static_cast<std::uint32_t>(1 + random() % 0x7fffffffU));
  for (const std::uint32_t divisor : divisors) {
    const FastDivisor fast = internal::fast_divisor(divisor);
    std::vector<std::uint32_t> numbers = {0, 1, divisor - 1, divisor, 0x7fffffffU, 0x7ffffffeU};
    for (int i = 0; i < 200; ++i) {
      const auto multiple = static_cast<std::uint32_t>(random() % 0x7fffffffU) / divisor * divisor;
      for (const std::uint32_t n : {static_cast<std::uint32_t>(random() & 0x7fffffffU), multiple, multiple - 1}) {
        numbers.push_back(n & 0x7fffffffU);
      }
    }
    for (const std::uint32_t n : numbers) {
      if (divide(n, fast) != n / divisor) FAIL(n << " / " << divisor << " gave " << divide(n, fast));
    }
  }
  SUCCEED();
}

TEST_CASE("A long divisor divides every number below 2^63 exactly", "[launch]") {
  std::mt19937_64 random(6);
  constexpr std::int64_t kMost = INT64_MAX;
  std::vector<std::int64_t> divisors = {1,
                                        2,
                                        3,
                                        5,
                                        7,
                                        16,
                                        64,
                                        96,
                                        100,
                                        641,
                                        4096,
                                        65537,
                                        1LL << 31,
                                        (1LL << 32) - 1,
                                        1LL << 32,
                                        (1LL << 32) + 1,
                                        (1LL << 61) + 1,
                                        (1LL << 62) - 1,
                                        1LL << 62};
  for (int i = 0; i < 500; ++i) divisors.push_back(static_cast<std::int64_t>(1 + (random() >> (2 + random() % 60))));
  for (const std::int64_t divisor : divisors) {
    const LongDivisor fast = internal::long_divisor(divisor);
    std::vector<std::int64_t> numbers = {0, 1, divisor - 1, divisor, kMost, kMost - 1, kMost / divisor * divisor - 1};
    for (int i = 0; i < 200; ++i) {
      const auto number = static_cast<std::int64_t>(random() >> (1 + random() % 62));
      const std::int64_t multiple = number / divisor * divisor;
      for (const std::int64_t n : {number, multiple, multiple - 1}) numbers.push_back(n < 0 ? 0 : n);
    }
    for (const std::int64_t n : numbers) {
      __extension__ using Wide = unsigned __int128;
      const auto high = static_cast<std::uint64_t>((static_cast<Wide>(n) * fast.multiplier) >> 64);
      const std::uint64_t quotient = fast.multiplier == 0 ? static_cast<std::uint64_t>(n) : high >> fast.shift;
      if (quotient != static_cast<std::uint64_t>(n / divisor)) FAIL(n << " / " << divisor << " gave " << quotient);
    }
    CHECK(fast.divisor == divisor);
  }
}

TEST_CASE("Blocks hold every item of every token once, in threads that their cut allows", "[launch]") {
  std::mt19937 random(11);
  const auto one_of = [&random](const auto& from) { return from[random() % std::size(from)]; };
  constexpr std::uint32_t kThreads[] = {32, 64, 128, 256, 512, 1024};
  constexpr Cut kCuts[] = {Cut::items, Cut::warps, Cut::rows};
  for (int i = 0; i < 20000; ++i) {
    const auto heads = static_cast<std::uint32_t>(1 + random() % (i % 10 == 0 ? 65536 : 80));
    const std::uint32_t lanes = one_of(std::array<std::uint32_t, 4>{1, 2, 4, 8});
    const std::uint32_t rotary = 2 * lanes * static_cast<std::uint32_t>(1 + random() % 256);
    const std::uint32_t head_dim = rotary + lanes * static_cast<std::uint32_t>(random() % 20);
    const RowSplit row = split_row({heads, head_dim, 0, rotary, random() % 2 == 0, 0}, false, false, lanes, 2,
                                   random() % 2 == 0, static_cast<unsigned>(1 + random() % 32));
    const Cut cut = one_of(kCuts);
    const std::uint32_t most = one_of(kThreads);
    const BlockSplit block = split_block(row, cut, most);
    INFO(heads << " heads of " << head_dim << ", " << rotary << " rotate, words of " << lanes << ", "
               << row.heads_per_thread << " heads a thread, cut " << static_cast<int>(cut) << ", " << most
               << " threads");
    CHECK(row.groups * row.heads_per_thread >= heads);
    if (row.still_words > 0) CHECK(row.still_words * row.copy_lanes == head_dim - rotary);
    CHECK((row.groups - 1) * row.heads_per_thread < heads);
    REQUIRE(block.tokens >= 1);
    REQUIRE(block.parts >= 1);
    CHECK((block.tokens == 1 || block.parts == 1));
    CHECK(block.threads() <= most);
    CHECK(threads_of_block(block) <= most);
    CHECK(block.parts * block.per_token >= block.items);
    CHECK((block.parts - 1) * block.per_token < block.items);
    // No room for another token, no part that could have been left out.
    if (block.parts == 1) CHECK((block.tokens + 1) * block.per_token > most);
    if (block.parts > 1) CHECK(2 * block.threads() > most / 2);
    if (cut == Cut::items) CHECK(block.items == row.items());
    if (cut == Cut::warps) CHECK(block.per_token % 32 == 0);
    if (cut == Cut::rows) {
      CHECK(block.items == row.groups * block.row_threads);
      CHECK(block.per_token % block.row_threads == 0);
      CHECK(block.row_threads * block.rounds >= row.chunks);
      CHECK(block.row_threads * (block.rounds - 1) < row.chunks);
    }
  }
}

namespace {

/// What a thread of a kernel with a norm works out of its place, as seat.cuh does it.
struct NormSeat {
  bool works = false;
  std::uint32_t token = 0;
  std::uint32_t item = 0;
};

NormSeat seat_of(const BlockSplit& cut, std::uint32_t block, std::uint32_t thread, std::uint32_t tokens) {
  NormSeat seat{thread < cut.threads(), block, thread};
  if (cut.parts > 1) {
    seat.token = block / cut.parts;
    seat.item += block % cut.parts * cut.per_token;
  } else {
    seat.token = block * cut.tokens + thread / cut.per_token;
    seat.item = thread % cut.per_token;
  }
  seat.works = seat.works && seat.item < cut.items && seat.token < tokens;
  return seat;
}

}  // namespace

TEST_CASE("Every item of a normed row belongs to one segment, which lies in one warp", "[launch]") {
  std::mt19937 random(13);
  const auto one_of = [&random](const auto& from) { return from[random() % std::size(from)]; };
  constexpr std::uint32_t kThreads[] = {32, 64, 128, 256, 512, 1024};
  constexpr std::uint32_t kTokens = 3;
  for (int i = 0; i < 3000; ++i) {
    const auto heads = static_cast<std::uint32_t>(1 + random() % 80);
    const std::uint32_t lanes = one_of(std::array<std::uint32_t, 5>{1, 2, 4, 8, 16});
    // Up to 1,024 lanes, of which any part rotates, or none; nothing is still but where a norm writes it.
    const std::uint32_t head_dim = 2 * lanes * static_cast<std::uint32_t>(1 + random() % (512 / lanes));
    const std::uint32_t rotary =
        i % 8 == 0 ? 0 : 2 * lanes * static_cast<std::uint32_t>(1 + random() % (head_dim / (2 * lanes)));
    const RowSplit row = split_row({heads, head_dim, 0, rotary, true, 0}, random() % 2 == 0, random() % 2 == 0, lanes,
                                   2, random() % 2 == 0, static_cast<unsigned>(1 + random() % 32));
    const BlockSplit cut = split_block(row, Cut::segments, one_of(kThreads));
    // As operands after the first have them: as many threads as the first's blocks.
    const std::uint32_t threads = threads_of_block(cut);
    INFO(heads << " heads of " << head_dim << ", " << rotary << " rotate, words of " << lanes << ", "
               << row.heads_per_thread << " heads a thread, " << threads << " threads");
    const std::uint32_t segment = cut.row_threads;
    REQUIRE(segment >= 1);
    REQUIRE(segment <= 32);
    REQUIRE((segment & (segment - 1)) == 0);
    REQUIRE(cut.items == row.groups * segment);
    // Chunks are dealt whole and once, and so are the words that do not rotate.
    CHECK(cut.rounds * segment >= row.chunks);
    CHECK((cut.rounds & (cut.rounds - 1)) == 0);
    if (segment > 1 && row.chunks > segment) CHECK(segment == 32);
    std::vector<std::uint32_t> dealt(static_cast<std::size_t>(kTokens) * cut.items, 0);
    const std::uint32_t blocks = internal::blocks_for(kTokens, cut);
    for (std::uint32_t block = 0; block < blocks; ++block) {
      for (std::uint32_t first = 0; first < threads; first += segment) {
        const NormSeat leader = seat_of(cut, block, first, kTokens);
        for (std::uint32_t thread = first; thread < first + segment; ++thread) {
          const NormSeat seat = seat_of(cut, block, thread, kTokens);
          // A segment works as one, on one token and one head group, within one warp.
          if (seat.works != leader.works) FAIL("a segment that works in part");
          if (thread / 32 != first / 32) FAIL("a segment across warps");
          if (!seat.works) continue;
          if (seat.token != leader.token || seat.item / segment != leader.item / segment) FAIL("a segment of two rows");
          if (seat.item % segment != thread - first) FAIL("a part of a row out of its order");
          ++dealt[static_cast<std::size_t>(seat.token) * cut.items + seat.item];
        }
      }
    }
    CHECK(std::all_of(dealt.begin(), dealt.end(), [](std::uint32_t count) { return count == 1; }));
  }
}

TEST_CASE("There are blocks for every token, or none where a grid cannot hold them", "[launch]") {
  for (const std::uint32_t tokens : {1U, 17U, 4096U, 65537U, 0x7fffffffU}) {
    for (const std::uint32_t each : {1U, 3U, 256U}) {
      BlockSplit split{};
      split.tokens = each;
      split.parts = 1;
      const std::uint64_t blocks = internal::blocks_for(tokens, split);
      CHECK(blocks * each >= tokens);
      CHECK((blocks - 1) * each < tokens);
      split.tokens = 1;
      split.parts = each;
      const std::uint64_t all = std::uint64_t{tokens} * each;
      CHECK(internal::blocks_for(tokens, split) == (all <= internal::kMaxBlocks ? all : 0));
    }
  }
}

TEST_CASE("Boxes called injective or disjoint are so, element by element", "[launch]") {
  std::mt19937 random(17);
  int injective = 0;
  int disjoint = 0;
  for (int i = 0; i < 20000; ++i) {
    const StridedBox a = random_box(random);
    StridedBox b = random_box(random);
    if (i % 2 == 0) b.stride = a.stride;  // likely to interleave
    const std::vector<std::int64_t> of_a = addresses(a);
    const std::vector<std::int64_t> of_b = addresses(b);
    const std::set<std::int64_t> set_a(of_a.begin(), of_a.end());
    if (internal::is_injective(a)) {
      ++injective;
      if (set_a.size() != of_a.size()) FAIL("not injective, case " << i);
    }
    if (internal::are_disjoint(a, b)) {
      ++disjoint;
      for (const std::int64_t address : of_b) {
        if (set_a.count(address) != 0) FAIL("not disjoint, case " << i);
      }
    }
  }
  CHECK(injective > 500);
  CHECK(disjoint > 500);
}

TEST_CASE("q's heads in groups are seen to be disjoint from the k behind each group, and from none within one",
          "[launch]") {
  // [S, groups, (4 q, k, v), D]
  constexpr std::int64_t kLanes = 8;
  constexpr std::int64_t kGroup = 6 * kLanes;
  const StridedBox heads = internal::byte_box(nullptr, {1, 5, 12, kLanes}, {0, 3 * kGroup, kLanes, 1}, 0, 2);
  const StridedBox q = internal::grouped(heads, 4, kLanes, kGroup);
  StridedBox k = internal::byte_box(nullptr, {1, 5, 3, kLanes}, {0, 3 * kGroup, kGroup, 1}, 0, 2);
  CHECK(internal::is_injective(q));
  CHECK_FALSE(internal::is_injective(internal::grouped(heads, 4, kLanes, 3 * kLanes)));
  for (std::int64_t place = 0; place < 6; ++place) {
    k.base = 2 * place * kLanes;
    INFO("place " << place);
    CHECK(internal::are_disjoint(q, k) == (place >= 4));
  }
}

TEST_CASE("Packed q, k and v are seen to be disjoint in every order of dimensions", "[launch]") {
  struct Row {
    const char* what;
    std::array<std::int64_t, 4> count;  // batch, token, head, lane
    std::array<std::int64_t, 4> stride;
    std::int64_t distance;  // from q to k
  };
  const std::vector<Row> rows = {
      {"[B, S, (q k v), H, D]", {2, 5, 4, 8}, {5 * 96, 96, 8, 1}, 32},
      {"[B, S, H, (q k v), D]", {2, 5, 4, 8}, {5 * 96, 96, 24, 1}, 8},
      {"[B, (q k v), H, S, D]", {2, 5, 4, 8}, {480, 8, 40, 1}, 160},
      {"[S, B, (q k v), H, D]", {2, 5, 4, 8}, {96, 192, 8, 1}, 32},
      {"lanes of q and k alternating", {2, 5, 4, 8}, {5 * 64, 64, 16, 2}, 1},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const StridedBox q = internal::byte_box(nullptr, row.count, row.stride, 0, 1);
    StridedBox k = q;
    k.base = row.distance;
    CHECK(internal::are_disjoint(q, k));
    k.base = 0;
    CHECK_FALSE(internal::are_disjoint(q, k));
  }
}
