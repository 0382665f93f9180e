#include "support/numeric_case.hpp"

#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "verify/element.hpp"
#include "verify/oracle.hpp"

namespace ropejit::test {
namespace {

using internal::DeviceBuffer;
using internal::Target;

constexpr std::int64_t kGuard = 64;  // elements before and after every buffer
constexpr std::int64_t kPadding = 16;

/// A tensor's place in a buffer, in elements from the buffer's first.
struct Placed {
  std::size_t buffer = 0;
  std::int64_t offset = 0;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t lane_stride = 1;

  std::int64_t at(std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t l) const {
    return offset + b * batch_stride + s * token_stride + h * head_stride + l * lane_stride;
  }
};

/// Memory on both sides.
struct Buffer {
  std::vector<unsigned char> before;
  std::vector<unsigned char> after;
  std::vector<bool> may_change;  // one an element
  DeviceBuffer device;
};

class Arena {
 public:
  Arena(const NumericCase& given, const Target& target, std::uint64_t seed)
      : given_(given), target_(target), element_(size_of(given.spec.dtype)), random_(seed) {}

  Placed place(const Operand& operand, Arrangement arrangement) {
    const std::int64_t heads = operand.heads;
    const std::int64_t dim = operand.head_dim;
    const std::int64_t batch = given_.batch;
    const std::int64_t tokens = given_.tokens;
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
    placed.buffer = make_buffer(elements);
    placed.offset += kGuard;
    return placed;
  }

  /// q and k in rows of q, k and a third tensor like k.
  std::pair<Placed, Placed> place_packed(const Operand& q, const Operand& k) {
    const std::int64_t q_row = q.heads * q.head_dim;
    const std::int64_t k_row = k.heads * k.head_dim;
    const std::int64_t row = q_row + 2 * k_row;
    const std::size_t buffer = make_buffer(given_.batch * given_.tokens * row);
    return {Placed{buffer, kGuard, given_.tokens * row, row, q.head_dim, 1},
            Placed{buffer, kGuard + q_row, given_.tokens * row, row, k.head_dim, 1}};
  }

  TensorView view(const Placed& placed) {
    TensorView view;
    view.data = static_cast<char*>(buffers_[placed.buffer].device.data()) + placed.offset * element_;
    view.batch_stride = placed.batch_stride;
    view.token_stride = placed.token_stride;
    view.head_stride = placed.head_stride;
    view.lane_stride = placed.lane_stride;
    return view;
  }

  void download() {
    for (Buffer& buffer : buffers_) {
      buffer.after.resize(buffer.before.size());
      target_.download(buffer.after.data(), buffer.device.data(), buffer.after.size());
    }
  }

  /// Checks that `out` holds `in` rotated, and notes its elements as accounted for.
  void check(const internal::Oracle& oracle, const Operand& operand, const Placed& in, const Placed& out,
             internal::Comparison& comparison) {
    const unsigned char* before = buffers_[in.buffer].before.data();
    const unsigned char* after = buffers_[out.buffer].after.data();
    for (std::int64_t b = 0; b < given_.batch; ++b) {
      for (std::int64_t s = 0; s < given_.tokens; ++s) {
        const internal::Angles angles =
            table_.empty() ? oracle.angles(position(b, s)) : table_angles(b, position(b, s));
        for (std::int64_t h = 0; h < operand.heads; ++h) {
          oracle.check(angles, operand, {before + in.at(b, s, h, 0) * element_, in.lane_stride},
                       {after + out.at(b, s, h, 0) * element_, out.lane_stride}, {b, s, h, 0}, comparison);
          for (std::int64_t l = 0; l < operand.head_dim; ++l) {
            buffers_[out.buffer].may_change[static_cast<std::size_t>(out.at(b, s, h, l))] = true;
          }
        }
      }
    }
  }

  std::string stray_write() const {
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      const Buffer& buffer = buffers_[i];
      for (std::size_t e = 0; e < buffer.may_change.size(); ++e) {
        const std::size_t byte = e * static_cast<std::size_t>(element_);
        if (!buffer.may_change[e] &&
            std::memcmp(&buffer.before[byte], &buffer.after[byte], static_cast<std::size_t>(element_)) != 0) {
          return fmt::format("element {} of buffer {} changed", static_cast<std::int64_t>(e) - kGuard, i);
        }
      }
    }
    return {};
  }

  std::vector<unsigned char> all_bytes() const {
    std::vector<unsigned char> bytes;
    for (const Buffer& buffer : buffers_) bytes.insert(bytes.end(), buffer.after.begin(), buffer.after.end());
    return bytes;
  }

