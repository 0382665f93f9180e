#include "support/numeric_case.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "launch/operand_args.hpp"
#include "support/arena.hpp"
#include "support/case_table.hpp"
#include "support/token_places.hpp"
#include "verify/element.hpp"
#include "verify/oracle.hpp"

namespace ropejit::test {
namespace {

using internal::Target;

// Bits that are not the library's, which it must leave as they are.
constexpr std::uint32_t kForeignFlags = 0x80000100;

/// One of the tensors: where it is read and written, and to which rows of a cache.
struct Side {
  const Operand* operand = nullptr;
  Placed in;
  Placed out;
  const std::vector<std::int64_t>* rows = nullptr;  // null: to its own tokens
  std::int64_t cache_rows = 0;
  bool rotates = true;
  std::vector<double> weights = {};  // of its norm
};

class Run {
 public:
  Run(const Target& target, const NumericCase& given, std::uint64_t seed)
      : target_(target),
        given_(given),
        arena_(target, seed),
        inputs_(target),
        weight_values_(~seed),
        oracle_(given.spec) {
    place_tensors();
    args_.batch = given.batch;
    args_.tokens = given.tokens;
    args_.positions = launch_positions(given, inputs_);
    if (given.form.angles != AngleSource::computed) {
      table_.emplace(given);
      args_.table = table_->upload(inputs_);
    }
    if (given.form.counted) args_.token_count = inputs_.put(std::vector<std::int32_t>{given.token_count});
    if (given.pass_flags) {
      flags_ = target.allocate(sizeof(std::uint32_t));
      target.upload(flags_.data(), &kForeignFlags, sizeof(std::uint32_t));
      args_.flags = static_cast<std::uint32_t*>(flags_.data());
    }
  }

  NumericResult run(const internal::PreparedKernel& kernel) {
    NumericResult result;
    result.status = internal::launch_prepared(kernel, args_, nullptr);
    target_.synchronize();
    arena_.download();
    for (std::int64_t b = 0; b < given_.batch; ++b) {
      for (std::int64_t s = 0; s < given_.tokens; ++s) check_token(b, s, result.comparison);
    }
    result.stray_write = arena_.stray_write();
    if (result.stray_write.empty()) result.stray_write = inputs_.stray_write();
    if (result.stray_write.empty()) result.stray_write = wrong_flags();
    result.out_bytes = arena_.all_bytes();
    return result;
  }

 private:
  void place_tensors() {
    const RopeSpec& spec = given_.spec;
    const bool with_k = spec.k.has_value() && given_.pass_k;
    const bool with_v = spec.v.has_value() && given_.pass_v;
    std::optional<std::array<Placed, 3>> packed;
    if (given_.in == Arrangement::packed_qkv && with_k) {
      packed = arena_.place_packed(spec.q, *spec.k, spec.dtype, given_.batch, given_.tokens);
    }
    const auto in = [&](const Operand& operand, std::size_t part) {
      if (packed && (part < 2 || (operand.heads == spec.k->heads && operand.head_dim == spec.k->head_dim))) {
        return (*packed)[part];
      }
      return arena_.place(operand, spec.dtype, given_.batch, given_.tokens, given_.in);
    };
    add_side({&spec.q, in(spec.q, 0), {}, nullptr, 0, true}, internal::OperandName::q, CacheRows::none);
    if (with_k) {
      add_side({&*spec.k, in(*spec.k, 1), {}, &given_.k_rows, given_.k_cache_rows, true}, internal::OperandName::k,
               given_.form.k_rows);
    }
    if (with_v) {
      add_side({&*spec.v, in(*spec.v, 2), {}, &given_.v_rows, given_.v_cache_rows, false}, internal::OperandName::v,
               given_.form.v_rows);
    }
  }

  void add_side(Side side, internal::OperandName name, CacheRows kind) {
    const internal::OperandMembers members = internal::members_of(name);
    const bool in_place = given_.form.placement == Placement::in_place && kind == CacheRows::none && side.rotates;
    if (kind == CacheRows::none) side.rows = nullptr;
    const auto out = [&](std::int64_t batch, std::int64_t tokens) {
      return arena_.place(*side.operand, side.operand->dtype_out.value_or(given_.spec.dtype), batch, tokens,
                          given_.out);
    };
    if (side.rows != nullptr) {
      args_.*members.cache_rows = side.cache_rows;
      args_.*members.rows =
          kind == CacheRows::rows32
              ? static_cast<const void*>(inputs_.put(std::vector<std::int32_t>(side.rows->begin(), side.rows->end())))
              : inputs_.put(*side.rows);
    }
    side.out = in_place ? side.in : side.rows != nullptr ? out(1, side.cache_rows) : out(given_.batch, given_.tokens);
    args_.*members.in = arena_.view(side.in);
    if (!in_place) args_.*members.out = arena_.view(side.out);
    if (side.operand->norm) args_.*members.weight = put_weights(side);
    sides_.push_back(side);
  }

