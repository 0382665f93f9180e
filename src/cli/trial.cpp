#include "cli/trial.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>

#include "cli/random_values.hpp"
#include "codegen/work.hpp"
#include "launch/operand_args.hpp"
#include "ropejit/error.hpp"
#include "support/parallel.hpp"
#include "support/scattered_places.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kGuardBytes = 4096;
// A NaN in every dtype: an element that was never written cannot pass.
constexpr unsigned char kPoison = 0xff;
constexpr std::int64_t kTokensAtOnce = 32;
// Axes go through the same positions, each from another one on.
constexpr std::int64_t kAxisLag = 3;

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

Comparison TrialResult::all() const {
  Comparison result;
  for (const auto& [name, comparison] : operands) result.merge(comparison);
  return result;
}

std::string TrialResult::problem() const {
  for (const auto& [name, comparison] : operands) {
    if (!comparison.passed()) return fmt::format("{}: {}", to_string(name), comparison.to_string());
  }
  return stray_write;
}

std::string TrialResult::verdict() const {
  if (!passed()) return fmt::format("WRONG    {}\n", problem());
  const Comparison comparison = all();
  return fmt::format(
      "verified {} elements against the fp64 oracle: worst error {:.3g} (bound {:.3g}); nothing else was written\n",
      grouped(comparison.count()), comparison.worst_error(), comparison.bound_at_worst());
}

Trial::Trial(const Target& target, const Case& given, std::int64_t first_position)
    : target_(target), case_(given), first_position_(first_position) {
  refuse_what_does_not_fit();
  tensors_.push_back(make_tensor(OperandName::q, case_.spec.q, CacheRows::none));
  if (case_.spec.k) tensors_.push_back(make_tensor(OperandName::k, *case_.spec.k, case_.form.k_rows));
  if (case_.spec.v) tensors_.push_back(make_tensor(OperandName::v, *case_.spec.v, case_.form.v_rows));
  if (case_.spec.gate) tensors_.push_back(make_tensor(OperandName::gate, *case_.spec.gate, CacheRows::none));
  make_slots();
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
  double token_bytes = bytes_of(spec.q);
  for (const std::optional<Operand>* one : {&spec.k, &spec.v, &spec.gate}) token_bytes += *one ? bytes_of(**one) : 0;
  // Out of place: in and out as given, both downloaded, and both again where the target's memory is this machine's.
  const bool apart = case_.form.placement == Placement::out_of_place;
  const double beside_bytes = apart && case_.form.k_beside && spec.k ? 3 * bytes_of(*spec.k) : 0;
  const double needed = static_cast<double>(case_.tokens) *
                        (token_bytes * (apart ? 5 : 3) + beside_bytes + 16 * static_cast<double>(axes_of(spec)));
  const double physical = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (needed <= 0.9 * physical) return;
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  throw bad_argument(
      "--tokens: found {}, whose tensors need {:.1f} GiB of host memory to be checked, allowed: what "
      "fits into this machine's {:.1f} GiB",
      case_.tokens, needed / kGiB, physical / kGiB);
}

Trial::Tensor Trial::make_tensor(OperandName name, const Operand& shape, CacheRows rows) const {
  Tensor tensor;
  tensor.name = name;
  tensor.shape = shape;
  const bool free = case_.form.strides == Strides::free;
  tensor.token_stride = free ? shape.head_dim : elements(shape);
  tensor.head_stride = free ? case_.tokens * shape.head_dim : shape.head_dim;
  if (name == OperandName::q && case_.form.grouped_q) {
    tensor.group_heads = shape.heads / case_.spec.k->heads;
    tensor.group_stride = (tensor.group_heads + 2) * shape.head_dim;
    tensor.token_stride = case_.spec.k->heads * tensor.group_stride;
    tensor.head_stride = shape.head_dim;
  }
  tensor.dtype_out = shape.dtype_out.value_or(case_.spec.dtype);
  tensor.paged = rows != CacheRows::none;
  // Where nothing is stored, all tensors are inputs.
  tensor.in_place =
      case_.form.statistics_only || (case_.form.placement == Placement::in_place && !tensor.paged && !is_copied(name));
  tensor.is_beside = name == OperandName::k && case_.form.k_beside;
  tensor.bytes_out =
      tensor.paged ? bytes_of_cache(shape, capacity(), tensor.dtype_out) : bytes_of(tensor, tensor.dtype_out);
  const auto poisoned = [&](std::size_t bytes) {
    tensor.before.assign(bytes, kPoison);
    DeviceBuffer buffer = target_.allocate(bytes);
    target_.upload(buffer.data(), tensor.before.data(), bytes);
    return buffer;
  };
  if (!tensor.in_place) tensor.out = poisoned(tensor.bytes_out);
  if (tensor.is_beside && case_.form.placement == Placement::out_of_place) {
    tensor.beside = poisoned(bytes_of(tensor, tensor.dtype_out));
  }
  const std::size_t bytes = bytes_of(tensor, case_.spec.dtype);
  const std::uint64_t seed = static_cast<std::uint64_t>(name) << 62;
  tensor.before.assign(bytes, kPoison);
  fill(tensor, seed);
  tensor.in = target_.allocate(bytes);
  target_.upload(tensor.in.data(), tensor.before.data(), bytes);
  tensor.stages = StageMemory(target_, case_.spec, shape, seed + (std::uint64_t{1} << 61));
  if (shape.norm) make_statistic(tensor, seed + (std::uint64_t{3} << 60));
  return tensor;
}

