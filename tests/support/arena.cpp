#include "support/arena.hpp"

#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "verify/element.hpp"

namespace ropejit::test {
namespace {

constexpr std::int64_t kGuard = 64;  // elements before and after every buffer
constexpr std::int64_t kPadding = 16;

}  // namespace

Placed Arena::place(const Operand& operand, DType dtype, std::int64_t batch, std::int64_t tokens,
                    Arrangement arrangement) {
  const std::int64_t heads = operand.heads;
  const std::int64_t dim = operand.head_dim;
  Placed placed;
  std::int64_t elements = batch * tokens * heads * dim;
  switch (arrangement) {
    case Arrangement::bhsd: placed = {0, 0, heads * tokens * dim, dim, tokens * dim, 1}; break;
    case Arrangement::sbhd: placed = {0, 0, heads * dim, batch * heads * dim, dim, 1}; break;
    case Arrangement::padded: {
      const std::int64_t row = heads * dim + kPadding;
      placed = {0, 0, tokens * row, row, dim, 1};
      elements = batch * tokens * row;
      break;
    }
    case Arrangement::lane_strided:
      placed = {0, 0, 2 * tokens * heads * dim, 2 * heads * dim, 2 * dim, 2};
      elements *= 2;
      break;
    case Arrangement::expanded:
      placed = {0, 0, tokens * dim, dim, 0, 1};
      elements = batch * tokens * dim;
      break;
    default: placed = {0, 0, tokens * heads * dim, heads * dim, dim, 1}; break;
  }
  if (arrangement == Arrangement::misaligned) {
    placed.offset = 1;
    ++elements;
  }
  placed.buffer = make_buffer(dtype, elements);
  placed.offset += kGuard;
  return placed;
}

std::array<Placed, 2> Arena::place_pages(const Operand& operand, DType dtype, std::int64_t pages, std::int64_t places,
                                         Pages arrangement) {
  const std::int64_t heads = operand.heads;
  const std::int64_t dim = operand.head_dim;
  const std::int64_t row = heads * dim;
  std::array<Placed, 2> both;
  Placed& own = both[0];
  own = {0, kGuard, places * row, row, dim, 1};
  std::int64_t between = 0;
  switch (arrangement) {
    case Pages::hnd: own = {0, kGuard, places * row, dim, places * dim, 1}; break;
    case Pages::beside:
      own.batch_stride = 2 * places * row;
      between = places * row;
      break;
    case Pages::lanes_beside:
      own = {0, kGuard, 2 * places * row, 2 * dim, 2 * places * dim, 1};
      between = dim;
      break;
    case Pages::padded:
      own.token_stride = row + kPadding;
      own.batch_stride = places * own.token_stride + 3 * kPadding;
      break;
    case Pages::misaligned: ++own.offset; break;
    case Pages::lanes_apart: own = {0, kGuard, places * row, 1, places * dim, places}; break;
    case Pages::nhd: break;
  }
  own.buffer = make_buffer(dtype, pages * own.batch_stride + own.offset - kGuard);
  both[1] = own;
  both[1].offset += between;
  return both;
}

Placed Arena::place_split_pages(const Operand& operand, DType dtype, std::int64_t pages, std::int64_t places,
                                Pages arrangement) {
  constexpr std::int64_t kGroupBytes = 16;
  const std::int64_t gap = arrangement == Pages::padded ? kPadding : 0;
  Placed own;
  own.offset = kGuard + (arrangement == Pages::misaligned ? 1 : 0);
  own.split_lanes = kGroupBytes / size_of(dtype);
  own.token_stride = own.split_lanes;
  own.split_stride = places * own.split_lanes + gap;
  own.head_stride = operand.head_dim / own.split_lanes * own.split_stride + gap;
  own.batch_stride = operand.heads * own.head_stride + gap;
  own.buffer = make_buffer(dtype, pages * own.batch_stride + own.offset - kGuard);
  return own;
}

std::array<Placed, 3> Arena::place_packed(const Operand& q, const Operand& k, DType dtype, std::int64_t batch,
                                          std::int64_t tokens) {
  const std::int64_t q_row = q.heads * q.head_dim;
  const std::int64_t k_row = k.heads * k.head_dim;
  const std::int64_t row = q_row + 2 * k_row;
  const std::size_t buffer = make_buffer(dtype, batch * tokens * row);
  return {Placed{buffer, kGuard, tokens * row, row, q.head_dim, 1},
          Placed{buffer, kGuard + q_row, tokens * row, row, k.head_dim, 1},
          Placed{buffer, kGuard + q_row + k_row, tokens * row, row, k.head_dim, 1}};
}

std::array<Placed, 2> Arena::place_gated(const Operand& q, DType dtype, std::int64_t batch, std::int64_t tokens) {
  const std::int64_t row = 2 * q.heads * q.head_dim;
  const std::size_t buffer = make_buffer(dtype, batch * tokens * row);
  const Placed of_q{buffer, kGuard, tokens * row, row, 2 * q.head_dim, 1};
  Placed of_gate = of_q;
  of_gate.offset += q.head_dim;
  return {of_q, of_gate};
}

std::array<Placed, 3> Arena::place_grouped(const Operand& q, const Operand& k, DType dtype, std::int64_t batch,
                                           std::int64_t tokens) {
  const std::int64_t heads = q.heads / k.heads;
  const std::int64_t group = heads * q.head_dim + 2 * k.head_dim;
  const std::int64_t row = k.heads * group;
  const std::size_t buffer = make_buffer(dtype, batch * tokens * row);
  const Placed of_q{buffer, kGuard, tokens * row, row, q.head_dim, 1, heads, group};
  Placed of_k{buffer, kGuard + heads * q.head_dim, tokens * row, row, group, 1};
  Placed of_v = of_k;
  of_v.offset += k.head_dim;
  return {of_q, of_k, of_v};
}

TensorView Arena::view(const Placed& placed) const {
  const Buffer& buffer = buffers_[placed.buffer];
  TensorView view;
  view.data = static_cast<char*>(buffer.device.data()) + placed.offset * size_of(buffer.dtype);
  view.batch_stride = placed.batch_stride;
  view.token_stride = placed.token_stride;
  view.head_stride = placed.head_stride;
  view.lane_stride = placed.lane_stride;
  return view;
}

void Arena::poison(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t lanes) {
  Buffer& buffer = buffers_[placed.buffer];
  const internal::ElementBits nan = internal::encode(buffer.dtype, std::numeric_limits<double>::quiet_NaN());
  for (std::int64_t l = 0; l < lanes; ++l) {
    internal::store_bits(buffer.dtype, buffer.before.data(), placed.at(b, s, h) + l * placed.lane_stride, nan);
  }
}

void Arena::upload() const {
  for (const Buffer& buffer : buffers_) {
    target_.upload(buffer.device.data(), buffer.before.data(), buffer.before.size());
  }
}

void Arena::download() {
  for (Buffer& buffer : buffers_) {
    buffer.after.resize(buffer.before.size());
    target_.download(buffer.after.data(), buffer.device.data(), buffer.after.size());
  }
}

internal::HeadRow Arena::before(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h) const {
  const Buffer& buffer = buffers_[placed.buffer];
  return {buffer.before.data() + placed.at(b, s, h) * size_of(buffer.dtype), placed.lane_stride};
}

internal::HeadRow Arena::after(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h) const {
  const Buffer& buffer = buffers_[placed.buffer];
  if (placed.split_lanes != 0) {
    // As far as its lanes reach: those of a head are no more than its buffer's.
    const auto element = static_cast<std::size_t>(size_of(buffer.dtype));
    const std::int64_t lanes = placed.head_stride / placed.split_stride * placed.split_lanes;
    gathered_.resize(static_cast<std::size_t>(lanes) * element);
    for (std::int64_t l = 0; l < lanes; ++l) {
      std::memcpy(&gathered_[static_cast<std::size_t>(l) * element],
                  &buffer.after[static_cast<std::size_t>(placed.at(b, s, h) + placed.lane(l)) * element], element);
    }
    return {gathered_.data(), 1};
  }
  return {buffer.after.data() + placed.at(b, s, h) * size_of(buffer.dtype), placed.lane_stride};
}

void Arena::account_for(const Placed& placed, std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t lanes) {
  std::vector<bool>& may_change = buffers_[placed.buffer].may_change;
  for (std::int64_t l = 0; l < lanes; ++l) {
    may_change[static_cast<std::size_t>(placed.at(b, s, h) + placed.lane(l))] = true;
  }
}

std::string Arena::stray_write() const {
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    const Buffer& buffer = buffers_[i];
    const auto element = static_cast<std::size_t>(size_of(buffer.dtype));
    for (std::size_t e = 0; e < buffer.may_change.size(); ++e) {
      const std::size_t byte = e * element;
      if (!buffer.may_change[e] && std::memcmp(&buffer.before[byte], &buffer.after[byte], element) != 0) {
        return fmt::format("element {} of buffer {} changed", static_cast<std::int64_t>(e) - kGuard, i);
      }
    }
  }
  return {};
}

