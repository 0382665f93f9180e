// Kernels whose machine code is known. A change that is to change no kernel leaves golden/machine_code.jsonl as it is;
// one that means to writes it anew (ROPEJIT_APPROVE=1), and shows on a GPU what it gains.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "spec/lower.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/machine_code.hpp"
#include "support/parallel.hpp"
#include "support/random_spec.hpp"
#include "support/sample_plans.hpp"
#include "support/scratch_folder.hpp"
#include "support/targets.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

constexpr const char* kGolden = "golden/machine_code.jsonl";
constexpr const char* kArchs[] = {"sm_80", "sm_90", "sm_100", "sm_120"};
constexpr int kDrawn = 100;

struct Row {
  std::string what;  // a sample's name, or spec and form in JSON
  RotationPlan plan;
  Variant variant;
  std::map<std::string, std::string> digests;  // by architecture
};

std::string text_of(const Row& row) {
  std::string text = fmt::format(R"({{{},"variant":"{}")", row.what, to_string(row.variant));
  for (const char* arch : kArchs) text += fmt::format(R"(,"{}":"{}")", arch, row.digests.at(arch));
  return text + "}\n";
}

// Any variant that its class allows; every eighth reads its steps from a buffer, every eighth is the universal entry.
Variant drawn_variant(std::mt19937_64& random, const RotationPlan& plan) {
  const std::vector<Variant> space = variant_space(plan.kernel_class, false);
  Variant variant = universal_variant(plan.kernel_class);
  if (!space.empty() && random() % 8 != 0) variant = space[random() % space.size()];
  const bool has_steps = !plan.kernel_class.reads_table();
  variant.buffered_steps = has_steps && (plan.needs_length || random() % 8 == 0);
  return variant;
}

std::vector<Row> drawn_rows() {
  std::vector<Row> rows;
  for (const test::SamplePlan& sample : test::sample_plans()) {
    rows.push_back({fmt::format(R"("sample":"{}")", sample.name), sample.plan, sample.variant, {}});
  }
  std::mt19937_64 random(20261129);
  while (rows.size() < test::sample_plans().size() + kDrawn) {
    const test::NumericCase given = test::random_case(random, test::Norms::none);
    const RotationPlan plan = lower(given.spec, given.form);
    std::string spec = given.spec.to_json();
    spec.erase(std::remove(spec.begin(), spec.end(), '\n'), spec.end());
    rows.push_back(
        {fmt::format(R"("spec":{},"form":{})", spec, given.form.to_json()), plan, drawn_variant(random, plan), {}});
  }
  return rows;
}

std::vector<Row> golden_rows(std::istream& lines) {
  std::vector<Row> rows;
  for (std::string line; std::getline(lines, line);) {
    const llvm::json::Object object = parse_json_object(line);
    const ObjectReader reader(object);
    Row row;
    if (const auto name = reader.find_string("sample", "a name")) {
      for (const test::SamplePlan& sample : test::sample_plans()) {
        if (sample.name == *name) row.plan = sample.plan;
      }
      row.what = *name;
    } else {
      const auto text = [&](const char* key) { return llvm::formatv("{0}", *object.get(key)).str(); };
      row.plan = lower(RopeSpec::from_json(text("spec")), LaunchForm::from_json(text("form")));
      row.what = text("spec") + " " + text("form");
    }
    row.variant = parse_variant(reader.find_string("variant", "a variant").value_or("")).value();
    for (const char* arch : kArchs) row.digests[arch] = reader.find_string(arch, "a digest").value_or("");
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string digest_of(const Row& row, const char* arch) {
  const KernelSource source = generate(row.plan, row.variant);
  return test::machine_code_digest(nvrtc_compiler(arch, std::nullopt)->compile(source).image, source.entry);
}

// "Build cuda_13.0.r13.0/compiler.36424714_0", as it stands in the library: its version alone does not say which code
// comes out.
std::string build_of(const NvrtcInfo& nvrtc) {
  const std::string bytes = test::read_text(nvrtc.path);
  const std::size_t at = bytes.find("Build cuda_");
  return at == std::string::npos ? nvrtc.version : bytes.substr(at, bytes.find('\0', at) - at);
}

void write_golden(const std::string& head) {
  std::vector<Row> rows = drawn_rows();
  std::string text = head + "\n";
  for (Row& row : rows) {
    for (const char* arch : kArchs) row.digests[arch] = digest_of(row, arch);
    text += text_of(row);
  }
  test::write_text(test::test_data_dir() + "/" + kGolden, text);
}

}  // namespace

TEST_CASE("Kernels whose machine code is known compile to it", "[nvrtc]") {
  const NvrtcInfo nvrtc = nvrtc_info(std::nullopt);
  REQUIRE(nvrtc.available);
  const std::string wanted = fmt::format(R"({{"nvrtc":"{}"}})", build_of(nvrtc));
  if (std::getenv("ROPEJIT_APPROVE") != nullptr) write_golden(wanted);
  std::istringstream lines(test::read_test_file(kGolden));
  std::string head;
  std::getline(lines, head);
  if (head != wanted) {
    WARN("the machine code of " << head << " is known, and this is " << wanted << ": not compared");
    return;
  }
  const std::vector<Row> rows = golden_rows(lines);
  CHECK(rows.size() == test::sample_plans().size() + kDrawn);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    for (std::size_t at = 0; at < std::size(kArchs); ++at) {
      // Of the drawn ones a short run takes each for one architecture.
      if (test::short_run() && i >= test::sample_plans().size() && i % std::size(kArchs) != at) continue;
      const char* const arch = kArchs[at];
      INFO(arch << " " << to_string(row.variant) << " " << row.what);
      CHECK(digest_of(row, arch) == row.digests.at(arch));
    }
  }
}

