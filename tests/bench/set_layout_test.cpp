// How a cell's tensors lie in memory, and which variants are taken: what decides whether a figure means anything.
#include <algorithm>

#include "bench/floors.hpp"
#include "bench/selection.hpp"
#include "bench/tensors.hpp"
#include "codegen/candidates.hpp"
#include "codegen/legality.hpp"
#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::bench;

namespace {

constexpr CacheSizes kCache{24U << 20, 384U << 20, 200};
const Case kLlama{{32, 8, 128, 128}, Arrangement::split_half, DType::bf16, Placement::in_place};

}  // namespace

TEST_CASE("Hot cells have one set of tensors; cold ones never come back to bytes that are still in the cache") {
  for (const Cell& cell : cells_of("gate")) {
    CAPTURE(cell.what.name(), cell.tokens);
    const SetLayout hot = SetLayout::of(cell, L2::hot, kCache);
    CHECK(hot.sets == 1);
    CHECK_FALSE(hot.flush);
    CHECK_FALSE(hot.cold);
    const SetLayout cold = SetLayout::of(cell, L2::cold, kCache);
    CHECK(cold.cold);
    if (cold.flush) {
      CHECK(static_cast<std::size_t>(cold.launches) <= cold.sets);  // each set once a flush
    } else {
      CHECK(cold.bytes() >= kCache.beyond);
      CHECK(static_cast<std::size_t>(cold.launches) >= cold.sets);  // a replay goes through all of them
    }
    const SetLayout as_it_comes = SetLayout::of(cell, L2::automatic, kCache);
    CHECK(as_it_comes.cold == (as_it_comes.set_bytes > kCache.fits));
    CHECK(as_it_comes.launches >= 2);
  }
}

TEST_CASE("A set holds the inputs, and the outputs where they are apart") {
  Case out = kLlama;
  out.placement = Placement::out_of_place;
  const SetLayout in_place = SetLayout::of({kLlama, 10}, L2::hot, kCache);
  CHECK(in_place.q_bytes == 10 * 32 * 128 * 2);
  CHECK(in_place.k_bytes == 10 * 8 * 128 * 2);
  CHECK(in_place.set_bytes == 10 * 40 * 128 * 2);
  CHECK(SetLayout::of({out, 10}, L2::hot, kCache).set_bytes == 2 * in_place.set_bytes);
}

TEST_CASE("A set with a cache holds packed rows, q's output where it is apart, and whole pages of k and of v") {
  Case in = kLlama;
  in.append = true;
  Case out = in;
  out.placement = Placement::out_of_place;
  const SetLayout in_place = SetLayout::of({in, 10}, L2::hot, kCache);
  CHECK(in_place.page_bytes == 16 * 8 * 128 * 2);
  CHECK(in_place.set_bytes == (10 * 48 + 2 * 16 * 8) * 128 * 2);
  CHECK(SetLayout::of({out, 10}, L2::hot, kCache).set_bytes == in_place.set_bytes + 10 * 32 * 128 * 2);
}

TEST_CASE("Copies of rows move whole words of the lanes that rotate, and only they are tried for partial rotation") {
  for (const CopyKernel& copy : copy_kernels(256, 256, false)) CHECK(copy.row_bytes == 0);
  std::size_t rows = 0;
  for (const CopyKernel& copy : copy_kernels(192, 48, false)) {
    if (copy.row_bytes == 0) continue;
    ++rows;
    CHECK(copy.row_moved % copy.width == 0);
  }
  CHECK(rows >= 10);
  for (const CopyKernel& copy : copy_kernels(36, 12, false)) CHECK((copy.row_bytes == 0 || copy.width == 4));
}

TEST_CASE("Every case has a copy of its own access pattern") {
  for (const bool few : {false, true}) {
    for (const Cell& cell : cells_of("full")) {
      const auto element = static_cast<std::uint32_t>(size_of(cell.what.dtype));
      const std::uint32_t row = static_cast<std::uint32_t>(cell.what.shape.head_dim) * element;
      const std::uint32_t moved = static_cast<std::uint32_t>(cell.what.moved_lanes()) * element;
      const std::vector<CopyKernel> copies = copy_kernels(row, moved, few);
      CAPTURE(cell.what.name());
      CHECK(std::any_of(copies.begin(), copies.end(),
                        [&](const CopyKernel& copy) { return (copy.row_bytes != 0) == (moved != row); }));
    }
  }
}

TEST_CASE("A selection is a word, or names of variants") {
  const internal::RotationPlan plan = internal::lower(kLlama.spec(), kLlama.form());
  const auto space = internal::variant_space(plan.kernel_class);
  const std::string first = internal::to_string(space.front());
  const std::string last = internal::to_string(space.back());

  CHECK(selected(parse_selection(first), plan, 132, {1}) == std::vector{space.front()});
  CHECK(selected(parse_selection(last + "," + first), plan, 132, {1}) == std::vector{space.back(), space.front()});
  const auto untuned = selected(parse_selection("default"), plan, 132, {1, 16384});
  CHECK(untuned.front() == default_for(plan, 132, 1));
  CHECK(untuned.back() == default_for(plan, 132, 16384));
  const auto candidates = internal::candidate_variants(plan.kernel_class);
  CHECK(candidates.size() < space.size() / 2);
  for (const auto& [word, wanted] : {std::pair{"best", candidates}, std::pair{"all", space}}) {
    CAPTURE(word);
    const auto chosen = selected(parse_selection(word), plan, 132, {1, 16384});
    for (const auto& variant : wanted) CHECK(std::count(chosen.begin(), chosen.end(), variant) == 1);
    for (const auto& variant : untuned) CHECK(std::count(chosen.begin(), chosen.end(), variant) == 1);
  }
  for (const char* text : {"", "fastest", "best,all"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_selection(text), Error);
  }
  CHECK_THROWS_AS(parse_selection(first + ","), Error);
}

TEST_CASE("Listed variants that a case cannot have are left out, and it is an error where none is left") {
  const Case quarter{{64, 64, 96, 24}, Arrangement::split_half, DType::fp16, Placement::in_place};
  const internal::RotationPlan plan = internal::lower(quarter.spec(), quarter.form());
  const internal::Variant legal = internal::variant_space(plan.kernel_class).front();
  internal::Variant illegal = legal;
  illegal.threads = 48;
  REQUIRE_FALSE(internal::why_illegal(plan.kernel_class, illegal).empty());
  Selection selection;
  selection.kind = Selection::Kind::listed;
  selection.listed = {illegal, legal};
  CHECK(selected(selection, plan, 132, {1}) == std::vector{legal});
  selection.listed = {illegal};
  CHECK_THROWS_AS(selected(selection, plan, 132, {1}), Error);
}
