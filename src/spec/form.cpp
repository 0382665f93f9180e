#include "ropejit/form.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/form_values.hpp"
#include "spec/names.hpp"
#include "spec/read_spec.hpp"
#include "support/json.hpp"

namespace ropejit {
namespace internal {

namespace {

struct ReadFields {
  const ObjectReader& reader;
  template <class E>
  void choice(const char* key, E& value, FormWords) {
    value = read_enum(reader, key, value);
  }
  void flag(const char* key, bool& value, FormWords) { value = reader.find_bool(key).value_or(value); }
};

struct RequireFields {
  template <class E>
  void choice(const char* key, const E& value, FormWords) {
    require_enum(value, key);
  }
  void flag(const char*, const bool&, FormWords) {}
};

bool is_page_table(CacheRows rows) { return rows == CacheRows::page_lists || rows == CacheRows::block_table; }
bool has_pages(CacheRows rows) {
  return rows == CacheRows::slots32 || rows == CacheRows::slots64 || is_page_table(rows);
}

// What is said of stores that are not there.
void validate_stores(const LaunchForm& form) {
  const auto bad = [](const char* key, const char* found, const char* allowed) {
    return field_error(ErrorCode::invalid_argument, key, found, allowed);
  };
  if (form.k_beside && form.k_rows == CacheRows::none) throw bad("k_beside", "true", "false without k_rows");
  if (form.v_beside && form.v_rows == CacheRows::none) throw bad("v_beside", "true", "false without v_rows");
  if (form.k_split && !has_pages(form.k_rows)) {
    throw bad("k_split", "true", "false, or k_rows of slots32, slots64, page_lists or block_table");
  }
  if (is_page_table(form.k_rows) || is_page_table(form.v_rows)) return;
  if (form.token_requests != TokenRequests::sequences) {
    throw bad("token_requests", to_string(form.token_requests),
              "sequences, or k_rows or v_rows of page_lists or block_table");
  }
  if (form.token_places != TokenPlaces::positions) {
    throw bad("token_places", to_string(form.token_places),
              "positions, or k_rows or v_rows of page_lists or block_table");
  }
}

}  // namespace

LaunchForm read_form(const ObjectReader& reader, std::initializer_list<std::string_view> other_keys) {
  std::vector<std::string_view> keys(other_keys);
  for (const FormValue& one : form_values(LaunchForm{})) keys.emplace_back(one.key);
  reader.reject_unknown_keys(keys);
  LaunchForm form;
  ReadFields read{reader};
  visit_fields(form, read);
  return form;
}

void validate_form(const LaunchForm& form) {
  RequireFields require;
  visit_fields(form, require);
  if (form.angles == AngleSource::radians && form.table_dtype != DType::fp32) {
    throw field_error(ErrorCode::invalid_argument, "table_dtype", to_string(form.table_dtype), "fp32 for radians");
  }
  if (form.ready_lists && !form.overlaps_previous) {
    throw field_error(ErrorCode::invalid_argument, "ready_lists", "true", "false without overlaps_previous");
  }
  validate_stores(form);
}

}  // namespace internal

inline namespace v0 {

LaunchForm LaunchForm::in_place_ids(PositionSource ids) {
  return LaunchForm{Placement::in_place, Strides::contiguous, ids};
}

LaunchForm LaunchForm::in_place_start() {
  return LaunchForm{Placement::in_place, Strides::contiguous, PositionSource::start};
}

LaunchForm LaunchForm::out_of_place_ids(PositionSource ids) {
  return LaunchForm{Placement::out_of_place, Strides::contiguous, ids};
}

LaunchForm LaunchForm::out_of_place_start() {
  return LaunchForm{Placement::out_of_place, Strides::contiguous, PositionSource::start};
}

LaunchForm LaunchForm::with_free_strides() const {
  LaunchForm form = *this;
  form.strides = Strides::free;
  return form;
}

LaunchForm LaunchForm::with_table(AngleSource source, DType dtype) const {
  LaunchForm form = *this;
  form.angles = source;
  form.table_dtype = dtype;
  return form;
}

LaunchForm LaunchForm::from_json(std::string_view text) {
  const llvm::json::Object object = internal::parse_json_object(text);
  return internal::read_form(internal::ObjectReader(object));
}

std::string LaunchForm::to_json() const {
  const internal::FormValues values = internal::form_values(*this);
  const internal::FormValues usual = internal::form_values(LaunchForm{});
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const internal::FormValue& one = values[i];
    // The first three always, and a table's type with any table: whoever reads it wants to know.
    const bool is_told = i < 3 || (angles != AngleSource::computed && std::string_view(one.key) == "table_dtype");
    if (!is_told && one.number == usual[i].number) continue;
    text += fmt::format(R"({}"{}":)", text.empty() ? "{" : ",", one.key);
    text += one.is_flag ? std::string(one.number != 0 ? "true" : "false") : fmt::format(R"("{}")", one.word);
  }
  return text + "}";
}

bool operator==(const LaunchForm& a, const LaunchForm& b) noexcept {
  const internal::FormValues left = internal::form_values(a);
  const internal::FormValues right = internal::form_values(b);
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i].number != right[i].number) return false;
  }
  return true;
}

}  // namespace v0
}  // namespace ropejit
