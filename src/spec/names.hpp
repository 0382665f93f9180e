// Enumerations by their names, in both directions. The names are to_string's.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/options.hpp"
#include "ropejit/spec.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit::internal {

template <class E>
struct Values;
template <>
struct Values<DType> {
  static constexpr std::array all{DType::bf16, DType::fp16, DType::fp32};
};
template <>
struct Values<Layout> {
  static constexpr std::array all{Layout::split_half, Layout::interleaved, Layout::split_sections};
};
template <>
struct Values<Rounding> {
  static constexpr std::array all{Rounding::exact, Rounding::p1, Rounding::p2, Rounding::p3};
};
template <>
struct Values<AngleRounding> {
  static constexpr std::array all{AngleRounding::exact, AngleRounding::fp32_inv_freq, AngleRounding::fp32};
};
template <>
struct Values<Sine> {
  static constexpr std::array all{Sine::polynomial, Sine::hardware};
};
template <>
struct Values<AxisOrder> {
  static constexpr std::array all{AxisOrder::chunked, AxisOrder::interleaved, AxisOrder::alternating};
};
template <>
struct Values<AxisFrequencies> {
  static constexpr std::array all{AxisFrequencies::shared, AxisFrequencies::restarted, AxisFrequencies::strided};
};
template <>
struct Values<Padding> {
  static constexpr std::array all{Padding::rotate, Padding::zero, Padding::keep};
};
template <>
struct Values<ContextParallel> {
  static constexpr std::array all{ContextParallel::none, ContextParallel::contiguous, ContextParallel::zigzag};
};
template <>
struct Values<CacheRows> {
  static constexpr std::array all{CacheRows::none, CacheRows::rows32, CacheRows::rows64};
};
template <>
struct Values<Direction> {
  static constexpr std::array all{Direction::forward, Direction::adjoint, Direction::inverse, Direction::shift};
};
template <>
struct Values<Placement> {
  static constexpr std::array all{Placement::in_place, Placement::out_of_place};
};
template <>
struct Values<Strides> {
  static constexpr std::array all{Strides::contiguous, Strides::free};
};
template <>
struct Values<PositionSource> {
  static constexpr std::array all{PositionSource::start,     PositionSource::ids32,     PositionSource::ids64,
                                  PositionSource::offsets32, PositionSource::offsets64, PositionSource::ragged};
};

template <>
struct Values<AngleSource> {
  static constexpr std::array all{AngleSource::computed, AngleSource::half,    AngleSource::full,
                                  AngleSource::repeated, AngleSource::complex, AngleSource::cos_sin,
                                  AngleSource::radians};
};

template <>
struct Values<Tuning> {
  static constexpr std::array all{Tuning::off, Tuning::on_demand, Tuning::background};
};
template <>
struct Values<OnMiss> {
  static constexpr std::array all{OnMiss::compile, OnMiss::background, OnMiss::generic, OnMiss::error};
};

/// "bf16, fp16, fp32".
template <class E>
std::string names_of() {
  std::vector<std::string> names;
  for (const E value : Values<E>::all) names.emplace_back(to_string(value));
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Throws Error{invalid_argument} for an unknown name.
template <class E>
E enum_named(const std::string& field, std::string_view name) {
  for (const E value : Values<E>::all) {
    if (name == to_string(value)) return value;
  }
  throw field_error(ErrorCode::invalid_argument, field, quoted(name), names_of<E>());
}

/// Nothing where the key is absent. Throws Error{parse_error} for a value that is no string, Error{invalid_argument}
/// for an unknown name.
template <class E>
std::optional<E> find_enum(const ObjectReader& reader, const char* key) {
  const std::optional<std::string> name = reader.find_string(key, names_of<E>());
  if (!name) return std::nullopt;
  return enum_named<E>(reader.path(key), *name);
}

/// `fallback` where the key is absent.
template <class E>
E read_enum(const ObjectReader& reader, const char* key, E fallback) {
  return find_enum<E>(reader, key).value_or(fallback);
}

/// Throws Error{invalid_argument} for a number cast to E that is no value of E.
template <class E>
void require_enum(E value, const char* field) {
  if (std::find(Values<E>::all.begin(), Values<E>::all.end(), value) != Values<E>::all.end()) return;
  throw field_error(ErrorCode::invalid_argument, field, fmt::format("{}", static_cast<int>(value)), names_of<E>());
}

}  // namespace ropejit::internal
