// The program's smaller commands, as a process, on the host target.
#include <llvm/Support/JSON.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::test;

TEST_CASE("source prints what is compiled, or writes it with its templates") {
  const Program program;
  const std::string model = program.file("spec.json", kSmallSpec);
  const Finished printed = program({"source", "--model", model, "--variant", "flat_v4_h1_t64"});
  CHECK(printed.status == 0);
  CHECK(printed.out.find("extern \"C\"") != std::string::npos);
  CHECK(printed.out.find("flat_v4_h1_t64") != std::string::npos);

  const Finished written =
      program({"source", "--model", model, "--variant", "flat_v4_h1_t64", "--out", program.folder / "out", "--json"});
  REQUIRE(written.status == 0);
  const llvm::json::Object report = object(written);
  CHECK(text(report, "source") == printed.out);
  const std::string main_file = program.folder / ("out/" + text(report, "entry") + ".cu");
  CHECK(read_text(main_file) == printed.out);
  REQUIRE(report.getArray("files") != nullptr);
  CHECK(report.getArray("files")->size() == files_below(program.folder / "out").size());
  CHECK(report.getArray("files")->size() > 3);
}

TEST_CASE("compile writes one binary an arch and reports it") {
  const Program program;
  const std::string model = program.file("spec.json", kSmallSpec);
  const bool nvrtc = program({"info", "--json"}).out.find("\"available\": true") != std::string::npos;
  const std::string archs = nvrtc ? "host,sm_80,sm_90,sm_80" : "host";
  const Finished finished =
      program({"compile", "--model", model, "--arch", archs, "--out", program.folder / "out", "--json"});
  INFO(finished.err);
  REQUIRE(finished.status == 0);
  const llvm::json::Value value = parsed(finished);
  const llvm::json::Array* reports = value.getAsArray();
  REQUIRE(reports != nullptr);
  CHECK(reports->size() == (nvrtc ? 3 : 1));
  for (const llvm::json::Value& item : *reports) {
    REQUIRE(item.getAsObject() != nullptr);
    const llvm::json::Object& report = *item.getAsObject();
    const std::string file = text(report, "file");
    INFO(file);
    CHECK(std::filesystem::file_size(file) == static_cast<std::uintmax_t>(number(report, "bytes")));
    CHECK(read_text(file).substr(1, 3) == "ELF");
    CHECK(number(report, "compile_ms") > 0);
    const bool host = text(report, "arch") == "host";
    CHECK((number(report, "registers") > 0) == !host);
    CHECK(number(report, "spill_bytes") == (host ? -1 : 0));
  }
  CHECK(files_below(program.folder / "out").size() == reports->size());
}

TEST_CASE("info reports what is there and does not fail for what is not") {
  Program program;
  program.environment["ROPEJIT_NVRTC"] = "/nonexistent/libnvrtc.so";
  program.environment["ROPEJIT_HOST_CXX"] = "/nonexistent/compiler";
  const Finished finished = program({"info", "--json"});
  INFO(finished.err);
  CHECK(finished.status == 0);
  const llvm::json::Object report = object(finished);
  CHECK(text(report, "version") == "0.1.0");
  for (const char* key : {"cuda", "nvrtc", "host_compiler", "cache"}) {
    INFO(key);
    CHECK(report.getObject(key) != nullptr);
  }
  REQUIRE(report.getObject("nvrtc") != nullptr);
  CHECK(report.getObject("nvrtc")->getBoolean("available") == false);
  CHECK(!text(*report.getObject("nvrtc"), "problem").empty());
  CHECK(!text(*report.getObject("host_compiler"), "problem").empty());
  CHECK(program({"info"}).status == 0);
}

TEST_CASE("cache shows its directory and its entries, damaged ones too") {
  const Program program;
  CHECK(program({"cache", "path"}).out == program.cache() + "\n");
  CHECK(program({"cache", "path", "--cache-dir=/elsewhere"}).out == "/elsewhere\n");
  CHECK(parsed(program({"cache", "ls", "--json"})).getAsArray()->empty());

  REQUIRE(run_json(program, program.file("spec.json", kSmallSpec)).status == 0);
  const llvm::json::Value value = parsed(program({"cache", "ls", "--json"}));
  REQUIRE(value.getAsArray() != nullptr);
  const std::size_t count = value.getAsArray()->size();
  CHECK(count >= 2);
  for (const llvm::json::Value& item : *value.getAsArray()) {
    REQUIRE(item.getAsObject() != nullptr);
    CHECK(text(*item.getAsObject(), "key").size() == 64);
    CHECK(text(*item.getAsObject(), "arch").rfind("host-", 0) == 0);
    CHECK(std::filesystem::file_size(text(*item.getAsObject(), "path")) ==
          static_cast<std::uintmax_t>(number(*item.getAsObject(), "bytes")));
  }

  write_text(text(*(*value.getAsArray())[0].getAsObject(), "path"), "damage");
  const llvm::json::Value damaged = parsed(program({"cache", "ls", "--json"}));
  CHECK(damaged.getAsArray()->size() == count);
  CHECK(std::count_if(damaged.getAsArray()->begin(), damaged.getAsArray()->end(),
                      [](const auto& item) { return item.getAsObject()->getString("problem").has_value(); }) == 1);
  CHECK(program({"cache", "ls"}).status == 0);
}

TEST_CASE("help and version are for stdout and status 0") {
  const Program program;
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{}, {"--help"}, {"help"}}) {
    const Finished finished = program(words);
    CHECK(finished.status == 0);
    CHECK(finished.out.find("example: ropejit run --model") != std::string::npos);
  }
  for (const char* command : {"run", "inspect", "source", "variants", "compile", "info", "cache"}) {
    const Finished finished = program({command, "--help"});
    INFO(command);
    CHECK(finished.status == 0);
    CHECK(finished.out.find("--json") != std::string::npos);
  }
  CHECK(program({"--version"}).out == "ropejit 0.1.0\n");
}
