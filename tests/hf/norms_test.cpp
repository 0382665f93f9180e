// What attention does to q and k before it rotates, against small models that Hugging Face transformers' own code ran
// (golden/make_hf_norms.py).
#include <llvm/Support/raw_ostream.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

// Types of which the golden and the specs say different things, and why.
struct Known {
  std::string golden;
  std::string ours;
  const char* why;
};
const std::map<std::string, Known> kKnown = {
    {"diffllama", {"other", "none", "attention gets halves of v, which the cache holds whole"}},
    {"jetmoe", {"other", "none", "attention gets k and v repeated, which the cache holds once"}},
    {"molmo2_text", {"rms_head", "other", "qk_norm_type decides, and only its default is of each head"}},
};

// With what a family may ask for that has no say in its norms: "none", "rms_head" or "other", as the golden has them,
// or why the config is not read at all.
std::string kind_of(llvm::json::Object config, std::optional<RopeSpec>& first) {
  ModelOptions options;
  options.prologue = true;
  options.parity = true;
  std::string why;
  for (const char* key : {"", "rope_theta", "partial_rotary_factor", "rope_parameters"}) {
    if (*key != '\0') config[key] = 0.5;
    if (config.get("rope_theta") != nullptr) config["rope_theta"] = 5e5;
    if (config.get("rope_parameters") != nullptr) {
      config["rope_parameters"] = llvm::json::Object{{"rope_type", "default"}, {"rope_theta", 5e5}};
    }
    std::string text;
    llvm::raw_string_ostream(text) << llvm::json::Value(llvm::json::Object(config));
    try {
      const ModelRopes model = ModelRopes::from_hf_config(text, options);
      if (model.specs().empty()) return "no layer rotates";
      first = model.specs().front();
      return first->q.norm ? "rms_head" : "none";
    } catch (const Error& error) {
      why = error.what();
      if (why.find("prologue: found") != std::string::npos) return "other";
    }
  }
  return why;
}

}  // namespace

TEST_CASE("the norms of a prologue are those of transformers' own models, or the config is refused") {
  const llvm::json::Object whole = parse_json_object(ropejit::test::read_test_file("golden/hf_norms.json"));
  const llvm::json::Array* cases = whole.getArray("cases");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 100);
  std::size_t compared = 0;
  std::multiset<std::string> kinds;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    const llvm::json::Object& config = reader.get_object("config").object();
    std::string text;
    llvm::raw_string_ostream(text) << llvm::json::Value(llvm::json::Object(config));
    INFO(text);
    std::optional<RopeSpec> spec;
    const std::string kind = kind_of(config, spec);
    if (kind != "none" && kind != "rms_head" && kind != "other")
      continue;  // its rotation is refused without a prologue
    const std::string golden = reader.get_string("kind", "");
    const std::string type = reader.get_object("config").get_string("model_type", "");
    const auto known = kKnown.find(type);
    CHECK(kind == (known != kKnown.end() && known->second.golden == golden ? known->second.ours : golden));
    kinds.insert(kind);
    ++compared;
    if (kind != "rms_head") continue;
    CHECK(spec->q.norm->eps == reader.get_number("eps", {}));
    CHECK(spec->q.norm == spec->k->norm);
    CHECK(spec->round_after == RoundAfter{reader.find_bool("rounds_normed").value(), true});
  }
  CHECK(compared * 3 > cases->size() * 2);
  CHECK(kinds.count("none") >= 40);
  CHECK(kinds.count("rms_head") >= 15);
  CHECK(kinds.count("other") >= 15);
}
