#include "bench/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/scattered_places.hpp"

namespace ropejit::bench {
namespace {

std::size_t rounded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

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

std::int64_t capacity_of(const Cell& cell) { return (cell.tokens + kBlockSize - 1) / kBlockSize * kBlockSize; }

}  // namespace

SetLayout SetLayout::of(const Cell& cell, L2 l2, const CacheSizes& sizes) {
  const Shape& shape = cell.what.shape;
  const auto row = static_cast<std::size_t>(cell.tokens * shape.head_dim) * size_of(cell.what.dtype);
  const std::size_t q_bytes = row * static_cast<std::size_t>(shape.q_heads);
  const std::size_t k_bytes = row * static_cast<std::size_t>(shape.k_heads);
  const bool out = cell.what.placement == Placement::out_of_place;
  std::size_t set_bytes = (rounded(q_bytes) + rounded(k_bytes)) * (out ? 2 : 1);
  std::size_t page_bytes = 0;
  if (cell.what.append) {
    page_bytes = k_bytes / static_cast<std::size_t>(cell.tokens) * static_cast<std::size_t>(capacity_of(cell));
    set_bytes = rounded(q_bytes + 2 * k_bytes) + (out ? rounded(q_bytes) : 0) + 2 * rounded(page_bytes);
  }
  return {internal::WorkingSet::of(set_bytes, static_cast<double>(cell.bytes()), l2, sizes), q_bytes, k_bytes,
          page_bytes};
}

Tensors::Tensors(const internal::Target& target, const internal::DeviceBuffer& memory, const Cell& cell,
                 const SetLayout& layout)
    : cell_(cell), layout_(layout), memory_(static_cast<char*>(memory.data())) {
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
  if (cell.what.append) {
    const std::vector<std::int64_t> slots = internal::scattered_places(cell.tokens, capacity_of(cell), 0);
    slots_ = target.allocate(ids.size() * sizeof ids[0]);
    for (std::size_t i = 0; i < layout.sets; ++i) {
      target.upload(static_cast<std::int64_t*>(slots_.data()) + i * tokens, slots.data(), tokens * sizeof slots[0]);
    }
  }
  if (cell.what.is_staged()) {
    // Any numbers do, as in a table: 0.5 of 16 bits and of 32. All lists begin where the memory does.
    const Shape& shape = cell.what.shape;
    const std::vector<std::uint32_t> weights(static_cast<std::size_t>(shape.q_heads * shape.head_dim), 0x3f003f00U);
    weights_ = target.allocate(weights.size() * sizeof weights[0]);
    target.upload(weights_.data(), weights.data(), weights.size() * sizeof weights[0]);
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
  RopeArgs args = cell_.what.append ? append_args(launch) : rotation_args(launch);
  args.tokens = cell_.tokens;
  const std::size_t list = static_cast<std::size_t>(launch) % layout_.sets * static_cast<std::size_t>(cell_.tokens);
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids_.data()) + list);
  if (cell_.what.append) args.k_rows = args.v_rows = static_cast<const std::int64_t*>(slots_.data()) + list;
  if (cell_.what.is_staged()) add_stages(args);
  if (cell_.what.table) {
    const auto* cos = static_cast<const float*>(table_.data());
    args.table.cos = cos;
    args.table.sin = cos + cell_.what.shape.rotary_dim / 2 * cell_.tokens;
    args.table.rows = cell_.tokens;
  }
  return args;
}

// k's lists stand behind q's, as a model's do, where they fit; they are read alone.
void Tensors::add_stages(RopeArgs& args) const {
  const RopeSpec spec = cell_.what.spec();
  const std::size_t of_q = static_cast<std::size_t>(cell_.what.shape.q_heads * cell_.what.shape.head_dim) * 2;
  const char* const first = static_cast<const char*>(weights_.data());
  const auto add = [&](const std::optional<Norm>& norm, const char* at, const void*& weight, const void*& bias) {
    if (!norm || norm->weight == NormWeight::none) return;
    weight = at;
    if (norm->bias) bias = at;
  };
  add(spec.q.norm, first, args.q_norm_weight, args.q_norm_bias);
  add(spec.k->norm, first + (spec.k->heads < spec.q.heads ? of_q : 0), args.k_norm_weight, args.k_norm_bias);
}

RopeArgs Tensors::append_args(int launch) const {
  const Shape& shape = cell_.what.shape;
  const std::size_t element = size_of(cell_.what.dtype);
  const std::int64_t row = cell_.what.heads() * shape.head_dim;
  const auto lanes_from = [&](std::int64_t heads) {
    char* const first = set(launch) + static_cast<std::size_t>(heads * shape.head_dim) * element;
    return TensorView{first, kContiguous, row, shape.head_dim, 1};
  };
  RopeArgs args;
  args.q = lanes_from(0);
  args.k = lanes_from(shape.q_heads);
  args.v = lanes_from(shape.q_heads + shape.k_heads);
  char* at = set(launch) + rounded(layout_.q_bytes + 2 * layout_.k_bytes);
  if (cell_.what.placement == Placement::out_of_place) {
    args.q_out.data = at;
    at += rounded(layout_.q_bytes);
  }
  args.k_out.data = at;
  args.v_out.data = at + rounded(layout_.page_bytes);
  args.k_cache_rows = args.v_cache_rows = capacity_of(cell_);
  args.k_block_size = args.v_block_size = kBlockSize;
  return args;
}

RopeArgs Tensors::rotation_args(int launch) const {
  RopeArgs args;
  args.q.data = set(launch);
  const bool has_k = layout_.k_bytes != 0;
  if (has_k) args.k.data = set(launch) + rounded(layout_.q_bytes);
  if (cell_.what.placement == Placement::out_of_place) {
    args.q_out.data = copy_to(launch);
    if (has_k) args.k_out.data = copy_to(launch) + rounded(layout_.q_bytes);
  }
  return args;
}

}  // namespace ropejit::bench
