#include "cli/inspect_operands.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <type_traits>
#include <variant>
#include <vector>

#include "cli/output.hpp"

namespace ropejit::internal {
namespace {

/// One thing that is known of a stage or an operand. What is false is told to programs alone.
struct Fact {
  const char* key;
  std::variant<bool, std::int64_t, double, std::string> value;
};
using Facts = std::vector<Fact>;

const Operand& operand_of(const RopeSpec& spec, OperandName name) {
  switch (name) {
    case OperandName::q: break;
    case OperandName::k: return *spec.k;
    case OperandName::v: return *spec.v;
    case OperandName::gate: return *spec.gate;
  }
  return spec.q;
}

Facts norm_facts(const Norm& norm, const PlanOperand& operand) {
  const PlanNorm& plan = operand.norm;
  Facts facts = {{"kind", to_string(plan.kind)}, {"span", to_string(plan.span)}};
  if (plan.statistic != StatisticUse::given) facts.push_back({"eps", norm.eps});
  facts.push_back({"weights", to_string(plan.weights)});
  if (plan.weights != NormWeight::none) facts.push_back({"weight_dtype", to_string(plan.weight)});
  facts.insert(facts.end(), {{"plus_one", plan.plus_one},
                             {"bias", plan.has_bias},
                             {"first_lane", std::int64_t{plan.first_lane}},
                             {"lanes", std::int64_t{plan.lanes}},
                             {"round_statistic", plan.round_statistic},
                             {"round_normed", plan.round_normed},
                             {"round_weighted", plan.round_weighted},
                             {"round_biased", plan.round_biased}});
  if (norm.global_heads != 0) facts.push_back({"global_heads", norm.global_heads});
  if (plan.statistic == StatisticUse::computed) return facts;
  facts.push_back({"statistic", to_string(plan.statistic)});
  facts.push_back({"statistics_per_token", std::int64_t{operand.statistics()}});
  return facts;
}

Facts facts_of(Stage stage, const Operand& given, const PlanOperand& operand, std::uint32_t rotary_dim) {
  switch (stage) {
    case Stage::none: break;
    case Stage::rotate:
      return {{"first_lane", std::int64_t{operand.first_lane}},
              {"rotary_dim", std::int64_t{rotary_dim}},
              {"round_rotation", operand.round_rotation}};
    case Stage::norm: return norm_facts(*given.norm, operand);
    case Stage::bias: return {{"round_bias", operand.round_bias}};
    case Stage::clamp: return {{"limit", *given.clamp}};
    case Stage::scale: return {{"factor", *given.scale}, {"round_scale", operand.round_scale}};
    case Stage::head_scale: return {{"round_scale", operand.round_scale}};
    case Stage::temperature:
      return {{"coefficient", given.temperature->coefficient},
              {"length", given.temperature->length},
              {"offset", given.temperature->offset},
              {"steps", operand.temperature.steps},
              {"round_tau", operand.temperature.round_tau}};
  }
  return {};
}

void add_fact(llvm::json::OStream& out, const Fact& fact) {
  std::visit([&](const auto& value) { attribute(out, fact.key, value); }, fact.value);
}

std::string facts_text(const Facts& facts) {
  std::string text;
  for (const Fact& fact : facts) {
    const bool* const flag = std::get_if<bool>(&fact.value);
    if (flag != nullptr && !*flag) continue;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", fact.key);
    if (flag == nullptr) std::visit([&](const auto& value) { text += fmt::format(" {}", value); }, fact.value);
  }
  return text;
}

std::string store_text(const PlanOperand& operand) {
  if (!operand.has_store) return "nothing is stored";
  const std::string groups =
      operand.group_heads != 0 ? fmt::format(", heads in groups of {}", operand.group_heads) : std::string();
  if (operand.is_idle()) return "left alone";
  std::string text = operand.in_place()                ? "written over itself"
                     : operand.rows == CacheRows::none ? fmt::format("to {}_out", to_string(operand.name))
                                                       : fmt::format("to the {} of a cache", to_string(operand.rows));
  if (operand.split_lanes != 0) text += fmt::format(", its lanes in groups of {}", operand.split_lanes);
  if (operand.is_written_beside()) text += fmt::format(", and beside it {}", to_string(operand.beside));
  return text + fmt::format(", {}{}", to_string(operand.dtype_out), groups);
}

}  // namespace

void add_operands(llvm::json::OStream& out, const RopeSpec& spec, const KernelClass& kernel_class) {
  attribute_objects(out, "operands", kernel_class.operands, [&](const PlanOperand& operand) {
    attribute(out, "name", to_string(operand.name));
    attribute(out, "heads", operand.heads);
    attribute(out, "head_dim", operand.head_dim);
    attribute_objects(out, "stages", operand.stages, [&](Stage stage) {
      attribute(out, "stage", word_of(stage));
      const Operand& given = operand_of(spec, operand.name);
      for (const Fact& fact : facts_of(stage, given, operand, kernel_class.rotary_dim)) add_fact(out, fact);
    });
    attribute(out, "placement", to_string(operand.placement));
    attribute(out, "dtype_out", to_string(operand.dtype_out));
    attribute(out, "rows", to_string(operand.rows));
    if (operand.has_page_table()) {
      attribute(out, "token_requests", to_string(operand.requests));
      attribute(out, "token_places", to_string(operand.places));
    }
    if (operand.split_lanes != 0) attribute(out, "split_lanes", operand.split_lanes);
    if (operand.is_written_beside()) attribute(out, "beside", to_string(operand.beside));
    if (!operand.has_store) attribute(out, "has_store", false);
    if (operand.group_heads != 0) attribute(out, "group_heads", operand.group_heads);
  });
}

std::string operands_text(const RopeSpec& spec, const KernelClass& kernel_class) {
  const auto is_more = [](const PlanOperand& one) {
    return one.changes_still_lanes() || one.is_idle() || one.group_heads != 0;
  };
  if (llvm::none_of(kernel_class.operands, is_more)) return {};
  std::string text;
  for (const PlanOperand& operand : kernel_class.operands) {
    text +=
        fmt::format("{}  {}x{}  {}\n", to_string(operand.name), operand.heads, operand.head_dim, store_text(operand));
    const Operand& given = operand_of(spec, operand.name);
    for (const Stage stage : operand.stages) {
      const std::string facts = facts_text(facts_of(stage, given, operand, kernel_class.rotary_dim));
      text += facts.empty() ? fmt::format("     {}\n", word_of(stage))
                            : fmt::format("     {:<12} {}\n", word_of(stage), facts);
    }
  }
  return text + "\n";
}

}  // namespace ropejit::internal
