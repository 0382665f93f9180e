// From manifests, and from what was recorded, to plans.
#include "deploy/warm_plan.hpp"

#include <set>

#include "deploy/sample_manifests.hpp"
#include "deploy/warm_model.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

std::string manifest_of(const char* rope, const char* more) {
  return std::string(R"({"schema":1,"models":[{"name":"m","ropes":[)") + rope + "]}]," + more + "}";
}

constexpr const char* kGqa = R"({"rotary_dim":8,"q":{"heads":12,"head_dim":8},"k":{"heads":2,"head_dim":8}})";

RopeSpec spec_of(std::int64_t q, std::int64_t k) {
  RopeSpec spec;
  spec.rotary_dim = 8;
  spec.q = {q, 8, 0};
  if (k > 0) spec.k = Operand{k, 8, 0};
  return spec;
}

}  // namespace

TEST_CASE("A degree of tensor parallelism divides the heads, leaves each rank a key head, or is left out") {
  struct Row {
    std::int64_t q, k, degree;
    std::int64_t q_of_rank, k_of_rank;  // 0: left out
  };
  const Row rows[] = {{12, 2, 1, 12, 2}, {12, 2, 2, 6, 1},  {12, 2, 4, 3, 1}, {12, 2, 3, 0, 0},
                      {12, 2, 8, 0, 0},  {71, 1, 71, 1, 1}, {8, 0, 4, 2, 0},  {128, 1, 8, 16, 1}};
  for (const Row& row : rows) {
    INFO(row.q << " " << row.k << " by " << row.degree);
    const std::optional<RopeSpec> spec = sharded({.spec = spec_of(row.q, row.k)}, row.degree);
    REQUIRE(spec.has_value() == (row.q_of_rank > 0));
    if (!spec) continue;
    CHECK(spec->q.heads == row.q_of_rank);
    CHECK(spec->k.has_value() == (row.k > 0));
    if (spec->k) CHECK(spec->k->heads == row.k_of_rank);
  }
  CHECK(sharded({.spec = spec_of(12, 2), .replicated = true}, 8) == spec_of(12, 2));
}

TEST_CASE("A manifest expands to every combination, and equal plans are one") {
  struct Row {
    const char* more;
    std::size_t asked, plans;
  };
  const Row rows[] = {
      {R"("dtypes":["bf16"],"forms":["vllm"])", 2, 2},
      {R"("dtypes":["bf16","fp16","fp32"],"forms":["vllm"])", 6, 6},
      // Computed is the same in both.
      {R"("dtypes":["bf16"],"forms":["vllm","sglang"])", 3, 3},
      {R"("dtypes":["bf16"],"forms":["plain"],"tensor_parallel":[1,2,4,8])", 6, 6},
      {R"("dtypes":["bf16"],"forms":["ggml"])", 4, 4},
      // A rank's two operands have 6 and 1 heads, and 3 and 1: the second is one plan.
      {R"("dtypes":["bf16"],"forms":["ggml"],"tensor_parallel":[2,4])", 8, 6},
      {R"("dtypes":["bf16"],"forms":["te"])", 4, 4},
      {R"("dtypes":["bf16"],"forms":["hf"],"layouts":["own","interleaved","split_half"])", 3, 2},
  };
  for (const Row& row : rows) {
    INFO(row.more);
    const WarmPlans plans = test::plans_of(manifest_of(kGqa, row.more));
    CHECK(plans.asked == row.asked);
    CHECK(plans.plans.size() == row.plans);
    std::set<std::string> hashes;
    for (const WarmPlan& plan : plans.plans) CHECK(hashes.insert(plan.plan.hash()).second);
  }
}

TEST_CASE("A plan of a manifest is the one of its spec and form") {
  const WarmPlans plans = test::plans_of(
      manifest_of(kGqa, R"("dtypes":["fp16"],"forms":[{"positions":"ids32","angles":"half","table_dtype":"own"}])"));
  RopeSpec spec = spec_of(12, 2);
  spec.dtype = DType::fp16;
  LaunchForm form = LaunchForm::in_place_ids(PositionSource::ids32).with_table(AngleSource::half, DType::fp16);
  REQUIRE(plans.plans.size() == 1);
  CHECK(plans.plans[0].plan.hash() == lower(spec, form).hash());
  CHECK(plans.plans[0].what == "m fp16 tp 1 in_place contiguous ids32 half(own)");
}

