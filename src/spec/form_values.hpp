// The fields of a form as values: what comparison, JSON and a class's fields are walks over.
#pragma once

#include <llvm/ADT/SmallVector.h>

#include <cstdint>
#include <utility>

#include "spec/form_fields.hpp"
#include "spec/names.hpp"

namespace ropejit::internal {

struct FormValue {
  const char* key;  ///< of the JSON
  FormWords words;
  std::uint32_t number;  ///< the enumerator's number; of a flag 0 or 1
  const char* word;      ///< the enumerator's word; null: a flag
  bool is_flag;
};

using FormValues = llvm::SmallVector<FormValue, 16>;

struct CollectForm {
  FormValues values;
  template <class E>
  void choice(const char* key, const E& value, FormWords words) {
    values.push_back({key, words, static_cast<std::uint32_t>(value), name_of(value), false});
  }
  void flag(const char* key, const bool& value, FormWords words) {
    values.push_back({key, words, value ? 1U : 0U, nullptr, true});
  }
};

/// The values of a form's fields, in the order of the JSON.
inline FormValues form_values(const LaunchForm& form) {
  CollectForm collect;
  visit_fields(form, collect);
  return std::move(collect.values);
}

}  // namespace ropejit::internal
