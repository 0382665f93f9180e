#include "spec/operand_json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <cmath>

#include "ropejit/error.hpp"
#include "spec/names.hpp"
#include "spec/operand_fields.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

struct CollectKeys {
  std::vector<std::string_view> keys;

  void number(const char* key, const std::int64_t&, const IntRange&, Told) { keys.emplace_back(key); }
  void real(const char* key, const double&, const auto&, Told) { keys.emplace_back(key); }
  void real(const char* key, const std::optional<double>&, const auto&) { keys.emplace_back(key); }
  void dtype(const char* key, const std::optional<DType>&) { keys.emplace_back(key); }
  void choice(const char* key, const auto&) { keys.emplace_back(key); }
  void flag(const char* key, const bool&, bool) { keys.emplace_back(key); }
  void flag(const char* key, const std::optional<bool>&) { keys.emplace_back(key); }
  void part(const char* key, const auto&) { keys.emplace_back(key); }
  void order(const char* key, const std::vector<StageName>&) { keys.emplace_back(key); }
};

struct ReadFields {
  const ObjectReader& reader;

  void number(const char* key, std::int64_t& value, const IntRange& range, Told told) {
    value = told == Told::required ? reader.get_int(key, range) : reader.find_int(key, range).value_or(value);
  }
  void real(const char* key, double& value, const PositiveRange& range, Told told) {
    value = told == Told::required ? reader.get_number(key, range) : reader.find_number(key, range).value_or(value);
  }
  void real(const char* key, double& value, const Fp32Range& range, Told told) {
    value = told == Told::required ? reader.get_fp32(key, range) : reader.find_fp32(key, range).value_or(value);
  }
  void real(const char* key, std::optional<double>& value, const Fp32Range& range) {
    value = reader.find_fp32(key, range);
  }
  void dtype(const char* key, std::optional<DType>& value) { value = find_enum<DType>(reader, key); }
  template <class E>
  void choice(const char* key, E& value) {
    value = read_enum(reader, key, value);
  }
  void flag(const char* key, bool& value, bool) { value = reader.find_bool(key).value_or(value); }
  void flag(const char* key, std::optional<bool>& value) { value = reader.find_bool(key); }
  template <class Part>
  void part(const char* key, std::optional<Part>& value);
  void order(const char* key, std::vector<StageName>& stages) {
    const llvm::json::Value* const value = reader.find(key);
    if (value == nullptr) return;
    const std::string allowed = fmt::format("an array of {}", names_of<StageName>());
    const llvm::json::Array* const names = value->getAsArray();
    if (names == nullptr) throw field_error(ErrorCode::parse_error, reader.path(key), describe(*value), allowed);
    for (const llvm::json::Value& name : *names) {
      const std::string field = fmt::format("{}[{}]", reader.path(key), stages.size());
      const auto word = name.getAsString();
      if (!word) throw field_error(ErrorCode::parse_error, field, describe(name), names_of<StageName>());
      stages.push_back(enum_named<StageName>(field, std::string_view(word->data(), word->size())));
    }
  }
};

template <class T>
T read_part(const ObjectReader& reader) {
  T value;
  CollectKeys known;
  visit_fields(value, known);
  reader.reject_unknown_keys(known.keys);
  ReadFields read{reader};
  visit_fields(value, read);
  return value;
}

template <class Part>
void ReadFields::part(const char* key, std::optional<Part>& value) {
  if (const std::optional<ObjectReader> fields = reader.find_object(key)) value = read_part<Part>(*fields);
}

// Shortest digits that read back to the same bits; "-0" would read back as an integer, without its sign.
std::string number_to_json(double value) {
  return value == 0 && std::signbit(value) ? std::string("-0.0") : fmt::format("{}", value);
}

struct WriteFields {
  std::string text = {};

  void number(const char* key, const std::int64_t& value, const IntRange&, Told told) {
    if (told != Told::different || value != 0) add(key, fmt::format("{}", value));
  }
  void real(const char* key, const double& value, const auto&, Told) { add(key, number_to_json(value)); }
  void real(const char* key, const std::optional<double>& value, const auto&) {
    if (value) add(key, number_to_json(*value));
  }
  void dtype(const char* key, const std::optional<DType>& value) {
    if (value) add(key, fmt::format(R"("{}")", to_string(*value)));
  }
  template <class E>
  void choice(const char* key, const E& value) {
    if (value != E{}) add(key, fmt::format(R"("{}")", to_string(value)));
  }
  void flag(const char* key, const bool& value, bool usual) {
    if (value != usual) add(key, fmt::format("{}", value));
  }
  void flag(const char* key, const std::optional<bool>& value) {
    if (value) add(key, fmt::format("{}", *value));
  }
  void part(const char* key, const auto& value) {
    if (!value) return;
    WriteFields fields;
    visit_fields(*value, fields);
    add(key, fields.text + "}");
  }
  void order(const char* key, const std::vector<StageName>& stages) {
    if (stages.empty()) return;
    const auto words = llvm::map_range(stages, [](StageName one) { return to_string(one); });
    add(key, fmt::format(R"(["{}"])", fmt::join(words, R"(",")")));
  }

 private:
  void add(const char* key, const std::string& value) {
    text += fmt::format(R"({}"{}":{})", text.empty() ? "{" : ",", key, value);
  }
};

}  // namespace

Operand read_operand(const ObjectReader& reader) { return read_part<Operand>(reader); }

std::string operand_to_json(const Operand& operand) {
  WriteFields write;
  visit_fields(operand, write);
  return write.text + "}";
}

}  // namespace ropejit::internal
