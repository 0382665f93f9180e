// Which of a list of models a word means, and which are near one that means none.
#include "deploy/model_name.hpp"

#include <llvm/ADT/StringRef.h>

#include <string>
#include <vector>

#include "deploy/warm_model.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit::internal;

std::vector<WarmModel> models(const std::vector<std::string>& names) {
  std::vector<WarmModel> all;
  for (const std::string& name : names) all.push_back({name, {}, {}, {}});
  return all;
}

// Two organisations have a "Small-7B", one name is another's end, and one has two slashes.
const std::vector<WarmModel>& made_up() {
  static const std::vector<WarmModel> all = models({"one/Small-7B", "two/small-7b", "one/Very-Small-9B", "two/Small-9B",
                                                    "one/Large-70B-Instruct", "one/Large/vision", "Large/vision"});
  return all;
}

std::vector<std::string> named(const std::string& word, const std::vector<WarmModel>& all) {
  std::vector<std::string> names;
  for (const WarmModel* model : models_named(word, all)) names.push_back(model->name);
  return names;
}

}  // namespace

TEST_CASE("A whole name goes before one without its organisation, and that before an ending") {
  struct Row {
    const char* word;
    std::vector<std::string> names;
  };
  const Row rows[] = {
      {"one/Small-7B", {"one/Small-7B"}},
      {"ONE/SMALL-7B", {"one/Small-7B"}},
      {"two/Small-7B", {"two/small-7b"}},
      {"small-7b", {"one/Small-7B", "two/small-7b"}},
      {"Small-9B", {"two/Small-9B"}},
      {"very-small-9b", {"one/Very-Small-9B"}},
      {"70b-instruct", {"one/Large-70B-Instruct"}},
      {"two/small-9b", {"two/Small-9B"}},
      {"ONE/70b-instruct", {"one/Large-70B-Instruct"}},
      {"two/70b-instruct", {}},
      {"large/vision", {"Large/vision"}},
      {"one/large/vision", {"one/Large/vision"}},
      {"vision", {"Large/vision"}},
  };
  for (const Row& row : rows) {
    INFO(row.word);
    CHECK(named(row.word, made_up()) == row.names);
  }
}

TEST_CASE("A part of a name that begins or ends elsewhere, or is one piece, is no name") {
  for (const char* word : {"9b", "INSTRUCT", "", "-", "/", "one", "one/", "mall-7b", "-7b", "/vision", "small",
                           "large-70b", "0b-instruct", "one/small-7b ", "three/small-7b", "small_7b"}) {
    INFO('"' << word << '"');
    CHECK(named(word, made_up()).empty());
  }
}

TEST_CASE("Every shipped model is meant by its name, in small letters, and without its organisation") {
  for (const WarmModel& model : shipped_models()) {
    const llvm::StringRef name = model.name;
    const std::string plain = name.substr(name.find('/') + 1).str();
    for (const std::string& word : {model.name, name.lower(), name.upper(), plain, llvm::StringRef(plain).lower()}) {
      INFO(word);
      CHECK(named(word, shipped_models()) == std::vector<std::string>{model.name});
    }
  }
}

TEST_CASE(
    "Near is a name that goes on where a word ends, one that ends where it goes on, and one of few other letters") {
  const std::vector<WarmModel> all =
      models({"a/Meta-Llama-3.1-8B", "a/Meta-Llama-3.1-70B", "b/Qwen3-8B", "b/Qwen3-14B", "c/gemma-3-4b-it",
              "c/gemma-2-2b", "d/phi-4", "d/phi-2", "e/Qwen3-VL/vision"});
  struct Row {
    const char* word;
    std::vector<std::string> names;
  };
  const Row rows[] = {
      {"qwen3-9b", {"b/Qwen3-8B"}},
      {"qwen3-13", {"b/Qwen3-8B", "b/Qwen3-14B"}},
      {"a/llama-3.1-8b", {"a/Meta-Llama-3.1-8B"}},
      {"qwen3-vl/visoin", {"e/Qwen3-VL/vision"}},
      {"qwen38b", {"b/Qwen3-8B"}},
      {"other/QWEN3-8B", {"b/Qwen3-8B"}},
      {"llama-3.1-8", {"a/Meta-Llama-3.1-8B"}},
      {"lama-3.1-8b", {"a/Meta-Llama-3.1-8B"}},
      {"llama-3.1", {"a/Meta-Llama-3.1-8B", "a/Meta-Llama-3.1-70B"}},
      {"gemma-3-4b", {"c/gemma-3-4b-it"}},
      {"qwen", {"b/Qwen3-8B", "b/Qwen3-14B", "e/Qwen3-VL/vision"}},
      {"llama-3.1-8b-instruct", {"a/Meta-Llama-3.1-8B"}},
      {"qwen3-14b-base", {"b/Qwen3-14B"}},
      {"qwen3-14bb", {"b/Qwen3-14B"}},
      {"phi-3", {"d/phi-4", "d/phi-2"}},
      {"x/phi-4", {"d/phi-4"}},
      {"phi", {}},
      {"qwen3-vl/visio", {"e/Qwen3-VL/vision"}},
      {"mistral-7b", {}},
      {"config.json", {}},
      {"nowhere/config.json", {}},
      {"", {}},
      {"/", {}},
  };
  for (const Row& row : rows) {
    INFO(row.word);
    CHECK(near_names(row.word, all) == row.names);
  }
  CHECK(near_names(std::string(1 << 20, 'q'), shipped_models()).empty());
  CHECK(near_names("qwen3-8", shipped_models()) == std::vector<std::string>{"Qwen/Qwen3-8B"});
}
