// Configs against what Hugging Face transformers' own code makes of them (golden/make_hf_frequencies.py).
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "ropejit/spec.hpp"
#include "spec/frequencies.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

std::string text_of(const llvm::json::Value& value) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << value;
  return out.str();
}

// How many floats lie between the two, which are 0 or above.
std::int64_t ulps_between(std::uint32_t a, std::uint32_t b) {
  return std::abs(static_cast<std::int64_t>(a) - static_cast<std::int64_t>(b));
}

}  // namespace

TEST_CASE("configs give transformers' attention factors, and its fp32 frequencies within 8 ulp") {
  const llvm::json::Object golden = parse_json_object(ropejit::test::read_test_file("golden/hf_frequencies.json"));
  const llvm::json::Array* cases = golden.getArray("cases");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 140);
  std::set<std::size_t> rules;
  std::size_t values = 0;
  std::size_t differing = 0;
  std::int64_t worst = 0;
  std::string worst_name;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    const std::string name = reader.get_string("name", "");
    RopeSpec spec = RopeSpec::from_hf_config(text_of(*reader.find("config")));
    // transformers makes a model for its shortest length.
    spec.max_length = reader.find_int("length", {}).value_or(1);
    INFO(name << ": " << spec.to_string());
    rules.insert(spec.scaling.index());
    const Frequencies ours = frequencies(spec);
    CHECK(std::fabs(ours.attention_scale / reader.get_number("attention_factor", PositiveRange{}) - 1) < 1e-15);

    const std::string bits = reader.get_string("inv_freq", "");
    REQUIRE(bits.size() == 8 * ours.inv_freq.size());
    for (std::size_t i = 0; i < ours.inv_freq.size(); ++i) {
      const auto theirs = static_cast<std::uint32_t>(std::stoul(bits.substr(8 * i, 8), nullptr, 16));
      const std::int64_t apart =
          ulps_between(theirs, std::bit_cast<std::uint32_t>(static_cast<float>(ours.inv_freq[i])));
      INFO("pair " << i << ": " << apart << " ulp");
      CHECK(apart <= 8);
      ++values;
      if (apart != 0) ++differing;
      if (apart > worst) {
        worst = apart;
        worst_name = name;
      }
    }
  }
  CHECK(rules.size() >= 8);
  // Not a failure: transformers rounds exponents and powers to fp32, which this library does not.
  WARN(differing << " of " << values << " fp32 frequencies in " << cases->size()
                 << " configs differ from transformers', the worst by " << worst << " ulp (" << worst_name << ")");
}
