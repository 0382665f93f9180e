// `run` of specs whose operands go through stages of every kind: all that launches read is made up, and every element
// is checked. On the host target.
#include <llvm/Support/JSON.h>

#include <string>
#include <vector>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "cli/refused.hpp"
#include "support/catch.hpp"

using namespace ropejit::test;

namespace {

constexpr int kTokens = 11;

// A layer that does not rotate, with norms of three kinds.
constexpr const char* kStill = R"({"schema": 1, "dtype": "bf16", "rotary_dim": 16,
  "q": {"heads": 6, "head_dim": 32, "rotates": false, "bias": true,
        "norm": {"eps": 1e-5, "kind": "layer", "weight": "heads", "bias": true},
        "temperature": {"coefficient": 0.1, "length": 4, "steps": true, "offset": 1}},
  "k": {"heads": 2, "head_dim": 16, "rotates": false, "norm": {"span": "token"}, "head_scales": true},
  "v": {"heads": 2, "head_dim": 24, "norm": {"kind": "l2"}, "clamp": 0.25}})";
constexpr int kStillElements = 6 * 32 + 2 * 16 + 2 * 24;

// A norm over the token behind the rotation, and one that is given its sums.
constexpr const char* kTurned = R"({"schema": 1, "dtype": "fp16", "rotary_dim": 16,
  "q": {"heads": 6, "head_dim": 32, "bias": true, "norm": {"span": "token", "weight": "heads", "plus_one": true},
        "scale": 0.5, "order": ["bias", "rotate", "norm", "scale"]},
  "k": {"heads": 2, "head_dim": 32, "norm": {"span": "token", "statistic": "given_sum", "global_heads": 4}},
  "v": {"heads": 2, "head_dim": 32, "norm": {"weight": "none"}}})";
constexpr int kTurnedElements = (6 + 2 + 2) * 32;

Finished run(const char* spec, const Words& more) {
  const Program program;
  const std::string model = program.file("spec.json", spec);
  return program(with({"run", "--model", model, "--device", "host", "--tokens", "11"}, more));
}

llvm::json::Object verified(const char* spec, const Words& more) {
  const Finished finished = run(spec, with(more, {"--json"}));
  INFO(finished.out << finished.err);
  REQUIRE(finished.status == 0);
  llvm::json::Object report = object(finished);
  CHECK(report.getBoolean("verified") == true);
  CHECK(number(report, "wrong") == 0);
  return report;
}

}  // namespace

TEST_CASE("run checks every element of stages of every kind, in place, apart and in pages") {
  for (const Words& row : {Words{}, Words{"--out-of-place", "--strides", "free"}, Words{"--prologue"},
                           Words{"--positions", "start", "--first", "100000"}}) {
    CHECK(number(verified(kStill, row), "elements") == kTokens * kStillElements);
    CHECK(number(verified(kTurned, row), "elements") == kTokens * kTurnedElements);
  }
}

TEST_CASE("run checks sums of squares, and that a launch of statistics alone writes nothing else") {
  CHECK(number(verified(kTurned, {"--norm-sums"}), "elements") == kTokens * (kTurnedElements + 1 + 2));
  for (const Words& row : {Words{"--norm-sums"}, Words{"--norm-statistics", "--out-of-place"},
                           Words{"--norm-sums", "--prologue", "--strides", "free"}}) {
    CHECK(number(verified(kTurned, with(row, {"--statistics-only"})), "elements") == kTokens * (1 + 2));
  }
}

TEST_CASE("run refuses statistics alone where none are written, and beside a cache") {
  check_refused(run(kTurned, {"--statistics-only"}),
                {"--statistics-only: found by itself, allowed: with --norm-statistics or --norm-sums"});
  check_refused(run(kTurned, {"--prologue", "--k-beside", "--norm-sums", "--statistics-only"}),
                {"--statistics-only: found with --k-beside, allowed: one of them"});
  check_refused(run(kStill, {"--norm-sums"}),
                {"norm_statistics: found true", "a layer norm, whose statistics are two"});
}