  // Around 1, as models have them; some are negative and some 0.
  const void* put_weights(Side& side) {
    const DType dtype = side.operand->norm->weight_dtype.value_or(given_.spec.dtype);
    const std::int64_t offset = given_.weights_misaligned ? 1 : 0;
    std::vector<unsigned char> bytes(static_cast<std::size_t>((offset + side.operand->head_dim) * size_of(dtype)));
    std::normal_distribution<double> around_one(1.0, 0.25);
    for (std::int64_t lane = 0; lane < side.operand->head_dim; ++lane) {
      const std::uint64_t kind = weight_values_() % 16;
      const double weight = kind == 0 ? 0 : around_one(weight_values_) * (kind < 3 ? -1 : 1);
      const internal::ElementBits bits = internal::encode(dtype, weight);
      internal::store_bits(dtype, bytes.data(), offset + lane, bits);
      side.weights.push_back(internal::decode(dtype, bits));
    }
    return static_cast<unsigned char*>(inputs_.put_bytes(bytes.data(), bytes.size())) + offset * size_of(dtype);
  }

  void check_token(std::int64_t b, std::int64_t s, internal::Comparison& comparison) {
    const std::int64_t token = b * given_.tokens + s;
    if (given_.form.counted && token >= given_.token_count) return;
    const std::vector<std::int64_t> positions = positions_of(given_, b, s);
    const bool padding = given_.form.padding != Padding::rotate && positions[0] < 0;
    internal::Angles angles;
    if (!padding) {
      bool missing = false;
      angles = table_ ? table_->angles(b, positions, missing) : oracle_.angles(positions);
      if (missing) expected_flags_ |= kNoTableRow;
    }
    for (const Side& side : sides_) {
      std::int64_t out_b = b;
      std::int64_t out_s = s;
      if (side.rows != nullptr) {
        out_b = 0;
        out_s = (*side.rows)[static_cast<std::size_t>(token)];
        if (out_s < -1 || out_s >= side.cache_rows) expected_flags_ |= kNoCacheRow;
        if (out_s < 0 || out_s >= side.cache_rows) continue;
      }
      for (std::int64_t h = 0; h < side.operand->heads; ++h) {
        const internal::HeadRow before = arena_.before(side.in, b, s, h);
        const internal::HeadRow after = arena_.after(side.out, out_b, out_s, h);
        if (!side.rotates) {
          oracle_.check_copy(*side.operand, before, after, {b, s, h, 0}, comparison, side.weights);
        } else if (padding) {
          oracle_.check_padding(given_.form.padding, *side.operand, before, after, {b, s, h, 0}, comparison,
                                side.weights);
        } else {
          oracle_.check(angles, *side.operand, before, after, {b, s, h, 0}, comparison, side.weights);
        }
        arena_.account_for(side.out, out_b, out_s, h, side.operand->head_dim);
      }
    }
  }

  std::string wrong_flags() const {
    if (!given_.pass_flags) return {};
    std::uint32_t flags = 0;
    target_.download(&flags, flags_.data(), sizeof flags);
    const std::uint32_t expected = kForeignFlags | expected_flags_;
    return flags == expected ? std::string{} : fmt::format("flags are {:#x}, not {:#x}", flags, expected);
  }

  const Target& target_;
  const NumericCase& given_;
  Arena arena_;
  Inputs inputs_;
  std::mt19937_64 weight_values_;
  internal::Oracle oracle_;
  std::optional<CaseTable> table_;
  internal::DeviceBuffer flags_;
  std::uint32_t expected_flags_ = 0;
  std::vector<Side> sides_;
  RopeArgs args_;
};

}  // namespace

const char* to_string(Arrangement arrangement) {
  constexpr const char* kNames[] = {"bshd",   "bhsd",         "sbhd",       "packed_qkv",
                                    "padded", "lane_strided", "misaligned", "expanded"};
  return kNames[static_cast<int>(arrangement)];
}

std::string NumericCase::to_string() const {
  constexpr const char* kRows[] = {"", "ids of axes padded ", "ids of axes innermost "};
  std::string text = fmt::format(
      "{} {} batch {} tokens {} in {} out {} positions of {} {}{}{}{}", spec.to_string(), form.to_json(), batch, tokens,
      test::to_string(in), test::to_string(out), positions.empty() ? 0 : positions[0], share_positions ? "shared " : "",
      kRows[static_cast<int>(axis_rows)], pass_k ? "" : "without k", pass_v ? "" : "without v");
  if (form.context_parallel != ContextParallel::none) text += fmt::format(" rank {} of {}", rank, ranks);
  if (form.counted) text += fmt::format(" counted {}", token_count);
  if (form.k_rows != CacheRows::none) text += fmt::format(" cache of {} rows", k_cache_rows);
  if (form.v_rows != CacheRows::none) text += fmt::format(" v's of {} rows", v_cache_rows);
  if (form.angles != AngleSource::computed) text += fmt::format(" table of {} rows", table_rows);
  if (weights_misaligned) text += " weights misaligned";
  return text;
}

std::string NumericResult::to_string() const {
  return fmt::format("{} | {} | {}", status.message(), comparison.to_string(), stray_write);
}

NumericResult run_case(const internal::PreparedKernel& kernel, const NumericCase& given, std::uint64_t seed) {
  return Run(*kernel.target, given, seed).run(kernel);
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
