#include "spec/class_fields.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include "spec/form_values.hpp"
#include "spec/names.hpp"

namespace ropejit::internal {
namespace {

template <class E>
std::uint32_t number_of(E value) {
  return static_cast<std::uint32_t>(value);
}

const char* name_of(TableUse use) {
  constexpr const char* kNames[] = {"as_given", "inverse", "shift"};
  return kNames[number_of(use)];
}

// Runs of pairs on one axis: "0*16 1*24 2*24".
std::string runs_text(const std::vector<std::uint8_t>& axes) {
  std::string text;
  for (std::size_t i = 0; i < axes.size();) {
    std::size_t end = i;
    while (end < axes.size() && axes[end] == axes[i]) ++end;
    text += fmt::format("{}{}*{}", i == 0 ? "" : ",", axes[i], end - i);
    i = end;
  }
  return text;
}

std::string norm_text(const PlanOperand& operand) {
  const PlanNorm& norm = operand.norm;
  std::string text = "norm";
  if (norm.kind != NormKind::rms) text += fmt::format("_{}", to_string(norm.kind));
  if (norm.span != NormSpan::head) text += fmt::format("_{}", to_string(norm.span));
  if (norm.weights == NormWeight::none) {
    text += "_plain";
  } else {
    text += fmt::format("_{}{}{}{}", to_string(norm.weight), norm.weights == NormWeight::heads ? "_heads" : "",
                        norm.plus_one ? "_1p" : "", norm.has_bias ? "_b" : "");
  }
  if (norm.lanes != operand.head_dim) text += fmt::format("_at{}x{}", norm.first_lane, norm.lanes);
  for (const auto& [rounds, word] : {std::pair{norm.round_statistic, "_rr"}, std::pair{norm.round_normed, "_rn"},
                                     std::pair{norm.round_weighted, "_rw"}, std::pair{norm.round_biased, "_rb"}}) {
    if (rounds) text += word;
  }
  if (norm.statistic != StatisticUse::computed) text += fmt::format("_r_{}", to_string(norm.statistic));
  return text;
}

std::string temperature_text(const PlanTemperature& temperature) {
  return fmt::format("temperature_{}{}{}", temperature.steps ? "steps" : "smooth", temperature.plus_one ? "_from1" : "",
                     temperature.round_tau ? "_rt" : "");
}

// A stage's word, with what its code depends on: "norm_fp32_rn" has weights of fp32 and rounds what is normed.
std::string stage_text(const PlanOperand& operand, Stage stage) {
  const auto rounded = [stage](bool rounds) { return fmt::format("{}{}", word_of(stage), rounds ? "_r" : ""); };
  switch (stage) {
    case Stage::norm: return norm_text(operand);
    case Stage::temperature: return temperature_text(operand.temperature);
    case Stage::bias: return rounded(operand.round_bias);
    case Stage::scale:
    case Stage::head_scale: return rounded(operand.round_scale);
    case Stage::rotate: return rounded(operand.round_rotation);
    case Stage::none:
    case Stage::clamp: break;
  }
  return word_of(stage);
}

// The stages, where they are not those of every operand of that name before there were others: "copied", "a_rotate".
std::string stages_text(const PlanOperand& operand) {
  if (!operand.has_store) {
    return fmt::format(
        "{}_unstored",
        fmt::join(llvm::map_range(operand.stages, [&](Stage one) { return stage_text(operand, one); }), "_"));
  }
  const bool rotates_alone = operand.rotates() && operand.stages.size() == 1;
  if (is_copied(operand.name) ? operand.stages.empty() : rotates_alone) return {};
  std::vector<std::string> words;
  for (const Stage stage : operand.stages) words.push_back(stage_text(operand, stage));
  return words.empty() ? "copied" : fmt::format("{}", fmt::join(words, "_"));
}

std::string operand_text(const PlanOperand& operand) {
  const std::string stages = stages_text(operand);
  return fmt::format("{}x{}+{}:{}:{}{}{}", operand.heads, operand.head_dim, operand.first_lane,
                     to_string(operand.placement), to_string(operand.dtype_out), stages.empty() ? "" : ":", stages);
}

// As the class's text has it: q and k always, others where there are any.
std::string operands_text(const KernelClass& c) {
  std::string text;
  for (const OperandName name : {OperandName::q, OperandName::k, OperandName::v, OperandName::gate}) {
    const PlanOperand* const operand = c.find(name);
    if (operand != nullptr) text += fmt::format(" {}={}", to_string(name), operand_text(*operand));
    if (operand == nullptr && name == OperandName::k) text += " k=none";
  }
  return text;
}

// As NormConfig has it: what is not the default of its members.
std::string norm_config(const PlanOperand& operand) {
  const PlanNorm& norm = operand.norm;
  std::string text = fmt::format(".weight = ropejit::Element::{}, .round_normed = {}, .round_weighted = {}",
                                 to_string(norm.weight), norm.round_normed, norm.round_weighted);
  const auto add = [&text](bool is_said, const char* member, const std::string& value) {
    if (is_said) text += fmt::format(", .{} = {}", member, value);
  };
  const auto word = [](const char* type, const char* value) { return fmt::format("ropejit::{}::{}", type, value); };
  add(norm.statistic != StatisticUse::computed, "statistic", word("StatisticUse", to_string(norm.statistic)));
  add(norm.kind != NormKind::rms, "kind", word("NormKind", to_string(norm.kind)));
  add(norm.span != NormSpan::head, "span", word("NormSpan", to_string(norm.span)));
  add(norm.weights != NormWeight::lanes, "weights", word("NormWeight", to_string(norm.weights)));
  add(norm.plus_one, "plus_one", "true");
  add(norm.has_bias, "has_bias", "true");
  add(norm.round_statistic, "round_statistic", "true");
  add(norm.round_biased, "round_biased", "true");
  const bool is_part = norm.lanes != operand.head_dim;
  add(is_part, "first_lane", fmt::format("{}", norm.first_lane));
  add(is_part, "lanes", fmt::format("{}", norm.lanes));
  return text;
}

std::string operand_config(const PlanOperand& operand) {
  std::vector<std::string> stages;
  for (const Stage stage : operand.stages) stages.push_back(fmt::format("ropejit::Stage::{}", word_of(stage)));
  const std::string norm = operand.is_normed() ? fmt::format(",\n         .norm = {{{}}}", norm_config(operand)) : "";
  std::string others;
  if (operand.has(Stage::temperature)) {
    const PlanTemperature& own = operand.temperature;
    others += fmt::format(",\n         .temperature = {{.steps = {}, .plus_one = {}, .round_tau = {}}}", own.steps,
                          own.plus_one, own.round_tau);
  }
  if (operand.round_bias) others += ", .round_bias = true";
  if (operand.round_scale) others += ", .round_scale = true";
  if (operand.round_rotation) others += ", .round_rotation = true";
  if (!operand.has_store) others += ", .no_store = true";
  if (operand.group_heads != 0) others += fmt::format(", .group_heads = {}", operand.group_heads);
  if (operand.has_page_table()) {
    others += fmt::format(",\n         .requests = ropejit::TokenRequests::{}, .places = ropejit::TokenPlaces::{}",
                          to_string(operand.requests), to_string(operand.places));
  }
  if (operand.split_lanes != 0) others += fmt::format(", .split_lanes = {}", operand.split_lanes);
  const std::string beside =
      operand.is_written_beside() ? fmt::format(", .beside = ropejit::Beside::{}", to_string(operand.beside)) : "";
  return fmt::format(
      "\n        // {}\n        {{.heads = {}, .head_dim = {}, .first_lane = {}, .stages = {{{}}}, .out_of_place = {}, "
      ".element_out = ropejit::Element::{}, .rows = ropejit::CacheRows::{}{}{}{}}},",
      to_string(operand.name), operand.heads, operand.head_dim, operand.first_lane, fmt::join(stages, ", "),
      !operand.in_place(), to_string(operand.dtype_out), to_string(operand.rows), norm, beside, others);
}

std::string operand_name(const PlanOperand& operand, DType dtype) {
  std::string text = fmt::format("_{}{}x{}", to_string(operand.name), operand.heads, operand.head_dim);
  if (operand.first_lane != 0) text += fmt::format("at{}", operand.first_lane);
  if (operand.group_heads != 0) text += fmt::format("_by{}", operand.group_heads);
  if (operand.dtype_out != dtype) text += fmt::format("to_{}", to_string(operand.dtype_out));
  if (operand.rows != CacheRows::none) text += fmt::format("_{}", to_string(operand.rows));
  if (operand.has_page_table()) {
    text += fmt::format("_of_{}_at_{}", to_string(operand.requests), to_string(operand.places));
  }
  if (operand.split_lanes != 0) text += fmt::format("_split{}", operand.split_lanes);
  if (operand.is_written_beside()) text += fmt::format("_beside_{}", to_string(operand.beside));
  const std::string stages = stages_text(operand);
  return stages.empty() ? text : fmt::format("{}_{}", text, stages);
}

// The words of one operand in GenericPlan.
std::vector<std::uint32_t> operand_numbers(const PlanOperand& operand) {
  std::vector<std::uint32_t> words = {operand.heads, operand.head_dim, operand.first_lane};
  for (std::size_t i = 0; i < MostStages; ++i) {
    words.push_back(i < operand.stages.size() ? number_of(operand.stages[i]) : 0);
  }
  words.insert(words.end(), {operand.in_place() ? 0U : 1U, number_of(operand.dtype_out), number_of(operand.rows)});
  const PlanNorm& norm = operand.norm;
  words.insert(words.end(), {number_of(norm.weight), norm.round_normed ? 1U : 0U, norm.round_weighted ? 1U : 0U});
  words.insert(words.end(), {number_of(operand.beside), number_of(norm.statistic)});
  const auto flag = [](bool value) { return value ? 1U : 0U; };
  words.insert(words.end(),
               {number_of(norm.kind), number_of(norm.span), number_of(norm.weights), flag(norm.plus_one),
                flag(norm.has_bias), flag(norm.round_statistic), flag(norm.round_biased), norm.first_lane, norm.lanes});
  const PlanTemperature& temperature = operand.temperature;
  words.insert(words.end(), {flag(temperature.steps), flag(temperature.plus_one), flag(temperature.round_tau)});
  words.insert(words.end(), {flag(operand.round_bias), flag(operand.round_scale), flag(operand.round_rotation),
                             flag(!operand.has_store), operand.group_heads});
  words.insert(words.end(), {number_of(operand.requests), number_of(operand.places), operand.split_lanes});
  return words;
}

std::string with(std::string_view before, std::string_view word) { return std::string(before).append(word); }

/// Collects the fields.
class Fields {
 public:
  Fields() { list_.reserve(32); }
  /// An enumerator of config.cuh's enumeration `type`, by its word and number there.
  ClassField& choice(const char* config, const char* type, const char* word, std::uint32_t number) {
    return add({config, type, word, number, {}, {}});
  }
  template <class E>
  ClassField& choice(const char* config, const char* type, E value) {
    return choice(config, type, to_string(value), number_of(value));
  }
  ClassField& number(const char* config, std::uint32_t value) { return add({config, nullptr, nullptr, value, {}, {}}); }
  ClassField& flag(const char* config, bool value) { return choice(config, "bool", nullptr, value ? 1 : 0); }
  ClassField& add(ClassField field) {
    list_.push_back(std::move(field));
    return list_.back();
  }
  std::vector<ClassField> list() && { return std::move(list_); }