std::vector<unsigned char> Arena::all_bytes() const {
  std::vector<unsigned char> bytes;
  for (const Buffer& buffer : buffers_) bytes.insert(bytes.end(), buffer.after.begin(), buffer.after.end());
  return bytes;
}

std::size_t Arena::make_buffer(DType dtype, std::int64_t elements) {
  Buffer buffer;
  buffer.dtype = dtype;
  const std::int64_t all = elements + 2 * kGuard;
  buffer.before.resize(static_cast<std::size_t>(all * size_of(dtype)));
  buffer.may_change.assign(static_cast<std::size_t>(all), false);
  std::normal_distribution<double> normal;
  for (std::int64_t i = 0; i < all; ++i) {
    internal::store_bits(dtype, buffer.before.data(), i, internal::encode(dtype, normal(random_)));
  }
  buffer.device = target_.allocate(buffer.before.size());
  buffers_.push_back(std::move(buffer));
  return buffers_.size() - 1;
}

void* Inputs::put_bytes(const void* bytes, std::size_t size) {
  const auto* first = static_cast<const unsigned char*>(bytes);
  Input input{{first, first + size}, target_.allocate(size)};
  target_.upload(input.device.data(), bytes, size);
  inputs_.push_back(std::move(input));
  return inputs_.back().device.data();
}

std::string Inputs::stray_write() const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    std::vector<unsigned char> after(inputs_[i].before.size());
    target_.download(after.data(), inputs_[i].device.data(), after.size());
    if (after != inputs_[i].before) return fmt::format("input {} changed", i);
  }
  return {};
}

}  // namespace ropejit::test
