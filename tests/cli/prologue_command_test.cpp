// `--prologue`: a config.json's norms, rotation and append to pages, checked element by element. On the host target.
#include <llvm/Support/JSON.h>

#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "cli/refused.hpp"
#include "support/catch.hpp"

using namespace ropejit::test;

namespace {

constexpr int kTokens = 21;
constexpr int kRow = (4 + 2 + 2) * 16;  // lanes of q, k and v of a token

std::string config_of(const std::string& type) {
  return R"({"model_type": ")" + type +
         R"(", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
           "num_hidden_layers": 2, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "bfloat16"})";
}

struct Bench {
  Program program;
  std::string model = program.file("config.json", config_of("qwen3"));

  Finished run(const Words& more) const {
    return program(with({"run", "--model", model, "--prologue", "--device", "host", "--tokens", "21"}, more));
  }
};

}  // namespace

TEST_CASE("run checks every element of a model's prologue, and the places of pages that nobody has") {
  const Bench bench;
  const std::vector<Words> rows = {
      {},
      {"--block-size", "4"},
      {"--block-size", "1", "--out-of-place"},
      {"--block-size", "100", "--strides", "free", "--positions", "start"},
      {"--rounding", "p1", "--angle", "fp32"},
      {"--round-as", "vllm"},
      {"--on-miss", "generic", "--cache-dir", ""},
      {"--dtype", "fp32", "--layer", "1"},
  };
  for (const Words& row : rows) {
    const Finished finished = bench.run(with(row, {"--json"}));
    INFO(finished.out << finished.err);
    REQUIRE(finished.status == 0);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == true);
    CHECK(number(report, "elements") == kTokens * kRow);
    CHECK(number(report, "wrong") == 0);
    CHECK(number(report, "copy_us") > 0);
    if (row.empty()) CHECK(holds(text(report, "entry"), "norm_bf16_rotate_v2x16_slots64"));
  }
}

TEST_CASE("run checks k beside its cache, in place and apart, as often as it is written") {
  const Bench bench;
  for (const Words& row : {Words{"--k-beside"}, Words{"--k-beside", "--out-of-place", "--strides", "free"}}) {
    const Finished finished = bench.run(with(row, {"--json"}));
    INFO(finished.out << finished.err);
    REQUIRE(finished.status == 0);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == true);
    CHECK(number(report, "elements") == kTokens * (kRow + 2 * 16));
    CHECK(holds(text(report, "entry"), row.size() == 1 ? "_slots64_beside_in_place" : "_slots64_beside_apart"));
  }
  const Finished inspected = bench.program({"inspect", "--model", bench.model, "--prologue", "--k-beside", "--json"});
  REQUIRE(inspected.status == 0);
  CHECK(text(*(*object(inspected).getArray("operands"))[1].getAsObject(), "beside") == "in_place");
}

TEST_CASE("run checks the statistics that norms hand out, and what they are where a spec has them given") {
  const Bench bench;
  for (const Words& row : {Words{}, Words{"--out-of-place", "--strides", "free", "--k-beside"}}) {
    const Finished finished = bench.run(with(with(row, {"--norm-statistics"}), {"--json"}));
    INFO(finished.out << finished.err);
    REQUIRE(finished.status == 0);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == true);
    CHECK(number(report, "elements") == kTokens * (kRow + (row.empty() ? 0 : 2 * 16) + 4 + 2));
    CHECK(holds(text(report, "entry"), "norm_bf16_r_handed_out_rotate"));
  }
  const std::string spec = bench.program.file(
      "given.json", R"({"schema": 1, "q": {"heads": 4, "head_dim": 16, "norm": {"statistic": "given"}},
                        "k": {"heads": 2, "head_dim": 16, "norm": {}}})");
  for (const Words& row : {Words{}, Words{"--norm-statistics", "--positions", "start"}}) {
    const Finished finished =
        bench.program(with({"run", "--model", spec, "--device", "host", "--tokens", "21", "--json"}, row));
    INFO(finished.out << finished.err);
    REQUIRE(finished.status == 0);
    const llvm::json::Object report = object(finished);
    CHECK(report.getBoolean("verified") == true);
    CHECK(number(report, "elements") == kTokens * ((4 + 2) * 16 + (row.empty() ? 0 : 2)));
  }
  const Finished inspected = bench.program({"inspect", "--model", spec, "--norm-statistics", "--json"});
  REQUIRE(inspected.status == 0);
  const llvm::json::Object report = object(inspected);
  for (const auto& [operand, use] : {std::pair{0U, "given"}, std::pair{1U, "handed_out"}}) {
    const llvm::json::Object& stage =
        *(*(*report.getArray("operands"))[operand].getAsObject()->getArray("stages"))[0].getAsObject();
    CHECK(text(stage, "statistic") == use);
  }
}

