#include "spec/operand_validation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include "ropejit/error.hpp"
#include "spec/names.hpp"
#include "spec/operand_fields.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

Error bad(const std::string& field, const std::string& found, const std::string& allowed) {
  return field_error(ErrorCode::invalid_argument, field, found, allowed);
}

template <class T, class Range>
void require(T value, const Range& range, const std::string& field) {
  if (!range.contains(value)) throw bad(field, fmt::format("{}", value), range.describe());
}

// Each field by itself.
struct RequireFields {
  std::string prefix;  // "q.", "q.norm."

  void number(const char* key, const std::int64_t& value, const IntRange& range, Told) {
    require(value, range, prefix + key);
  }
  void real(const char* key, const double& value, const auto& range, Told) { require(value, range, prefix + key); }
  void real(const char* key, const std::optional<double>& value, const auto& range) {
    if (value) require(*value, range, prefix + key);
  }
  void dtype(const char* key, const std::optional<DType>& value) {
    if (value) choice(key, *value);
  }
  void choice(const char* key, const auto& value) { require_enum(value, (prefix + key).c_str()); }
  void flag(const char*, const bool&, bool) {}
  void flag(const char*, const std::optional<bool>&) {}
  template <class Part>
  void part(const char* key, const std::optional<Part>& value) {
    if (!value) return;
    RequireFields fields{fmt::format("{}{}.", prefix, key)};
    visit_fields(*value, fields);
  }
  void order(const char* key, const std::vector<StageName>& stages) {
    for (std::size_t i = 0; i < stages.size(); ++i) choice(fmt::format("{}[{}]", key, i).c_str(), stages[i]);
  }
};

// An operand by its name in messages.
struct Called {
  const char* name;
  const Operand& operand;
  bool rotates;

  std::string field(const char* key) const { return fmt::format("{}.{}", name, key); }
};

// The gate is copied alone: no launch brings what stages of its own would read.
void validate_gate(const Called& called) {
  for (const OperandStage& stage : stages_of(called.operand, false)) {
    if (stage.is_there)
      throw bad(called.field(stage.key), fmt::format("a {}", to_string(stage.name)), "none of a gate");
  }
}

// A stage is not undone by turning back. Turning by the negative angle is what some models' forward pass does
// (adjoint); an inverse or a shift of what went through a stage means nothing.
void validate_stages(const Called& called, Direction direction) {
  const Operand& operand = called.operand;
  for (const OperandStage& stage : stages_of(operand, called.rotates)) {
    if (!stage.is_there || stage.name == StageName::rotate) continue;
    if (direction == Direction::inverse || direction == Direction::shift) {
      throw bad(called.field(stage.key),
                fmt::format("a {} with direction {}", to_string(stage.name), to_string(direction)),
                "none, or direction forward or adjoint");
    }
    if (kStagedHeadDim.contains(operand.head_dim)) continue;
    throw bad(called.field(stage.key), fmt::format("a {} of head_dim {}", to_string(stage.name), operand.head_dim),
              fmt::format("none, or a head_dim that is {}", kStagedHeadDim.describe()));
  }
}

void validate_order(const Called& called) {
  const std::vector<StageName>& order = called.operand.order;
  if (order.empty()) return;
  std::vector<StageName> present;
  for (const OperandStage& stage : stages_of(called.operand, called.rotates)) {
    if (stage.is_there) present.push_back(stage.name);
  }
  if (order.size() == present.size() && std::is_permutation(order.begin(), order.end(), present.begin())) return;
  const auto words = [](const std::vector<StageName>& stages) {
    return fmt::format("{}", fmt::join(llvm::map_range(stages, [](StageName one) { return to_string(one); }), ", "));
  };
  throw bad(called.field("order"),
            order.size() > kNames<StageName>.size() ? fmt::format("{} stages", order.size()) : words(order),
            present.empty()
                ? "none, as the operand has no stages"
                : fmt::format("none, or each stage that the operand has once, which are {}", words(present)));
}

// What the fields of a norm have to do with one another.
void validate_norm(const Called& called, const Norm& norm) {
  const auto field = [&](const char* key) { return fmt::format("{}.norm.{}", called.name, key); };
  if (norm.statistic != Statistic::computed && norm.kind != NormKind::rms) {
    throw bad(field("statistic"), fmt::format("{} of kind {}", to_string(norm.statistic), to_string(norm.kind)),
              "computed, or kind rms");
  }
  for (const auto& [key, value] : {std::pair{"plus_one", norm.plus_one}, std::pair{"bias", norm.bias}}) {
    if (value && norm.weight == NormWeight::none)
      throw bad(field(key), "true with weight none", "false without weights");
  }
  const bool is_of_token = norm.span == NormSpan::token;
  if (norm.global_heads != 0 && !(is_of_token && norm.statistic == Statistic::given_sum)) {
    throw bad(field("global_heads"),
              fmt::format("{} with span {} and statistic {}", norm.global_heads, to_string(norm.span),
                          to_string(norm.statistic)),
              "0, or span token and statistic given_sum");
  }
  const std::int64_t heads = called.operand.heads;
  if (norm.global_heads != 0 && norm.global_heads < heads) {
    throw bad(field("global_heads"), fmt::format("{}", norm.global_heads),
              fmt::format("0, or at least {}.heads {}", called.name, heads));
  }
  if (!is_of_token) return;
  const std::int64_t lanes = heads * called.operand.head_dim;
  if (kTokenNormHeads.contains(heads) && kTokenNormLanes.contains(lanes)) return;
  throw bad(field("span"), fmt::format("token with {} heads of {} lanes", heads, called.operand.head_dim),
            fmt::format("head, or up to {} heads of {} lanes in all", kTokenNormHeads.max, kTokenNormLanes.max));
}

