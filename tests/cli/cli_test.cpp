// The program at work, as a process, on the host target.
#include <llvm/Support/JSON.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"

using namespace ropejit::test;

namespace {

const std::string kSpec = R"({"schema":1,"dtype":"bf16","rotary_dim":16,"q":{"heads":3,"head_dim":24,"first_lane":8},)"
                          R"("k":{"heads":2,"head_dim":16}})";

std::string text(const llvm::json::Object& object, const char* key) {
  INFO("key " << key);
  const auto value = object.getString(key);
  REQUIRE(value);
  return value->str();
}

double number(const llvm::json::Object& object, const char* key) {
  INFO("key " << key);
  const auto value = object.getNumber(key);
  REQUIRE(value);
  return *value;
}

Finished run_json(const Program& program, const std::string& model, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"run", "--model", model, "--device", "host", "--tokens", "7", "--json"});
  return program(more);
}

std::string real_compiler() {
  const char* chosen = std::getenv("ROPEJIT_HOST_CXX");
  return chosen != nullptr ? chosen : "c++";
}

std::vector<std::string> entries_of(const Program& program) { return files_below(program.cache()); }

}  // namespace

TEST_CASE("run prints every field of its report, and the second process finds the binary on disk") {
  const Program program;
  const std::string model = program.file("spec.json", kSpec);
  const Finished first = run_json(program, model);
  INFO(first.err);
  REQUIRE(first.status == 0);
  CHECK(first.err.empty());
  const llvm::json::Object cold = object(first);
  CHECK(text(cold, "device") == "host");
  CHECK(text(cold, "arch").rfind("host-", 0) == 0);
  CHECK(text(cold, "entry").find(text(cold, "variant")) != std::string::npos);
  CHECK(text(cold, "cache") == "miss");
  CHECK(number(cold, "compile_ms") > 0);
  CHECK(number(cold, "load_us") > 0);
  CHECK(number(cold, "launch_us") > 0);
  CHECK(number(cold, "gb_per_s") > 0);
  CHECK(number(cold, "max_abs_error") > 0);
  CHECK(number(cold, "max_abs_error") <= number(cold, "bound"));
  CHECK(number(cold, "bound") < 0.02);
  CHECK(cold.getBoolean("verified") == true);
  CHECK(number(cold, "elements") == 7 * (3 * 24 + 2 * 16));
  CHECK(number(cold, "tokens") == 7);
  CHECK(number(cold, "positions_first") == 0);
  CHECK(text(cold, "class_hash").size() == 32);
  CHECK(text(cold, "plan_hash").size() == 32);

  const Finished second = run_json(program, model);
  INFO(second.err);
  REQUIRE(second.status == 0);
  const llvm::json::Object warm = object(second);
  CHECK(text(warm, "cache") == "disk");
  CHECK(number(warm, "compile_ms") == 0);
  CHECK(warm.getBoolean("verified") == true);
  CHECK(text(warm, "plan_hash") == text(cold, "plan_hash"));
}

