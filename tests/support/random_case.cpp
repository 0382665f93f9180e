#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "support/random_spec.hpp"
#include "support/random_tables.hpp"
#include "support/targets.hpp"
#include "verify/oracle_axes.hpp"

namespace ropejit::test {
namespace {

bool one_in(std::mt19937_64& random, std::uint64_t chances) { return random() % chances == 0; }

std::int64_t up_to(std::mt19937_64& random, std::int64_t most) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
}

LaunchForm random_form(std::mt19937_64& random, const RopeSpec& spec) {
  constexpr PositionSource kSources[] = {PositionSource::start,     PositionSource::ids32, PositionSource::ids32,
                                         PositionSource::ids64,     PositionSource::ids64, PositionSource::offsets32,
                                         PositionSource::offsets64, PositionSource::ragged};
  constexpr AngleSource kTables[] = {AngleSource::half,    AngleSource::full,    AngleSource::repeated,
                                     AngleSource::complex, AngleSource::cos_sin, AngleSource::radians};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  constexpr Padding kPaddings[] = {Padding::rotate, Padding::rotate, Padding::zero, Padding::keep};
  constexpr ContextParallel kOrders[] = {ContextParallel::none, ContextParallel::contiguous, ContextParallel::zigzag};
  LaunchForm form;
  form.placement = one_in(random, 2) ? Placement::in_place : Placement::out_of_place;
  form.strides = one_in(random, 2) ? Strides::contiguous : Strides::free;
  form.positions = pick(random, kSources);
  if (one_in(random, 3)) {
    form.angles = pick(random, kTables);
    if (form.angles != AngleSource::radians) form.table_dtype = pick(random, kTypes);
  }
  form.padding = pick(random, kPaddings);
  const bool ids = form.positions == PositionSource::ids32 || form.positions == PositionSource::ids64;
  if (!ids) form.context_parallel = pick(random, kOrders);
  if (spec.k && one_in(random, 4)) form.k_rows = one_in(random, 2) ? CacheRows::rows32 : CacheRows::rows64;
  form.counted = one_in(random, 4);
  form.overlaps_previous = one_in(random, 4);
  return form;
}

// Types of their own, where what is written is not what was read.
void set_outputs(std::mt19937_64& random, RopeSpec& spec, const LaunchForm& form) {
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  const bool out_of_place = form.placement == Placement::out_of_place;
  if (out_of_place && one_in(random, 4)) spec.q.dtype_out = pick(random, kTypes);
  if (spec.k && (out_of_place || form.k_rows != CacheRows::none) && one_in(random, 4)) {
    spec.k->dtype_out = pick(random, kTypes);
  }
}

void set_arrangement(std::mt19937_64& random, NumericCase& given) {
  constexpr Arrangement kAny[] = {Arrangement::bshd,       Arrangement::bshd,      Arrangement::bhsd,
                                  Arrangement::sbhd,       Arrangement::padded,    Arrangement::lane_strided,
                                  Arrangement::misaligned, Arrangement::packed_qkv};
  const bool promised = given.form.strides == Strides::contiguous;
  given.in = promised && !one_in(random, 3) ? Arrangement::bshd : pick(random, kAny);
  given.out = promised && !one_in(random, 3) ? Arrangement::bshd : pick(random, kAny);
  if (given.out == Arrangement::packed_qkv) given.out = Arrangement::bshd;
  if (given.form.placement == Placement::out_of_place && one_in(random, 5)) given.in = Arrangement::expanded;
}

// Sequences of what this rank holds, then perhaps tokens beyond the last.
void set_ragged(std::mt19937_64& random, NumericCase& given) {
  given.batch = 1;
  const std::int64_t unit = given.form.context_parallel == ContextParallel::zigzag ? 2 : 1;
  std::int64_t end = 0;
  given.cu_seqlens = {0};
  for (std::int64_t sequences = 1 + up_to(random, 4); sequences > 0; --sequences) {
    end += unit * up_to(random, 5);
    given.cu_seqlens.push_back(static_cast<std::int32_t>(end * given.ranks));
  }
  given.tokens = std::max<std::int64_t>(unit, end + unit * (one_in(random, 2) ? up_to(random, 2) : 0));
  given.positions =
      one_in(random, 2) ? std::vector<std::int64_t>{} : random_positions(random, given.cu_seqlens.size() - 1);
}

void set_positions(std::mt19937_64& random, NumericCase& given) {
  constexpr AxisRows kRows[] = {AxisRows::contiguous, AxisRows::padded, AxisRows::innermost};
  if (given.form.context_parallel != ContextParallel::none) {
    given.ranks = 1 + up_to(random, 4);
    given.rank = up_to(random, given.ranks - 1);
    if (given.form.context_parallel == ContextParallel::zigzag) given.tokens += given.tokens % 2;
  }
  switch (given.form.positions) {
    case PositionSource::start: given.positions = random_positions(random, 1); break;
    case PositionSource::offsets32:
    case PositionSource::offsets64:
      given.share_positions = one_in(random, 4);
      given.positions = random_positions(random, static_cast<std::size_t>(given.batch));
      break;
    case PositionSource::ragged: set_ragged(random, given); break;
    default: {
      given.share_positions = one_in(random, 4);
      given.axis_rows = pick(random, kRows);
      const std::int64_t count = internal::oracle_axis_count(given.spec) * given.batch * given.tokens;
      given.positions = random_positions(random, static_cast<std::size_t>(count));
      break;
    }
  }
  if (given.form.angles == AngleSource::computed) return;
  given.table_per_batch = one_in(random, 2);
  given.table_misaligned = one_in(random, 4);
  // Most within the table, which ends at 64.
  for (std::int64_t& position : given.positions) {
    if (!one_in(random, 16)) position %= 60;
  }
}

// Rows of a cache for each token, of which some are none and some do not exist.
std::vector<std::int64_t> random_rows(std::mt19937_64& random, std::int64_t tokens, std::int64_t& cache_rows) {
  cache_rows = tokens + up_to(random, 5);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(cache_rows));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(static_cast<std::size_t>(tokens));
  for (std::int64_t& row : rows) {
    if (one_in(random, 6)) row = -1;
    if (one_in(random, 20)) row = one_in(random, 2) ? cache_rows + up_to(random, 3) : -2 - up_to(random, 3);
  }
  return rows;
}