TEST_CASE("The digest of machine code tells a changed constant, and not a changed name") {
  const test::SamplePlan sample = test::sample_plans().front();
  const auto compiler = nvrtc_compiler("sm_90", std::nullopt);
  const KernelSource source = generate(sample.plan, sample.variant);
  const std::string digest = test::machine_code_digest(compiler->compile(source).image, source.entry);

  KernelSource renamed = source;
  renamed.text.replace(renamed.text.find(source.entry + "("), source.entry.size(), "another_name");
  renamed.entry = "another_name";
  CHECK(test::machine_code_digest(compiler->compile(renamed).image, renamed.entry) == digest);

  RotationPlan other = sample.plan;
  other.steps.back() += 1;
  const KernelSource changed = generate(other, sample.variant);
  CHECK(test::machine_code_digest(compiler->compile(changed).image, changed.entry) != digest);
  CHECK_THROWS_AS(test::machine_code_digest("no cubin", "x"), std::runtime_error);
}

// Two caches of one manifest, made before a change and after it (ropejit warm --out): ROPEJIT_CACHES=BEFORE:AFTER.
TEST_CASE("Binaries of two caches have the same machine code") {
  const char* const folders = std::getenv("ROPEJIT_CACHES");
  if (folders == nullptr) {
    WARN("no two caches to compare: ROPEJIT_CACHES is not set");
    return;
  }
  const std::string text = folders;
  const std::size_t colon = text.find(':');
  REQUIRE(colon != std::string::npos);
  const auto digests_of = [](const std::string& folder) {
    std::map<std::string, std::string> digests;
    const BinaryStore store(folder);
    for (const EntryListing& listing : store.list()) {
      REQUIRE(listing.metadata.has_value());
      const EntryMetadata& metadata = *listing.metadata;
      const ReadResult read = store.read(metadata.key_preimage);
      REQUIRE(read.entry.has_value());
      // The plan (of kernels with steps in a buffer, the class) by its hash, the variant and the architecture: what
      // stands in a key before all that changes with the templates.
      digests[metadata.key_preimage.substr(0, metadata.key_preimage.find("\nrecipe "))] =
          test::machine_code_digest(read.entry->payload, metadata.entry);
    }
    return digests;
  };
  const auto before = digests_of(text.substr(0, colon));
  const auto after = digests_of(text.substr(colon + 1));
  CHECK(before.size() == after.size());
  std::size_t same = 0;
  for (const auto& [what, digest] : before) {
    const auto found = after.find(what);
    if (found != after.end() && found->second == digest) {
      ++same;
    } else {
      UNSCOPED_INFO(what);
    }
  }
  WARN(fmt::format("{} of {} binaries have the machine code that they had", same, before.size()));
  CHECK(same == before.size());
}