  /// Makes the caller's table and fills in the arguments that point to it.
  AngleTable make_table(const internal::Oracle& oracle) {
    const LaunchForm& form = given_.form;
    const std::int64_t pairs = oracle.pairs();
    const std::int64_t element = size_of(form.table_dtype);
    const bool one_tensor = form.angles == AngleSource::complex || form.angles == AngleSource::cos_sin ||
                            form.angles == AngleSource::radians;
    const std::int64_t row =
        form.angles == AngleSource::half || form.angles == AngleSource::radians ? pairs : 2 * pairs;
    const std::int64_t batches = given_.table_per_batch ? given_.batch : 1;
    const std::int64_t offset = given_.table_misaligned ? 1 : 0;
    const std::int64_t tensor = batches * given_.table_rows * row;
    std::vector<unsigned char> bytes(static_cast<std::size_t>((2 * tensor + offset) * element));
    table_.resize(static_cast<std::size_t>(batches * given_.table_rows));
    const auto put = [&](std::int64_t at, double value) {
      const internal::ElementBits bits = internal::encode(form.table_dtype, value);
      internal::store_bits(form.table_dtype, bytes.data(), offset + at, bits);
      return internal::decode(form.table_dtype, bits);
    };
    for (std::int64_t b = 0; b < batches; ++b) {
      for (std::int64_t p = 0; p < given_.table_rows; ++p) {
        const std::int64_t at = (b * given_.table_rows + p) * row;
        internal::Angles exact = oracle.angles(p + 3 * b);
        for (std::int64_t i = 0; i < pairs; ++i) {
          double& cos = exact.cos[static_cast<std::size_t>(i)];
          double& sin = exact.sin[static_cast<std::size_t>(i)];
          // The table is of the forward direction; the kernel turns the sign.
          const double sign = given_.spec.direction == Direction::adjoint ? -1.0 : 1.0;
          switch (form.angles) {
            case AngleSource::complex:
              cos = put(at + 2 * i, cos);
              sin = sign * put(at + 2 * i + 1, sign * sin);
              break;
            case AngleSource::cos_sin:
              cos = put(at + i, cos);
              sin = sign * put(at + pairs + i, sign * sin);
              break;
            case AngleSource::radians: {
              const double angle =
                  put(at + i, static_cast<double>(static_cast<long double>(p + 3 * b) * oracle.frequency(i)));
              cos = static_cast<double>(std::cos(static_cast<long double>(angle)));
              sin = sign * static_cast<double>(std::sin(static_cast<long double>(angle)));
              break;
            }
            case AngleSource::repeated:
              put(at + 2 * i + 1, cos);
              put(tensor + at + 2 * i + 1, sign * sin);
              cos = put(at + 2 * i, cos);
              sin = sign * put(tensor + at + 2 * i, sign * sin);
              break;
            default:
              if (form.angles == AngleSource::full) {
                put(at + pairs + i, cos);
                put(tensor + at + pairs + i, sign * sin);
              }
              cos = put(at + i, cos);
              sin = sign * put(tensor + at + i, sign * sin);
              break;
          }
        }
        table_[static_cast<std::size_t>(b * given_.table_rows + p)] = std::move(exact);
      }
    }
    table_device_ = target_.allocate(bytes.size());
    target_.upload(table_device_.data(), bytes.data(), bytes.size());
    AngleTable table;
    table.cos = static_cast<char*>(table_device_.data()) + offset * element;
    if (!one_tensor) table.sin = static_cast<const char*>(table.cos) + tensor * element;
    table.rows = given_.table_rows;
    if (given_.table_per_batch) table.batch_stride = given_.table_rows * row;
    return table;
  }

 private:
  /// What the table says of a position: NaN where it has no row.
  internal::Angles table_angles(std::int64_t b, std::int64_t p) const {
    if (p >= 0 && p < given_.table_rows) {
      return table_[static_cast<std::size_t>((given_.table_per_batch ? b : 0) * given_.table_rows + p)];
    }
    internal::Angles none = table_.front();
    for (double& value : none.cos) value = std::nan("");
    for (double& value : none.sin) value = std::nan("");
    return none;
  }

  std::int64_t position(std::int64_t b, std::int64_t s) const {
    if (given_.form.positions == PositionSource::start) return given_.positions[0] + s;
    if (given_.form.positions == PositionSource::ragged) {
      std::size_t sequence = 0;
      while (sequence + 2 < given_.cu_seqlens.size() && given_.cu_seqlens[sequence + 1] <= s) ++sequence;
      return s - given_.cu_seqlens[sequence] + (given_.positions.empty() ? 0 : given_.positions[sequence]);
    }
    if (given_.form.positions == PositionSource::offsets32 || given_.form.positions == PositionSource::offsets64) {
      return given_.positions[static_cast<std::size_t>(given_.share_positions ? 0 : b)] + s;
    }
    return given_.positions[static_cast<std::size_t>(given_.share_positions ? s : b * given_.tokens + s)];
  }

  std::size_t make_buffer(std::int64_t elements) {
    Buffer buffer;
    const std::int64_t all = elements + 2 * kGuard;
    buffer.before.resize(static_cast<std::size_t>(all * element_));
    buffer.may_change.assign(static_cast<std::size_t>(all), false);
    std::normal_distribution<double> normal;
    for (std::int64_t i = 0; i < all; ++i) {
      internal::store_bits(given_.spec.dtype, buffer.before.data(), i,
                           internal::encode(given_.spec.dtype, normal(random_)));
    }
    buffer.device = target_.allocate(buffer.before.size());
    target_.upload(buffer.device.data(), buffer.before.data(), buffer.before.size());
    buffers_.push_back(std::move(buffer));
    return buffers_.size() - 1;
  }

