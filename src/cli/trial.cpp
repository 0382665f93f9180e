#include "cli/trial.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "ropejit/error.hpp"
#include "support/parallel.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kGuardBytes = 4096;
// A NaN in every dtype: an element that was never written cannot pass.
constexpr unsigned char kPoison = 0xff;
constexpr std::int64_t kTokensAtOnce = 32;
// Axes go through the same positions, each from another one on.
constexpr std::int64_t kAxisLag = 3;

// Steele, Lea and Flood's SplitMix64: one good 64-bit number for each index, in any order.
std::uint64_t random_bits(std::uint64_t index) {
  std::uint64_t z = (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Close to normal, with variance 1: the sum of four 16-bit uniform numbers.
double random_normal(std::uint64_t index) {
  const std::uint64_t bits = random_bits(index);
  const std::uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  return (static_cast<double>(sum) - 131070.0) / 37837.2;
}

std::int64_t blocks_of(std::int64_t tokens) { return (tokens + kTokensAtOnce - 1) / kTokensAtOnce; }

bool is_poison(const unsigned char* begin, std::size_t bytes) {
  return std::all_of(begin, begin + bytes, [](unsigned char byte) { return byte == kPoison; });
}

std::int64_t elements(const Operand& shape) { return shape.heads * shape.head_dim; }

/// Rows of ids.
std::int64_t axes_of(const RopeSpec& spec) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(spec.axes.sections.size()));
}

}  // namespace

Comparison TrialResult::both() const {
  Comparison result = q;
  result.merge(k);
  return result;
}

std::string TrialResult::problem() const {
  if (!q.passed()) return "q: " + q.to_string();
  if (!k.passed()) return "k: " + k.to_string();
  return stray_write;
}

std::string TrialResult::verdict() const {
  if (!passed()) return fmt::format("WRONG    {}\n", problem());
  const Comparison all = both();
  return fmt::format(
      "verified {} elements against the fp64 oracle: worst error {:.3g} (bound {:.3g}); guard zones untouched\n",
      grouped(all.count()), all.worst_error(), all.bound_at_worst());
}

Trial::Trial(const Target& target, const Case& given, std::int64_t first_position)
    : target_(target), case_(given), first_position_(first_position) {
  refuse_what_does_not_fit();
  tensors_.push_back(make_tensor(case_.spec.q, 0));
  if (case_.spec.k) tensors_.push_back(make_tensor(*case_.spec.k, std::uint64_t{1} << 62));
  if (case_.form.positions == PositionSource::start) return;

  const auto upload_ids = [&](auto zero) {
    std::vector<decltype(zero)> ids;
    for (std::int64_t axis = 0; axis < axes_of(case_.spec); ++axis) {
      for (std::int64_t s = 0; s < case_.tokens; ++s) ids.push_back(static_cast<decltype(zero)>(position(axis, s)));
    }
    ids_ = target_.allocate(ids.size() * sizeof zero);
    target_.upload(ids_.data(), ids.data(), ids.size() * sizeof zero);
  };
  case_.form.positions == PositionSource::ids32 ? upload_ids(std::int32_t{0}) : upload_ids(std::int64_t{0});
}

std::int64_t Trial::position(std::int64_t axis, std::int64_t token) const {
  const bool has_ids = case_.form.positions != PositionSource::start;
  return first_position_ + (has_ids ? (token + kAxisLag * axis) % case_.tokens : token);
}

void Trial::refuse_what_does_not_fit() const {
  const RopeSpec& spec = case_.spec;
  // What is read and what is written may differ in width: the wider counts.
  const auto bytes_of = [&](const Operand& shape) {
    const std::size_t widest = std::max(element_bytes(spec.dtype), element_bytes(shape.dtype_out.value_or(spec.dtype)));
    return static_cast<double>(elements(shape)) * static_cast<double>(widest);
  };
  const double token_bytes = bytes_of(spec.q) + (spec.k ? bytes_of(*spec.k) : 0);
  // Out of place: in and out as given, both downloaded, and both again where the target's memory is this machine's.
  const double copies = case_.form.placement == Placement::out_of_place ? 5 : 3;
  const double needed =
      static_cast<double>(case_.tokens) * (token_bytes * copies + 16 * static_cast<double>(axes_of(spec)));
  const double physical = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (needed <= 0.9 * physical) return;
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  throw bad_argument(
      "--tokens: found {}, whose tensors need {:.1f} GiB of host memory to be checked, allowed: what "
      "fits into this machine's {:.1f} GiB",
      case_.tokens, needed / kGiB, physical / kGiB);
}

Trial::Tensor Trial::make_tensor(const Operand& shape, std::uint64_t seed) const {
  Tensor tensor;
  tensor.shape = shape;
  const bool free = case_.form.strides == Strides::free;
  tensor.token_stride = free ? shape.head_dim : elements(shape);
  tensor.head_stride = free ? case_.tokens * shape.head_dim : shape.head_dim;
  const auto bytes_of = [&](DType dtype) {
    return static_cast<std::size_t>(case_.tokens * elements(shape)) * element_bytes(dtype) + 2 * kGuardBytes;
  };
  tensor.dtype_out = shape.dtype_out.value_or(case_.spec.dtype);
  tensor.bytes_out = bytes_of(tensor.dtype_out);
  if (case_.form.placement == Placement::out_of_place) {
    tensor.before.assign(tensor.bytes_out, kPoison);
    tensor.out = target_.allocate(tensor.bytes_out);
    target_.upload(tensor.out.data(), tensor.before.data(), tensor.bytes_out);
  }
  const std::size_t bytes = bytes_of(case_.spec.dtype);
  tensor.before.assign(bytes, kPoison);
  fill(tensor, seed);
  tensor.in = target_.allocate(bytes);
  target_.upload(tensor.in.data(), tensor.before.data(), bytes);
  return tensor;
}

