// For readers whose inputs are JSON from end to end: mutations of the seeds.
#include "fuzz/fuzzer.hpp"

namespace ropejit::test::fuzzed {

const JsonMutator& json_mutator() {
  static const JsonMutator mutator(seeds());
  return mutator;
}

std::string mutate(const std::string& input, std::size_t limit, std::uint32_t seed) {
  return json_mutator()(input, limit, seed);
}

}  // namespace ropejit::test::fuzzed
