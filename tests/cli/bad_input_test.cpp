// What a person gets wrong: one line that names the field, status 2, nothing left behind.
#include <string>
#include <utility>
#include <vector>

#include "cli/program.hpp"
#include "cli/refused.hpp"
#include "support/catch.hpp"

using namespace ropejit::test;

namespace {

const std::string kGoodSpec =
    R"({"schema":1,"dtype":"fp32","rotary_dim":8,"q":{"heads":2,"head_dim":8},"k":{"heads":1,"head_dim":8}})";

// A config of a small Llama in which one member is replaced; "" takes it out.
std::string config_with(const std::string& key, const std::string& value) {
  std::vector<std::pair<std::string, std::string>> members = {
      {"model_type", "\"llama\""},    {"hidden_size", "256"}, {"num_attention_heads", "4"},
      {"num_key_value_heads", "2"},   {"head_dim", "64"},     {"rope_theta", "10000.0"},
      {"torch_dtype", "\"bfloat16\""}};
  bool replaced = false;
  for (auto& [name, text] : members) {
    if (name != key) continue;
    text = value;
    replaced = true;
  }
  if (!replaced) members.emplace_back(key, value);
  std::string json;
  for (const auto& [name, text] : members) {
    if (!text.empty()) json += (json.empty() ? "\"" : ",\"") + name + "\":" + text;
  }
  return "{" + json + "}";
}

struct BadModel {
  std::string text;
  std::vector<std::string> names;
};

std::vector<BadModel> bad_models() {
  const std::string theta = "rope_theta";
  return {
      {config_with("head_dim", "63"), {"head_dim", "63"}},
      {config_with("head_dim", "0"), {"head_dim", "0"}},
      {config_with("head_dim", "8192"), {"head_dim", "8192"}},
      {config_with("partial_rotary_factor", "0.4"), {"partial_rotary_factor"}},
      {config_with("partial_rotary_factor", "1.5"), {"partial_rotary_factor", "1.5"}},
      {config_with(theta, "0"), {theta, "0"}},
      {config_with(theta, "-1"), {theta, "-1"}},
      {config_with(theta, "NaN"), {theta, "NaN"}},
      {config_with(theta, "Infinity"), {theta, "Infinity"}},
      {config_with(theta, "1e400"), {theta}},
      {config_with(theta, "\"many\""), {theta}},
      {config_with("num_attention_heads", ""), {"num_attention_heads"}},
      {config_with("num_attention_heads", "-4"), {"num_attention_heads", "-4"}},
      {config_with("num_attention_heads", "1000000000000"), {"num_attention_heads", "1000000000000"}},
      {config_with("num_key_value_heads", "-1"), {"num_key_value_heads", "-1"}},
      {config_with("rope_scaling", R"({"rope_type":"telepathy","factor":2})"), {"rope_type", "telepathy"}},
      {config_with("rope_scaling", R"({"rope_type":"llama3","factor":8})"), {"low_freq_factor"}},
      {config_with("rope_scaling", R"({"rope_type":"linear","factor":0})"), {"factor", "0"}},
      {config_with("rope_scaling", R"({"rope_type":"linear"})"), {"factor"}},
      {R"({"head_dim": 64, "head_dim": 32})", {"head_dim", "twice"}},
      {R"({"model_type": "llama", "num_att)", {}},
      {"", {"no text"}},
      {"[1, 2]", {}},
      {std::string(100000, '['), {}},
      {std::string(100000, '{'), {}},
      {R"({"schema":2,"q":{"heads":1,"head_dim":8}})", {"schema", "2"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"speed":"high"})", {"speed"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"rotary_dim":10})", {"rotary_dim", "10"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":100},"partial_rotary_factor":0.25})", {"partial_rotary_factor"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"dtype":"fp8"})", {"dtype", "fp8"}},
      {R"({"schema":1})", {"q"}},
      {R"({"schema":1,"q":{"heads":0,"head_dim":8}})", {"q.heads", "0"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"k":{"heads":1,"head_dim":4}})", {"k."}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"axes":{"sections":[2,3]}})", {"axes.sections", "[2, 3]", "5", "4"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"axes":{"sections":[5,-1]}})", {"axes.sections[1]", "-1"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8},"rounding":"p9"})", {"rounding", "p9", "p3"}},
      {R"({"schema":1,"q":{"heads":1,"head_dim":8,"dtype_out":"fp8"}})", {"q.dtype_out", "fp8"}},
  };
}

}  // namespace

TEST_CASE("a bad model is refused in one line that names the field, and nothing is left behind") {
  for (const BadModel& row : bad_models()) {
    const Program program;
    const std::string model = program.file("model.json", row.text);
    INFO("model: " << row.text.substr(0, 200));
    const Finished finished = program({"inspect", "--model", model, "--json"});
    INFO("stderr: " << finished.err);
    check_refused(finished, row.names);
    CHECK(files_below(program.folder.path()) == std::vector<std::string>{model});
  }
}

