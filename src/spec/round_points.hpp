// The places of RoundAfter with their names, said once: JSON, texts and checks walk them.
#pragma once

#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::internal {

struct RoundPoint {
  const char* name;
  bool RoundAfter::*member;
};

inline constexpr RoundPoint kRoundPoints[] = {
    {"norm", &RoundAfter::norm},           {"weight", &RoundAfter::weight},
    {"bias", &RoundAfter::bias},           {"statistic", &RoundAfter::statistic},
    {"norm_bias", &RoundAfter::norm_bias}, {"scale", &RoundAfter::scale},
    {"rotation", &RoundAfter::rotation},   {"tau", &RoundAfter::tau}};

/// The names of those that are set.
inline std::vector<const char*> names_of(const RoundAfter& points) {
  std::vector<const char*> names;
  for (const RoundPoint& point : kRoundPoints) {
    if (points.*point.member) names.push_back(point.name);
  }
  return names;
}

}  // namespace ropejit::internal
