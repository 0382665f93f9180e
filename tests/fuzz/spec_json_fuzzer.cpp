// RopeSpec::from_json.
#include <random>

#include "fuzz/fuzzer.hpp"
#include "fuzz/spec_checks.hpp"
#include "support/random_spec.hpp"

namespace ropejit::test::fuzzed {

std::vector<std::string> seeds() {
  std::mt19937_64 random(1);
  std::vector<std::string> texts = staged_specs();
  for (int i = 0; i < 80; ++i) texts.push_back(random_spec(random).to_json());
  return texts;
}

void check(std::string_view input) {
  RopeSpec spec;
  if (accepted([&] { spec = RopeSpec::from_json(input); })) check_spec(spec);
}

}  // namespace ropejit::test::fuzzed
