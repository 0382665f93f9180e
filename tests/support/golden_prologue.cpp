#include "support/golden_prologue.hpp"

#include <llvm/Support/raw_ostream.h>

#include "ropejit/model.hpp"
#include "support/golden_text.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

namespace ropejit::test {
namespace {

using internal::IntRange;
using internal::ObjectReader;

constexpr IntRange kAny{};
constexpr const char* kText = "a string";

std::string stage_name(const llvm::json::Value& stage) {
  if (const auto word = stage.getAsString()) return word->str();
  return llvm::StringRef(stage.getAsObject()->begin()->first).str();
}

GoldenOperand read_operand(const ObjectReader& reader, const GoldenPrologue& made) {
  GoldenOperand result;
  result.heads = reader.get_int("heads", kAny);
  result.head_dim = reader.get_int("head_dim", kAny);
  for (const llvm::json::Value& stage : *reader.find("stages")->getAsArray()) {
    result.stages.push_back(stage_name(stage));
  }
  if (!result.has_stages()) return result;
  const auto digits = static_cast<std::size_t>(2 * size_of(made.dtype));
  const auto all = static_cast<std::size_t>(made.tokens * result.heads * result.head_dim);
  const auto text_of = [&](const char* key) { return reader.has(key) ? reader.get_string(key, kText) : std::string(); };
  const auto bits = [&](const char* key) {
    const std::string text = text_of(key);
    return parse_golden_bits(text, digits, text.size() / digits);
  };
  result.projected = parse_golden_bits(reader.get_string("projected", kText), digits, all);
  result.made = parse_golden_bits(reader.get_string("made", kText), digits, all);
  result.normed = bits("normed");
  result.weight = bits("weight");
  result.bias = bits("bias");
  for (auto [key, floats] : {std::pair{"r", &result.r}, {"head_scales", &result.head_scales}}) {
    const std::string text = text_of(key);
    *floats = parse_golden_floats(text, text.size() / 8);
  }
  return result;
}

GoldenPrologue read_case(const ObjectReader& reader) {
  GoldenPrologue made;
  made.name = reader.get_string("name", kText);
  llvm::raw_string_ostream(made.config) << *reader.find("config");
  made.rounding = reader.get_string("rounding", kText);
  made.layer = reader.get_int("layer", kAny);
  made.dtype = parse_golden_word(reader.get_string("dtype", kText), {DType::bf16, DType::fp16, DType::fp32});
  for (const llvm::json::Value& position : *reader.find("positions")->getAsArray()) {
    made.positions.push_back(position.getAsInteger().value());
  }
  made.tokens = static_cast<std::int64_t>(made.positions.size());
  made.rotary_dim = reader.get_int("rotary_dim", kAny);
  if (reader.has("cos")) {
    made.table_dtype =
        parse_golden_word(reader.get_string("table_dtype", kText), {DType::bf16, DType::fp16, DType::fp32});
    const auto digits = static_cast<std::size_t>(2 * size_of(made.table_dtype));
    const auto values = static_cast<std::size_t>(made.tokens * made.rotary_dim / 2);
    made.cos = parse_golden_bits(reader.get_string("cos", kText), digits, values);
    made.sin = parse_golden_bits(reader.get_string("sin", kText), digits, values);
  }
  made.q = read_operand(reader.get_object("q"), made);
  made.k = read_operand(reader.get_object("k"), made);
  made.v = read_operand(reader.get_object("v"), made);
  return made;
}

}  // namespace

RopeSpec GoldenPrologue::spec(bool parity) const {
  ModelOptions options;
  options.dtype = dtype;
  options.parity = parity;
  options.prologue = true;
  RopeSpec spec = *ModelRopes::from_hf_config(config, options).find(layer);
  spec.axes = Axes{};
  return spec;
}

std::vector<GoldenPrologue> read_golden_prologues() {
  const llvm::json::Object golden = internal::parse_json_object(read_test_file("golden/hf_prologues.json"));
  std::vector<GoldenPrologue> cases;
  for (const llvm::json::Value& value : *golden.getArray("cases")) {
    cases.push_back(read_case(ObjectReader(*value.getAsObject())));
  }
  return cases;
}

}  // namespace ropejit::test