std::size_t Trial::bytes_of(const Tensor& tensor, DType dtype) const {
  const std::int64_t token = tensor.group_heads == 0 ? elements(tensor.shape) : tensor.token_stride;
  return static_cast<std::size_t>(case_.tokens * token) * element_bytes(dtype) + 2 * kGuardBytes;
}

std::size_t Trial::bytes_of_cache(const Operand& shape, std::int64_t tokens, DType dtype) {
  return static_cast<std::size_t>(tokens * elements(shape)) * element_bytes(dtype) + 2 * kGuardBytes;
}

std::vector<Trial::Output> Trial::outputs_of(const Tensor& tensor) const {
  if (case_.form.statistics_only) return {};
  std::vector<Output> outputs = {{tensor.in_place ? &tensor.in : &tensor.out, tensor.paged, tensor.bytes_out}};
  if (tensor.is_beside) {
    const DeviceBuffer* const buffer = tensor.beside.data() == nullptr ? &tensor.in : &tensor.beside;
    outputs.push_back({buffer, false, bytes_of(tensor, tensor.dtype_out)});
  }
  return outputs;
}

bool Trial::hands_out(const Operand& shape) const {
  return case_.form.norm_statistics && shape.norm && shape.norm->statistic == Statistic::computed;
}

// Any numbers do for r that is given, and any above 0 for sums.
void Trial::make_statistic(Tensor& tensor, std::uint64_t seed) const {
  const auto count = static_cast<std::size_t>(case_.tokens * tensor.statistics());
  if (tensor.shape.norm->statistic != Statistic::computed) {
    const bool is_sum = tensor.shape.norm->statistic == Statistic::given_sum;
    const double lanes = is_sum ? static_cast<double>(elements(tensor.shape) / tensor.statistics()) : 1;
    for (std::size_t i = 0; i < count; ++i) {
      const double near_one = 1.0 + 0.25 * random_normal(seed + i);
      tensor.given.push_back(static_cast<float>(is_sum ? lanes * near_one * near_one : near_one));
    }
    tensor.statistic = target_.allocate(count * sizeof(float));
    target_.upload(tensor.statistic.data(), tensor.given.data(), count * sizeof(float));
  } else if (hands_out(tensor.shape)) {
    const std::vector<unsigned char> poison(count * sizeof(float) + 2 * kGuardBytes, kPoison);
    tensor.statistic = target_.allocate(poison.size());
    target_.upload(tensor.statistic.data(), poison.data(), poison.size());
  }
}

std::int64_t Trial::capacity() const {
  return ((case_.tokens + case_.block_size - 1) / case_.block_size + 1) * case_.block_size;
}

// All places of the pages are some token's turn.
void Trial::make_slots() {
  if (llvm::none_of(tensors_, [](const Tensor& tensor) { return tensor.paged; })) return;
  slots_ = scattered_places(case_.tokens, capacity(), 7);
  slot_list_ = target_.allocate(slots_.size() * sizeof slots_.front());
  target_.upload(slot_list_.data(), slots_.data(), slots_.size() * sizeof slots_.front());
}