// Which lanes of a head are normed, beside those that rotate.
void validate_norm_lanes(const Called& called, const Norm& norm, std::int64_t rotary_dim) {
  const Operand& operand = called.operand;
  const auto field = [&](const char* key) { return fmt::format("{}.norm.{}", called.name, key); };
  const std::int64_t room = operand.head_dim - norm.first_lane;
  if (room < 2) {
    throw bad(field("first_lane"), fmt::format("{}", norm.first_lane),
              fmt::format("an even number that leaves 2 lanes of {}.head_dim {}", called.name, operand.head_dim));
  }
  if (norm.lanes > room) {
    throw bad(field("lanes"), fmt::format("{}", norm.lanes),
              fmt::format("{}: {}.head_dim {} less {}.norm.first_lane {}", IntRange{0, room, true}.describe(),
                          called.name, operand.head_dim, called.name, norm.first_lane));
  }
  if (!called.rotates) return;
  const std::int64_t begin = norm.first_lane;
  const std::int64_t end = norm.lanes == 0 ? operand.head_dim : begin + norm.lanes;
  const std::int64_t first_turned = operand.first_lane;
  const std::int64_t end_turned = first_turned + rotary_dim;
  const bool inside = begin <= first_turned && end_turned <= end;
  const bool outside = end_turned <= begin || end <= first_turned;
  if (inside || outside) return;
  throw bad(field("lanes"), fmt::format("lanes {} to {}", begin, end - 1),
            fmt::format("all of the lanes that rotate, {} to {}, or none of them", first_turned, end_turned - 1));
}

void validate_fit(const Called& called, std::int64_t rotary_dim) {
  const Operand& operand = called.operand;
  if (!called.rotates) {
    require(operand.first_lane, IntRange{0, 0}, called.field("first_lane"));
    return;
  }
  const std::int64_t room = operand.head_dim - operand.first_lane;
  if (rotary_dim <= room) return;
  if (room < kRotaryDim.min) {
    throw bad(called.field("first_lane"), fmt::format("{}", operand.first_lane),
              fmt::format("an even number that leaves 2 lanes of {}.head_dim {}", called.name, operand.head_dim));
  }
  throw bad("rotary_dim", fmt::format("{}", rotary_dim),
            fmt::format("{}: {}.head_dim {} less {}.first_lane {}", IntRange{2, room, true}.describe(), called.name,
                        operand.head_dim, called.name, operand.first_lane));
}

// Which operands turn: v and gate never, and k not without q.
void validate_rotations(const RopeSpec& spec) {
  if (spec.v && spec.v->rotates.value_or(false)) throw bad("v.rotates", "true", "false");
  if (spec.gate && spec.gate->rotates.value_or(false)) throw bad("gate.rotates", "true", "false");
  if (spec.q.rotates.value_or(true) || !spec.k || !spec.k->rotates.value_or(true)) return;
  throw bad("q.rotates", "false", "true where k rotates, or k.rotates false as well");
}

}  // namespace

void validate_operands(const RopeSpec& spec) {
  std::vector<Called> all{{"q", spec.q, spec.q.rotates.value_or(true)}};
  if (spec.k) all.push_back({"k", *spec.k, spec.k->rotates.value_or(true)});
  if (spec.v) all.push_back({"v", *spec.v, false});
  if (spec.gate) all.push_back({"gate", *spec.gate, false});
  for (const Called& one : all) {
    RequireFields fields{fmt::format("{}.", one.name)};
    visit_fields(one.operand, fields);
  }
  validate_rotations(spec);
  if (spec.gate) validate_gate(all.back());
  for (const Called& one : all) {
    validate_stages(one, spec.direction);
    validate_order(one);
    if (one.operand.norm) validate_norm(one, *one.operand.norm);
  }
  require(spec.rotary_dim, kRotaryDim, "rotary_dim");
  for (const Called& one : all) {
    validate_fit(one, spec.rotary_dim);
    if (one.operand.norm) validate_norm_lanes(one, *one.operand.norm, spec.rotary_dim);
  }
}

}  // namespace ropejit::internal
