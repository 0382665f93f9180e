// Manifests: what is in them, what is shipped, and everything that can be wrong with one.
#include "deploy/warm_manifest.hpp"

#include <set>

#include "deploy/sample_manifests.hpp"
#include "deploy/warm_model.hpp"
#include "host/host_compiler.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

bool has(const std::vector<std::string>& lines, std::string_view part) {
  for (const std::string& line : lines) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

std::string with(const std::string& more) {
  return R"({"schema":1,"models":["meta-llama/Llama-2-7b-hf"],"dtypes":["bf16"],"forms":["vllm"])" + more + "}";
}

}  // namespace

TEST_CASE("A manifest says models, dtypes, layouts, forms, degrees and archs") {
  Problems problems;
  const WarmManifest manifest = read_warm_manifest(
      R"({"schema":1,"note":"why","models":["meta-llama/Llama-2-7b-hf",
          {"name":"own","ropes":[{"rotary_dim":8,"q":{"heads":4,"head_dim":8}}]},
          {"name":"config","config":{"model_type":"llama","num_attention_heads":4,"hidden_size":32,"num_hidden_layers":2}}],
        "families":["falcon"],"dtypes":["bf16","fp32"],"layouts":["own","interleaved"],
        "forms":["vllm",{"positions":"ids32","angles":"cos_sin","table_dtype":"own","apart":true,"rounding":"p1"}],
        "tensor_parallel":[1,2],"archs":["9.0","sm_80","75","host"]})",
      shipped_models(), problems);
  for (const std::string& line : problems.lines()) FAIL_CHECK(line);
  REQUIRE(manifest.models.size() == 5);
  CHECK(manifest.models[0].family == "llama");
  CHECK(manifest.models[2].ropes.at(0).spec.q.head_dim == 8);
  CHECK(manifest.models[3].name == "tiiuae/falcon-7b");
  CHECK(manifest.dtypes == std::vector{DType::bf16, DType::fp32});
  CHECK(manifest.layouts == std::vector<std::optional<Layout>>{std::nullopt, Layout::interleaved});
  REQUIRE(manifest.forms.size() == 3);
  CHECK(manifest.forms[1].form.angles == AngleSource::cos_sin);
  CHECK(manifest.forms[1].own_table_dtype);
  CHECK(manifest.forms[2].apart);
  CHECK(manifest.forms[2].own_table_dtype);
  CHECK(manifest.forms[2].rounding == Rounding::p1);
  CHECK(manifest.tensor_parallel == std::vector<std::int64_t>{1, 2});
  CHECK(manifest.archs == std::vector<std::string>{"sm_90", "sm_80", "sm_75", kHostArch});
}

TEST_CASE("Whatever is wrong with a manifest is a line that names the place") {
  struct Row {
    std::string manifest;
    const char* said;
  };
  const Row rows[] = {
      {"", "JSON"},
      {"[]", "JSON: found an array"},
      {R"({"schema":2})", "schema: found 2, allowed: 1"},
      {with(R"(,"models":["meta-llama/Llama-2-7b-hf"])"), "models: found this key twice in one object"},
      {with(R"(,"modles":[])"), "modles: found an unknown key, allowed: schema, note, models"},
      {with(R"(,"archs":["9.0","sm_90"])"), "archs[1]: found sm_90 a second time"},
      {with(R"(,"archs":["9.0a"])"), "archs[0]: found \"9.0a\", allowed: sm_75"},
      {with(R"(,"archs":"9.0")"), "archs: found \"9.0\", allowed: an array"},
      {with(R"(,"families":["lama"])"), "families[0]: found \"lama\", allowed: deepseek"},
      {with(R"(,"tensor_parallel":[])"), "tensor_parallel: found an empty array"},
      {with(R"(,"tensor_parallel":[1,0])"), "tensor_parallel[1]: found 0, allowed: an integer from 1"},
      {with(R"(,"tensor_parallel":[2,2])"), "tensor_parallel[1]: found 2 a second time"},
      {with(R"(,"layouts":["split"])"), "layouts[0]: found \"split\", allowed: own, split_half"},
      {R"({"schema":1,"models":["x"],"dtypes":["bf16"],"forms":["vllm"]})", "models[0]: found \"x\""},
      {R"({"schema":1,"models":[7],"dtypes":["bf16"],"forms":["vllm"]})", "models[0]: found 7"},
      {R"({"schema":1,"dtypes":["bf16"],"forms":["vllm"]})", "models: found nothing"},
      {R"({"schema":1,"families":["falcon"],"forms":["vllm"]})", "dtypes: found nothing"},
      {R"({"schema":1,"families":["falcon"],"dtypes":["bf8"],"forms":["vllm"]})", "dtypes[0]: found \"bf8\""},
      {R"({"schema":1,"families":["falcon"],"dtypes":["bf16"]})", "forms: found nothing"},
      {R"({"schema":1,"families":["falcon"],"dtypes":["bf16"],"forms":["vlm"]})", "forms[0]: found \"vlm\""},
      {R"({"schema":1,"families":["falcon"],"dtypes":["bf16"],"forms":[{"place":1}]})",
       "forms[0]: place: found an unknown key"},
      {R"({"schema":1,"models":[{"name":"x","prologue":true,"ropes":[{"rotary_dim":8,"q":{"heads":4,"head_dim":8}}]}],
          "dtypes":["bf16"],"forms":["vllm"]})",
       "models[0].prologue: found it beside ropes, allowed: beside config"},
      {R"({"schema":1,"models":[{"name":"a"}],"dtypes":["bf16"],"forms":["vllm"]})",
       "models[0]: found none of ropes and config"},
      {R"({"schema":1,"models":[{"ropes":[{"rotary_dim":4,"q":{"heads":1,"head_dim":4}}]}],"dtypes":["bf16"],"forms":["vllm"]})",
       "models[0]: name: missing"},
      {R"({"schema":1,"models":[{"name":"a","ropes":[{"rotary_dim":3,"q":{"heads":1,"head_dim":4}}]}],"dtypes":["bf16"],"forms":["vllm"]})",
       "models[0].ropes[0]: rotary_dim: found 3"},
      {R"({"schema":1,"models":[{"name":"a","ropes":[{"dtype":"bf16","rotary_dim":4,"q":{"heads":1,"head_dim":4}}]}],"dtypes":["bf16"],"forms":["vllm"]})",
       "models[0].ropes[0]: dtype: found one"},
      {R"({"schema":1,"models":[{"name":"a","config":{"model_type":"nothing"}}],"dtypes":["bf16"],"forms":["vllm"]})",
       "models[0].config: "},
      {R"({"schema":1,"models":[{"name":"a","ropes":[{"rotary_dim":4,"q":{"heads":1,"head_dim":4}}]},
          {"name":"a","ropes":[{"rotary_dim":2,"q":{"heads":1,"head_dim":4}}]}],"dtypes":["bf16"],"forms":["vllm"]})",
       "models[1]: found \"a\" a second time"},
  };
  for (const Row& row : rows) {
    const std::vector<std::string> lines = test::problems_of(row.manifest);
    INFO(row.manifest);
    for (const std::string& line : lines) INFO(line);
    CHECK(has(lines, row.said));
    for (const std::string& line : lines) CHECK(line.find('\n') == std::string::npos);
  }
  CHECK(test::problems_of(with("")).empty());
}

