// Six plans as different as they come, with a variant each: what the generator's goldens and the compile checks use.
#pragma once

#include <string>
#include <vector>

#include "codegen/variant.hpp"
#include "spec/plan.hpp"

namespace ropejit::test {

struct SamplePlan {
  std::string name;
  internal::RotationPlan plan;
  internal::Variant variant;
};

std::vector<SamplePlan> sample_plans();

}  // namespace ropejit::test