struct RandomSlots {
  std::vector<std::int64_t> slots;
  std::int64_t places = 0;
  std::int64_t block_size = 0;
};

// Pages with some room, and slots for each token of which some are none and some do not exist.
RandomSlots random_slots(std::mt19937_64& random, const Operand& operand, std::int64_t tokens, CacheRows kind) {
  constexpr std::int64_t kBlocks[] = {1, 3, 16, 16, 64, 100};
  constexpr std::int64_t kMostElements = 1 << 17;
  RandomSlots made;
  made.block_size = pick(random, kBlocks);
  if (made.block_size * operand.heads * operand.head_dim > kMostElements) made.block_size = 3;
  const std::int64_t pages = (tokens + made.block_size - 1) / made.block_size + up_to(random, 2);
  made.places = pages * made.block_size;
  made.slots.resize(static_cast<std::size_t>(made.places));
  std::iota(made.slots.begin(), made.slots.end(), std::int64_t{0});
  std::shuffle(made.slots.begin(), made.slots.end(), random);
  made.slots.resize(static_cast<std::size_t>(tokens));
  const bool narrow = kind == CacheRows::slots32;
  const std::int64_t least = narrow ? INT32_MIN : INT64_MIN;
  const std::int64_t most = narrow ? INT32_MAX : INT64_MAX;
  for (std::int64_t& slot : made.slots) {
    if (one_in(random, 6)) slot = one_in(random, 4) ? least : -1 - up_to(random, 2);
    if (one_in(random, 20)) slot = one_in(random, 4) ? most : made.places + up_to(random, 3);
  }
  return made;
}

std::int64_t random_slot_count(std::mt19937_64& random, std::int64_t tokens) {
  return one_in(random, 2) ? kEveryToken : up_to(random, tokens);
}