TEST_CASE("a bad command line is refused in one line that names the option, and nothing is left behind") {
  struct Row {
    std::vector<std::string> words;  // "MODEL" stands for a good model, "OUT" for a folder that does not exist
    std::vector<std::string> names;
  };
  const std::vector<Row> rows = {
      {{"fly"}, {"fly", "inspect"}},
      {{"--fast"}, {"--fast"}},
      {{"run"}, {"--model"}},
      {{"run", "--model"}, {"--model", "MODEL"}},
      {{"run", "--model", "--json"}, {"--model", "MODEL"}},
      {{"run", "--model", "nowhere/config.json"}, {"nowhere/config.json", "no such file", "warm --list"}},
      {{"run", "--model", "/"}, {"--model", "folder", "config.json"}},
      {{"run", "--model", "MODEL", "--speed", "3"}, {"--speed", "--tokens"}},
      {{"run", "--model", "MODEL", "extra"}, {"extra"}},
      {{"run", "--model", "MODEL", "--model", "MODEL"}, {"--model", "twice"}},
      {{"run", "--model", "MODEL", "--json=yes"}, {"--json"}},
      {{"run", "--model", "MODEL", "--tokens"}, {"--tokens"}},
      {{"run", "--model", "MODEL", "--tokens="}, {"--tokens"}},
      {{"run", "--model", "MODEL", "--tokens", "many"}, {"--tokens", "many", "1 to 2147483647"}},
      {{"run", "--model", "MODEL", "--tokens", "12x"}, {"--tokens", "12x"}},
      {{"run", "--model", "MODEL", "--tokens", "0"}, {"--tokens", "0"}},
      {{"run", "--model", "MODEL", "--tokens", "-1"}, {"--tokens", "-1"}},
      {{"run", "--model", "MODEL", "--tokens", "99999999999999999999"}, {"--tokens"}},
      {{"run", "--model", "MODEL", "--first", "2199023255552"}, {"--first"}},
      {{"run", "--model", "MODEL", "--positions", "ids32", "--first", "2147483647"}, {"--first"}},
      {{"run", "--model", "MODEL", "--positions", "ids16"}, {"--positions", "ids16", "ids64"}},
      {{"run", "--model", "MODEL", "--dtype", "fp8"}, {"--dtype", "fp8", "bf16"}},
      {{"run", "--model", "MODEL", "--layout", "round"}, {"--layout", "round", "interleaved"}},
      {{"run", "--model", "MODEL", "--direction", "up"}, {"--direction", "up", "adjoint"}},
      {{"run", "--model", "MODEL", "--rounding", "p4"}, {"--rounding", "p4", "exact", "p3"}},
      {{"run", "--model", "MODEL", "--round-as", "trt"}, {"--round-as", "trt", "exact", "tensorrt_llm"}},
      {{"run", "--model", "MODEL", "--angle", "fp64"}, {"--angle", "fp64", "fp32_inv_freq"}},
      {{"run", "--model", "MODEL", "--sine", "cosine"}, {"--sine", "cosine", "hardware"}},
      {{"inspect", "--model", "MODEL", "--sine"}, {"--sine", "KIND"}},
      {{"inspect", "--model", "MODEL", "--layout", "split_sections"}, {"layout", "split_sections", "sections"}},
      {{"run", "--model", "MODEL", "--strides", "odd"}, {"--strides", "odd", "free"}},
      {{"run", "--model", "MODEL", "--device", "toaster"}, {"device", "toaster", "host"}},
      {{"run", "--model", "MODEL", "--device", "cuda:x"}, {"device", "cuda:x"}},
      {{"source", "--model", "MODEL", "--variant", "flat_v3"}, {"--variant", "flat_v3", "flat_v4_h1_t128"}},
      {{"source", "--model", "MODEL", "--variant", "flat_v16_h1_t33"}, {"--variant", "threads"}},
      {{"compile", "--model", "MODEL", "--arch", "host"}, {"--out"}},
      {{"compile", "--model", "MODEL", "--out", "OUT"}, {"--arch"}},
      {{"compile", "--model", "MODEL", "--out", "OUT", "--arch", "host,"}, {"--arch"}},
      {{"cache"}, {"path", "ls"}},
      {{"cache", "burn"}, {"burn", "path", "ls"}},
      {{"cache", "path", "ls"}, {"ls"}},
      {{"run", "--model", "MODEL", "--to\nkens", "1"}, {"--to"}},
  };
  for (const Row& row : rows) {
    const Program program;
    const std::string model = program.file("model.json", kGoodSpec);
    std::vector<std::string> words = row.words;
    std::string line;
    for (std::string& word : words) {
      line += " " + word;
      if (word == "MODEL") word = model;
      if (word == "OUT") word = program.folder / "out/deep";
    }
    const Finished finished = program(words);
    INFO("ropejit" << line << "\nstderr: " << finished.err);
    check_refused(finished, row.names);
    CHECK(files_below(program.folder.path()) == std::vector<std::string>{model});
  }
}

TEST_CASE("a model of more bytes than any config has is refused") {
  const Program program;
  const std::string model = program.file("model.json", std::string((16u << 20) + 1, ' '));
  check_refused(program({"inspect", "--model", model}), {"--model", "16777216"});
  check_refused(program({"inspect", "--model", "/dev/zero"}), {"--model", "16777216"});
}

TEST_CASE("tensors that do not fit into the machine are refused before memory is taken") {
  const Program program;
  const std::string model =
      program.file("model.json", R"({"schema":1,"dtype":"fp32","q":{"heads":65536,"head_dim":4096}})");
  const Finished finished = program({"run", "--device", "host", "--model", model, "--tokens", "2147483647"});
  INFO(finished.err);
  check_refused(finished, {"--tokens", "2147483647", "GiB"});
}

TEST_CASE("an arch that NVRTC does not know is refused by name, and no file is written for the others") {
  const Program program;
  const std::string model = program.file("model.json", kGoodSpec);
  const Finished finished =
      program({"compile", "--model", model, "--arch", "sm_90,sm_1", "--out", program.folder / "out"});
  INFO(finished.err);
  if (program({"info", "--json"}).out.find("\"available\": true") == std::string::npos) {
    CHECK(finished.status == 1);
    CHECK(finished.err.find("NVRTC") != std::string::npos);
  } else {
    check_refused(finished, {"sm_1", "sm_90"});
  }
  CHECK(files_below(program.folder.path()) == std::vector<std::string>{model});
}
