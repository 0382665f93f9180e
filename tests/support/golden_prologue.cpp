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

GoldenNormed read_operand(const ObjectReader& reader, double eps, const GoldenPrologue& made) {
  GoldenNormed result;
  result.operand.heads = reader.get_int("heads", kAny);
  result.operand.head_dim = reader.get_int("head_dim", kAny);
  result.operand.norm = Norm{eps};
  const auto rows = static_cast<std::size_t>(made.tokens * result.operand.heads);
  const auto lanes = static_cast<std::size_t>(result.operand.head_dim);
  const auto digits = static_cast<std::size_t>(2 * size_of(made.dtype));
  const auto bits = [&](const char* key, std::size_t count) {
    return parse_golden_bits(reader.get_string(key, kText), digits, count);
  };
  result.projected = bits("projected", rows * lanes);
  result.weight = bits("weight", lanes);
  result.r = parse_golden_floats(reader.get_string("r", kText), rows);
  result.normed = bits("normed", rows * lanes);
  result.rotated = bits("rotated", rows * lanes);
  return result;
}

GoldenPrologue read_case(const ObjectReader& reader) {
  GoldenPrologue made;
  made.name = reader.get_string("name", kText);
  llvm::raw_string_ostream(made.config) << *reader.find("config");
  made.dtype = parse_golden_word(reader.get_string("dtype", kText), {DType::bf16, DType::fp16, DType::fp32});
  for (const llvm::json::Value& position : *reader.find("positions")->getAsArray()) {
    made.positions.push_back(position.getAsInteger().value());
  }
  made.tokens = static_cast<std::int64_t>(made.positions.size());
  made.rotary_dim = reader.get_int("rotary_dim", kAny);
  const auto digits = static_cast<std::size_t>(2 * size_of(made.dtype));
  const auto values = static_cast<std::size_t>(made.tokens * made.rotary_dim / 2);
  made.cos = parse_golden_bits(reader.get_string("cos", kText), digits, values);
  made.sin = parse_golden_bits(reader.get_string("sin", kText), digits, values);
  const double eps = reader.get_number("eps", {});
  made.q = read_operand(reader.get_object("q"), eps, made);
  made.k = read_operand(reader.get_object("k"), eps, made);
  return made;
}

}  // namespace

RopeSpec GoldenPrologue::spec(bool parity) const {
  ModelOptions options;
  options.dtype = dtype;
  options.parity = parity;
  options.prologue = true;
  return ModelRopes::from_hf_config(config, options).single();
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
