#include "support/json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <locale.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/json_guard.hpp"
#include "support/text.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit::internal {
namespace {

// llvm::json reads numbers with strtod, which stops at the point of "0.25" where the host process has set a locale
// with a decimal comma. uselocale changes this thread alone.
class CNumbers {
 public:
  CNumbers() : c_(newlocale(LC_ALL_MASK, "C", nullptr)) {
    if (c_ != nullptr) before_ = uselocale(c_);
  }
  CNumbers(const CNumbers&) = delete;
  CNumbers& operator=(const CNumbers&) = delete;
  ~CNumbers() {
    if (c_ == nullptr) return;
    uselocale(before_);
    freelocale(c_);
  }

 private:
  locale_t c_;
  locale_t before_ = nullptr;
};

llvm::StringRef ref(std::string_view text) { return llvm::StringRef(text.data(), text.size()); }

std::optional<std::int64_t> as_int(const llvm::json::Value& value) {
  const auto number = value.getAsNumber();
  // Guarded here because llvm casts a double to an integer after a check that lets 2^63 through.
  if (!number || !(std::fabs(*number) < 9.2e18)) return std::nullopt;
  const auto integer = value.getAsInteger();
  return integer ? std::optional<std::int64_t>(*integer) : std::nullopt;
}

// strtod rounds as the thread does.
llvm::json::Object parse_guarded(const std::string& guarded) {
  const UsualArithmetic arithmetic;
  llvm::Expected<llvm::json::Value> value = [&] {
    const CNumbers locale;
    return llvm::json::parse(guarded);
  }();
  if (!value) {
    throw field_error(ErrorCode::parse_error, "JSON", excerpt(llvm::toString(value.takeError()), 160), "a JSON object");
  }
  llvm::json::Object* object = value->getAsObject();
  if (object == nullptr) throw field_error(ErrorCode::parse_error, "JSON", describe(*value), "a JSON object");
  return std::move(*object);
}

}  // namespace

llvm::json::Object parse_json_object(std::string_view text) { return parse_guarded(guard_json(text)); }

llvm::json::Object parse_json_object(std::string_view text, std::vector<std::string>& duplicates) {
  return parse_guarded(guard_json(text, duplicates));
}

std::string describe(const llvm::json::Value& value) {
  switch (value.kind()) {
    case llvm::json::Value::Null: return "null";
    case llvm::json::Value::Boolean: return *value.getAsBoolean() ? "true" : "false";
    case llvm::json::Value::Number: {
      const std::optional<std::int64_t> integer = as_int(value);
      return integer ? fmt::format("{}", *integer) : fmt::format("{}", *value.getAsNumber());
    }
    case llvm::json::Value::String: {
      const llvm::StringRef text = *value.getAsString();
      return quoted(std::string_view(text.data(), text.size()));
    }
    case llvm::json::Value::Array: return "an array";
    case llvm::json::Value::Object: return "an object";
  }
  return "a value";
}

bool KeyLog::has(const llvm::json::Object& object, std::string_view key) const {
  const auto keys = keys_.find(&object);
  return keys != keys_.end() && keys->second.find(key) != keys->second.end();
}

ObjectReader::ObjectReader(const llvm::json::Object& object, std::string prefix, KeyLog* log)
    : object_(&object), prefix_(std::move(prefix)), log_(log) {}

std::string ObjectReader::path(std::string_view key) const { return prefix_ + excerpt(key); }

const llvm::json::Value* ObjectReader::find(std::string_view key) const {
  if (log_ != nullptr) log_->add(*object_, key);
  return peek(key);
}

void ObjectReader::pass_over(std::initializer_list<std::string_view> keys) const {
  if (log_ == nullptr) return;
  for (const std::string_view key : keys) log_->add(*object_, key);
}

