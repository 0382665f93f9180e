// Manifests for warm: read_warm_manifest, and what is right expands or is refused.
#include "deploy/warm_manifest.hpp"

#include "deploy/warm_plan.hpp"
#include "fuzz/fuzzer.hpp"

namespace ropejit::test::fuzzed {
namespace {

using namespace ropejit::internal;

constexpr std::size_t kMostCombinations = 64;

void check_lines(const Problems& problems) {
  for (const std::string& line : problems.lines()) {
    require(!line.empty() && line.find('\n') == std::string::npos, "a problem is one line");
  }
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      R"({"schema":1,"models":["tiiuae/falcon-7b"],"dtypes":["bf16","fp16"],"forms":["vllm","ggml"],"archs":["9.0","host"]})",
      R"({"schema":1,"note":"","families":["falcon"],"dtypes":["fp32"],"forms":[{"positions":"ids32","apart":true}],
          "tensor_parallel":[1,2,4],"layouts":["own","interleaved"]})",
      R"({"schema":1,"models":[{"name":"a","family":"b","ropes":[{"rotary_dim":8,"q":{"heads":4,"head_dim":8},
          "k":{"heads":2,"head_dim":8},"replicated":true,"rope_scaling":{"rope_type":"linear","factor":2}}]}],
          "dtypes":["bf16"],"forms":[{"angles":"cos_sin","table_dtype":"own","rounding":"p1"}]})",
      R"({"schema":1,"models":[{"name":"c","config":{"model_type":"llama","num_attention_heads":4,"hidden_size":32,
          "num_hidden_layers":2}}],"dtypes":["bf16"],"forms":["plain","hf","te","sglang"]})"};
}

void check(std::string_view input) {
  Problems problems;
  const WarmManifest manifest = read_warm_manifest(input, shipped_models(), problems);
  check_lines(problems);
  if (!problems.empty()) return;
  require(!manifest.models.empty() && !manifest.dtypes.empty() && !manifest.forms.empty(),
          "a manifest is of something");
  const std::size_t combinations = manifest.models.size() * manifest.dtypes.size() * manifest.layouts.size() *
                                   manifest.forms.size() * manifest.tensor_parallel.size();
  if (combinations > kMostCombinations) return;
  const WarmPlans plans = expand(manifest, problems);
  check_lines(problems);
  require(plans.plans.size() + problems.size() <= plans.asked,
          "each that was asked for is a plan, an equal one or a problem");
}

}  // namespace ropejit::test::fuzzed
