// ROPEJIT_TEMPLATES: device headers of a folder in place of the embedded ones. Read once a process, so each case runs
// the program.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include <llvm/Support/JSON.h>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "codegen/kernel_source.hpp"
#include "codegen/template_folder.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

const std::string kSpec = R"({"schema":1,"dtype":"bf16","q":{"heads":3,"head_dim":16},"k":{"heads":2,"head_dim":16}})";

// The program, and a folder with the library's own headers that it is told of.
struct Workbench {
  Workbench() {
    std::filesystem::create_directory(templates());
    for (const TextFile& file : embedded_templates()) write_text(path(file.name), file.text);
    program.environment["ROPEJIT_TEMPLATES"] = templates();
  }

  std::string templates() const { return program.folder / "templates"; }
  std::string path(std::string_view name) const { return templates() + "/" + std::string(name); }

  void edit(std::string_view name, const std::string& from, const std::string& to) const {
    std::string text = read_text(path(name));
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write_text(path(name), text.replace(at, from.size(), to));
  }
  void append(std::string_view name, const std::string& more) const {
    write_text(path(name), read_text(path(name)) + more);
  }

  Finished run() const { return program({"run", "--model", model, "--device", "host", "--tokens", "7", "--json"}); }
  std::string rung() const { return object(run()).getString("cache")->str(); }

  llvm::json::Object facts() const { return *object(program({"info", "--json"})).getObject("templates"); }
  std::string digest() const { return facts().getString("digest")->str(); }
  std::string embedded_digest() const {
    Program plain;
    return object(plain({"info", "--json"})).getObject("templates")->getString("digest")->str();
  }

  Program program;
  std::string model = program.file("spec.json", kSpec);
};

}  // namespace

TEST_CASE("a copy of the library's templates is the library's templates: the same digest, the same entries") {
  Workbench bench;
  CHECK(bench.digest() == bench.embedded_digest());
  CHECK(bench.rung() == "miss");
  bench.program.environment.erase("ROPEJIT_TEMPLATES");
  CHECK(bench.rung() == "disk");
  bench.program.environment["ROPEJIT_TEMPLATES"] = "";
  CHECK(bench.rung() == "disk");
  CHECK(bench.facts().get("folder")->kind() == llvm::json::Value::Null);
}

TEST_CASE("a changed template makes other keys, and its kernels still run and are right") {
  const Workbench bench;
  CHECK(bench.rung() == "miss");
  CHECK(bench.rung() == "disk");
  const std::string before = bench.digest();
  bench.append("sine.cuh", "// changed\n");
  CHECK(bench.digest() != before);
  const Finished changed = bench.run();
  CHECK(changed.status == 0);
  CHECK(object(changed).getString("cache")->str() == "miss");
  CHECK(object(changed).getBoolean("verified") == true);
  CHECK(bench.rung() == "disk");
}

TEST_CASE("the folder's code is what runs: a template that is wrong makes wrong kernels") {
  const Workbench bench;
  // The first coefficient after 1 of a cosine, in every polynomial.
  for (const char* coefficient : {"-0x1.ffffbap-2f", "-0x1.ffffd2p-2f"}) bench.edit("sine.cuh", coefficient, "0.25f");
  const Finished finished = bench.run();
  CHECK(finished.status == 1);
  CHECK(object(finished).getBoolean("verified") == false);
}

TEST_CASE("a new header of the folder can be included, by templates and by a source of one's own") {
  const Workbench bench;
  const std::string before = bench.digest();
  write_text(bench.path("mine.cuh"), "#pragma once\nnamespace mine { constexpr float one = 1.0f; }\n");
  CHECK(bench.digest() != before);
  bench.edit("sine.cuh", "#pragma once", "#pragma once\n#include \"mine.cuh\"\nstatic_assert(mine::one == 1.0f);");
  const Finished finished = bench.run();
  INFO(finished.err);
  CHECK(finished.status == 0);
  CHECK(object(finished).getBoolean("verified") == true);
  const std::string source = bench.program({"source", "--model", bench.model, "--tokens", "7"}).out;
  const std::string own =
      bench.program.file("mine.cu", "#include \"mine.cuh\"\nstatic_assert(mine::one != 2);\n" + source);
  const Finished run =
      bench.program({"run", "--model", bench.model, "--device", "host", "--tokens", "7", "--source", own});
  INFO(run.err);
  CHECK(run.status == 0);

  REQUIRE(bench.program({"source", "--model", bench.model, "--out", bench.program.folder / "out"}).status == 0);
  CHECK(read_text(bench.program.folder / "out/mine.cuh") == read_text(bench.path("mine.cuh")));
}

TEST_CASE("both compilers read the folder's headers, new ones too") {
  const Workbench bench;
  const bool nvrtc = bench.program({"info", "--json"}).out.find("\"available\": true") != std::string::npos;
  bench.edit("sine.cuh", "#pragma once", "#pragma once\n#include \"mine.cuh\"");
  for (const std::string& arch : nvrtc ? std::vector<std::string>{"host", "sm_80"} : std::vector<std::string>{"host"}) {
    INFO(arch);
    const auto compile = [&] {
      return bench.program({"compile", "--model", bench.model, "--arch", arch, "--out", bench.program.folder / "out"});
    };
    write_text(bench.path("mine.cuh"), "#error read from the folder\n");
    const Finished refused = compile();
    CHECK(refused.status == 1);
    CHECK(refused.err.find("read from the folder") != std::string::npos);
    write_text(bench.path("mine.cuh"), "#pragma once\n");
    CHECK(compile().status == 0);
  }
}

