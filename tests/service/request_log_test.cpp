// ROPEJIT_RECORD: what a service was asked for is written down.
#include "service/request_log.hpp"

#include <fstream>
#include <string>
#include <vector>

#include "ropejit/service.hpp"
#include "service/small_spec.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

ServiceOptions options_of(OnMiss on_miss) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = "";
  options.on_miss = on_miss;
  return options;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("a plan is written down once by each service, with what makes its binaries elsewhere") {
  const ScratchFolder folder;
  const std::string path = folder.path() + "/asked.jsonl";
  const ScopedVariable record("ROPEJIT_RECORD", path.c_str());
  const LaunchForm form = LaunchForm::in_place_start();
  {
    const RopeService service(options_of(OnMiss::generic));
    for (const double theta : {10000.0, 500000.0, 10000.0}) static_cast<void>(service.get(small_spec(theta), form));
  }
  REQUIRE(lines_of(path).size() == 2);
  static_cast<void>(RopeService(options_of(OnMiss::generic)).get(small_spec(10000), form));
  const std::vector<std::string> lines = lines_of(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[2] == lines[0]);
  const llvm::json::Object object = internal::parse_json_object(lines[1]);
  CHECK(object.getInteger("schema") == std::int64_t{1});
  REQUIRE(object.getString("arch"));
  CHECK(object.getString("arch")->str().starts_with("host-"));
  REQUIRE(object.getObject("spec"));
  CHECK(object.getObject("spec")->getNumber("rope_theta") == 500000.0);
  REQUIRE(object.getObject("form"));
  const llvm::json::Array* variants = object.getArray("variants");
  REQUIRE(variants != nullptr);
  CHECK(variants->size() >= 2);
  for (const llvm::json::Value& name : *variants) CHECK(internal::parse_variant(name.getAsString()->str()));
}

TEST_CASE("what could not be served is written down, too") {
  const ScratchFolder folder;
  const std::string path = folder.path() + "/asked.jsonl";
  const ScopedVariable record("ROPEJIT_RECORD", path.c_str());
  const RopeService service(options_of(OnMiss::error));
  CHECK_THROWS_AS(service.get(small_spec(10000), LaunchForm::in_place_start()), Error);
  CHECK(lines_of(path).size() == 1);
}

TEST_CASE("a file that cannot be written to is a warning, said once") {
  const ScopedVariable record("ROPEJIT_RECORD", "/nowhere/asked.jsonl");
  std::vector<std::string> warned;
  ServiceOptions options = options_of(OnMiss::generic);
  options.warn = [&](std::string_view line) {
    if (line.find("ROPEJIT_RECORD") != std::string_view::npos) warned.emplace_back(line);
  };
  const RopeService service(options);
  for (const double theta : {10000.0, 500000.0}) {
    static_cast<void>(service.get(small_spec(theta), LaunchForm::in_place_start()));
  }
  CHECK(warned == std::vector<std::string>{"ROPEJIT_RECORD: /nowhere/asked.jsonl: cannot open folder /nowhere: No such "
                                           "file or directory"});
}
