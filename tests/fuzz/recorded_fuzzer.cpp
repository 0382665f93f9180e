// What ROPEJIT_RECORD writes, read by warm: read_recorded.
#include "deploy/warm_plan.hpp"
#include "fuzz/fuzzer.hpp"

namespace ropejit::test::fuzzed {

std::vector<std::string> seeds() {
  RopeSpec spec;
  spec.rotary_dim = 8;
  spec.q = {4, 8, 0};
  const std::string start = R"({"schema":1,"spec":)" + spec.to_json() + R"(,"form":)";
  return {
      start + LaunchForm().to_json() + R"(,"arch":"sm_90","device":"sm_90/132/2619/5120/52428800"})",
      start + LaunchForm::in_place_start().to_json() +
          R"(,"arch":"8.0","device":"sm_80/108/1215/5120/41943040","variants":["flat_v4_h1_t128","universal_v4_h1_t128_buffer"]})"};
}

void check(std::string_view input) {
  internal::Problems problems;
  const internal::Recorded recorded = internal::read_recorded(input, problems);
  for (const std::string& line : problems.lines()) {
    require(!line.empty() && line.find('\n') == std::string::npos, "a problem is one line");
  }
  require(recorded.plans.plans.size() <= recorded.plans.asked, "plans are those that were asked for");
  require(recorded.archs.size() <= recorded.plans.asked && recorded.devices.size() <= recorded.plans.asked,
          "archs and devices are those of the lines");
}

}  // namespace ropejit::test::fuzzed
