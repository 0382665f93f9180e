// Sequences that several ranks share: what the ranks hold together is what one rank would hold alone.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "support/arena.hpp"
#include "support/check_case.hpp"

namespace {

using namespace ropejit;

constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kDim = 16;
constexpr std::int64_t kRow = kHeads * kDim;

RopeSpec small_spec() {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {kHeads, kDim, 0};
  return spec;
}

/// The tokens of a sequence of `length` that a rank holds, in its order, written out from the words of form.hpp.
std::vector<std::int64_t> held_by(ContextParallel order, std::int64_t ranks, std::int64_t rank, std::int64_t length) {
  std::vector<std::int64_t> tokens;
  const auto take = [&](std::int64_t part, std::int64_t parts) {
    for (std::int64_t t = part * length / parts; t < (part + 1) * length / parts; ++t) tokens.push_back(t);
  };
  if (order == ContextParallel::contiguous) {
    take(rank, ranks);
  } else {
    take(rank, 2 * ranks);
    take(2 * ranks - 1 - rank, 2 * ranks);
  }
  return tokens;
}

/// Whole sequences one after another, of which a launch rotates all or a rank's tokens.
struct Sequences {
  PositionSource source;
  std::vector<std::int64_t> lengths;  // all the same but for ragged
  std::vector<std::int64_t> offsets;  // one a sequence; of a start the first

  std::int64_t tokens() const {
    std::int64_t sum = 0;
    for (const std::int64_t length : lengths) sum += length;
    return sum;
  }
};

std::vector<float> values(std::int64_t tokens) {
  std::vector<float> result;
  for (std::int64_t i = 0; i < tokens * kRow; ++i) result.push_back(static_cast<float>(i * 37 % 101) / 50.0F - 1.0F);
  return result;
}

/// Rotates `in`, which holds what the rank holds of each sequence.
std::vector<float> rotate(const internal::PreparedKernel& kernel, const Sequences& sequences, std::int64_t ranks,
                          std::int64_t rank, const std::vector<float>& in) {
  const internal::Target& target = *kernel.target;
  test::Inputs inputs(target);
  const internal::DeviceBuffer buffer = target.allocate(in.size() * sizeof(float));
  target.upload(buffer.data(), in.data(), in.size() * sizeof(float));
  RopeArgs args;
  args.q.data = buffer.data();
  args.batch = static_cast<std::int64_t>(sequences.lengths.size());
  args.tokens = sequences.lengths[0] / ranks;
  const std::vector<std::int32_t> narrow(sequences.offsets.begin(), sequences.offsets.end());
  switch (sequences.source) {
    case PositionSource::start: args.positions = Positions::start(sequences.offsets[0]); break;
    case PositionSource::offsets32: args.positions = Positions::offsets32(inputs.put(narrow)); break;
    case PositionSource::offsets64: args.positions = Positions::offsets64(inputs.put(sequences.offsets)); break;
    default: {
      std::vector<std::int32_t> cu_seqlens = {0};
      for (const std::int64_t length : sequences.lengths) {
        cu_seqlens.push_back(cu_seqlens.back() + static_cast<std::int32_t>(length));
      }
      args.positions = Positions::ragged(inputs.put(cu_seqlens), args.batch, inputs.put(narrow));
      args.tokens = sequences.tokens() / ranks;
      args.batch = 1;
      break;
    }
  }
  args.positions.ranks = ranks;
  args.positions.rank = rank;
  const LaunchStatus status = internal::launch_prepared(kernel, args, nullptr);
  INFO(status.message());
  REQUIRE(status);
  target.synchronize();
  std::vector<float> out(in.size());
  target.download(out.data(), buffer.data(), out.size() * sizeof(float));
  return out;
}

}  // namespace

TEST_CASE("The tokens of all ranks together are the whole sequences, rotated as one rank would", "[numeric]") {
  const Sequences rows[] = {
      {PositionSource::start, {48}, {1000}},
      {PositionSource::start, {24, 24}, {-7}},
      {PositionSource::offsets32, {24, 24, 24}, {0, 1000000, -50}},
      {PositionSource::offsets64, {48, 48}, {1LL << 33, 5}},
      {PositionSource::ragged, {24, 0, 48, 72, 0}, {0, 9, 100, -3, 8}},
  };
  for (const test::TargetPtr& target : test::targets()) {
    for (const Sequences& sequences : rows) {
      LaunchForm form;
      form.positions = sequences.source;
      const std::vector<float> in = values(sequences.tokens());
      const std::vector<float> whole =
          rotate(test::prepare(target, internal::lower(small_spec(), form)), sequences, 1, 0, in);
      for (const ContextParallel order : {ContextParallel::contiguous, ContextParallel::zigzag}) {
        form.context_parallel = order;
        const internal::PreparedKernel kernel = test::prepare(target, internal::lower(small_spec(), form));
        for (const std::int64_t ranks : {1, 2, 3, 4}) {
          std::vector<float> together(whole.size());
          for (std::int64_t rank = 0; rank < ranks; ++rank) {
            std::vector<std::int64_t> held;
            std::int64_t first = 0;
            for (const std::int64_t length : sequences.lengths) {
              for (const std::int64_t t : held_by(order, ranks, rank, length)) held.push_back(first + t);
              first += length;
            }
            std::vector<float> local;
            for (const std::int64_t t : held) {
              local.insert(local.end(), in.begin() + t * kRow, in.begin() + (t + 1) * kRow);
            }
            const std::vector<float> out = rotate(kernel, sequences, ranks, rank, local);
            for (std::size_t i = 0; i < held.size(); ++i) {
              std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(i) * kRow, kRow, together.begin() + held[i] * kRow);
            }
          }
          INFO(target->name() << " " << to_string(sequences.source) << " " << to_string(order) << " " << ranks);
          CHECK(together == whole);
        }
      }
    }
  }
}

TEST_CASE("A rank's tokens hold the bound, with tables and padding too", "[numeric]") {
  constexpr PositionSource kSources[] = {PositionSource::start, PositionSource::offsets32, PositionSource::offsets64,
                                         PositionSource::ragged};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const PositionSource source : kSources) {
      for (const ContextParallel order : {ContextParallel::contiguous, ContextParallel::zigzag}) {
        for (const bool with_table : {false, true}) {
          test::NumericCase given;
          given.spec.rotary_dim = 32;
          given.spec.q = {5, 48, 8};
          given.spec.k = Operand{2, 32, 0};
          given.form.positions = source;
          given.form.context_parallel = order;
          if (with_table) given.form = given.form.with_table(AngleSource::full);
          if (number % 3 == 0) given.form.padding = Padding::zero;
          given.batch = source == PositionSource::ragged ? 1 : 2;
          given.tokens = 10;
          given.ranks = 3;
          given.positions = {number % 2 == 0 ? -5 : 20};
          if (given.batch == 2) given.positions.push_back(7);
          if (source == PositionSource::start) given.positions.resize(1);
          if (source == PositionSource::ragged) {
            // This rank's 2, 0 and 6 tokens, and two beyond the last.
            given.cu_seqlens = {0, 6, 6, 24};
            given.positions = {-1, 2, 3};
          }
          const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
          for (given.rank = 0; given.rank < given.ranks; ++given.rank) test::check_case(kernel, given, 61);
          ++number;
        }
      }
    }
  }
}