void Trial::fill(Tensor& tensor, std::uint64_t seed) const {
  const std::int64_t heads = tensor.shape.heads;
  const std::int64_t lanes = tensor.shape.head_dim;
  parallel_for(blocks_of(case_.tokens), [&](std::int64_t block) {
    const std::int64_t end = std::min((block + 1) * kTokensAtOnce, case_.tokens);
    for (std::int64_t token = block * kTokensAtOnce; token < end; ++token) {
      for (std::int64_t i = 0; i < heads * lanes; ++i) {
        const double value = random_normal(seed + static_cast<std::uint64_t>(token * heads * lanes + i));
        store_bits(case_.spec.dtype, tensor.before.data() + kGuardBytes, tensor.place_of(token, i / lanes) + i % lanes,
                   encode(case_.spec.dtype, value));
      }
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
  for (const Tensor& tensor : tensors_) {
    const OperandMembers members = members_of(tensor.name);
    args.*members.in = view(tensor, tensor.in);
    if (!tensor.in_place && !tensor.paged) args.*members.out = view(tensor, tensor.out);
    if (tensor.group_heads != 0) {
      args.q_group_stride = tensor.group_stride;
      if (!tensor.in_place) args.q_out_group_stride = tensor.group_stride;
    }
    tensor.stages.set(tensor.name, args);
    if (!tensor.given.empty()) {
      (args.*members.statistic).data = static_cast<const float*>(tensor.statistic.data());
    } else if (tensor.statistic.data() != nullptr) {
      auto* const first = static_cast<unsigned char*>(tensor.statistic.data()) + kGuardBytes;
      (args.*members.statistic_out).data = reinterpret_cast<float*>(first);
    }
    if (tensor.beside.data() != nullptr) args.*members.beside = view(tensor, tensor.beside);
    if (!tensor.paged) continue;
    (args.*members.out).data = static_cast<unsigned char*>(tensor.out.data()) + kGuardBytes;
    args.*members.rows = slot_list_.data();
    args.*members.cache_rows = capacity();
    args.*members.slots.block_size = case_.block_size;
  }
  switch (case_.form.positions) {
    case PositionSource::start: args.positions = Positions::start(first_position_); break;
    case PositionSource::ids32: args.positions = Positions::ids32(static_cast<const std::int32_t*>(ids_.data())); break;
    case PositionSource::ids64: args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids_.data())); break;
    default: throw Error(ErrorCode::internal, "run", "positions: a trial has a start or ids alone");
  }
  return args;
}

Comparison Trial::check(const Tensor& tensor, const Oracle& oracle, std::string& stray_write) const {
  const std::vector<Output> outputs = outputs_of(tensor);
  if (llvm::none_of(outputs, [&](const Output& output) { return output.buffer == &tensor.in; })) {
    std::vector<unsigned char> after(tensor.before.size());
    target_.download(after.data(), tensor.in.data(), after.size());
    if (after != tensor.before) stray_write = fmt::format("{}: the input was written to", to_string(tensor.name));
  }
  Comparison result;
  for (const Output& output : outputs) result.merge(check(tensor, output, oracle, stray_write));
  if (hands_out(tensor.shape)) result.merge(check_statistic(tensor, oracle, stray_write));
  return result;
}

HeadRow Trial::given_head(const Tensor& tensor, std::int64_t token, std::int64_t head) const {
  const std::int64_t from = tensor.place_of(token, head);
  const auto element = static_cast<std::int64_t>(element_bytes(case_.spec.dtype));
  return {tensor.before.data() + kGuardBytes + from * element, 1};
}

Trial::Token Trial::token_of(const Tensor& tensor, const Oracle& oracle, std::int64_t number) const {
  std::vector<std::int64_t> positions;
  for (std::int64_t axis = 0; axis < axes_of(case_.spec); ++axis) positions.push_back(position(axis, number));
  Token token{number, tensor.rotates() ? oracle.angles(positions) : Angles{}, tensor.stages.data(0, positions.front())};
  const std::optional<Norm>& norm = tensor.shape.norm;
  if (!norm || norm->span != NormSpan::token || norm->statistic != Statistic::computed) return token;
  std::vector<HeadRow> heads;
  for (std::int64_t head = 0; head < tensor.shape.heads; ++head) heads.push_back(given_head(tensor, number, head));
  token.data.of_token = oracle.statistic(token.angles, tensor.shape, heads, token.data);
  return token;
}

template <class Visit>
Comparison Trial::check_tokens(const Tensor& tensor, const Oracle& oracle, const Visit& visit) const {
  Comparison result;
  std::mutex mutex;
  parallel_for(blocks_of(case_.tokens), [&](std::int64_t block) {
    Comparison part;
    const std::int64_t end = std::min((block + 1) * kTokensAtOnce, case_.tokens);
    for (std::int64_t s = block * kTokensAtOnce; s < end; ++s) visit(token_of(tensor, oracle, s), part);
    const std::lock_guard lock(mutex);
    result.merge(part);
  });
  return result;
}

Comparison Trial::check_statistic(const Tensor& tensor, const Oracle& oracle, std::string& stray_write) const {
  const std::int64_t statistics = tensor.statistics();
  const std::size_t count = static_cast<std::size_t>(case_.tokens * statistics) * sizeof(float);
  std::vector<unsigned char> after(count + 2 * kGuardBytes);
  target_.download(after.data(), tensor.statistic.data(), after.size());
  if (!is_poison(after.data(), kGuardBytes) || !is_poison(after.data() + kGuardBytes + count, kGuardBytes)) {
    stray_write = fmt::format("{}: memory around the norm's statistic was written to", to_string(tensor.name));
  }
  return check_tokens(tensor, oracle, [&](const Token& token, Comparison& part) {
    for (std::int64_t i = 0; i < statistics; ++i) {
      RowData data = token.data;
      data.head = i;
      const HeadRow row = given_head(tensor, token.number, i);
      const StatisticValue wanted =
          data.of_token ? *data.of_token : oracle.statistic(token.angles, tensor.shape, {&row, 1}, data);
      float got = 0;
      const std::size_t at = static_cast<std::size_t>(token.number * statistics + i) * sizeof got;
      std::memcpy(&got, after.data() + kGuardBytes + at, sizeof got);
      Oracle::check_statistic(case_.form.norm_sums ? wanted.sum : wanted.r, got, {0, token.number, i, 0}, part);
    }
  });
}

Comparison Trial::check(const Tensor& tensor, const Output& output, const Oracle& oracle,
                        std::string& stray_write) const {
  const char* const name = to_string(tensor.name);
  const std::size_t bytes = output.bytes;
  std::vector<unsigned char> after(bytes);
  target_.download(after.data(), output.buffer->data(), bytes);
  if (!is_poison(after.data(), kGuardBytes)) {
    stray_write = fmt::format("{}: memory before the tensor was written to", name);
  }
  if (!is_poison(after.data() + bytes - kGuardBytes, kGuardBytes)) {
    stray_write = fmt::format("{}: memory behind the tensor was written to", name);
  }
  if (output.paged && has_strays(tensor, after)) {
    stray_write = fmt::format("{}: a place of the cache that is no token's was written to", name);
  }
  if (tensor.group_heads != 0 && has_strays_between_groups(tensor, output, after)) {
    stray_write = fmt::format("{}: what lies between the groups of heads was written to", name);
  }
  const auto element_out = static_cast<std::int64_t>(element_bytes(tensor.dtype_out));
  return check_tokens(tensor, oracle, [&](const Token& token, Comparison& part) {
    const std::int64_t s = token.number;
    for (std::int64_t head = 0; head < tensor.shape.heads; ++head) {
      const std::int64_t to =
          output.paged ? slots_[static_cast<std::size_t>(s)] * elements(tensor.shape) + head * tensor.shape.head_dim
                       : tensor.place_of(s, head);
      const HeadRow made{after.data() + kGuardBytes + to * element_out, 1};
      RowData data = token.data;
      data.head = head;
      if (!tensor.given.empty()) {
        const std::int64_t statistic = tensor.statistics() == 1 ? 0 : head;
        data.given = tensor.given[static_cast<std::size_t>(s * tensor.statistics() + statistic)];
      }
      oracle.check(token.angles, tensor.shape, given_head(tensor, s, head), made, {0, s, head, 0}, part, data);
    }
  });
}

bool Trial::has_strays(const Tensor& tensor, const std::vector<unsigned char>& after) const {
  std::vector<bool> taken(static_cast<std::size_t>(capacity()));
  for (const std::int64_t slot : slots_) taken[static_cast<std::size_t>(slot)] = true;
  const std::size_t row = static_cast<std::size_t>(elements(tensor.shape)) * element_bytes(tensor.dtype_out);
  for (std::size_t place = 0; place < taken.size(); ++place) {
    if (!taken[place] && !is_poison(after.data() + kGuardBytes + place * row, row)) return true;
  }
  return false;
}

bool Trial::has_strays_between_groups(const Tensor& tensor, const Output& output,
                                      const std::vector<unsigned char>& after) const {
  const std::size_t element = element_bytes(output.buffer == &tensor.in ? case_.spec.dtype : tensor.dtype_out);
  const auto heads = static_cast<std::size_t>(tensor.group_heads * tensor.shape.head_dim) * element;
  const auto group = static_cast<std::size_t>(tensor.group_stride) * element;
  for (std::size_t at = kGuardBytes; at + group <= after.size() - kGuardBytes; at += group) {
    if (!is_poison(after.data() + at + heads, group - heads)) return true;
  }
  return false;
}

TrialResult Trial::check() const {
  const Oracle oracle(case_.spec);
  TrialResult result;
  for (const Tensor& tensor : tensors_) {
    result.operands.emplace_back(tensor.name, check(tensor, oracle, result.stray_write));
  }
  return result;
}

double Trial::moved_bytes() const {
  return static_cast<double>(bytes_per_token(plan_of(case_).kernel_class)) * static_cast<double>(case_.tokens);
}

}  // namespace ropejit::internal