const llvm::json::Value* ObjectReader::peek(std::string_view key) const {
  const llvm::json::Value* value = object_->get(ref(key));
  return value == nullptr || value->kind() == llvm::json::Value::Null ? nullptr : value;
}

const llvm::json::Value& ObjectReader::get(std::string_view key, std::string_view allowed) const {
  if (log_ != nullptr) log_->add(*object_, key);
  const llvm::json::Value* value = object_->get(ref(key));
  if (value == nullptr) throw missing_field(path(key), allowed);
  if (value->kind() == llvm::json::Value::Null) {
    throw field_error(ErrorCode::parse_error, path(key), "null", allowed);
  }
  return *value;
}

std::optional<std::int64_t> ObjectReader::find_int(std::string_view key, const IntRange& range) const {
  const llvm::json::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<std::int64_t> integer = as_int(*value);
  if (!integer || !range.contains(*integer)) {
    const bool number = value->kind() == llvm::json::Value::Number;
    throw field_error(number ? ErrorCode::invalid_argument : ErrorCode::parse_error, path(key), describe(*value),
                      range.describe());
  }
  return integer;
}

std::int64_t ObjectReader::get_int(std::string_view key, const IntRange& range) const {
  get(key, range.describe());
  return *find_int(key, range);
}

template <class Range>
std::optional<double> ObjectReader::number_within(std::string_view key, const Range& range) const {
  const llvm::json::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = value->getAsNumber();
  if (!number || !range.contains(*number)) {
    throw field_error(number ? ErrorCode::invalid_argument : ErrorCode::parse_error, path(key), describe(*value),
                      range.describe());
  }
  return *number;
}

std::optional<double> ObjectReader::find_number(std::string_view key, const PositiveRange& range) const {
  return number_within(key, range);
}

std::optional<double> ObjectReader::find_fp32(std::string_view key, const Fp32Range& range) const {
  return number_within(key, range);
}

double ObjectReader::get_number(std::string_view key, const PositiveRange& range) const {
  get(key, range.describe());
  return *find_number(key, range);
}

double ObjectReader::get_fp32(std::string_view key, const Fp32Range& range) const {
  get(key, range.describe());
  return *find_fp32(key, range);
}

std::optional<std::string> ObjectReader::find_string(std::string_view key, std::string_view allowed) const {
  const llvm::json::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto text = value->getAsString();
  if (!text) throw field_error(ErrorCode::parse_error, path(key), describe(*value), allowed);
  return text->str();
}

std::string ObjectReader::get_string(std::string_view key, std::string_view allowed) const {
  get(key, allowed);
  return *find_string(key, allowed);
}

std::optional<bool> ObjectReader::find_bool(std::string_view key) const {
  const llvm::json::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto flag = value->getAsBoolean();
  if (!flag) throw field_error(ErrorCode::parse_error, path(key), describe(*value), "true or false");
  return *flag;
}

std::optional<ObjectReader> ObjectReader::find_object(std::string_view key) const {
  const llvm::json::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const llvm::json::Object* object = value->getAsObject();
  if (object == nullptr) throw field_error(ErrorCode::parse_error, path(key), describe(*value), "an object");
  return ObjectReader(*object, path(key) + ".", log_);
}

ObjectReader ObjectReader::get_object(std::string_view key) const {
  get(key, "an object");
  return *find_object(key);
}

void ObjectReader::reject_unknown_keys(std::span<const std::string_view> allowed) const {
  std::vector<std::string_view> unknown;
  for (const auto& member : *object_) {
    const llvm::StringRef key = member.first;
    const std::string_view name(key.data(), key.size());
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) unknown.push_back(name);
  }
  if (unknown.empty()) return;
  // llvm's objects are hash tables: without an order, the message would differ between runs.
  throw field_error(ErrorCode::parse_error, path(*std::min_element(unknown.begin(), unknown.end())), "an unknown key",
                    fmt::format("{}", fmt::join(allowed, ", ")));
}

}  // namespace ropejit::internal
