// Reading JSON that comes from outside: guarded parsing, and an object reader whose errors name the field, what was
// found and what is allowed.
#pragma once

#include <llvm/Support/JSON.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/range.hpp"

namespace ropejit::internal {

/// The object that `text` is, parsed. Throws Error{parse_error}; see support/json_guard.hpp for what is refused before
/// the parser sees it. Independent of the process's locale.
llvm::json::Object parse_json_object(std::string_view text);

/// Parses for readers that tell all problems at once: of equal keys in one object a line each in `duplicates`, and one
/// of their values in the object.
llvm::json::Object parse_json_object(std::string_view text, std::vector<std::string>& duplicates);

/// A value as a message shows it: a number, a quoted and shortened string, "an array", "null", ...
std::string describe(const llvm::json::Value& value);

/// Which keys of which objects were asked for. Not for several threads at once.
class KeyLog {
 public:
  void add(const llvm::json::Object& object, std::string_view key) { keys_[&object].emplace(key); }
  bool has(const llvm::json::Object& object, std::string_view key) const;

 private:
  std::map<const llvm::json::Object*, std::set<std::string, std::less<>>> keys_;
};

/// Reads one object. `find_` functions give nothing where the key is absent or null; `get_` functions throw
/// Error{parse_error} then. Both throw Error{parse_error} for a value of the wrong kind and
/// Error{invalid_argument} for a number out of range. Does not own the object, which must outlive it.
class ObjectReader {
 public:
  /// `prefix`: what messages put before a key, such as "rope_scaling."; empty at the top. `log`, where there is one, is
  /// told of every key that this reader, and readers of objects within, are asked for; it must outlive them.
  explicit ObjectReader(const llvm::json::Object& object, std::string prefix = {}, KeyLog* log = nullptr);

  /// The key as messages name it: "rope_scaling.factor".
  std::string path(std::string_view key) const;
  const llvm::json::Object& object() const { return *object_; }

  /// The value; null where the key is absent or its value is null.
  const llvm::json::Value* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// Finds a value as find does, but this counts as no reading of the key.
  const llvm::json::Value* peek(std::string_view key) const;
  /// Tells the log of keys that are known and mean nothing here.
  void pass_over(std::initializer_list<std::string_view> keys) const;

  /// A number without a fraction: 32 and 32.0 are, 32.5, "32" and 1e30 are not.
  std::optional<std::int64_t> find_int(std::string_view key, const IntRange& range) const;
  std::int64_t get_int(std::string_view key, const IntRange& range) const;

  std::optional<double> find_number(std::string_view key, const PositiveRange& range) const;
  std::optional<double> find_fp32(std::string_view key, const Fp32Range& range) const;
  double get_number(std::string_view key, const PositiveRange& range) const;
  double get_fp32(std::string_view key, const Fp32Range& range) const;

  /// `allowed`: the words for a message.
  std::optional<std::string> find_string(std::string_view key, std::string_view allowed) const;
  std::string get_string(std::string_view key, std::string_view allowed) const;

  std::optional<bool> find_bool(std::string_view key) const;

  std::optional<ObjectReader> find_object(std::string_view key) const;
  ObjectReader get_object(std::string_view key) const;

  /// Throws Error{parse_error} naming the first key (in alphabetical order) that is not one of `allowed`.
  void reject_unknown_keys(std::span<const std::string_view> allowed) const;
  void reject_unknown_keys(std::initializer_list<std::string_view> allowed) const {
    reject_unknown_keys(std::span<const std::string_view>(allowed.begin(), allowed.size()));
  }

 private:
  const llvm::json::Value& get(std::string_view key, std::string_view allowed) const;
  template <class Range>
  std::optional<double> number_within(std::string_view key, const Range& range) const;

  const llvm::json::Object* object_;
  std::string prefix_;
  KeyLog* log_;
};

}  // namespace ropejit::internal
