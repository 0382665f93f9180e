// Enumerations by their names, in both directions: one table each, which to_string reads too.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/options.hpp"
#include "ropejit/presets.hpp"
#include "ropejit/spec.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit::internal {

/// A value and its word.
template <class E>
struct Named {
  E value;
  const char* name;
};
template <class E>
Named(E, const char*) -> Named<E>;

/// Every value of an enumeration, in order: said here alone.
template <class E>
inline constexpr std::array<Named<E>, 0> kNames{};
template <>
inline constexpr std::array kNames<DType>{Named{DType::bf16, "bf16"}, Named{DType::fp16, "fp16"},
                                          Named{DType::fp32, "fp32"}};
template <>
inline constexpr std::array kNames<Layout>{Named{Layout::split_half, "split_half"},
                                           Named{Layout::interleaved, "interleaved"},
                                           Named{Layout::split_sections, "split_sections"}};
template <>
inline constexpr std::array kNames<Rounding>{Named{Rounding::exact, "exact"}, Named{Rounding::p1, "p1"},
                                             Named{Rounding::p2, "p2"}, Named{Rounding::p3, "p3"}};
template <>
inline constexpr std::array kNames<AngleRounding>{Named{AngleRounding::exact, "exact"},
                                                  Named{AngleRounding::fp32_inv_freq, "fp32_inv_freq"},
                                                  Named{AngleRounding::fp32, "fp32"}};
template <>
inline constexpr std::array kNames<Engine>{Named{Engine::exact, "exact"},
                                           Named{Engine::vllm_fused, "vllm_fused"},
                                           Named{Engine::vllm, "vllm"},
                                           Named{Engine::flashinfer, "flashinfer"},
                                           Named{Engine::tensorrt_llm, "tensorrt_llm"},
                                           Named{Engine::aiter, "aiter"}};
template <>
inline constexpr std::array kNames<Sine>{Named{Sine::polynomial, "polynomial"}, Named{Sine::hardware, "hardware"}};
template <>
inline constexpr std::array kNames<Statistic>{Named{Statistic::computed, "computed"}, Named{Statistic::given, "given"},
                                              Named{Statistic::given_sum, "given_sum"}};
template <>
inline constexpr std::array kNames<NormKind>{Named{NormKind::rms, "rms"}, Named{NormKind::layer, "layer"},
                                             Named{NormKind::l2, "l2"}};
template <>
inline constexpr std::array kNames<NormSpan>{Named{NormSpan::head, "head"}, Named{NormSpan::token, "token"}};
template <>
inline constexpr std::array kNames<NormWeight>{Named{NormWeight::lanes, "lanes"}, Named{NormWeight::heads, "heads"},
                                               Named{NormWeight::none, "none"}};
template <>
inline constexpr std::array kNames<StageName>{Named{StageName::bias, "bias"},
                                              Named{StageName::norm, "norm"},
                                              Named{StageName::clamp, "clamp"},
                                              Named{StageName::scale, "scale"},
                                              Named{StageName::head_scale, "head_scale"},
                                              Named{StageName::rotate, "rotate"},
                                              Named{StageName::temperature, "temperature"}};
template <>
inline constexpr std::array kNames<AxisOrder>{Named{AxisOrder::chunked, "chunked"},
                                              Named{AxisOrder::interleaved, "interleaved"},
                                              Named{AxisOrder::alternating, "alternating"}};
template <>
inline constexpr std::array kNames<AxisFrequencies>{Named{AxisFrequencies::shared, "shared"},
                                                    Named{AxisFrequencies::restarted, "restarted"},
                                                    Named{AxisFrequencies::strided, "strided"}};
template <>
inline constexpr std::array kNames<Direction>{Named{Direction::forward, "forward"},
                                              Named{Direction::adjoint, "adjoint"},
                                              Named{Direction::inverse, "inverse"}, Named{Direction::shift, "shift"}};
template <>
inline constexpr std::array kNames<Placement>{Named{Placement::in_place, "in_place"},
                                              Named{Placement::out_of_place, "out_of_place"}};