void set_k_slots(std::mt19937_64& random, NumericCase& given) {
  constexpr Pages kPages[] = {Pages::nhd,          Pages::nhd,    Pages::hnd,       Pages::beside,
                              Pages::lanes_beside, Pages::padded, Pages::misaligned};
  given.form.k_rows = given.form.k_rows == CacheRows::rows32 ? CacheRows::slots32 : CacheRows::slots64;
  const std::int64_t tokens = given.batch * given.tokens;
  const RandomSlots made = random_slots(random, *given.spec.k, tokens, given.form.k_rows);
  given.k_rows = made.slots;
  given.k_cache_rows = made.places;
  given.k_block_size = made.block_size;
  given.k_slot_count = random_slot_count(random, tokens);
  given.k_slot_stride = 1 + up_to(random, 2);
  given.pages = pick(random, kPages);
}

// As often those of k, as engines have it, as others.
void set_v_slots(std::mt19937_64& random, NumericCase& given) {
  given.form.v_rows = given.form.v_rows == CacheRows::rows32 ? CacheRows::slots32 : CacheRows::slots64;
  const std::int64_t tokens = given.batch * given.tokens;
  RandomSlots made = random_slots(random, *given.spec.v, tokens, given.form.v_rows);
  if (given.k_block_size != 0 && one_in(random, 2)) {
    given.form.v_rows = given.form.k_rows;
    made = {given.k_rows, given.k_cache_rows, given.k_block_size};
  }
  given.v_rows = made.slots;
  given.v_cache_rows = made.places;
  given.v_block_size = made.block_size;
  given.v_slot_count = random_slot_count(random, tokens);
  given.v_slot_stride = 1 + up_to(random, 2);
}

// Like k, or of any shape; written by tokens or to a cache.
void set_v(std::mt19937_64& random, NumericCase& given, Norms norms) {
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  if (!one_in(random, 3)) return;
  Operand v{1 + up_to(random, 4), 2 * (1 + up_to(random, 40)), 0};
  if (given.spec.k && one_in(random, 2)) v = {given.spec.k->heads, given.spec.k->head_dim, 0};
  if (one_in(random, 4)) v.dtype_out = pick(random, kTypes);
  if (norms == Norms::some && may_be_normed(given.spec, v) && one_in(random, 6)) v.norm = random_norm(random);
  given.spec.v = v;
  given.pass_v = !one_in(random, 8);
  if (!one_in(random, 2)) return;
  given.form.v_rows = one_in(random, 2) ? CacheRows::rows32 : CacheRows::rows64;
  if (norms == Norms::some && one_in(random, 2)) return set_v_slots(random, given);
  given.v_rows = random_rows(random, given.batch * given.tokens, given.v_cache_rows);
}

// Handed out where some norm computes them, and anywhere in memory.
void set_statistics(std::mt19937_64& random, NumericCase& given) {
  constexpr StatisticRows kRows[] = {StatisticRows::contiguous, StatisticRows::padded, StatisticRows::heads_outside,
                                     StatisticRows::backwards};
  const auto computes = [](const Operand& operand) {
    return operand.norm && operand.norm->statistic == Statistic::computed;
  };
  const RopeSpec& spec = given.spec;
  const bool any = computes(spec.q) || (spec.k && computes(*spec.k)) || (spec.v && computes(*spec.v));
  given.form.norm_statistics = any && one_in(random, 3);
  given.statistic_rows = pick(random, kRows);
}

// Between q's heads, or of any shape anywhere.
void set_gate(std::mt19937_64& random, NumericCase& given) {
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  given.spec.gate = Operand{1 + up_to(random, 4), 2 * (1 + up_to(random, 40)), 0};
  if (given.in == Arrangement::bshd && one_in(random, 2)) {
    given.spec.gate = Operand{given.spec.q.heads, given.spec.q.head_dim, 0};
    given.in = Arrangement::gated;
  }
  if (one_in(random, 4)) given.spec.gate->dtype_out = pick(random, kTypes);
  given.pass_gate = given.in == Arrangement::gated || !one_in(random, 8);
}