  const NumericCase& given_;
  const Target& target_;
  const std::int64_t element_;
  std::mt19937_64 random_;
  std::vector<Buffer> buffers_;
  std::vector<internal::Angles> table_;
  DeviceBuffer table_device_;
};

template <class Id>
DeviceBuffer upload_ids(const Target& target, const std::vector<std::int64_t>& positions) {
  std::vector<Id> ids;
  for (const std::int64_t position : positions) ids.push_back(static_cast<Id>(position));
  DeviceBuffer buffer = target.allocate(ids.size() * sizeof(Id));
  target.upload(buffer.data(), ids.data(), ids.size() * sizeof(Id));
  return buffer;
}

}  // namespace

const char* to_string(Arrangement arrangement) {
  constexpr const char* kNames[] = {"bshd",   "bhsd",         "sbhd",       "packed_qkv",
                                    "padded", "lane_strided", "misaligned", "expanded"};
  return kNames[static_cast<int>(arrangement)];
}

std::string NumericCase::to_string() const {
  return fmt::format("{} {} batch {} tokens {} in {} out {} positions of {} {}{}", spec.to_string(), form.to_json(),
                     batch, tokens, test::to_string(in), test::to_string(out), positions.empty() ? 0 : positions[0],
                     share_positions ? "shared " : "", pass_k ? "" : "without k");
}

std::string NumericResult::to_string() const {
  return fmt::format("{} | {} | {}", status.message(), comparison.to_string(), stray_write);
}

NumericResult run_case(const internal::PreparedKernel& kernel, const NumericCase& given, std::uint64_t seed) {
  const Target& target = *kernel.target;
  const RopeSpec& spec = given.spec;
  const bool with_k = spec.k.has_value() && given.pass_k;
  const bool in_place = given.form.placement == Placement::in_place;
  Arena arena(given, target, seed);

  Placed q;
  Placed k;
  if (given.in == Arrangement::packed_qkv && with_k) {
    std::tie(q, k) = arena.place_packed(spec.q, *spec.k);
  } else {
    q = arena.place(spec.q, given.in);
    if (with_k) k = arena.place(*spec.k, given.in);
  }
  const Placed q_out = in_place ? q : arena.place(spec.q, given.out);
  const Placed k_out = in_place || !with_k ? k : arena.place(*spec.k, given.out);

  RopeArgs args;
  args.batch = given.batch;
  args.tokens = given.tokens;
  args.q = arena.view(q);
  if (with_k) args.k = arena.view(k);
  if (!in_place) {
    args.q_out = arena.view(q_out);
    if (with_k) args.k_out = arena.view(k_out);
  }
  DeviceBuffer ids;
  DeviceBuffer cu_seqlens;
  switch (given.form.positions) {
    case PositionSource::start: args.positions = Positions::start(given.positions[0]); break;
    case PositionSource::ids32:
      ids = upload_ids<std::int32_t>(target, given.positions);
      args.positions = Positions::ids32(static_cast<const std::int32_t*>(ids.data()));
      break;
    case PositionSource::ids64:
      ids = upload_ids<std::int64_t>(target, given.positions);
      args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids.data()));
      break;
    case PositionSource::offsets32:
      ids = upload_ids<std::int32_t>(target, given.positions);
      args.positions = Positions::offsets32(static_cast<const std::int32_t*>(ids.data()));
      break;
    case PositionSource::offsets64:
      ids = upload_ids<std::int64_t>(target, given.positions);
      args.positions = Positions::offsets64(static_cast<const std::int64_t*>(ids.data()));
      break;
    case PositionSource::ragged:
      ids = upload_ids<std::int32_t>(target, given.positions);
      cu_seqlens = upload_ids<std::int32_t>(target, {given.cu_seqlens.begin(), given.cu_seqlens.end()});
      args.positions = Positions::ragged(
          static_cast<const std::int32_t*>(cu_seqlens.data()), static_cast<std::int64_t>(given.cu_seqlens.size()) - 1,
          given.positions.empty() ? nullptr : static_cast<const std::int32_t*>(ids.data()));
      break;
  }
  if (given.share_positions) args.positions.batch_stride = 0;

  const internal::Oracle oracle(spec);
  if (given.form.angles != AngleSource::computed) args.table = arena.make_table(oracle);

  NumericResult result;
  result.status = internal::launch_prepared(kernel, args, nullptr);
  target.synchronize();
  arena.download();
  arena.check(oracle, spec.q, q, q_out, result.comparison);
  if (with_k) arena.check(oracle, *spec.k, k, k_out, result.comparison);
  result.stray_write = arena.stray_write();
  result.out_bytes = arena.all_bytes();
  return result;
}

std::vector<std::int64_t> random_positions(std::mt19937_64& random, std::size_t count) {
  std::vector<std::int64_t> positions;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t magnitude = static_cast<std::int64_t>(random() >> (33 + random() % 31));
    positions.push_back(random() % 4 == 0 ? -magnitude : magnitude);
  }
  return positions;
}

}  // namespace ropejit::test
