#include "spec/axes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <string>

#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "spec/names.hpp"
#include "spec/scaling_rules.hpp"
#include "support/field_error.hpp"

namespace ropejit {
namespace internal {
namespace {

Error bad(const std::string& field, const std::string& found, const std::string& allowed) {
  return field_error(ErrorCode::invalid_argument, field, found, allowed);
}

std::string sections_text(const Axes& axes) { return fmt::format("[{}]", fmt::join(axes.sections, ", ")); }

void validate_sections(const Axes& axes, std::int64_t rotary_dim) {
  const std::int64_t pairs = rotary_dim / 2;
  if (!kAxes.contains(static_cast<std::int64_t>(axes.sections.size()))) {
    throw bad("axes.sections", fmt::format("{} numbers", axes.sections.size()),
              fmt::format("none, or {} to {}, one for each axis", kAxes.min, kAxes.max));
  }
  const IntRange range{0, pairs};
  for (std::size_t a = 0; a < axes.sections.size(); ++a) {
    if (range.contains(axes.sections[a])) continue;
    throw bad(fmt::format("axes.sections[{}]", a), fmt::format("{}", axes.sections[a]), range.describe());
  }
  const std::int64_t sum = std::accumulate(axes.sections.begin(), axes.sections.end(), std::int64_t{0});
  if (sum != pairs) {
    throw bad("axes.sections", fmt::format("{}, which add up to {}", sections_text(axes), sum),
              fmt::format("numbers that add up to {}, the pairs of rotary_dim {}", pairs, rotary_dim));
  }
}

void validate_order(const Axes& axes, std::int64_t pairs) {
  if (axes.order == AxisOrder::alternating) {
    if (axes.sections.size() == 3 && axes.sections[1] == axes.sections[2]) return;
    throw bad("axes.sections", sections_text(axes),
              fmt::format("three numbers with order {}, of which the last two are the same", to_string(axes.order)));
  }
  if (axes.order != AxisOrder::interleaved) return;
  // Axis 0 takes what is left over; every other one has a pair in each round of n.
  const auto n = static_cast<std::int64_t>(axes.sections.size());
  for (std::int64_t a = 1; a < n; ++a) {
    const IntRange turns{0, (pairs - a + n - 1) / n};
    const std::int64_t section = axes.sections[static_cast<std::size_t>(a)];
    if (turns.contains(section)) continue;
    throw bad(fmt::format("axes.sections[{}]", a), fmt::format("{}", section),
              fmt::format("{}: each axis' turns among {} pairs with order {}", turns.describe(), pairs,
                          to_string(axes.order)));
  }
}

void validate_axis_frequencies(const RopeSpec& spec) {
  if (spec.axes.frequencies == AxisFrequencies::shared) return;
  if (std::holds_alternative<NoScaling>(spec.scaling) || std::holds_alternative<LinearScaling>(spec.scaling)) return;
  throw bad("axes.frequencies",
            fmt::format("{} with scaling {}", to_string(spec.axes.frequencies), scaling_to_string(spec.scaling)),
            fmt::format("{} with that scaling", to_string(AxisFrequencies::shared)));
}

void validate_layout_of_sections(const Axes& axes, Layout layout, const char* field) {
  if (layout != Layout::split_sections) return;
  const bool equal =
      !axes.sections.empty() && std::count(axes.sections.begin(), axes.sections.end(), axes.sections.front()) ==
                                    static_cast<std::ptrdiff_t>(axes.sections.size());
  if (equal && axes.order == AxisOrder::chunked) return;
  throw bad(
      field,
      fmt::format("{} with axes.sections {}, order {}", to_string(layout), sections_text(axes), to_string(axes.order)),
      "that layout with 2 to 4 equal sections in order chunked");
}

// The axis of a pair. Sections must be valid, or chunked would run off their end.
struct Dealer {
  const Axes& axes;

  std::uint8_t chunked(std::int64_t i) const {
    std::size_t a = 0;
    for (std::int64_t end = axes.sections[0]; i >= end; end += axes.sections[a]) ++a;
    return static_cast<std::uint8_t>(a);
  }
  std::uint8_t interleaved(std::int64_t i) const {
    const auto n = static_cast<std::int64_t>(axes.sections.size());
    const std::int64_t a = i % n;
    return static_cast<std::uint8_t>(i < n * axes.sections[static_cast<std::size_t>(a)] ? a : 0);
  }
  std::uint8_t alternating(std::int64_t i) const {
    return static_cast<std::uint8_t>(i < 2 * axes.sections[1] ? 1 + i % 2 : 0);
  }

  std::uint8_t operator()(std::int64_t i) const {
    if (axes.sections.empty()) return 0;
    switch (axes.order) {
      case AxisOrder::chunked: return chunked(i);
      case AxisOrder::interleaved: return interleaved(i);
      case AxisOrder::alternating: return alternating(i);
    }
    return 0;
  }
};

}  // namespace

void validate_axes(const RopeSpec& spec) {
  const Axes& axes = spec.axes;
  require_enum(axes.order, "axes.order");
  require_enum(axes.frequencies, "axes.frequencies");
  if (!axes.sections.empty()) {
    validate_sections(axes, spec.rotary_dim);
    validate_order(axes, spec.rotary_dim / 2);
  } else if (axes.order != AxisOrder::chunked) {
    throw bad("axes.order", fmt::format("{} without axes.sections", to_string(axes.order)), "chunked, or sections");
  } else if (axes.frequencies != AxisFrequencies::shared) {
    throw bad("axes.frequencies", fmt::format("{} without axes.sections", to_string(axes.frequencies)),
              "shared, or sections");
  }
  validate_axis_frequencies(spec);
  validate_layout_of_sections(axes, spec.layout, "layout");
  if (spec.layout_out) validate_layout_of_sections(axes, *spec.layout_out, "layout_out");
}

std::vector<PairAxis> pair_axes(const RopeSpec& spec) {
  const Dealer axis_of{spec.axes};
  std::array<std::int64_t, kAxes.max> dealt{};
  std::vector<PairAxis> result;
  result.reserve(static_cast<std::size_t>(spec.rotary_dim / 2));
  for (std::int64_t i = 0; i < spec.rotary_dim / 2; ++i) {
    const std::uint8_t axis = axis_of(i);
    result.push_back(PairAxis{axis, dealt[axis]++});
  }
  return result;
}

}  // namespace internal

inline namespace v0 {

bool operator==(const Axes& a, const Axes& b) noexcept {
  return a.sections == b.sections && a.order == b.order && a.frequencies == b.frequencies;
}

}  // namespace v0
}  // namespace ropejit
