// `ropejit variants`: what there is, and why a variant is not among it.
#include <algorithm>
#include <string>
#include <vector>

#include <llvm/Support/JSON.h>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "codegen/candidates.hpp"
#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

const std::string kModel =
    R"({"schema":1,"dtype":"bf16","q":{"heads":32,"head_dim":128},"k":{"heads":8,"head_dim":128}})";

KernelClass class_of_model() { return lower(ropejit::RopeSpec::from_json(kModel), ropejit::LaunchForm()).kernel_class; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

bool contains(const std::vector<Variant>& all, const Variant& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

TEST_CASE("variants lists the space in its order, and what each is") {
  const Program program;
  const std::string model = program.file("spec.json", kModel);
  const llvm::json::Object report = object(program({"variants", "--model", model, "--json"}));
  const KernelClass kernel_class = class_of_model();
  const std::vector<Variant> space = variant_space(kernel_class);
  const std::vector<Variant> candidates = candidate_variants(kernel_class);
  CHECK(report.getString("class_hash")->str() == kernel_class.hash());
  const llvm::json::Array* listed = report.getArray("variants");
  REQUIRE(listed != nullptr);
  REQUIRE(listed->size() > space.size());
  for (std::size_t i = 0; i < listed->size(); ++i) {
    const llvm::json::Object& one = *(*listed)[i].getAsObject();
    const std::string name = one.getString("variant")->str();
    INFO(name);
    const std::optional<Variant> variant = parse_variant(name);
    REQUIRE(variant);
    if (i < space.size()) CHECK(*variant == space[i]);
    CHECK(why_illegal(kernel_class, *variant).empty());
    CHECK(one.getBoolean("searched") == (i < space.size()));
    CHECK(one.getBoolean("candidate") == contains(candidates, *variant));
    const Work work = work_of(kernel_class, *variant);
    CHECK(one.getInteger("threads") == work.threads);
    CHECK(one.getObject("q")->getInteger("parts") == work.operands[0].block.parts);
    CHECK(one.getObject("k")->getInteger("tokens") == work.operands[1].block.tokens);
    const bool serves = !one.getArray("serves_from")->empty();
    if (i >= space.size()) CHECK((serves || one.getBoolean("serves_any_strides") == true));
  }
  CHECK((*listed)[listed->size() - 1].getAsObject()->getString("variant")->str() ==
        to_string(universal_variant(kernel_class)));
}

TEST_CASE("variants prints a row for each, and marks candidates and what serves") {
  const Program program;
  const Finished finished = program({"variants", "--model", program.file("spec.json", kModel)});
  REQUIRE(finished.status == 0);
  const std::vector<std::string> lines = lines_of(finished.out);
  const auto row_of = [&](const std::string& name) {
    for (const std::string& line : lines) {
      if (line.rfind(name + " ", 0) == 0) return line;
    }
    return std::string();
  };
  CHECK(row_of("flat_v4_h4_t128").find(" yes ") != std::string::npos);
  CHECK(row_of("flat_v8_h1_t256").find(" tokens") != std::string::npos);
  CHECK(row_of("universal_v2_h4_t128").find("break the form's promise") != std::string::npos);
  CHECK(row_of("flat_v4_h1_t32").find("1/32") != std::string::npos);
}

TEST_CASE("what serves by default and is not searched is listed all the same") {
  const Program program;
  const std::string model = program.file("spec.json", R"({"schema":1,"q":{"heads":3,"head_dim":64}})");
  const llvm::json::Object report = object(program({"variants", "--model", model, "--json"}));
  bool found = false;
  for (const llvm::json::Value& value : *report.getArray("variants")) {
    const llvm::json::Object& one = *value.getAsObject();
    found = found || (one.getBoolean("searched") == false && !one.getArray("serves_from")->empty());
    CHECK(one.get("k") == nullptr);
  }
  CHECK(found);
  CHECK(program({"variants", "--model", model}).out.find("tokens (not searched)") != std::string::npos);
}

TEST_CASE("--why-not says in one line how far a variant gets, and what serves instead") {
  struct Row {
    const char* variant;
    const char* wanted;
  };
  const std::vector<Row> rows = {
      {"flat_v16_h8_t100", "is not legal here: threads 100"},
      {"flat_v16_h8_t2048", "is not legal here: threads 2048"},
      {"flat_v1_h1_t128", "is not legal here: access_bytes 1"},
      {"lanes_v4_h4_t128", "is not legal here: a lane would work out 2 angles"},
      {"flat_v16_h3_t128", "not searched: heads_per_thread 3, searched: 1, 2, 4"},
      {"flat_v32_h1_t128", "not searched: accesses of 32 bytes"},
      {"flat_v4_h4_t512", "not searched: threads 512"},
      {"flat_v4_h4_t128_buffer", "not searched: whether steps come from a buffer"},
      {"universal_v2_h4_t128", "it serves those, and "},
      {"flat_v4_h4_t32", "no candidate: flat with other than 128 or 256 threads"},
      {"flat_v2_h32_t128", "no candidate: flat with so many heads"},
      {"shared_v2_h4_t128", "no candidate: shared was fastest with 4 and 8 bytes"},
      {"flat_v8_h4_t128", "is a candidate; flat_v8_h1_t256 serves 4,096 tokens by default"},
      {"flat_v8_h1_t256", "is a candidate; it serves 4,096 tokens by default"},
  };
  const Program program;
  const std::string model = program.file("spec.json", kModel);
  const KernelClass kernel_class = class_of_model();
  for (const Row& row : rows) {
    INFO(row.variant);
    const Finished finished = program({"variants", "--model", model, "--why-not", row.variant});
    INFO("stdout: " << finished.out << "\nstderr: " << finished.err);
    CHECK(finished.status == 0);
    CHECK(lines_of(finished.out).size() == 1);
    CHECK(finished.out.find(row.wanted) != std::string::npos);
    CHECK(finished.out.find("by default") != std::string::npos);

    const llvm::json::Object report =
        object(program({"variants", "--model", model, "--why-not", row.variant, "--json"}));
    const Variant variant = *parse_variant(row.variant);
    CHECK(report.getBoolean("legal") == why_illegal(kernel_class, variant).empty());
    CHECK(report.getBoolean("searched") == contains(variant_space(kernel_class), variant));
    CHECK(report.getBoolean("candidate") == contains(candidate_variants(kernel_class), variant));
    CHECK(report.getString("reason")->empty() == contains(candidate_variants(kernel_class), variant));
  }
}

TEST_CASE("--why-not refuses what is no variant's name, and says what names look like") {
  const Program program;
  const std::string model = program.file("spec.json", kModel);
  for (const char* name : {"fast", "flat_v16", "flat_v016_h8_t128", "flat_v16_h8_t128_", "FLAT_v16_h8_t128"}) {
    INFO(name);
    const Finished finished = program({"variants", "--model", model, "--why-not", name});
    CHECK(finished.status == 2);
    CHECK(finished.out.empty());
    CHECK(lines_of(finished.err).size() == 1);
    CHECK(finished.err.find(name) != std::string::npos);
    CHECK(finished.err.find("FAMILY_vBYTES_hHEADS_tTHREADS") != std::string::npos);
  }
}

TEST_CASE("each legal variant is either searched or there is a reason why it is not") {
  const KernelClass kernel_class = class_of_model();
  const std::vector<Variant> space = variant_space(kernel_class);
  int legal = 0;
  for (const Family family : {Family::flat, Family::lanes, Family::shared, Family::universal}) {
    for (const std::uint32_t access : {2U, 4U, 8U, 16U, 32U}) {
      for (std::uint32_t heads = 1; heads <= 32; ++heads) {
        for (const std::uint32_t threads : {32U, 64U, 128U, 256U, 512U, 1024U}) {
          for (const bool buffered : {false, true}) {
            const Variant variant{family, access, heads, threads, buffered};
            if (!why_illegal(kernel_class, variant).empty()) continue;
            ++legal;
            INFO(to_string(variant));
            REQUIRE(why_not_in_space(kernel_class, variant).empty() == contains(space, variant));
          }
        }
      }
    }
  }
  CHECK(legal > static_cast<int>(space.size()));
}
