#include "ropejit/form.hpp"

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "spec/names.hpp"
#include "spec/read_spec.hpp"
#include "support/json.hpp"

namespace ropejit {
namespace internal {

LaunchForm read_form(const ObjectReader& reader, std::initializer_list<std::string_view> other_keys) {
  std::vector<std::string_view> keys = {"placement", "strides",          "positions", "angles",  "table_dtype",
                                        "padding",   "context_parallel", "k_rows",    "counted", "overlaps_previous"};
  keys.insert(keys.end(), other_keys);
  reader.reject_unknown_keys(keys);
  LaunchForm form;
  form.placement = read_enum(reader, "placement", form.placement);
  form.strides = read_enum(reader, "strides", form.strides);
  form.positions = read_enum(reader, "positions", form.positions);
  form.angles = read_enum(reader, "angles", form.angles);
  form.table_dtype = read_enum(reader, "table_dtype", form.table_dtype);
  form.padding = read_enum(reader, "padding", form.padding);
  form.context_parallel = read_enum(reader, "context_parallel", form.context_parallel);
  form.k_rows = read_enum(reader, "k_rows", form.k_rows);
  form.counted = reader.find_bool("counted").value_or(form.counted);
  form.overlaps_previous = reader.find_bool("overlaps_previous").value_or(form.overlaps_previous);
  return form;
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
  const LaunchForm usual;
  std::string text = fmt::format(R"({{"placement":"{}","strides":"{}","positions":"{}")", to_string(placement),
                                 to_string(strides), to_string(positions));
  const auto add = [&text](const char* key, const char* value) { text += fmt::format(R"(,"{}":"{}")", key, value); };
  if (angles != usual.angles) add("angles", to_string(angles));
  // With a table of the default dtype too: whoever reads it wants to know.
  if (angles != usual.angles || table_dtype != usual.table_dtype) add("table_dtype", to_string(table_dtype));
  if (padding != usual.padding) add("padding", to_string(padding));
  if (context_parallel != usual.context_parallel) add("context_parallel", to_string(context_parallel));
  if (k_rows != usual.k_rows) add("k_rows", to_string(k_rows));
  if (counted) text += R"(,"counted":true)";
  if (overlaps_previous) text += R"(,"overlaps_previous":true)";
  return text + "}";
}

bool operator==(const LaunchForm& a, const LaunchForm& b) noexcept {
  return a.placement == b.placement && a.strides == b.strides && a.positions == b.positions && a.angles == b.angles &&
         a.table_dtype == b.table_dtype && a.padding == b.padding && a.context_parallel == b.context_parallel &&
         a.k_rows == b.k_rows && a.counted == b.counted && a.overlaps_previous == b.overlaps_previous;
}

const char* to_string(Placement placement) noexcept {
  switch (placement) {
    case Placement::in_place: return "in_place";
    case Placement::out_of_place: return "out_of_place";
  }
  return "unknown";
}

const char* to_string(Strides strides) noexcept {
  switch (strides) {
    case Strides::contiguous: return "contiguous";
    case Strides::free: return "free";
  }
  return "unknown";
}

const char* to_string(PositionSource positions) noexcept {
  switch (positions) {
    case PositionSource::start: return "start";
    case PositionSource::ids32: return "ids32";
    case PositionSource::ids64: return "ids64";
    case PositionSource::offsets32: return "offsets32";
    case PositionSource::offsets64: return "offsets64";
    case PositionSource::ragged: return "ragged";
  }
  return "unknown";
}

const char* to_string(AngleSource angles) noexcept {
  switch (angles) {
    case AngleSource::computed: return "computed";
    case AngleSource::half: return "half";
    case AngleSource::full: return "full";
    case AngleSource::repeated: return "repeated";
    case AngleSource::complex: return "complex";
    case AngleSource::cos_sin: return "cos_sin";
    case AngleSource::radians: return "radians";
  }
  return "unknown";
}

const char* to_string(Padding padding) noexcept {
  switch (padding) {
    case Padding::rotate: return "rotate";
    case Padding::zero: return "zero";
    case Padding::keep: return "keep";
  }
  return "unknown";
}

const char* to_string(ContextParallel order) noexcept {
  switch (order) {
    case ContextParallel::none: return "none";
    case ContextParallel::contiguous: return "contiguous";
    case ContextParallel::zigzag: return "zigzag";
  }
  return "unknown";
}

const char* to_string(CacheRows rows) noexcept {
  switch (rows) {
    case CacheRows::none: return "none";
    case CacheRows::rows32: return "rows32";
    case CacheRows::rows64: return "rows64";
  }
  return "unknown";
}

}  // namespace v0
}  // namespace ropejit
