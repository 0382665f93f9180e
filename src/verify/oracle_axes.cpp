#include "verify/oracle_axes.hpp"

#include <cstddef>

namespace ropejit::internal {
namespace {

std::int64_t axis_of(const Axes& axes, std::int64_t pair) {
  const auto n = static_cast<std::int64_t>(axes.sections.size());
  switch (axes.order) {
    case AxisOrder::chunked: {
      std::int64_t end = 0;
      for (std::int64_t a = 0; a < n; ++a) {
        end += axes.sections[static_cast<std::size_t>(a)];
        if (pair < end) return a;
      }
      return 0;
    }
    case AxisOrder::interleaved: {
      const std::int64_t a = pair % n;
      return pair < n * axes.sections[static_cast<std::size_t>(a)] ? a : 0;
    }
    case AxisOrder::alternating: {
      if (pair >= axes.sections[1] + axes.sections[2]) return 0;
      return pair % 2 == 0 ? 1 : 2;
    }
  }
  return 0;
}

}  // namespace

std::int64_t oracle_axis_count(const RopeSpec& spec) {
  return spec.axes.sections.empty() ? 1 : static_cast<std::int64_t>(spec.axes.sections.size());
}

std::vector<OraclePairAxis> oracle_pair_axes(const RopeSpec& spec) {
  std::vector<std::int64_t> taken(static_cast<std::size_t>(oracle_axis_count(spec)), 0);
  std::vector<OraclePairAxis> result;
  for (std::int64_t i = 0; i < spec.rotary_dim / 2; ++i) {
    const std::int64_t axis = spec.axes.sections.empty() ? 0 : axis_of(spec.axes, i);
    result.push_back({axis, taken[static_cast<std::size_t>(axis)]++});
  }
  return result;
}

}  // namespace ropejit::internal
