#include <set>
#include <string>

#include "codegen/kernel_source.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::internal;

TEST_CASE("The embedded templates are the files of templates/, byte for byte") {
  std::set<std::string> names;
  for (const TextFile& file : embedded_templates()) {
    INFO(file.name);
    names.insert(std::string(file.name));
    CHECK(file.text == ropejit::test::read_test_file("../templates/" + std::string(file.name)));
  }
  CHECK(names.size() == embedded_templates().size());
  CHECK(names.count("flat.cuh") == 1);
  CHECK(names.count("launch_params.cuh") == 1);
}

TEST_CASE("The digest that was worked out by the build is that of the embedded templates") {
  CHECK(embedded_digest().size() == 32);
  CHECK(embedded_digest() == digest_of(embedded_templates()));
}