TEST_CASE("What does not lower is a problem of its combination") {
  Problems problems;
  const WarmManifest manifest = read_warm_manifest(
      manifest_of(R"({"rotary_dim":8,"q":{"heads":2,"head_dim":8}})",
                  R"("dtypes":["bf16"],"forms":[{"k_rows":"rows32"},{"context_parallel":"zigzag"},"plain"])"),
      shipped_models(), problems);
  REQUIRE(problems.empty());
  CHECK(expand(manifest, problems).plans.size() == 2);
  REQUIRE(problems.size() == 2);
  CHECK(problems.lines()[0].find("m bf16 tp 1") == 0);
  CHECK(problems.lines()[0].find("k_rows") != std::string::npos);
}

TEST_CASE("Every shipped manifest expands, in every form of every runtime") {
  struct Golden {
    const char* name;
    std::size_t asked, plans;
  };
  // What `ropejit warm --manifest NAME --dry-run` says; to be approved by a person when models are added.
  const Golden goldens[] = {{"all", 564, 396},   {"deepseek", 192, 106}, {"gemma", 360, 135}, {"glm", 48, 32},
                            {"llama", 392, 292}, {"mistral", 112, 84},   {"phi", 72, 56},     {"prologues", 144, 139},
                            {"qwen", 392, 249},  {"vision", 56, 56}};
  std::set<std::string> named;
  for (const Golden& golden : goldens) {
    const WarmPlans plans = test::plans_of(*shipped_manifest(golden.name));
    INFO(golden.name);
    CHECK(plans.asked == golden.asked);
    CHECK(plans.plans.size() == golden.plans);
    named.insert(golden.name);
  }
  for (const std::string& name : shipped_manifest_names()) CHECK(named.contains(name));
  WarmManifest every;
  every.models = shipped_models();
  every.dtypes = {DType::bf16, DType::fp16, DType::fp32};
  every.tensor_parallel = {1, 2, 4, 8, 16};
  for (const FormPreset& preset : form_presets()) {
    every.forms.insert(every.forms.end(), preset.forms.begin(), preset.forms.end());
  }
  Problems problems;
  CHECK(expand(every, problems).plans.size() > 9'000);
  for (const std::string& line : problems.lines()) FAIL_CHECK(line);
}

TEST_CASE("Prologues of a model are those of each sort of its layers, as its ranks launch them") {
  const std::string form = R"({"strides":"free","k_rows":"slots64","v_rows":"slots64"})";
  const std::string sums = R"({"strides":"free","norm_statistics":true,"norm_sums":true,"statistics_only":true})";
  const auto plans_of = [&](const std::string& config, const std::string& more) {
    return test::plans_of(R"({"schema":1,"models":[{"name":"m","prologue":true,"config":{"num_attention_heads":8,)" +
                          config + R"(}}],"dtypes":["bf16"],"forms":[)" + form + "," + sums + "]" + more + "}");
  };
  // One rank adds all squares by itself, and no launch gives it a sum.
  const std::string olmo = R"("model_type":"olmo2","num_key_value_heads":4,"hidden_size":512,"num_hidden_layers":2)";
  const WarmPlans alone = plans_of(olmo, "");
  REQUIRE(alone.plans.size() == 1);
  CHECK(alone.plans[0].spec.q.norm->statistic == Statistic::computed);
  CHECK(alone.plans[0].spec.v == Operand{4, 64});
  CHECK(alone.plans[0].form.v_rows == CacheRows::slots64);
  // Two give each other their sums, which a launch of nothing else makes.
  const WarmPlans shared = plans_of(olmo, R"(,"tensor_parallel":[2])");
  REQUIRE(shared.plans.size() == 2);
  const RopeSpec& spec = shared.plans[0].spec;
  CHECK(spec.q.heads == 4);
  CHECK(spec.q.norm->statistic == Statistic::given_sum);
  CHECK(spec.q.norm->global_heads == 8);
  CHECK(spec.k->norm->global_heads == 4);
  CHECK(spec.v == Operand{2, 64});
  const RopeSpec& makes = shared.plans[1].spec;
  CHECK(makes.q.norm->statistic == Statistic::computed);
  CHECK_FALSE(makes.v);
  CHECK(shared.plans[1].form.statistics_only);
  // Layers that take k and v from others launch q alone, and those that do not rotate are there, too.
  const WarmPlans gemma = plans_of(R"("model_type":"gemma3n_text","num_key_value_heads":2,"head_dim":64,
      "num_hidden_layers":4,"num_kv_shared_layers":2,"layer_types":["sliding_attention","full_attention",
      "sliding_attention","full_attention"])",
                                   "");
  REQUIRE(gemma.plans.size() == 4);
  CHECK(gemma.plans[0].form.k_rows == CacheRows::slots64);
  CHECK_FALSE(gemma.plans[2].spec.k);
  CHECK(gemma.plans[2].form.k_rows == CacheRows::none);
  const WarmPlans smol = plans_of(
      R"("model_type":"smollm3","num_key_value_heads":2,"head_dim":64,"num_hidden_layers":4,"rope_theta":1e6)", "");
  REQUIRE(smol.plans.size() == 2);
  CHECK(smol.plans[1].spec.q.rotates == false);
}

