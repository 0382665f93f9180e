#include "fuzz/json_mutator.hpp"

#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <utility>

#include "fuzz/fuzzer.hpp"

namespace ropejit::test {
namespace {

namespace json = llvm::json;

// Deep texts are refused before the parser in the library; here they would overflow the stack.
constexpr std::size_t kMaxBrackets = 500;

std::optional<json::Object> parsed_object(const std::string& text) {
  if (std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{'; }) >
      std::ptrdiff_t{kMaxBrackets}) {
    return std::nullopt;
  }
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value) {
    llvm::consumeError(value.takeError());
    return std::nullopt;
  }
  json::Object* object = value->getAsObject();
  return object != nullptr ? std::optional<json::Object>(std::move(*object)) : std::nullopt;
}

std::string text_of(json::Object object) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << json::Value(std::move(object));
  stream.flush();
  return text;
}

void collect_words(const json::Value& value, std::vector<std::string>& words) {
  if (const auto text = value.getAsString()) words.push_back(text->str());
  if (const json::Array* array = value.getAsArray()) {
    for (const json::Value& item : *array) collect_words(item, words);
  }
  if (const json::Object* object = value.getAsObject()) {
    for (const auto& member : *object) {
      words.push_back(llvm::StringRef(member.first).str());
      collect_words(member.second, words);
    }
  }
}

// Every value below `value`, itself too.
void collect_values(json::Value& value, std::vector<json::Value*>& values) {
  values.push_back(&value);
  if (json::Array* array = value.getAsArray()) {
    for (json::Value& item : *array) collect_values(item, values);
  }
  if (json::Object* object = value.getAsObject()) {
    for (auto& member : *object) collect_values(member.second, values);
  }
}

class Change {
 public:
  Change(const std::vector<std::string>& words, std::uint32_t seed) : words_(words), random_(seed) {}

  std::size_t below(std::size_t count) { return static_cast<std::size_t>(random_() % count); }

  json::Value number() {
    constexpr std::int64_t kIntegers[] = {0,    1,    2,    3,     4,      -1,     8,     64,     96,
                                          128,  255,  256,  4096,  4097,   65536,  65537, 131072, 1 << 24,
                                          1000, 2048, 8191, 10000, 500000, 999999, 32768};
    constexpr double kReals[] = {0.5,    0.25, 1.0,  1e-5, 1e-300, 1e300, 1.7976931348623157e308,
                                 5e-324, -0.0, 1e20, -1.5, 0.3333, 1e-45, 4e9,
                                 9.3e18, 1e15, 0.1,  32.5};
    switch (below(8)) {
      case 0: return kReals[below(std::size(kReals))];
      case 1: return static_cast<std::int64_t>(random_());
      case 2: return std::numeric_limits<std::int64_t>::max() - static_cast<std::int64_t>(below(2));
      case 3: return std::numeric_limits<std::int64_t>::min() + static_cast<std::int64_t>(below(2));
      case 4: return static_cast<std::int64_t>(std::int64_t{1} << below(63)) - static_cast<std::int64_t>(below(2));
      default: return kIntegers[below(std::size(kIntegers))];
    }
  }

  json::Value value() {
    switch (below(10)) {
      case 0: return nullptr;
      case 1: return below(2) == 0;
      case 2: return json::Array(std::vector<json::Value>(below(5), number()));
      case 3: return json::Object();
      case 4:
      case 5:
      case 6: return words_.empty() ? json::Value("") : json::Value(words_[below(words_.size())]);
      default: return number();
    }
  }

  void apply(json::Object& root) {
    // The root is moved into a value and back: a value is what the walk hands out.
    json::Value whole(std::move(root));
    std::vector<json::Value*> values;
    collect_values(whole, values);
    json::Value& at = *values[below(values.size())];
    const json::Value other = *values[below(values.size())];
    if (json::Object* object = at.getAsObject()) {
      change_object(*object, other);
    } else if (json::Array* array = at.getAsArray(); array != nullptr && below(3) != 0) {
      change_array(*array, other);
    } else {
      nudge(at, other);
    }
    root = std::move(*whole.getAsObject());
  }

 private:
  void change_object(json::Object& object, const json::Value& other) {
    const bool add = object.empty() || below(2) == 0;
    if (add) {
      if (words_.empty()) return;
      object[words_[below(words_.size())]] = below(3) == 0 ? other : value();
      return;
    }
    // A new object without the member: erase() of LLVM 19 leaves a key behind that a copy of the object brings to life,
    // with a value that is freed.
    std::size_t left = below(object.size());
    json::Object rest;
    std::optional<json::Value> taken;
    for (auto& member : object) {
      if (left-- == 0) {
        taken = std::move(member.second);
      } else {
        rest[llvm::StringRef(member.first).str()] = std::move(member.second);
      }
    }
    if (below(3) == 0 && !words_.empty()) rest[words_[below(words_.size())]] = *std::move(taken);
    object = std::move(rest);
  }

  void change_array(json::Array& array, const json::Value& other) {
    switch (below(3)) {
      case 0:
        if (!array.empty()) {
          // It has no erase: the last one takes the place of another.
          std::swap(array[below(array.size())], array.back());
          array.pop_back();
        }
        break;
      case 1: array.push_back(below(2) == 0 ? other : value()); break;
      default:
        if (!array.empty()) array[below(array.size())] = value();
        break;
    }
  }

  void nudge(json::Value& at, const json::Value& other) {
    const auto integer = at.getAsInteger();
    switch (below(4)) {
      case 0: at = other; break;
      case 1:
        // Not beyond what a double holds: the sum cannot overflow.
        if (integer && *integer > -(std::int64_t{1} << 53) && *integer < std::int64_t{1} << 53) {
          constexpr std::int64_t kSteps[] = {1, -1, 2, -2, 64, -64};
          at = below(3) == 0 ? *integer * 2 : *integer + kSteps[below(std::size(kSteps))];
          break;
        }
        [[fallthrough]];
      default: at = value(); break;
    }
  }

  const std::vector<std::string>& words_;
  std::mt19937 random_;
};

}  // namespace

JsonMutator::JsonMutator(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (std::optional<json::Object> object = parsed_object(text)) collect_words(std::move(*object), words_);
  }
  std::sort(words_.begin(), words_.end());
  words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
}

std::string JsonMutator::operator()(const std::string& text, std::size_t limit, std::uint32_t seed) const {
  Change change(words_, seed);
  if (change.below(3) != 0) {
    if (std::optional<json::Object> object = parsed_object(text)) {
      for (std::size_t left = 1 + change.below(4); left != 0; --left) change.apply(*object);
      std::string changed = text_of(std::move(*object));
      if (changed.size() <= limit) return changed;
    }
  }
  return mutate_bytes(text, limit);
}

}  // namespace ropejit::test