 private:
  std::vector<ClassField> list_;
};

void add_operands(Fields& fields, const KernelClass& c) {
  ClassField& operands = fields.add({"operand", nullptr, nullptr, 0, operands_text(c), {}, &c});
  for (const PlanOperand& operand : c.operands) operands.name += operand_name(operand, c.dtype);
  operands.name += fmt::format("_r{}_{}", c.rotary_dim, c.operands.front().in_place() ? "inplace" : "outofplace");
  fields.number("operands", static_cast<std::uint32_t>(c.operands.size()));
}

// The field of the form whose key this is; `always`: its text is there with a default too.
void add_form_field(Fields& fields, const FormValues& values, std::string_view key, bool always = false) {
  static const FormValues usual = form_values(LaunchForm{});
  for (std::size_t i = 0; i < values.size(); ++i) {
    const FormValue& one = values[i];
    if (one.key != key) continue;
    ClassField& field = fields.choice(one.words.config, one.is_flag ? "bool" : one.words.type, one.word, one.number);
    if (!always && one.number == usual[i].number) return;
    const char* const word = one.is_flag ? "" : one.word;
    // Two keys of the text are shorter than those of the JSON.
    const std::string_view label = key == "context_parallel" ? "cp" : key == "overlaps_previous" ? "overlaps" : key;
    field.text = with(with(" ", label), one.is_flag ? "" : "=").append(word);
    if (one.words.config != nullptr) field.name = with(one.words.name, word);
  }
}

void add_angles(Fields& fields, const KernelClass& c) {
  // The templates' AngleSource has `product` between `computed` and the tables.
  const AngleSource angles = c.form.angles;
  const std::uint32_t number = c.reads_table() ? number_of(angles) + 1 : c.fp32_angle ? 1 : 0;
  ClassField& field = fields.choice("angles", "AngleSource", c.fp32_angle ? "product" : to_string(angles), number);
  if (c.reads_table()) {
    field.text = fmt::format(" angles={} table={}", to_string(angles), to_string(c.form.table_dtype));
    field.name = fmt::format("_{}_{}", to_string(angles), to_string(c.form.table_dtype));
  }
  fields.choice("table_element", "Element", c.form.table_dtype);
  ClassField& use = fields.choice("table_use", "TableUse", name_of(c.table_use), number_of(c.table_use));
  if (c.table_use == TableUse::as_given) return;
  use.text = fmt::format(" use={}", name_of(c.table_use));
  use.name = fmt::format("_{}", name_of(c.table_use));
}

void add_sine(Fields& fields, const KernelClass& c) {
  // The templates' Sine has `polynomial16` between the two.
  const bool hardware = c.sine == Sine::hardware;
  const char* const word = hardware ? "hardware" : c.short_polynomial() ? "polynomial16" : "polynomial";
  ClassField& field = fields.choice("sine", "Sine", word, hardware ? 2 : c.short_polynomial() ? 1 : 0);
  if (!hardware) return;
  field.text = " sine=hardware";
  field.name = "_hwsine";
}

}  // namespace

std::string ClassField::value() const {
  if (operands != nullptr) {
    std::string list = "{";
    for (const PlanOperand& operand : operands->operands) list += operand_config(operand);
    return list + "\n    }";
  }
  if (type == nullptr) return fmt::format("{}", number);
  if (word == nullptr) return number != 0 ? "true" : "false";
  return fmt::format("ropejit::{}::{}", type, word);
}

std::vector<std::uint32_t> ClassField::numbers() const {
  if (operands == nullptr) return {number};
  std::vector<std::uint32_t> words;
  for (const PlanOperand& operand : operands->operands) llvm::append_range(words, operand_numbers(operand));
  words.resize(kMostOperands * operand_numbers(PlanOperand{}).size());
  return words;
}

std::string class_text(llvm::ArrayRef<ClassField> fields) {
  std::string text = "class/2";
  for (const ClassField& field : fields) text += field.text;
  return text;
}

std::vector<ClassField> class_fields(const KernelClass& c) {
  Fields fields;
  const FormValues form = form_values(c.form);
  const auto say = [](ClassField& field, std::string text, std::string name) {
    field.text = std::move(text);
    field.name = std::move(name);
  };
  say(fields.choice("layout", "Layout", c.layout), with(" layout=", to_string(c.layout)),
      with("_", to_string(c.layout)));
  say(fields.choice("element", "Element", c.dtype), with(" dtype=", to_string(c.dtype)), with("_", to_string(c.dtype)));
  say(fields.flag("negate_sin", c.negate_sin), c.negate_sin ? " sigma=-1" : " sigma=+1",
      c.negate_sin ? "_reversed" : "");
  say(fields.flag("scaled", c.scaled), c.scaled ? " scaled=1" : " scaled=0", c.scaled ? "_scaled" : "");
  say(fields.number("rotary_dim", c.rotary_dim), fmt::format(" rotary={}", c.rotary_dim), "");
  add_operands(fields, c);
  add_form_field(fields, form, "strides", true);
  add_form_field(fields, form, "positions", true);
  const bool relaid = c.layout_out != c.layout;
  say(fields.choice("layout_out", "Layout", c.layout_out),
      relaid ? fmt::format(" written={}", to_string(c.layout_out)) : "",
      relaid ? fmt::format("_to_{}", to_string(c.layout_out)) : "");
  say(fields.number("section_pairs", c.section_pairs),
      c.section_pairs != c.pairs() ? fmt::format(" section={}", c.section_pairs) : "", "");
  const bool rounds = c.rounding != Rounding::exact;
  say(fields.choice("rounding", "Rounding", c.rounding),
      rounds ? fmt::format(" rounding={}", to_string(c.rounding)) : "",
      rounds ? fmt::format("_{}", to_string(c.rounding)) : "");
  say(fields.flag(nullptr, c.fp32_angle), c.fp32_angle ? " angle=fp32" : "", c.fp32_angle ? "_fp32angle" : "");
  add_sine(fields, c);
  say(fields.number("axes", c.axes), c.axes != 1 ? fmt::format(" axes={}:{}", c.axes, runs_text(c.pair_axes)) : "",
      c.axes != 1 ? fmt::format("_axes{}", c.axes) : "");
  add_form_field(fields, form, "context_parallel");
  add_angles(fields, c);
  // The rest of the form: those of FormWords that are not said above.
  for (const FormValue& one : form) {
    const std::string_view key = one.key;
    const bool is_said = key == "placement" || key == "strides" || key == "positions" || key == "angles" ||
                         key == "table_dtype" || key == "context_parallel";
    if (!is_said) add_form_field(fields, form, key);
  }
  return std::move(fields).list();
}

}  // namespace ropejit::internal
