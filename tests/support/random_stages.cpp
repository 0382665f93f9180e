#include "support/random_stages.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "support/random_spec.hpp"
#include "support/stage_inputs.hpp"
#include "verify/stage_rule.hpp"

namespace ropejit::test {
namespace {

bool one_in(std::mt19937_64& random, std::uint64_t chances) { return random() % chances == 0; }

std::int64_t even_up_to(std::mt19937_64& random, std::int64_t most) {
  return 2 * static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most / 2 + 1));
}

/// Sizes of heads as models have them, small numbers of heads.
void set_shape(std::mt19937_64& random, RopeSpec& spec) {
  constexpr std::int64_t kDims[] = {64, 64, 72, 80, 96, 112, 128, 128, 192, 256, 576};
  constexpr std::int64_t kHeads[] = {1, 2, 3, 4, 6, 7, 12};
  const auto set = [&](Operand& operand) {
    if (one_in(random, 2)) operand.head_dim = std::max(operand.head_dim, pick(random, kDims));
    operand.heads = operand.head_dim > 256 ? 1 + static_cast<std::int64_t>(random() % 2) : pick(random, kHeads);
    if (one_in(random, 4)) operand.first_lane = operand.head_dim - spec.rotary_dim;
  };
  set(spec.q);
  if (spec.k) set(*spec.k);
}

/// Heads of q that lie with their group's of k are as many for each, and a gate between q's heads has as many, as wide.
void fit_shape(NumericCase& given) {
  RopeSpec& spec = given.spec;
  if (given.form.grouped_q) spec.q.heads = std::max<std::int64_t>(1, spec.q.heads / spec.k->heads) * spec.k->heads;
  if (given.in != Arrangement::gated) return;
  spec.gate->heads = spec.q.heads;
  spec.gate->head_dim = spec.q.head_dim;
}

Temperature random_temperature(std::mt19937_64& random) {
  const Temperature choices[] = {{0.1, 8192, true, 1},     {1 / std::log(512.0), 512, false, 0},
                                 {-0.05, 1, true, 0},      {0.25, 3, true, 1},
                                 {0.3, 1000003, false, 1}, {1, std::int64_t{1} << 33, true, 0},
                                 {0.1, 1, false, 0},       {0.2, (std::int64_t{1} << 31) - 1, true, 0}};
  return pick(random, choices);
}

void set_order(std::mt19937_64& random, Operand& operand, bool rotates) {
  operand.order.clear();
  if (one_in(random, 2)) return;
  operand.order = internal::stages_in_order(operand, rotates);
  std::shuffle(operand.order.begin(), operand.order.end(), random);
}

void set_stages(std::mt19937_64& random, const RopeSpec& spec, Operand& operand, bool rotates) {
  constexpr double kClamps[] = {0.5, 1.5, 30};
  constexpr double kScales[] = {0.25, 0.08838834764831845, -1.5};
  operand.norm.reset();
  if (!one_in(random, 4)) operand.norm = random_norm_of_any_kind(random, spec, operand, rotates);
  operand.bias = one_in(random, 3);
  if (one_in(random, 4)) operand.clamp = pick(random, kClamps);
  if (one_in(random, 4)) operand.scale = pick(random, kScales);
  operand.head_scales = one_in(random, 4);
  if (one_in(random, 3)) operand.temperature = random_temperature(random);
  set_order(random, operand, rotates);
}

std::vector<Operand*> operands_of(RopeSpec& spec) {
  std::vector<Operand*> operands = {&spec.q};
  if (spec.k) operands.push_back(&*spec.k);
  if (spec.v) operands.push_back(&*spec.v);
  return operands;
}

/// Layers that do not rotate: q alone, or q and k. In place k must have something to do.
void set_rotates(std::mt19937_64& random, NumericCase& given) {
  RopeSpec& spec = given.spec;
  const auto stop = [](Operand& operand) {
    operand.rotates = false;
    operand.first_lane = 0;
  };
  if (one_in(random, 8)) {
    stop(spec.q);
    if (spec.k) stop(*spec.k);
  } else if (spec.k && one_in(random, 8)) {
    stop(*spec.k);
  }
  if (spec.k && spec.k->rotates == false) spec.k->bias = true;
  if (spec.q.rotates == false) spec.q.bias = true;
  for (Operand* const operand : {&spec.q, spec.k ? &*spec.k : nullptr}) {
    if (operand != nullptr) set_order(random, *operand, operand->rotates != false);
  }
}

