// Which layers rotate, against small models that Hugging Face transformers' own code ran (golden/make_hf_layers.py).
#include <llvm/Support/raw_ostream.h>

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

std::string text_of(const llvm::json::Object& config) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(llvm::json::Object(config));
  return text;
}

// As it stands, or with what a family may ask for that has no say in which layers rotate.
std::optional<ModelRopes> read(llvm::json::Object config) {
  for (const char* key : {"", "rope_theta", "partial_rotary_factor"}) {
    if (*key != '\0') config[key] = 0.5;
    if (config.get("rope_theta") != nullptr) config["rope_theta"] = 5e5;
    try {
      return ModelRopes::from_hf_config(text_of(config));
    } catch (const Error&) {
    }
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("the layers that rotate are those of transformers' own models, or the config is refused") {
  const llvm::json::Object whole = parse_json_object(ropejit::test::read_test_file("golden/hf_layers.json"));
  const llvm::json::Array* cases = whole.getArray("cases");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 130);
  std::size_t refused = 0;
  std::set<std::string> patterns;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    INFO(text_of(reader.get_object("config").object()));
    const std::optional<ModelRopes> model = read(reader.get_object("config").object());
    if (!model) {
      ++refused;
      continue;
    }
    std::string rotates;
    for (std::int64_t layer = 0; layer < model->layers(); ++layer) rotates += model->find(layer) != nullptr ? '1' : '0';
    CHECK(rotates == reader.get_string("rotates", ""));
    patterns.insert(rotates);
  }
  CHECK(patterns.size() >= 6);
  CHECK(refused * 3 < cases->size());
}