TEST_CASE("run verifies every form, direction, layout and dtype") {
  const std::vector<std::vector<std::string>> rows = {
      {"--out-of-place"},
      {"--strides", "free"},
      {"--out-of-place", "--strides=free", "--direction=adjoint"},
      {"--positions", "start", "--first", "-5"},
      {"--positions=ids32", "--first=2147483641"},
      {"--positions", "ids64", "--first", "1099511627000"},
      {"--layout", "interleaved", "--dtype", "fp16"},
      {"--dtype", "fp32", "--direction", "adjoint"},
      {"--rounding", "p1"},
      {"--rounding=p2", "--sine", "hardware"},
      {"--angle", "fp32", "--first", "1000000", "--rounding", "p3"},
      {"--angle", "fp32_inv_freq", "--dtype", "fp32", "--first", "1000000"},
  };
  const Program program;
  const std::string model = program.file("spec.json", kSpec);
  for (const std::vector<std::string>& row : rows) {
    const Finished finished = run_json(program, model, row);
    INFO(row.front() << "\nstdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 0);
    CHECK(object(finished).getBoolean("verified") == true);
  }
}

TEST_CASE("run verifies a spec with axes, and outputs of another dtype") {
  const Program program;
  const std::string model = program.file(
      "spec.json",
      R"({"schema":1,"dtype":"bf16","q":{"heads":3,"head_dim":16,"dtype_out":"fp32"},"k":{"heads":1,"head_dim":16},)"
      R"("axes":{"sections":[4,2,2],"order":"interleaved","frequencies":"restarted"}})");
  for (const std::vector<std::string>& row : {std::vector<std::string>{"--positions=ids64"},
                                              {"--positions=ids32", "--strides=free"},
                                              {"--positions=start"}}) {
    std::vector<std::string> words = row;
    words.emplace_back("--out-of-place");
    const Finished finished = run_json(program, model, words);
    INFO(row.front() << "\nstdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 0);
    CHECK(object(finished).getBoolean("verified") == true);
  }
}

TEST_CASE("run without --json tells a person the same") {
  const Program program;
  const Finished finished =
      program({"run", "--model", program.file("spec.json", kSpec), "--device", "host", "--tokens", "7"});
  INFO(finished.out);
  CHECK(finished.status == 0);
  for (const char* word : {"lower", "generate", "get", "launch", "verify", "miss", "verified 728 elements"}) {
    INFO("wanted: " << word);
    CHECK(finished.out.find(word) != std::string::npos);
  }
}

TEST_CASE("a kernel that is wrong is status 1, and what is wrong is said") {
  struct Row {
    const char* edit;  // of the generated source, on its way to the compiler
    std::vector<std::string> options;
    const char* problem;
  };
  const std::vector<Row> rows = {
      {"s/negate_sin = false/negate_sin = true/", {}, "q: "},
      {"s/(params, data);/;/", {"--out-of-place"}, "q: "},
      {"s/(params, data);/&static_cast<char*>(params.q_out)[-1] = 0;/", {}, "q: memory before the tensor"},
      {"s/(params, data);/&static_cast<char*>(params.k_out)[7*2*16*2] = 0;/", {}, "k: memory behind the tensor"},
      {"s/(params, data);/&static_cast<char*>(const_cast<void*>(params.k_in))[-1] = 0;/",
       {"--out-of-place"},
       "k: the input was written to"},
  };
  for (const Row& row : rows) {
    INFO(row.edit);
    Program program;
    const std::string model = program.file("spec.json", kSpec);
    const std::string compiler = program.file(
        "c++", "#!/bin/sh\nfor word in \"$@\"; do case \"$word\" in *kernel.cpp) sed -i '" + std::string(row.edit) +
                   "' \"$word\";; esac; done\nexec " + real_compiler() + " \"$@\"\n");
    std::filesystem::permissions(compiler, std::filesystem::perms::owner_all);
    program.environment["ROPEJIT_HOST_CXX"] = compiler;
    const Finished finished = run_json(program, model, row.options);
    INFO("stdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 1);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == false);
    CHECK(text(report, "problem").rfind(row.problem, 0) == 0);
  }
}

TEST_CASE("a damaged cache entry is a miss that still verifies, and is replaced") {
  struct Row {
    const char* name;
    void (*damage)(const std::string& path);
  };
  const Row row = GENERATE(values<Row>({
      {"a byte flipped in the middle",
       [](const std::string& path) {
         std::string bytes = read_text(path);
         bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
         write_text(path, bytes);
       }},
      {"cut in half",
       [](const std::string& path) { std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2); }},
      {"emptied", [](const std::string& path) { std::filesystem::resize_file(path, 0); }},
      {"text instead", [](const std::string& path) { write_text(path, "not an entry\n"); }},
  }));
  INFO(row.name);
  const Program program;
  const std::string model = program.file("spec.json", kSpec);
  REQUIRE(run_json(program, model).status == 0);
  REQUIRE(!entries_of(program).empty());
  for (const std::string& path : entries_of(program)) row.damage(path);

  const Finished after = run_json(program, model);
  INFO(after.err);
  CHECK(after.status == 0);
  CHECK(text(object(after), "cache") == "miss");
  CHECK(object(after).getBoolean("verified") == true);
  CHECK(text(object(run_json(program, model)), "cache") == "disk");
}

TEST_CASE("without a place to write the cache the job is done all the same") {
  Program program;
  program.environment.erase("ROPEJIT_CACHE_DIR");
  const std::string home = GENERATE("/dev/null", "/proc", "");
  INFO("HOME=" << home);
  if (home.empty()) {
    program.environment.erase("HOME");
  } else {
    program.environment["HOME"] = home;
  }
  const std::string model = program.file("spec.json", kSpec);
  for (int i = 0; i < 2; ++i) {
    const Finished finished = run_json(program, model);
    INFO(finished.err);
    CHECK(finished.status == 0);
    CHECK(text(object(finished), "cache") == "miss");
    CHECK(object(finished).getBoolean("verified") == true);
  }
  CHECK(files_below(program.folder.path()) == std::vector<std::string>{model});
}

TEST_CASE("a stdout that is closed or full is status 1 and one line, and harms no file") {
  const Program program;
  const std::string model = program.file("spec.json", kSpec);
  const std::string out = GENERATE("", "/dev/full");
  INFO("stdout: " << (out.empty() ? "closed" : out));
  const Finished finished = program.run({"run", "--model", model, "--device", "host", "--tokens", "7"}, out);
  CHECK(finished.status == 1);
  CHECK(finished.err.find("standard output") != std::string::npos);
  CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
  CHECK(text(object(run_json(program, model)), "cache") == "disk");
}

TEST_CASE("inspect prints the frequencies and hashes of a real model") {
  const Program program;
  const std::string model = program.file("config.json", ropejit::test::read_test_file("data/models/llama-3.1-8b.json"));
  const Finished finished = program({"inspect", "--model", model, "--json"});
  REQUIRE(finished.status == 0);
  const llvm::json::Object report = object(finished);
  std::vector<std::string> keys;
  for (const auto& item : report) keys.push_back(llvm::StringRef(item.first).str());
  std::sort(keys.begin(), keys.end());
  CHECK(keys == std::vector<std::string>{"attention_scale", "class_hash", "dtype", "first_lane", "head_dim", "inv_freq",
                                         "kv_heads", "layout", "plan_hash", "q_heads", "rotary_dim", "scaling",
                                         "softmax_scale", "steps", "theta"});
  CHECK(text(report, "layout") == "split_half");
  CHECK(text(report, "dtype") == "bf16");
  CHECK(number(report, "head_dim") == 128);
  CHECK(number(report, "rotary_dim") == 128);
  CHECK(number(report, "first_lane") == 0);
  CHECK(number(report, "q_heads") == 32);
  CHECK(number(report, "kv_heads") == 8);
  CHECK(number(report, "theta") == 500000);
  CHECK(number(report, "attention_scale") == 1);
  CHECK(number(report, "softmax_scale") == 1);
  REQUIRE(report.getObject("scaling") != nullptr);
  CHECK(text(*report.getObject("scaling"), "rope_type") == "llama3");
  REQUIRE(report.getArray("inv_freq") != nullptr);
  REQUIRE(report.getArray("steps") != nullptr);
  CHECK(report.getArray("inv_freq")->size() == 64);
  CHECK(report.getArray("steps")->size() == 64);
  // One radian is 2^64 / (2 pi) = 2935890503282001226.0 steps.
  CHECK((*report.getArray("steps"))[0].getAsString()->str() == "2935890503282001226");
  CHECK((*report.getArray("inv_freq"))[0].getAsNumber() == 1.0);
  CHECK(finished.out.find("0.0021665707635033587") != std::string::npos);  // pair 29, blended: 17 digits

  const Finished person = program({"inspect", "--model", model});
  CHECK(person.status == 0);
  CHECK(person.out.find("served by") != std::string::npos);
  CHECK(person.out.find("universal_") != std::string::npos);
}

TEST_CASE("inspect reports both scales, and asks for the length that a rule depends on") {
  const Program program;
  const auto spec_with = [&](const char* scaling) {
    return program.file(
        "spec.json",
        std::string(R"({"schema": 1, "q": {"heads": 4, "head_dim": 8}, "rope_scaling": )") + scaling + "}");
  };
  const std::string yarn = spec_with(R"({"rope_type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
                                         "mscale_all_dim": 1, "scale_softmax": true})");
  const llvm::json::Object report = object(program({"inspect", "--model", yarn, "--json"}));
  CHECK(std::fabs(number(report, "attention_scale") - 1.36888795) < 1e-8);
  CHECK(std::fabs(number(report, "softmax_scale") - 1.87385421) < 1e-8);
  const Finished person = program({"inspect", "--model", yarn});
  CHECK(person.out.find("cos and sin times 1.36") != std::string::npos);
  CHECK(person.out.find("softmax scale times 1.87") != std::string::npos);

  const std::string dynamic = spec_with(R"({"rope_type": "dynamic", "factor": 2, "max_position_embeddings": 2048})");
  const Finished refused = program({"inspect", "--model", dynamic});
  CHECK(refused.status == 2);
  CHECK(refused.err.find("max_length") != std::string::npos);
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  const Finished resolved = program({"inspect", "--model", dynamic, "--max-length", "8192"});
  CHECK(resolved.status == 0);
  CHECK(resolved.out.find("max_length 8192") != std::string::npos);
}

TEST_CASE("roundings and the sine are the spec's, or an option's over it") {
  const Program program;
  const std::string model = program.file(
      "spec.json", R"({"schema": 1, "q": {"heads": 4, "head_dim": 8}, "rounding": "p2", "angle": "fp32"})");
  const Finished given = program({"inspect", "--model", model});
  CHECK(given.status == 0);
  CHECK(given.out.find(" rounding p2 angle fp32 forward") != std::string::npos);
  const Finished changed =
      program({"inspect", "--model", model, "--rounding=exact", "--angle=fp32_inv_freq", "--sine=hardware"});
  CHECK(changed.status == 0);
  CHECK(changed.out.find(" angle fp32_inv_freq sine hardware forward") != std::string::npos);
  CHECK(changed.out.find("rounding") == std::string::npos);
}

TEST_CASE("inspect shows frequencies as they were rounded") {
  const Program program;
  const std::string model = program.file("spec.json", R"({"schema": 1, "q": {"heads": 4, "head_dim": 8}})");
  const auto first_slow_pair = [&](const char* angle) {
    const llvm::json::Object report = object(program({"inspect", "--model", model, "--json", "--angle", angle}));
    return *(*report.getArray("inv_freq"))[1].getAsNumber();
  };
  CHECK(first_slow_pair("exact") == 0.1);
  CHECK(first_slow_pair("fp32_inv_freq") == static_cast<double>(0.1f));
}

TEST_CASE("inspect tells the layers of a model apart, and --layer picks one") {
  const Program program;
  const std::string model = program.file(
      "config.json", R"({"model_type": "cohere2", "num_attention_heads": 4, "head_dim": 8, "rope_theta": 50000,
                         "num_hidden_layers": 8})");
  const Finished all = program({"inspect", "--model", model, "--layers"});
  CHECK(all.status == 0);
  CHECK(std::count(all.out.begin(), all.out.end(), '\n') == 4);
  CHECK(all.out.find("0-2  sliding_attention   interleaved bf16 q 4x8") != std::string::npos);
  CHECK(all.out.find("7  full_attention      none") != std::string::npos);

  const llvm::json::Object report = object(program({"inspect", "--model", model, "--layers", "--json"}));
  const llvm::json::Array* layers = report.getArray("layers");
  REQUIRE(layers != nullptr);
  REQUIRE(layers->size() == 8);
  CHECK(number(*(*layers)[3].getAsObject(), "layer") == 3);
  CHECK((*layers)[3].getAsObject()->get("spec")->kind() == llvm::json::Value::Null);
  CHECK(number(*(*layers)[0].getAsObject()->getObject("spec"), "rope_theta") == 50000);

  CHECK(program({"inspect", "--model", model, "--layer", "0"}).status == 0);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--layer", "3"}, {"--layer", "8"}, {"--layer", "-1"}}) {
    std::vector<std::string> words{"inspect", "--model", model};
    words.insert(words.end(), more.begin(), more.end());
    const Finished refused = program(words);
    INFO(refused.err);
    CHECK(refused.status == 2);
    CHECK(refused.err.find("layer") != std::string::npos);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
}

TEST_CASE("source prints what is compiled, or writes it with its templates") {
  const Program program;
  const std::string model = program.file("spec.json", kSpec);
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
  const std::string model = program.file("spec.json", kSpec);
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

  REQUIRE(run_json(program, program.file("spec.json", kSpec)).status == 0);
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