TEST_CASE("All that is wrong with a manifest is told at once") {
  const std::vector<std::string> lines = test::problems_of(
      R"({"schema":1,"extra":0,"dtypes":["bf16"],"dtypes":["fp8"],"models":["no model","no model",
          {"name":"a","ropes":[{"rotary_dim":3,"q":{"heads":1,"head_dim":4}},{"q":1}]}],
        "forms":["fast"],"tensor_parallel":[3,3],"archs":["1.0","sm_90","90"]})");
  for (const char* part : {"extra", "dtypes: found this key twice", "models[0]",
                           "models[1]: found \"no model\" a second", "models[2].ropes[0]: rotary_dim",
                           "models[2].ropes[1]: q", "forms[0]", "tensor_parallel[1]", "archs[0]", "archs[2]"}) {
    INFO(part);
    CHECK(has(lines, part));
  }
}

TEST_CASE("The shipped models are a hundred and more, each once, with a family and a rotation") {
  std::set<std::string> names;
  std::set<std::string> families;
  for (const WarmModel& model : shipped_models()) {
    INFO(model.name);
    CHECK(names.insert(model.name).second);
    CHECK_FALSE(model.family.empty());
    CHECK_FALSE(model.ropes.empty());
    families.insert(model.family);
  }
  CHECK(names.size() >= 100);
  for (const char* family : {"llama", "qwen", "deepseek", "vision"}) CHECK(families.contains(family));
  Problems problems;
  const WarmManifest all = read_warm_manifest(*shipped_manifest("all"), shipped_models(), problems);
  CHECK(problems.empty());
  CHECK(all.models.size() == names.size());
}

TEST_CASE("A list of models tells of everything that is wrong with it") {
  Problems problems;
  read_model_list(R"({"schema":3,"models":[1,{"name":"a","family":2,"ropes":[]},
    {"name":"b","ropes":[{"rotary_dim":4,"q":{"heads":1,"head_dim":4}}]},
    {"name":"b","ropes":[{"rotary_dim":4,"q":{"heads":1,"head_dim":4}}]}]})",
                  problems);
  for (const char* part : {"schema: found 3", "models[0]: found 1", "models[1]: family: found 2",
                           "models[1].ropes: found", "models[3]: found \"b\" a second time"}) {
    INFO(part);
    CHECK(has(problems.lines(), part));
  }
}

TEST_CASE("An architecture has several names, and only those that a service looks for") {
  struct Row {
    const char* text;
    const char* arch;
  };
  const Row rows[] = {{"7.5", "sm_75"},   {"75", "sm_75"},      {"sm_75", "sm_75"},  {"9.0", "sm_90"},
                      {"12.0", "sm_120"}, {"sm_110", "sm_110"}, {"host", kHostArch}, {kHostArch, kHostArch}};
  for (const Row& row : rows) CHECK(arch_named(row.text) == std::string(row.arch));
  for (const char* text : {"", "9", "9.0a", "sm_90a", "sm_100f", "7.0", "9.0.0", "90.", ".90", "sm_", "SM_90", "1.20",
                           "compute_90", "sm_9.0 "}) {
    INFO(text);
    CHECK_FALSE(arch_named(text));
  }
  for (const std::string& arch : build_archs()) CHECK(arch_named(arch) == arch);
}

TEST_CASE("Lists of a command line are read as a manifest's, with every problem") {
  Problems problems;
  CHECK(read_dtypes("--dtype", "bf16,fp32", problems) == std::vector{DType::bf16, DType::fp32});
  CHECK(read_degrees("--tp", "1,8", problems) == std::vector<std::int64_t>{1, 8});
  CHECK(read_archs("--arch", "9.0,90,80", problems).size() == 2);
  CHECK(read_forms("--form", "vllm,sglang", problems).size() == 3);
  CHECK(problems.lines() == std::vector<std::string>{"--arch[1]: found sm_90 a second time, allowed: once"});
  read_dtypes("--dtype", "bf16,,bf16", problems);
  read_degrees("--tp", "x", problems);
  read_forms("--form", "", problems);
  read_archs("--arch", ",", problems);
  CHECK(problems.size() == 7);
}
