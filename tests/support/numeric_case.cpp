#include "support/numeric_case.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "launch/operand_args.hpp"
#include "support/arena.hpp"
#include "support/cache_list.hpp"
#include "support/case_table.hpp"
#include "support/stage_inputs.hpp"
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
  CacheList list;
  bool rotates = true;
  StageInputs stages = {};
  std::optional<Placed> beside = {};  // where every token is written, too; in place as `in`
  // Of its norm: what it is given, [tokens][statistics of a token], or where it hands it out.
  internal::OperandName name = internal::OperandName::q;
  std::vector<float> given = {};
  std::optional<StatisticMemory> statistic = {};

  bool to_cache() const { return list.kind != CacheRows::none; }
  bool hands_out() const { return statistic && given.empty(); }
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
    for (Side& side : sides_) {
      if (side.statistic) side.statistic->download();
    }
    for (std::int64_t b = 0; b < given_.batch; ++b) {
      for (std::int64_t s = 0; s < given_.tokens; ++s) check_token(b, s, result.comparison);
    }
    result.stray_write = arena_.stray_write();
    if (result.stray_write.empty()) result.stray_write = inputs_.stray_write();
    if (result.stray_write.empty()) result.stray_write = wrong_flags();
    if (result.stray_write.empty()) result.stray_write = unequal_;
    for (const Side& side : sides_) {
      if (!side.statistic) continue;
      const std::int64_t all = given_.batch * given_.tokens;
      const std::int64_t counted = given_.form.counted ? std::clamp<std::int64_t>(given_.token_count, 0, all) : all;
      const bool is_written = side.hands_out() && result.status;
      if (result.stray_write.empty()) result.stray_write = side.statistic->stray_write(is_written ? counted : 0);
      if (side.hands_out()) result.statistics[static_cast<std::size_t>(side.name)] = side.statistic->bits();
    }
    result.out_bytes = arena_.all_bytes();
    return result;
  }

 private:
  void place_tensors() {
    const RopeSpec& spec = given_.spec;
    const bool with_k = spec.k.has_value() && given_.pass_k;
    const bool with_v = spec.v.has_value() && given_.pass_v;
    const bool with_gate = spec.gate.has_value() && given_.pass_gate;
    std::optional<std::array<Placed, 2>> gated;
    if (given_.in == Arrangement::gated && with_gate) {
      gated = arena_.place_gated(spec.q, spec.dtype, given_.batch, given_.tokens);
    }
    std::optional<std::array<Placed, 3>> packed;
    if (given_.in == Arrangement::packed_qkv && with_k) {
      packed = arena_.place_packed(spec.q, *spec.k, spec.dtype, given_.batch, given_.tokens);
    }
    if (given_.in == Arrangement::grouped) {
      packed = arena_.place_grouped(spec.q, *spec.k, spec.dtype, given_.batch, given_.tokens);
      args_.q_group_stride = (*packed)[0].group_stride;
    }
    const auto in = [&](const Operand& operand, std::size_t part) {
      if (packed && (part < 2 || (operand.heads == spec.k->heads && operand.head_dim == spec.k->head_dim))) {
        return (*packed)[part];
      }
      return arena_.place(operand, spec.dtype, given_.batch, given_.tokens, given_.in);
    };
    add_side({&spec.q, gated ? (*gated)[0] : in(spec.q, 0), {}, {}, true}, internal::OperandName::q);
    if (with_k) add_side({&*spec.k, in(*spec.k, 1), {}, list_of_k(given_), true}, internal::OperandName::k);
    if (with_v) add_side({&*spec.v, in(*spec.v, 2), {}, list_of_v(given_), false}, internal::OperandName::v);
    if (with_gate) {
      // packed_qkv has no place for it.
      const Placed apart =
          gated ? (*gated)[1] : arena_.place(*spec.gate, spec.dtype, given_.batch, given_.tokens, given_.in);
      add_side({&*spec.gate, apart, {}, {}, false}, internal::OperandName::gate);
    }
    put_slots();
    arena_.upload();
  }

  void add_side(Side side, internal::OperandName name) {
    side.name = name;
    const internal::OperandMembers members = internal::members_of(name);
    // Where nothing is stored, all tensors are inputs.
    const bool is_input = given_.form.statistics_only;
    const bool in_place =
        is_input || (given_.form.placement == Placement::in_place && !side.to_cache() && side.rotates);
    if (side.to_cache()) {
      args_.*members.cache_rows = side.list.cache_rows;
      if (is_page_table(side.list.kind)) {
        args_.*members.table = put_table(name == internal::OperandName::k ? given_.k_table : given_.v_table);
      } else {
        args_.*members.rows = put_list(side.list);
      }
    }
    side.out = in_place ? side.in : place_output(side);
    args_.*members.in = arena_.view(side.in);
    if (!in_place) args_.*members.out = arena_.view(side.out);
    const bool is_split = side.out.split_lanes != 0;
    if (is_split) args_.k_split_stride = given_.pages == Pages::nhd ? kContiguous : side.out.split_stride;
    if (has_pages(side.list.kind) && given_.pages == Pages::nhd) {
      TensorView& view = args_.*members.out;
      view.batch_stride = view.token_stride = view.head_stride = view.lane_stride = kContiguous;
    }
    const bool is_beside = (name == internal::OperandName::k && given_.form.k_beside) ||
                           (name == internal::OperandName::v && given_.form.v_beside);
    if (is_beside) put_beside(side, members);
    side.stages =
        put_stage_inputs(given_.spec, *side.operand, name, given_.weights_misaligned, weight_values_, inputs_, args_);
    if (side.operand->norm) put_statistic(side, members);
    if (given_.poison_unread && side.to_cache() && !side.beside && !side.hands_out()) poison_unread(side);
    sides_.push_back(side);
  }

  void put_statistic(Side& side, const internal::OperandMembers& members) {
    const bool is_given = side.operand->norm->statistic != Statistic::computed;
    if (!is_given && !given_.form.norm_statistics) return;
    const std::int64_t tokens = given_.batch * given_.tokens;
    const std::int64_t count = statistics_of(*side.operand);
    side.statistic.emplace(target_, given_.statistic_rows, tokens, count);
    if (!is_given) {
      args_.*members.statistic_out = side.statistic->handed_out();
      return;
    }
    const std::vector<std::uint32_t>& bits = given_.statistics[static_cast<std::size_t>(side.name)];
    for (const std::uint32_t one : bits) side.given.push_back(std::bit_cast<float>(one));
    for (std::int64_t token = 0; token < tokens && bits.empty(); ++token) {
      const bool is_unread = side.to_cache() && !side.beside && !side.list.has_row(token);
      for (std::int64_t i = 0; i < count; ++i) {
        const bool is_shared = given_.statistic_rows == StatisticRows::shared_by_heads && i > 0;
        side.given.push_back(is_unread   ? std::numeric_limits<float>::quiet_NaN()
                             : is_shared ? side.given.back()
                                         : random_statistic(weight_values_, *side.operand));
      }
    }
    side.statistic->fill(side.given);
    args_.*members.statistic = side.statistic->given();
  }

  void put_beside(Side& side, const internal::OperandMembers& members) {
    side.beside = side.in;
    if (given_.form.placement == Placement::in_place) return;
    side.beside = arena_.place(*side.operand, type_of(*side.operand), given_.batch, given_.tokens, given_.out);
    args_.*members.beside = arena_.view(*side.beside);
  }

  // What launches say of slots, which is k's and v's alone.
  void put_slots() {
    if (has_pages(given_.form.k_rows) && args_.k.data != nullptr) {
      args_.k_block_size = given_.k_block_size;
      args_.k_slot_count = given_.k_slot_count;
      if (has_slots(given_.form.k_rows)) args_.k_slot_stride = given_.k_slot_stride;
    }
    if (has_pages(given_.form.v_rows) && args_.v.data != nullptr) {
      args_.v_block_size = given_.v_block_size;
      args_.v_slot_count = given_.v_slot_count;
      if (has_slots(given_.form.v_rows)) args_.v_slot_stride = given_.v_slot_stride;
    }
    const auto narrow = [](const std::vector<std::int64_t>& list) {
      return std::vector<std::int32_t>(list.begin(), list.end());
    };
    if (given_.form.token_requests == TokenRequests::ids32) {
      args_.token_requests = inputs_.put(narrow(given_.token_requests));
    }
    if (given_.form.token_places == TokenPlaces::ids32) args_.token_places = inputs_.put(narrow(given_.token_places));
    if (given_.form.token_places == TokenPlaces::ids64) args_.token_places = inputs_.put(given_.token_places);
  }

  PageTable put_table(const TableLists& lists) {
    PageTable table;
    table.pages = inputs_.put(lists.pages);
    if (!lists.first_entries.empty()) table.first_entries = inputs_.put(lists.first_entries);
    if (!lists.last_page_lengths.empty()) table.last_page_lengths = inputs_.put(lists.last_page_lengths);
    table.requests = lists.requests;
    table.entries = lists.entries;
    table.row_stride = lists.row_stride;
    return table;
  }

  const void* put_list(const CacheList& list) {
    const std::vector<std::int64_t> memory = in_memory(list);
    if (!has_32_bits(list.kind)) return inputs_.put(memory);
    return inputs_.put(std::vector<std::int32_t>(memory.begin(), memory.end()));
  }

  DType type_of(const Operand& operand) const { return operand.dtype_out.value_or(given_.spec.dtype); }

  Placed place_output(const Side& side) {
    const Operand& operand = *side.operand;
    const DType dtype = type_of(operand);
    if (given_.out == Arrangement::grouped && side.name == internal::OperandName::q) {
      const Placed out = arena_.place_grouped(operand, *given_.spec.k, dtype, given_.batch, given_.tokens)[0];
      args_.q_out_group_stride = out.group_stride;
      return out;
    }
    if (!side.to_cache()) return arena_.place(operand, dtype, given_.batch, given_.tokens, given_.out);
    if (!has_pages(side.list.kind)) return arena_.place(operand, dtype, 1, side.list.cache_rows, given_.out);
    const std::int64_t pages = side.list.cache_rows / side.list.block_size;
    const bool is_v = given_.spec.v && &operand == &*given_.spec.v;
    if (given_.form.k_split && !is_v) {
      return arena_.place_split_pages(operand, dtype, pages, side.list.block_size, given_.pages);
    }
    if (is_v && beside_k_ && goes_beside_k(side)) return *beside_k_;
    const auto [own, beside] = arena_.place_pages(operand, dtype, pages, side.list.block_size, given_.pages);
    if (!is_v && own.offset != beside.offset) beside_k_ = beside;
    return own;
  }

  bool goes_beside_k(const Side& v) const {
    const Operand& k = *given_.spec.k;
    return v.operand->heads == k.heads && v.operand->head_dim == k.head_dim && type_of(*v.operand) == type_of(k) &&
           v.list.block_size == given_.k_block_size && v.list.cache_rows == given_.k_cache_rows;
  }

  // Tokens without a row may hold anything.
  void poison_unread(const Side& side) {
    for (std::int64_t token = 0; token < given_.batch * given_.tokens; ++token) {
      if (side.list.has_row(token)) continue;
      for (std::int64_t h = 0; h < side.operand->heads; ++h) {
        arena_.poison(side.in, token / given_.tokens, token % given_.tokens, h, side.operand->head_dim);
      }
    }
  }

  void check_token(std::int64_t b, std::int64_t s, internal::Comparison& comparison) {
    const std::int64_t token = b * given_.tokens + s;
    if (given_.form.counted && token >= given_.token_count) return;
    const std::vector<std::int64_t> positions = positions_of(given_, b, s);
    const bool padding = given_.form.padding != Padding::rotate && positions[0] < 0;
    internal::Angles angles;
    bool missing = false;
    angles = table_ ? table_->angles(b, positions, missing) : oracle_.angles(positions);
    if (missing && !padding && given_.spec.q.rotates != false && !given_.form.statistics_only) {
      expected_flags_ |= kNoTableRow;
    }
    for (const Side& side : sides_) {
      const CheckedToken checked{side, b, s, padding, angles, data_of(side, angles, b, s, positions[0])};
      if (side.hands_out()) check_statistics(checked, comparison);
      if (given_.form.statistics_only) continue;
      if (side.beside) check_heads(checked, *side.beside, b, s, comparison);
      std::int64_t out_b = b;
      std::int64_t out_s = s;
      if (side.to_cache()) {
        if (side.list.is_reported(token)) expected_flags_ |= kNoCacheRow;
        if (!side.list.has_row(token)) continue;
        const std::int64_t block_size = has_pages(side.list.kind) ? side.list.block_size : side.list.cache_rows;
        out_b = side.list.row(token) / block_size;
        out_s = side.list.row(token) % block_size;
      }
      check_heads(checked, side.out, out_b, out_s, comparison);
      for (std::int64_t h = 0; side.beside && h < side.operand->heads; ++h) {
        compare(side, arena_.after(*side.beside, b, s, h), arena_.after(side.out, out_b, out_s, h));
      }
    }
  }

  /// A token of an operand, and all that the oracle is to know of it.
  struct CheckedToken {
    const Side& side;
    std::int64_t b;
    std::int64_t s;
    bool padding;
    const internal::Angles& angles;
    internal::RowData data;  // of head 0
  };

  /// A norm of the token's heads is the same for all of them.
  internal::RowData data_of(const Side& side, const internal::Angles& angles, std::int64_t b, std::int64_t s,
                            std::int64_t position) const {
    internal::RowData data = side.stages.data(0, position);
    const std::optional<Norm>& norm = side.operand->norm;
    if (!norm || norm->span != NormSpan::token || norm->statistic != Statistic::computed) return data;
    std::vector<internal::HeadRow> heads;
    for (std::int64_t h = 0; h < side.operand->heads; ++h) heads.push_back(arena_.before(side.in, b, s, h));
    data.of_token = oracle_.statistic(side.rotates ? angles : internal::Angles{}, *side.operand, heads, data);
    return data;
  }

  void check_statistics(const CheckedToken& token, internal::Comparison& comparison) const {
    const Side& side = token.side;
    for (std::int64_t i = 0; i < statistics_of(*side.operand); ++i) {
      internal::RowData data = token.data;
      data.head = i;
      const internal::HeadRow row = arena_.before(side.in, token.b, token.s, i);
      const internal::StatisticValue wanted =
          data.of_token
              ? *data.of_token
              : oracle_.statistic(side.rotates ? token.angles : internal::Angles{}, *side.operand, {&row, 1}, data);
      internal::Oracle::check_statistic(given_.form.norm_sums ? wanted.sum : wanted.r,
                                        side.statistic->at(token.b * given_.tokens + token.s, i),
                                        {token.b, token.s, i, 0}, comparison);
    }
  }

  void check_heads(const CheckedToken& token, const Placed& out, std::int64_t out_b, std::int64_t out_s,
                   internal::Comparison& comparison) {
    const Side& side = token.side;
    for (std::int64_t h = 0; h < side.operand->heads; ++h) {
      const internal::HeadRow before = arena_.before(side.in, token.b, token.s, h);
      const internal::HeadRow after = arena_.after(out, out_b, out_s, h);
      const internal::ElementIndex index{token.b, token.s, h, 0};
      internal::RowData data = token.data;
      data.head = h;
      if (!side.given.empty()) {
        const std::int64_t count = statistics_of(*side.operand);
        const std::int64_t at = (token.b * given_.tokens + token.s) * count + (count == 1 ? 0 : h);
        data.given = side.given[static_cast<std::size_t>(at)];
      }
      if (!side.rotates) {
        oracle_.check_copy(*side.operand, before, after, index, comparison, data);
      } else if (token.padding) {
        oracle_.check_padding(given_.form.padding, *side.operand, before, after, index, comparison, data);
      } else {
        oracle_.check(token.angles, *side.operand, before, after, index, comparison, data);
      }
      arena_.account_for(out, out_b, out_s, h, side.operand->head_dim);
    }
  }

  // Both stores of an operand have the same bits.
  void compare(const Side& side, const internal::HeadRow& beside, const internal::HeadRow& cached) {
    const DType dtype = type_of(*side.operand);
    for (std::int64_t lane = 0; lane < side.operand->head_dim; ++lane) {
      const auto bits = internal::load_bits(dtype, beside.data, lane * beside.lane_stride);
      if (bits == internal::load_bits(dtype, cached.data, lane * cached.lane_stride)) continue;
      unequal_ = fmt::format("lane {} differs between the cache and what is beside it", lane);
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
  std::string unequal_;
  std::vector<Side> sides_;
  std::optional<Placed> beside_k_;  // the half of its cache's buffer that is not k's
  RopeArgs args_;
};

}  // namespace

