#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "cuda/ptxas_report.hpp"
#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/sample_plans.hpp"
#include "support/scratch_folder.hpp"
#include "support/targets.hpp"
#include "support/test_files.hpp"

using namespace ropejit;

TEST_CASE("Generated source is what a person approved (ROPEJIT_APPROVE=1 writes it anew)", "[codegen]") {
  for (const test::SamplePlan& sample : test::sample_plans()) {
    const std::string text = internal::generate(sample.plan, sample.variant).text;
    const std::string name = "golden/sources/" + sample.name + ".cu";
    if (std::getenv("ROPEJIT_APPROVE") != nullptr) test::write_text(test::test_data_dir() + "/" + name, text);
    INFO(name);
    CHECK(text == test::read_test_file(name));
  }
}

TEST_CASE("An illegal variant is refused with the reason", "[codegen]") {
  const internal::RotationPlan plan = test::sample_plans().front().plan;
  CHECK_THROWS_AS(internal::generate(plan, {internal::Family::flat, 16, 33, 128}), Error);
}

TEST_CASE("Every sample plan compiles for four architectures without spills or local memory", "[nvrtc]") {
  const internal::NvrtcInfo nvrtc = internal::nvrtc_info(std::nullopt);
  INFO(nvrtc.problem);
  REQUIRE(nvrtc.available);
  for (const char* arch : {"sm_80", "sm_90", "sm_100", "sm_120"}) {
    // NVRTC 12.4 to 12.7 know nothing after Hopper.
    if (std::find(nvrtc.archs.begin(), nvrtc.archs.end(), arch) == nvrtc.archs.end()) {
      WARN("NVRTC " << nvrtc.version << " does not know " << arch);
      continue;
    }
    if (test::short_run() && arch != std::string_view("sm_90") && arch != std::string_view("sm_120")) continue;
    const auto compiler = internal::nvrtc_compiler(arch, std::nullopt);
    for (const test::SamplePlan& sample : test::sample_plans()) {
      const internal::KernelSource source = internal::generate(sample.plan, sample.variant);
      const internal::CompiledBinary binary = compiler->compile(source);
      INFO(arch << " " << source.entry);
      CHECK(binary.image.substr(1, 3) == "ELF");
      CHECK(binary.image.find(source.entry) != std::string::npos);
      CHECK(binary.registers > 0);
      CHECK(binary.spill_bytes == 0);
      CHECK(binary.stack_bytes == 0);
      CHECK(binary.compile_ms > 0);
    }
  }
}

TEST_CASE("Prologues compile for a GPU whichever operands have a norm, whether all of their lanes rotate or not",
          "[nvrtc]") {
  const auto compiler = internal::nvrtc_compiler("sm_90", std::nullopt);
  for (unsigned normed = 1; normed < 8; ++normed) {
    RopeSpec spec;
    spec.rotary_dim = normed % 2 == 0 ? 32 : 64;
    spec.q = {5, 64, 0};
    spec.k = Operand{3, 64, 0};
    spec.v = Operand{3, 48, 0};
    if ((normed & 1) != 0) spec.q.norm = Norm{};
    if ((normed & 2) != 0) spec.k->norm = Norm{1e-5, DType::fp32};
    if ((normed & 4) != 0) spec.v->norm = Norm{};
    LaunchForm form = LaunchForm::in_place_ids();
    form.k_rows = form.v_rows = CacheRows::slots32;
    const internal::RotationPlan plan = internal::lower(spec, form);
    for (const internal::VariantChoice& choice : internal::serving_variants(plan, 132)) {
      const internal::KernelSource source = internal::generate(plan, choice.variant);
      INFO(source.entry);
      const internal::CompiledBinary binary = compiler->compile(source);
      CHECK(binary.spill_bytes == 0);
    }
  }
}

TEST_CASE("Prologues whose norms' statistics are given or handed out compile for four architectures", "[nvrtc]") {
  for (const std::string_view arch : {"sm_80", "sm_90", "sm_100", "sm_120"}) {
    if (test::short_run() && arch != "sm_80" && arch != "sm_100") continue;
    const auto compiler = internal::nvrtc_compiler(std::string(arch), std::nullopt);
    for (const Statistic statistic : {Statistic::given, Statistic::computed}) {
      RopeSpec spec;
      spec.rotary_dim = 64;
      spec.q = {8, 64, 0};
      spec.k = Operand{2, 128, 64};
      spec.v = Operand{2, 64, 0};
      spec.q.norm = spec.k->norm = Norm{1e-6, std::nullopt, statistic};
      spec.v->norm = Norm{};  // of each kernel some norm computes its own
      LaunchForm form = LaunchForm::in_place_ids();
      form.k_rows = form.v_rows = CacheRows::slots64;
      form.norm_statistics = statistic == Statistic::computed;
      if (statistic == Statistic::given) spec.layout_out = Layout::interleaved;
      const internal::RotationPlan plan = internal::lower(spec, form);
      for (const internal::Variant& variant :
           {internal::universal_variant(plan.kernel_class), internal::Variant{internal::Family::flat, 4, 1, 128},
            internal::Variant{internal::Family::flat, 8, 2, 128}}) {
        const internal::KernelSource source = internal::generate(plan, variant);
        INFO(arch << " " << source.entry);
        CHECK(source.params == internal::KernelParams::statistic);
        CHECK(compiler->compile(source).spill_bytes == 0);
      }
    }
  }
}

TEST_CASE("A source that does not compile gives an error with the compiler's words", "[nvrtc]") {
  const auto compiler = internal::nvrtc_compiler("sm_90", std::nullopt);
  try {
    compiler->compile({"broken", "extern \"C\" __global__ void broken() { no_such_thing(); }\n"});
    FAIL("compiled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::compile_failed);
    CHECK(std::string(error.what()).find("broken") != std::string::npos);
    CHECK(error.log().find("no_such_thing") != std::string::npos);
    CHECK(error.log().find("broken.cu(1)") != std::string::npos);
  }
}

TEST_CASE("An architecture that NVRTC does not know is refused by name", "[nvrtc]") {
  for (const char* arch : {"sm_1", "sm_90x", "compute_90", "", "90", "sm_90 --evil"}) {
    INFO(arch);
    try {
      internal::nvrtc_compiler(arch, std::nullopt);
      FAIL("taken");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(std::string(error.what()).find("sm_90") != std::string::npos);
    }
  }
}

TEST_CASE("NVRTC that is not where it was said to be is an error that names the place", "[nvrtc]") {
  const internal::NvrtcInfo info = internal::nvrtc_info("/no/such/place/libnvrtc.so");
  CHECK_FALSE(info.available);
  CHECK(info.problem.find("/no/such/place/libnvrtc.so") != std::string::npos);
  CHECK(info.problem.find("ROPEJIT_NVRTC") != std::string::npos);
}

TEST_CASE("ptxas's report is read, and a log of another form is no error", "[nvrtc]") {
  const internal::PtxasReport report = internal::read_ptxas_report(
      "ptxas info    : 60 bytes gmem\n    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n"
      "ptxas info    : Used 24 registers, used 0 barriers\n");
  CHECK(report.registers == 24);
  CHECK(report.spill_bytes == 28);
  CHECK(report.stack_bytes == 8);
  for (const char* log : {"", "registers", " registers", "x registers", "99999999999999999999 registers"}) {
    CHECK(internal::read_ptxas_report(log).registers == -1);
  }
}