TEST_CASE("run says which operand of a prologue is wrong, and that a place was written that is no token's") {
  const Bench bench;
  const Finished printed = bench.program({"source", "--model", bench.model, "--prologue", "--tokens", "21"});
  REQUIRE(printed.status == 0);
  struct Row {
    std::string from;
    std::string to;
    std::string said;
  };
  const std::string config = "const ropejit::PlanData data";
  const std::string first = "if (blockIdx.x == 0 && threadIdx.x == 0) ";
  const Row rows[] = {
      {"// k\n        {.heads = 2, .head_dim = 16, .first_lane = 0, .stages = {ropejit::Stage::norm, "
       "ropejit::Stage::rotate}",
       "// k\n        {.heads = 2, .head_dim = 16, .first_lane = 0, .stages = {ropejit::Stage::rotate}", "k: "},
      // Places have 2 heads of 16 lanes, and the step from place to place leaves the first of all pages out.
      {config,
       first + "for (int i = 0; i < 48 * 32; ++i) static_cast<unsigned short*>(params.lines[2].out)[i] = 1;\n  " +
           config,
       "v: a place of the cache that is no token's was written to"},
  };
  for (const Row& row : rows) {
    std::string source = printed.out;
    const std::size_t at = source.find(row.from);
    INFO(row.said << " in " << source);
    REQUIRE(at != std::string::npos);
    source.replace(at, row.from.size(), row.to);
    const Finished finished = bench.run({"--source", bench.program.file("mine.cu", source)});
    INFO(finished.out << finished.err);
    CHECK(finished.status == 1);
    CHECK(holds(finished.out, "WRONG"));
    CHECK(holds(finished.out, row.said));
  }
}

TEST_CASE("inspect lists the operands of a prologue with their stages") {
  const Bench bench;
  const Finished finished = bench.program({"inspect", "--model", bench.model, "--prologue", "--json"});
  const llvm::json::Object report = object(finished);
  const llvm::json::Array* const operands = report.getArray("operands");
  REQUIRE(operands != nullptr);
  std::string all;
  for (const llvm::json::Value& operand : *operands) {
    const llvm::json::Object& one = *operand.getAsObject();
    all += text(one, "name") + " " + text(one, "placement") + " " + text(one, "rows") + ":";
    for (const llvm::json::Value& stage : *one.getArray("stages")) {
      all += " " + text(*stage.getAsObject(), "stage");
      if (const auto eps = stage.getAsObject()->getNumber("eps")) CHECK(*eps == 1e-5);
    }
    all += "; ";
  }
  CHECK(all == "q in_place none: norm rotate; k out_of_place slots64: norm rotate; v out_of_place slots64:; ");
}

TEST_CASE("A prologue that cannot be had is refused in one line") {
  const Bench bench;
  check_refused(bench.program({"run", "--model", "qwen3-8b", "--prologue", "--device", "host"}),
                {"--prologue: found with", "allowed: with a model's config.json, or a spec"});
  check_refused(bench.program({"run", "--model", bench.model, "--device", "host", "--block-size", "4"}),
                {"--block-size: found without --prologue"});
  check_refused(bench.program({"run", "--model", bench.model, "--device", "host", "--k-beside"}),
                {"--k-beside: found without --prologue"});
  check_refused(bench.program({"run", "--model", bench.model, "--device", "host", "--norm-statistics"}),
                {"norm_statistics: found true", "allowed: false for a spec none of whose norms"});
  check_refused(bench.run({"--block-size", "0"}), {"--block-size: found", "allowed: a whole number from 1"});
  const std::string other = bench.program.file("timesfm.json", config_of("timesfm2_5"));
  check_refused(bench.program({"inspect", "--model", other, "--prologue"}), {"timesfm2_5", "learned weights"});
}