/// Norms that can are given their statistic, or hand it out, in any order in memory.
void set_statistics(std::mt19937_64& random, NumericCase& given) {
  constexpr StatisticRows kRows[] = {StatisticRows::contiguous, StatisticRows::padded, StatisticRows::heads_outside,
                                     StatisticRows::backwards};
  RopeSpec& spec = given.spec;
  bool any = false;
  bool any_layer = false;
  for (Operand* const operand : operands_of(spec)) {
    if (!operand->norm) continue;
    Norm& norm = *operand->norm;
    if (norm.kind == NormKind::rms && one_in(random, 4)) {
      norm.statistic = one_in(random, 2) ? Statistic::given : Statistic::given_sum;
      if (norm.statistic == Statistic::given_sum && norm.span == NormSpan::token && one_in(random, 2)) {
        norm.global_heads = 2 * operand->heads;
      }
    }
    any = any || hands_out(norm);
    any_layer = any_layer || norm.kind == NormKind::layer;
  }
  given.form.norm_statistics = any && !any_layer && one_in(random, 2);
  given.form.norm_sums = given.form.norm_statistics && one_in(random, 2);
  given.form.statistics_only = given.form.norm_statistics && one_in(random, 4);
  given.statistic_rows = pick(random, kRows);
  if (!given.form.statistics_only) return;
  given.form.k_rows = given.form.v_rows = CacheRows::none;
  given.form.k_beside = given.form.v_beside = given.form.k_split = false;
  given.form.token_requests = TokenRequests::sequences;
  given.form.token_places = TokenPlaces::positions;
}

/// What stores ask of operands whose shapes and stages are others now.
void fit_stores(NumericCase& given) {
  RopeSpec& spec = given.spec;
  if (given.form.k_split) {
    given.form.k_split = spec.k->head_dim * size_of(spec.k->dtype_out.value_or(spec.dtype)) % 16 == 0;
  }
  if (!given.form.v_beside || given.form.placement != Placement::in_place) return;
  spec.v->bias = true;
  spec.v->order.clear();
}

/// What a table has no row for is turned by nothing where it is padding or stored nowhere: what its norm hands out, and
/// whether it is flagged, is left open.
void leave_table(NumericCase& given) {
  given.form.angles = AngleSource::computed;
  given.form.table_dtype = DType::fp32;
}

}  // namespace

bool hands_out(const std::optional<Norm>& norm) { return norm && norm->statistic == Statistic::computed; }

Norm random_norm_of_any_kind(std::mt19937_64& random, const RopeSpec& spec, const Operand& operand, bool rotates) {
  constexpr NormKind kKinds[] = {NormKind::rms, NormKind::rms, NormKind::layer, NormKind::l2};
  constexpr NormWeight kWeights[] = {NormWeight::lanes, NormWeight::lanes, NormWeight::heads, NormWeight::none};
  Norm norm = random_norm(random);
  norm.statistic = Statistic::computed;
  norm.kind = pick(random, kKinds);
  norm.span = one_in(random, 3) ? NormSpan::token : NormSpan::head;
  norm.weight = pick(random, kWeights);
  if (norm.weight == NormWeight::none) norm.weight_dtype.reset();
  norm.plus_one = norm.weight != NormWeight::none && one_in(random, 3);
  norm.bias = norm.weight != NormWeight::none && one_in(random, 3);
  if (!one_in(random, 3)) return norm;
  // The lanes that rotate, and perhaps some on either side; or those behind or before.
  const std::int64_t begin = rotates ? operand.first_lane : even_up_to(random, operand.head_dim - 2);
  const std::int64_t end = rotates ? begin + spec.rotary_dim : operand.head_dim;
  const std::int64_t room = operand.head_dim - end;
  if (room >= 2 && one_in(random, 2)) {
    norm.first_lane = end;
    if (one_in(random, 2)) norm.lanes = std::max<std::int64_t>(2, even_up_to(random, room));
  } else if (begin >= 2 && one_in(random, 2)) {
    norm.lanes = begin;
  } else {
    norm.first_lane = begin - even_up_to(random, begin);
    if (one_in(random, 2)) norm.lanes = end + even_up_to(random, room) - norm.first_lane;
  }
  return norm;
}

NumericCase random_staged_case(std::mt19937_64& random) {
  NumericCase given = random_case(random, Norms::some);
  RopeSpec& spec = given.spec;
  spec.direction = Direction::forward;
  set_shape(random, spec);
  fit_shape(given);
  if (spec.k) spec.k->rotates.reset();
  set_stages(random, spec, spec.q, true);
  if (spec.k && !one_in(random, 4)) set_stages(random, spec, *spec.k, true);
  if (spec.v) set_stages(random, spec, *spec.v, false);
  RoundAfter& after = spec.round_after;
  for (bool* const point : {&after.norm, &after.weight, &after.bias, &after.statistic, &after.norm_bias, &after.scale,
                            &after.rotation, &after.tau}) {
    *point = one_in(random, 3);
  }
  set_rotates(random, given);
  fit_stores(given);
  set_statistics(random, given);
  if (given.form.norm_statistics && (given.form.statistics_only || given.form.padding != Padding::rotate)) {
    leave_table(given);
  }
  given.weights_misaligned = one_in(random, 4);
  return given;
}

}  // namespace ropejit::test