void Trial::fill(Tensor& tensor, std::uint64_t seed) const {
  const std::int64_t row = elements(tensor.shape);
  parallel_for(blocks_of(case_.tokens), [&](std::int64_t block) {
    const std::int64_t begin = block * kTokensAtOnce * row;
    const std::int64_t end = std::min(begin + kTokensAtOnce * row, case_.tokens * row);
    for (std::int64_t i = begin; i < end; ++i) {
      const double value = random_normal(seed + static_cast<std::uint64_t>(i));
      store_bits(case_.spec.dtype, tensor.before.data() + kGuardBytes, i, encode(case_.spec.dtype, value));
    }
  });
}

TensorView Trial::view(const Tensor& tensor, const DeviceBuffer& buffer) const {
  TensorView result;
  result.data = static_cast<unsigned char*>(buffer.data()) + kGuardBytes;
  if (case_.form.strides == Strides::free) {
    result.batch_stride = case_.tokens * elements(tensor.shape);
    result.token_stride = tensor.token_stride;
    result.head_stride = tensor.head_stride;
    result.lane_stride = 1;
  }
  return result;
}

RopeArgs Trial::args() const {
  RopeArgs args;
  args.tokens = case_.tokens;
  args.q = view(tensors_[0], tensors_[0].in);
  if (tensors_.size() > 1) args.k = view(tensors_[1], tensors_[1].in);
  if (case_.form.placement == Placement::out_of_place) {
    args.q_out = view(tensors_[0], tensors_[0].out);
    if (tensors_.size() > 1) args.k_out = view(tensors_[1], tensors_[1].out);
  }
  switch (case_.form.positions) {
    case PositionSource::start: args.positions = Positions::start(first_position_); break;
    case PositionSource::ids32: args.positions = Positions::ids32(static_cast<const std::int32_t*>(ids_.data())); break;
    case PositionSource::ids64: args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids_.data())); break;
    default: throw Error(ErrorCode::internal, "run", "positions: a trial has a start or ids alone");
  }
  return args;
}

Comparison Trial::check(const Tensor& tensor, const Oracle& oracle, const std::string& name,
                        std::string& stray_write) const {
  const bool in_place = case_.form.placement == Placement::in_place;
  std::vector<unsigned char> after(tensor.before.size());
  if (!in_place) {
    target_.download(after.data(), tensor.in.data(), after.size());
    if (after != tensor.before) stray_write = name + ": the input was written to";
  }
  const std::size_t bytes = tensor.bytes_out;
  after.resize(bytes);
  target_.download(after.data(), in_place ? tensor.in.data() : tensor.out.data(), bytes);
  if (!is_poison(after.data(), kGuardBytes)) stray_write = name + ": memory before the tensor was written to";
  if (!is_poison(after.data() + bytes - kGuardBytes, kGuardBytes)) {
    stray_write = name + ": memory behind the tensor was written to";
  }

  Comparison result;
  std::mutex mutex;
  const auto element_in = static_cast<std::int64_t>(element_bytes(case_.spec.dtype));
  const auto element_out = static_cast<std::int64_t>(element_bytes(tensor.dtype_out));
  parallel_for(blocks_of(case_.tokens), [&](std::int64_t block) {
    Comparison part;
    const std::int64_t end = std::min((block + 1) * kTokensAtOnce, case_.tokens);
    for (std::int64_t s = block * kTokensAtOnce; s < end; ++s) {
      std::vector<std::int64_t> positions;
      for (std::int64_t axis = 0; axis < axes_of(case_.spec); ++axis) positions.push_back(position(axis, s));
      const Angles angles = oracle.angles(positions);
      for (std::int64_t head = 0; head < tensor.shape.heads; ++head) {
        const std::int64_t first_lane = s * tensor.token_stride + head * tensor.head_stride;
        const unsigned char* given = tensor.before.data() + kGuardBytes + first_lane * element_in;
        const unsigned char* made = after.data() + kGuardBytes + first_lane * element_out;
        oracle.check(angles, tensor.shape, {given, 1}, {made, 1}, {0, s, head, 0}, part);
      }
    }
    const std::lock_guard lock(mutex);
    result.merge(part);
  });
  return result;
}

TrialResult Trial::check() const {
  const Oracle oracle(case_.spec);
  TrialResult result;
  result.q = check(tensors_[0], oracle, "q", result.stray_write);
  if (tensors_.size() > 1) result.k = check(tensors_[1], oracle, "k", result.stray_write);
  return result;
}

double Trial::rotated_bytes() const {
  double bytes = 0;
  for (const Tensor& tensor : tensors_) {
    const std::size_t each = element_bytes(case_.spec.dtype) + element_bytes(tensor.dtype_out);
    bytes += static_cast<double>(tensor.shape.heads) * static_cast<double>(each);
  }
  return bytes * static_cast<double>(case_.tokens) * static_cast<double>(case_.spec.rotary_dim);
}

}  // namespace ropejit::internal