template <>
inline constexpr std::array kNames<Strides>{Named{Strides::contiguous, "contiguous"}, Named{Strides::free, "free"}};
template <>
inline constexpr std::array kNames<PositionSource>{
    Named{PositionSource::start, "start"},         Named{PositionSource::ids32, "ids32"},
    Named{PositionSource::ids64, "ids64"},         Named{PositionSource::offsets32, "offsets32"},
    Named{PositionSource::offsets64, "offsets64"}, Named{PositionSource::ragged, "ragged"}};
template <>
inline constexpr std::array kNames<AngleSource>{
    Named{AngleSource::computed, "computed"}, Named{AngleSource::half, "half"},
    Named{AngleSource::full, "full"},         Named{AngleSource::repeated, "repeated"},
    Named{AngleSource::complex, "complex"},   Named{AngleSource::cos_sin, "cos_sin"},
    Named{AngleSource::radians, "radians"}};
template <>
inline constexpr std::array kNames<Padding>{Named{Padding::rotate, "rotate"}, Named{Padding::zero, "zero"},
                                            Named{Padding::keep, "keep"}};
template <>
inline constexpr std::array kNames<ContextParallel>{Named{ContextParallel::none, "none"},
                                                    Named{ContextParallel::contiguous, "contiguous"},
                                                    Named{ContextParallel::zigzag, "zigzag"}};
template <>
inline constexpr std::array kNames<CacheRows>{Named{CacheRows::none, "none"},
                                              Named{CacheRows::rows32, "rows32"},
                                              Named{CacheRows::rows64, "rows64"},
                                              Named{CacheRows::slots32, "slots32"},
                                              Named{CacheRows::slots64, "slots64"},
                                              Named{CacheRows::page_lists, "page_lists"},
                                              Named{CacheRows::block_table, "block_table"}};
template <>
inline constexpr std::array kNames<TokenRequests>{Named{TokenRequests::sequences, "sequences"},
                                                  Named{TokenRequests::ids32, "ids32"}};
template <>
inline constexpr std::array kNames<TokenPlaces>{Named{TokenPlaces::positions, "positions"},
                                                Named{TokenPlaces::ids32, "ids32"}, Named{TokenPlaces::ids64, "ids64"}};
template <>
inline constexpr std::array kNames<Tuning>{Named{Tuning::off, "off"}, Named{Tuning::on_demand, "on_demand"},
                                           Named{Tuning::background, "background"}};
template <>
inline constexpr std::array kNames<OnMiss>{Named{OnMiss::compile, "compile"}, Named{OnMiss::background, "background"},
                                           Named{OnMiss::generic, "generic"}, Named{OnMiss::error, "error"}};

/// "unknown" for a number cast to E that is no value of E.
template <class E>
constexpr const char* name_of(E value) noexcept {
  for (const Named<E>& one : kNames<E>) {
    if (one.value == value) return one.name;
  }
  return "unknown";
}

/// The words of all values: "bf16, fp16, fp32".
template <class E>
std::string names_of() {
  std::vector<std::string> names;
  for (const Named<E>& one : kNames<E>) names.emplace_back(one.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Throws Error{invalid_argument} for an unknown name.
template <class E>
E enum_named(const std::string& field, std::string_view name) {
  for (const Named<E>& one : kNames<E>) {
    if (name == one.name) return one.value;
  }
  throw field_error(ErrorCode::invalid_argument, field, quoted(name), names_of<E>());
}

/// The value that the key has, or nothing where it is absent. Throws Error{parse_error} for a value that is no string,
/// Error{invalid_argument} for an unknown name.
template <class E>
std::optional<E> find_enum(const ObjectReader& reader, const char* key) {
  const std::optional<std::string> name = reader.find_string(key, names_of<E>());
  if (!name) return std::nullopt;
  return enum_named<E>(reader.path(key), *name);
}

/// The value that the key has, or `fallback` where it is absent.
template <class E>
E read_enum(const ObjectReader& reader, const char* key, E fallback) {
  return find_enum<E>(reader, key).value_or(fallback);
}

/// Throws Error{invalid_argument} for a number cast to E that is no value of E.
template <class E>
void require_enum(E value, const char* field) {
  for (const Named<E>& one : kNames<E>) {
    if (one.value == value) return;
  }
  throw field_error(ErrorCode::invalid_argument, field, fmt::format("{}", static_cast<int>(value)), names_of<E>());
}

}  // namespace ropejit::internal