TEST_CASE("what is no header of the folder is not looked at") {
  const Workbench bench;
  const std::string before = bench.digest();
  write_text(bench.path(".sine.cuh"), "an editor's");
  write_text(bench.path("sine.cuh~"), "an editor's");
  write_text(bench.path("notes.txt"), "a person's");
  std::filesystem::create_directory(bench.path("more"));
  CHECK(bench.digest() == before);
}

TEST_CASE("info says that a folder is in use") {
  const Workbench bench;
  const llvm::json::Object facts = bench.facts();
  CHECK(facts.getString("folder")->str() == bench.templates());
  CHECK(facts.getInteger("files") == static_cast<std::int64_t>(embedded_templates().size()));
  CHECK(facts.get("problem")->kind() == llvm::json::Value::Null);
  CHECK(bench.program({"info"}).out.find(bench.templates()) != std::string::npos);
  CHECK(Program()({"info"}).out.find("ROPEJIT_TEMPLATES") == std::string::npos);
}

TEST_CASE("a folder that is not fit is refused in one line that names the file, and info tells of it") {
  struct Row {
    const char* what;
    void (*spoil)(const Workbench& bench);
    std::vector<std::string> names;
  };
  const std::vector<Row> rows = {
      {"a file is missing",
       [](const Workbench& bench) { std::filesystem::remove(bench.path("sine.cuh")); },
       {"templates/sine.cuh", "no such file", "all "}},
      {"a directory in place of a file",
       [](const Workbench& bench) {
         std::filesystem::remove(bench.path("sine.cuh"));
         std::filesystem::create_directory(bench.path("sine.cuh"));
       },
       {"templates/sine.cuh", "a directory"}},
      {"a link to nothing",
       [](const Workbench& bench) { std::filesystem::create_symlink("gone.cuh", bench.path("more.cuh")); },
       {"templates/more.cuh", "a link to nothing"}},
      {"a device",
       [](const Workbench& bench) { std::filesystem::create_symlink("/dev/zero", bench.path("more.cuh")); },
       {"templates/more.cuh", "no file"}},
      {"too large",
       [](const Workbench& bench) { write_text(bench.path("more.cuh"), std::string((1 << 20) + 1, '\n')); },
       {"templates/more.cuh", "1048577 bytes", "1048576"}},
      {"a NUL byte",
       [](const Workbench& bench) { bench.append("sine.cuh", std::string(1, '\0')); },
       {"templates/sine.cuh", "NUL"}},
      {"the library's own half of a launch was changed",
       [](const Workbench& bench) { bench.append("launch_params.cuh", "// changed\n"); },
       {"templates/launch_params.cuh", "build the library anew"}},
      {"no folder at all",
       [](const Workbench& bench) { std::filesystem::remove_all(bench.templates()); },
       {"templates: found", "No such file", "folder"}},
      {"a file in place of the folder",
       [](const Workbench& bench) {
         std::filesystem::remove_all(bench.templates());
         write_text(bench.templates(), "");
       },
       {"templates: found", "Not a directory"}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const Workbench bench;
    row.spoil(bench);
    const Finished finished = bench.run();
    INFO("stderr: " << finished.err);
    CHECK(finished.status == 2);
    CHECK(finished.out.empty());
    CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
    CHECK(finished.err.find("ROPEJIT_TEMPLATES") != std::string::npos);
    for (const std::string& name : row.names) {
      INFO("wanted: " << name);
      CHECK(finished.err.find(name) != std::string::npos);
    }
    CHECK(files_below(bench.program.cache()).empty());
    const llvm::json::Object facts = bench.facts();
    CHECK(facts.getString("problem").has_value());
    CHECK(facts.get("digest")->kind() == llvm::json::Value::Null);
  }
}

TEST_CASE("the templates that the library is compiled with are those that a folder may not change") {
  const std::filesystem::path sources = std::filesystem::path(test_data_dir()) / "../src";
  if (!std::filesystem::exists(sources)) return;  // tests that were moved to another machine
  const std::regex include("#include \"([a-z_]+\\.cuh)\"");
  std::vector<std::string> included;
  for (const auto& item : std::filesystem::recursive_directory_iterator(sources)) {
    const std::filesystem::path& file = item.path();
    if (file.extension() != ".cpp" && file.extension() != ".hpp") continue;
    const std::string text = read_text(file.string());
    for (std::sregex_iterator match(text.begin(), text.end(), include), end; match != end; ++match) {
      included.push_back((*match)[1]);
    }
  }
  for (const std::string_view name : shared_templates()) {
    const std::string text = read_test_file("../templates/" + std::string(name));
    for (std::sregex_iterator match(text.begin(), text.end(), include), end; match != end; ++match) {
      included.push_back((*match)[1]);
    }
  }
  std::sort(included.begin(), included.end());
  included.erase(std::unique(included.begin(), included.end()), included.end());
  CHECK(included == std::vector<std::string>(shared_templates().begin(), shared_templates().end()));
}
