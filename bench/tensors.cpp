#include "bench/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ropejit::bench {
namespace {

constexpr double kReplayUs = 300;

std::size_t rounded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

// What a launch takes, roughly, on a large GPU.
double guessed_us(const Cell& cell) { return 1.5 + static_cast<double>(cell.bytes()) / 2.5e6; }

bool is_host(const internal::Target& target) { return target.arch().starts_with("host"); }

/// cos, then sin: rows of rotary_dim / 2 for each position. Any angles will do, but tensors that are rotated a million
/// times in place must keep their size.
std::vector<float> table_of(const Cell& cell) {
  const auto pairs = static_cast<std::size_t>(cell.what.shape.rotary_dim / 2);
  const std::size_t half = pairs * static_cast<std::size_t>(cell.tokens);
  std::vector<float> angles(2048);
  for (std::size_t i = 0; i < angles.size() / 2; ++i) {
    angles[2 * i] = static_cast<float>(std::cos(0.006135923151542565 * static_cast<double>(i)));
    angles[2 * i + 1] = static_cast<float>(std::sin(0.006135923151542565 * static_cast<double>(i)));
  }
  std::vector<float> table(2 * half);
  for (std::size_t i = 0; i < half; ++i) {
    const std::size_t which = i * 37 % 1024;
    table[i] = angles[2 * which];
    table[half + i] = angles[2 * which + 1];
  }
  return table;
}

}  // namespace

CacheSizes CacheSizes::of(const internal::Target& target) {
  if (is_host(target)) return {1U << 20, 2U << 20, 4};
  return {};
}

SetLayout SetLayout::of(const Cell& cell, L2 l2, const CacheSizes& sizes) {
  const Shape& shape = cell.what.shape;
  const auto row = static_cast<std::size_t>(cell.tokens * shape.head_dim) * size_of(cell.what.dtype);
  SetLayout layout;
  layout.q_bytes = row * static_cast<std::size_t>(shape.q_heads);
  layout.k_bytes = row * static_cast<std::size_t>(shape.k_heads);
  const bool out = cell.what.placement == Placement::out_of_place;
  layout.set_bytes = (rounded(layout.q_bytes) + rounded(layout.k_bytes)) * (out ? 2 : 1);
  layout.cold = l2 == L2::cold || (l2 == L2::automatic && layout.set_bytes > sizes.fits);
  layout.launches = std::clamp(static_cast<int>(kReplayUs / guessed_us(cell)), 2, sizes.launches);
  if (!layout.cold) return layout;
  const std::size_t wanted = (sizes.beyond + layout.set_bytes - 1) / layout.set_bytes;
  layout.sets = std::min(wanted, static_cast<std::size_t>(sizes.launches));
  layout.launches = std::max(layout.launches, static_cast<int>(layout.sets));
  layout.flush = layout.sets < wanted;
  // Cold from the flush on: a set that came a second time would be in L2.
  if (layout.flush) layout.launches = static_cast<int>(layout.sets);
  return layout;
}

char* Arena::take(std::size_t bytes) {
  if (bytes > bytes_) {
    memory_ = {};  // both would not fit
    memory_ = target_.allocate(bytes);
    bytes_ = bytes;
    std::vector<std::uint32_t> noise(std::min<std::size_t>(rounded(bytes), 16U << 20) / 4);
    std::uint32_t state = 1;
    for (std::uint32_t& word : noise) {
      state = state * 1664525U + 1013904223U;
      word = 0x3f803f80U ^ (state & 0x007f007fU);
    }
    auto* data = static_cast<char*>(memory_.data());
    const std::size_t piece = noise.size() * 4;
    target_.upload(data, noise.data(), std::min(piece, bytes));
    for (std::size_t at = piece; at < bytes; at += piece) {
      target_.copy(data + at, data, std::min(piece, bytes - at), nullptr);
    }
    target_.synchronize();
  }
  return static_cast<char*>(memory_.data());
}

Tensors::Tensors(const internal::Target& target, Arena& arena, const Cell& cell, const SetLayout& layout)
    : cell_(cell), layout_(layout), memory_(arena.take(layout.bytes())) {
  const auto tokens = static_cast<std::size_t>(cell.tokens);
  std::vector<std::int64_t> ids(tokens * layout.sets);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i % tokens);
  ids_ = target.allocate(ids.size() * sizeof ids[0]);
  target.upload(ids_.data(), ids.data(), ids.size() * sizeof ids[0]);
  if (cell.what.table) {
    const std::vector<float> table = table_of(cell);
    table_ = target.allocate(table.size() * sizeof table[0]);
    target.upload(table_.data(), table.data(), table.size() * sizeof table[0]);
  }
  // Replays have streams of their own, which do not wait for uploads.
  target.synchronize();
}

char* Tensors::set(int launch) const {
  return memory_ + static_cast<std::size_t>(launch) % layout_.sets * layout_.set_bytes;
}

char* Tensors::copy_to(int launch) const {
  if (cell_.what.placement == Placement::in_place) return set(launch);
  return set(launch) + rounded(layout_.q_bytes) + rounded(layout_.k_bytes);
}

RopeArgs Tensors::args(int launch) const {
  RopeArgs args;
  args.tokens = cell_.tokens;
  args.q.data = set(launch);
  const bool has_k = layout_.k_bytes != 0;
  if (has_k) args.k.data = set(launch) + rounded(layout_.q_bytes);
  if (cell_.what.placement == Placement::out_of_place) {
    args.q_out.data = copy_to(launch);
    if (has_k) args.k_out.data = copy_to(launch) + rounded(layout_.q_bytes);
  }
  const std::size_t list = static_cast<std::size_t>(launch) % layout_.sets * static_cast<std::size_t>(cell_.tokens);
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids_.data()) + list);
  if (cell_.what.table) {
    const auto* cos = static_cast<const float*>(table_.data());
    args.table.cos = cos;
    args.table.sin = cos + cell_.what.shape.rotary_dim / 2 * cell_.tokens;
    args.table.rows = cell_.tokens;
  }
  return args;
}

}  // namespace ropejit::bench