// q's heads in groups, before k and v or anywhere.
void set_groups(std::mt19937_64& random, NumericCase& given) {
  given.form.grouped_q = true;
  given.form.strides = Strides::free;
  if (given.in == Arrangement::bshd && one_in(random, 2)) given.in = Arrangement::grouped;
  if (given.out == Arrangement::bshd && one_in(random, 2)) given.out = Arrangement::grouped;
}

// Of caches with slots: page tables in their place, k's lanes in groups, and v beside its own.
void set_stores(std::mt19937_64& random, NumericCase& given) {
  if (one_in(random, 2)) set_page_tables(random, given);
  const auto has_pages = [](CacheRows rows) { return rows >= CacheRows::slots32; };
  if (given.spec.k && has_pages(given.form.k_rows) && one_in(random, 4)) {
    const std::int64_t lanes = 16 / size_of(given.spec.k->dtype_out.value_or(given.spec.dtype));
    given.form.k_split = given.spec.k->head_dim % lanes == 0;
  }
  if (!given.spec.v || given.form.v_rows == CacheRows::none || !one_in(random, 3)) return;
  const Operand& v = *given.spec.v;
  const bool same_type = v.dtype_out.value_or(given.spec.dtype) == given.spec.dtype;
  given.form.v_beside = given.form.placement == Placement::out_of_place || (v.norm.has_value() && same_type);
}

}  // namespace

int random_cases(int usual) {
  const char* text = std::getenv("ROPEJIT_TEST_CASES");
  if (text != nullptr) return std::atoi(text);
  return short_run() ? (usual + 1) / 2 : usual;
}

NumericCase random_case(std::mt19937_64& random, Norms norms) {
  NumericCase result;
  result.spec = random_spec(random, norms);
  result.form = random_form(random, result.spec);
  set_outputs(random, result.spec, result.form);
  const bool k_is_apart = result.form.placement == Placement::out_of_place || result.form.k_rows != CacheRows::none;
  if (result.spec.k && k_is_apart && one_in(random, 8)) {
    result.spec.k->rotates = false;
    result.spec.k->first_lane = 0;
  }
  result.batch = 1 + up_to(random, 2);
  result.tokens = 1 + up_to(random, 8);
  result.pass_k = !one_in(random, 8);
  result.pass_flags = !one_in(random, 4);
  set_arrangement(random, result);
  set_positions(random, result);
  if (norms == Norms::some && result.form.overlaps_previous) result.form.ready_lists = one_in(random, 2);
  if (result.form.k_rows != CacheRows::none && norms == Norms::some && one_in(random, 2)) {
    set_k_slots(random, result);
  } else if (result.form.k_rows != CacheRows::none) {
    result.k_rows = random_rows(random, result.batch * result.tokens, result.k_cache_rows);
  }
  // Over itself in its own type alone; there a k that is copied would do nothing.
  if (result.form.k_rows != CacheRows::none && norms == Norms::some && one_in(random, 3)) {
    const Operand& k = *result.spec.k;
    const bool changes = k.rotates != false || k.norm.has_value();
    const bool same_type = k.dtype_out.value_or(result.spec.dtype) == result.spec.dtype;
    result.form.k_beside = result.form.placement == Placement::out_of_place || (changes && same_type);
  }
  if (result.form.counted) {
    result.token_count = static_cast<std::int32_t>(up_to(random, result.batch * result.tokens + 3) - 1);
  }
  set_v(random, result, norms);
  if (norms == Norms::some) set_stores(random, result);
  const RopeSpec& spec = result.spec;
  const bool any_norm = spec.q.norm || (spec.k && spec.k->norm) || (spec.v && spec.v->norm);
  result.weights_misaligned = any_norm && one_in(random, 4);
  if (any_norm) set_statistics(random, result);
  if (norms == Norms::some && one_in(random, 4)) set_gate(random, result);
  const bool divides = spec.k && spec.q.heads % spec.k->heads == 0;
  if (norms == Norms::some && divides && one_in(random, 4)) set_groups(random, result);
  return result;
}

}  // namespace ropejit::test