const char* to_string(Arrangement arrangement) {
  constexpr const char* kNames[] = {"bshd",         "bhsd",       "sbhd",     "packed_qkv", "padded",
                                    "lane_strided", "misaligned", "expanded", "gated",      "grouped"};
  return kNames[static_cast<int>(arrangement)];
}

const char* to_string(Pages pages) {
  constexpr const char* kNames[] = {"nhd", "hnd", "beside", "lanes_beside", "padded", "misaligned", "lanes_apart"};
  return kNames[static_cast<int>(pages)];
}

std::string NumericCase::to_string() const {
  constexpr const char* kRows[] = {"", "ids of axes padded ", "ids of axes innermost "};
  std::string text = fmt::format(
      "{} {} batch {} tokens {} in {} out {} positions of {} {}{}{}{}", spec.to_string(), form.to_json(), batch, tokens,
      test::to_string(in), test::to_string(out), positions.empty() ? 0 : positions[0], share_positions ? "shared " : "",
      kRows[static_cast<int>(axis_rows)], pass_k ? "" : "without k", pass_v ? "" : "without v");
  if (!pass_gate) text += " without gate";
  if (form.context_parallel != ContextParallel::none) text += fmt::format(" rank {} of {}", rank, ranks);
  if (form.counted) text += fmt::format(" counted {}", token_count);
  if (form.k_rows != CacheRows::none) text += fmt::format(" cache of {} rows", k_cache_rows);
  if (form.v_rows != CacheRows::none) text += fmt::format(" v's of {} rows", v_cache_rows);
  if (has_pages(form.k_rows) || has_pages(form.v_rows)) {
    text += fmt::format(" pages {}: k's of {}, slots {} by {}; v's of {}, slots {} by {}", test::to_string(pages),
                        k_block_size, k_slot_count, k_slot_stride, v_block_size, v_slot_count, v_slot_stride);
  }
  if (form.angles != AngleSource::computed) text += fmt::format(" table of {} rows", table_rows);
  if (weights_misaligned) text += " weights misaligned";
  if (statistic_rows != StatisticRows::contiguous) {
    text += fmt::format(" statistics in order {}", static_cast<int>(statistic_rows));
  }
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
