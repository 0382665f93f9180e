// Which layers rotate, against small models that Hugging Face transformers' own code ran (golden/make_hf_layers.py).
#include <llvm/Support/raw_ostream.h>

#include <set>
#include <string>

#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::internal;

TEST_CASE("the layers that rotate are those of transformers' own models, or the config is refused") {
  const llvm::json::Object whole = parse_json_object(ropejit::test::read_test_file("golden/hf_layers.json"));
  const llvm::json::Array* cases = whole.getArray("cases");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 140);
  std::size_t refused = 0;
  std::set<std::string> patterns;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    std::string text;
    llvm::raw_string_ostream(text) << *reader.find("config");
    INFO(text);
    std::optional<ModelRopes> model;
    try {
      model = ModelRopes::from_hf_config(text);
    } catch (const Error& error) {
      ++refused;
      continue;
    }
    std::string rotates;
    for (std::int64_t layer = 0; layer < model->layers(); ++layer) rotates += model->find(layer) != nullptr ? '1' : '0';
    CHECK(rotates == reader.get_string("rotates", ""));
    patterns.insert(rotates);
  }
  CHECK(patterns.size() >= 6);
  CHECK(refused * 2 < cases->size());
}
