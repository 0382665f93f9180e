#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "codegen/work.hpp"
#include "service/strided_box.hpp"
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
  std::vector<std::int64_t> all;
  for (std::int64_t a = 0; a < box.count[0]; ++a) {
    for (std::int64_t b = 0; b < box.count[1]; ++b) {
      for (std::int64_t c = 0; c < box.count[2]; ++c) {
        for (std::int64_t d = 0; d < box.count[3]; ++d) {
          for (std::int64_t w = 0; w < box.width; ++w) {
            all.push_back(box.base + a * box.stride[0] + b * box.stride[1] + c * box.stride[2] + d * box.stride[3] + w);
          }
        }
      }
    }
  }
  return all;
}

StridedBox random_box(std::mt19937& random) {
  StridedBox box;
  box.width = 1 + static_cast<std::int64_t>(random() % 2);
  box.base = static_cast<std::int64_t>(random() % 40);
  for (std::size_t d = 0; d < 4; ++d) {
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

TEST_CASE("A grid has a thread for every item of every token and its indices fit 32 bits", "[launch]") {
  for (const std::uint64_t items : {1ULL, 5ULL, 320ULL, 100000ULL, 1ULL << 20, 1ULL << 27}) {
    for (const std::uint32_t tokens : {1U, 17U, 4096U, 65536U, 1U << 24}) {
      for (const std::uint32_t threads : {32U, 128U, 1024U}) {
        // An item a thread; and items that several threads share, with some left over.
        for (const std::uint32_t row_threads : {1U, 12U, threads}) {
          const BlockSplit block{static_cast<std::uint32_t>(items), threads / row_threads, row_threads, 1};
          const internal::Grid grid = internal::grid_for(tokens, block);
          INFO(items << " items, " << tokens << " tokens, " << threads << " threads, " << row_threads << " an item");
          if (grid.x == 0) {
            CHECK(tokens / std::max<std::uint64_t>(1, ((1ULL << 31) - 1024) / (items * row_threads)) > 65000);
            continue;
          }
          const std::uint64_t numbered = static_cast<std::uint64_t>(grid.x) * block.items_per_block;
          CHECK(numbered < (1ULL << 32));
          CHECK(numbered >= grid.tokens_per_slab * items);
          CHECK(static_cast<std::uint64_t>(grid.y) * grid.tokens_per_slab >= tokens);
          CHECK(grid.y <= 65535);
          CHECK(grid.x <= 0x7fffffffU);
        }
      }
    }
  }
}

TEST_CASE("A block's items belong to no more tokens than it has room for, and to that many somewhere", "[launch]") {
  for (std::uint32_t items = 1; items <= 70; ++items) {
    for (const std::uint32_t threads : {32U, 64U, 128U}) {
      std::uint32_t most = 0;
      for (std::uint32_t block = 0; block < 2 * items; ++block) {
        const std::uint32_t first = block * threads / items;
        most = std::max(most, (block * threads + threads - 1) / items - first + 1);
      }
      INFO(items << " items, " << threads << " threads");
      CHECK(tokens_of_block(items, threads) >= most);
      CHECK(tokens_of_block(items, threads) <= most + 1);
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
    const StridedBox q{0, row.count, row.stride, 1};
    StridedBox k = q;
    k.base = row.distance;
    CHECK(internal::are_disjoint(q, k));
    k.base = 0;
    CHECK_FALSE(internal::are_disjoint(q, k));
  }
}