TEST_CASE("What a service recorded is read line by line, with every problem") {
  const RopeSpec spec = spec_of(4, 2);
  const std::string good = R"({"schema":1,"spec":)" + spec.to_json() + R"(,"form":)" + LaunchForm().to_json() +
                           R"(,"arch":"sm_90","device":"sm_90/132/2619/5120/52428800","variants":["flat_v4_h3_t64"]})";
  Problems problems;
  const Recorded recorded = read_recorded(good + "\n\n" + good + "\n", problems);
  CHECK(problems.empty());
  CHECK(recorded.plans.asked == 2);
  REQUIRE(recorded.plans.plans.size() == 1);
  CHECK(recorded.plans.plans[0].plan.hash() == lower(spec, LaunchForm()).hash());
  REQUIRE(recorded.plans.plans[0].asked.size() == 2);
  CHECK(recorded.plans.plans[0].asked[0].arch == "sm_90");
  CHECK(to_string(recorded.plans.plans[0].asked[0].variant) == "flat_v4_h3_t64");
  CHECK(recorded.archs == std::vector<std::string>{"sm_90"});
  REQUIRE(recorded.devices.size() == 1);
  CHECK(to_string(recorded.devices[0]) == "sm_90/132/2619/5120/52428800");

  const auto replaced = [&](const char* part, const char* by) {
    std::string line = good;
    line.replace(line.find(part), std::string(part).size(), by);
    return line + "\n";
  };
  const std::pair<std::string, const char*> rows[] = {
      {"{}\n", "line 2: schema: missing"},
      {"nonsense\n", "line 2: JSON"},
      {replaced(R"("arch":"sm_90")", R"("arch":"sm_9")"), "line 2: arch: found \"sm_9\""},
      {replaced("sm_90/132", "sm_80/132"), "line 2: device: found"},
      {replaced("variants", "entries"), "line 2: entries: found an unknown key"},
      {replaced(R"(["flat_v4_h3_t64"])", "{}"), "line 2: variants: found"},
      {replaced("flat_v4_h3_t64", "flat"), "line 2: variants: found \"flat\""},
      {replaced("flat_v4_h3_t64", "flat_v32_h3_t64"), "line 2: "},
      {replaced(R"("rotary_dim":8)", R"("rotary_dim":7)"), "line 2: spec.rotary_dim: found 7"},
      {replaced(R"({"schema":1,"spec")", R"({"schema":1,"schema":1,"spec")"), "line 2: schema: found this key twice"},
      {good.substr(0, good.size() / 2), "line 2: JSON"},
  };
  Problems illegal;
  read_recorded(replaced("flat_v4_h3_t64", "flat_v32_h3_t64"), illegal);
  REQUIRE(illegal.size() == 1);
  CHECK(illegal.lines()[0].find("variants: found \"flat_v32_h3_t64\", which is not legal here") != std::string::npos);

  std::string all = good + "\n";
  for (const auto& [line, said] : rows) {
    Problems found;
    read_recorded(good + "\n" + line, found);
    INFO(line);
    REQUIRE(found.size() == 1);
    INFO(found.lines()[0]);
    CHECK(found.lines()[0].find(said) == 0);
    all += line;
  }
  read_recorded(all, problems);
  CHECK(problems.size() == std::size(rows));
}
