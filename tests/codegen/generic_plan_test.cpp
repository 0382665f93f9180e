// The generic kernel gets enumerators as numbers: those of the library must stand in the order of the templates' own.
#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "codegen/kernel_source.hpp"
#include "spec/names.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

std::string config_text() {
  for (const TextFile& file : embedded_templates()) {
    if (file.name == "config.cuh") return std::string(file.text);
  }
  FAIL("no config.cuh");
  return {};
}

/// The enumerators of an enum class of config.cuh, in order.
std::vector<std::string> of_templates(const std::string& name) {
  const std::string text = config_text();
  const std::string begin = "enum class " + name + " : u32 {";
  const std::size_t at = text.find(begin);
  REQUIRE(at != std::string::npos);
  std::istringstream lines(text.substr(at + begin.size(), text.find('}', at) - at - begin.size()));
  std::string bare;
  for (std::string line; std::getline(lines, line);) bare += line.substr(0, line.find("//"));
  std::vector<std::string> names;
  std::istringstream words(bare);
  for (std::string word; std::getline(words, word, ',');) {
    word.erase(std::remove_if(word.begin(), word.end(), [](char c) { return c == ' '; }), word.end());
    if (!word.empty()) names.push_back(word);
  }
  return names;
}

template <class E>
std::vector<std::string> of_library() {
  std::vector<std::string> names;
  for (const Named<E>& one : kNames<E>) {
    REQUIRE(static_cast<std::size_t>(one.value) == names.size());
    names.emplace_back(one.name);
  }
  return names;
}

/// Without those that only the templates have.
std::vector<std::string> without(std::vector<std::string> names, const std::string& name) {
  REQUIRE(std::count(names.begin(), names.end(), name) == 1);
  names.erase(std::find(names.begin(), names.end(), name));
  return names;
}

}  // namespace

TEST_CASE("Enumerators that the generic kernel gets by number stand in the templates' order") {
  CHECK(of_templates("Layout") == of_library<Layout>());
  CHECK(of_templates("Element") == of_library<DType>());
  CHECK(of_templates("PositionSource") == of_library<PositionSource>());
  CHECK(of_templates("ContextParallel") == of_library<ContextParallel>());
  CHECK(of_templates("Padding") == of_library<Padding>());
  CHECK(of_templates("CacheRows") == of_library<CacheRows>());
  CHECK(of_templates("Rounding") == of_library<Rounding>());
  CHECK(of_templates("TableUse") == std::vector<std::string>{"as_given", "inverse", "shift"});
  CHECK(of_templates("StatisticUse") ==
        std::vector<std::string>{"computed", "handed_out", "given", "sum_handed_out", "sum_given"});
  // What the templates have beside: angles_number and sine_number of codegen/generic.cpp leave room for it.
  CHECK(without(of_templates("AngleSource"), "product") == of_library<AngleSource>());
  CHECK(of_templates("AngleSource").at(1) == "product");
  CHECK(without(of_templates("Sine"), "polynomial16") == of_library<Sine>());
  CHECK(of_templates("Sine").at(1) == "polynomial16");
}
