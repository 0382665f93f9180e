// Which binaries plans need, and that they are the ones a service looks for.
#include "deploy/warm_list.hpp"

#include <algorithm>
#include <set>

#include "codegen/default_variant.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "cuda/nvrtc_target.hpp"
#include "deploy/sample_manifests.hpp"
#include "deploy/warm_manifest.hpp"
#include "deploy/warm_model.hpp"
#include "host/host_compiler.hpp"
#include "support/catch.hpp"
#include "tune/choice.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

const std::string kOneModel = R"({"schema":1,"models":["meta-llama/Meta-Llama-3.1-8B"],"dtypes":["bf16"],"forms":[)";

std::set<std::string> variants_of(const WarmList& list) {
  std::set<std::string> variants;
  for (const WarmItem& item : list.items) variants.insert(to_string(item.variant));
  return variants;
}

WarmTarget known_target(const std::string& arch) {
  return warm_target(arch, {}, devices_with_records(BinaryStore("")));
}

}  // namespace

TEST_CASE("A list has the defaults, what records choose, the universal entry, and the class's in a buffer") {
  const WarmList untuned = test::list_of(kOneModel + R"("plain"]})", {known_target("sm_80")});
  REQUIRE(untuned.plans.size() == 2);
  CHECK(untuned.classes == 2);
  const WarmList tuned = test::list_of(kOneModel + R"("plain"]})", {known_target("sm_90")});
  const std::set<std::string> of_defaults = variants_of(untuned);
  const std::set<std::string> of_records = variants_of(tuned);
  CHECK(std::includes(of_records.begin(), of_records.end(), of_defaults.begin(), of_defaults.end()));
  CHECK(of_records.size() > of_defaults.size());
  for (const WarmPlan& plan : untuned.plans) {
    for (const VariantChoice& choice : serving_variants(plan.plan, 108)) {
      CHECK(of_defaults.contains(to_string(choice.variant)));
      CHECK(of_defaults.contains(to_string(choice.variant) + "_buffer"));
    }
  }
  // A device with records, all of whose variants are there; and for it alone, no more than it needs.
  const DeviceKey h100 = *parse_device_key("sm_90/132/2619/5120/52428800");
  Events events({}, {});
  const BinaryStore nowhere("");
  const RecordShelf records(nowhere, events);
  for (const WarmPlan& plan : tuned.plans) {
    for (const ServingChoice& choice :
         serving_choices(plan.plan, h100, 132, records.about(h100, plan.plan.kernel_class))) {
      CHECK(of_records.contains(to_string(choice.variant)));
    }
  }
  const WarmList narrow = test::list_of(kOneModel + R"("plain"]})", {warm_target("sm_90", {h100}, {})});
  CHECK(narrow.items.size() < tuned.items.size());
  CHECK(narrow.targets[0].devices == std::vector{h100});
}

TEST_CASE("The rows of any GPU without records are in the list") {
  const WarmList list = test::list_of(*shipped_manifest("all"), {known_target("sm_120")});
  std::set<std::pair<std::size_t, Variant>> there;
  for (const WarmItem& item : list.items) there.insert({item.plan, item.variant});
  for (std::size_t i = 0; i < list.plans.size(); ++i) {
    for (const std::uint32_t multiprocessors : {1U, 7U, 16U, 84U, 170U, 188U}) {
      const DeviceKey device{"sm_120", multiprocessors, 1, 2, 3};
      for (const ServingChoice& choice : serving_choices(list.plans[i].plan, device, multiprocessors, {})) {
        // Plans without steps of their own share their class's.
        if (!choice.variant.buffered_steps) CHECK(there.contains({i, choice.variant}));
      }
    }
  }
}

TEST_CASE("Each binary is listed once, whichever plans need it") {
  // Two thetas: a class, whose binaries in a buffer are shared.
  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = test::list_of(test::kSmallManifest, {test::fake_warm_target(target)});
  CHECK(list.plans.size() == 2);
  CHECK(list.classes == 1);
  std::set<std::string> keys;
  std::size_t buffered = 0;
  for (const WarmItem& item : list.items) {
    CHECK(keys.insert(item.key).second);
    CHECK(item.key == entry_key(list.source(item).preimage));
    if (item.variant.buffered_steps) ++buffered;
  }
  CHECK(buffered * 3 == list.items.size());
  CHECK(target->compiles() == 0);
}

TEST_CASE("A table has no steps, and so no binaries with their steps in a buffer; a rule of lengths has no others") {
  for (const WarmItem& item : test::list_of(kOneModel + R"({"angles":"cos_sin"}]})", {known_target("sm_90")}).items) {
    CHECK_FALSE(item.variant.buffered_steps);
  }
  const WarmList dynamic =
      test::list_of(R"({"schema":1,"models":["internlm/internlm2_5-7b-chat"],"dtypes":["bf16"],"forms":["vllm"]})",
                    {known_target("sm_90")});
  std::size_t rows = 0;
  for (const WarmItem& item : dynamic.items) {
    if (dynamic.plans[item.plan].plan.kernel_class.reads_table()) continue;
    CHECK(item.variant.buffered_steps);
    ++rows;
  }
  CHECK(rows > 1);
}

TEST_CASE("Binaries for an architecture have the keys that a GPU of it asks for") {
  const auto target = nvrtc_build_target("sm_90", std::nullopt);
  CHECK(target->arch() == "sm_90");
  CHECK(target->recipe() == "--std=c++20 --fmad=false --device-as-default-execution-space --ptxas-options=-v");
  CHECK(known_target(kHostArch).build->arch() == kHostArch);
}

TEST_CASE("Every architecture that NVRTC knows takes the kernels of a list") {
  const NvrtcInfo nvrtc = nvrtc_info(std::nullopt);
  if (!nvrtc.available) {
    WARN("skipped: " << nvrtc.problem);
    return;
  }
  std::size_t compiled = 0;
  for (const std::string& arch : build_archs()) {
    if (std::find(nvrtc.archs.begin(), nvrtc.archs.end(), arch) == nvrtc.archs.end()) continue;
    const WarmList list = test::list_of(kOneModel + R"("vllm"]})", {known_target(arch)});
    // The first row, the first in a buffer and the universal one.
    std::set<std::string> kinds;
    for (const WarmItem& item : list.items) {
      const std::string kind = item.variant.family == Family::universal ? "universal"
                               : item.variant.buffered_steps            ? "buffer"
                                                                        : "row";
      if (!kinds.insert(kind).second) continue;
      INFO(arch << " " << to_string(item.variant));
      const CompiledBinary binary = list.targets[0].build->compiler().compile(list.source(item).source);
      CHECK(binary.image.size() > 1000);
      CHECK(binary.image.substr(1, 3) == "ELF");
      ++compiled;
    }
    CHECK(kinds.size() == 3);
  }
  CHECK(compiled >= 3);
}

TEST_CASE("The prologues of 25 models are at most 1,000 binaries an architecture") {
  Problems problems;
  const WarmManifest manifest = read_warm_manifest(*shipped_manifest("prologues"), shipped_models(), problems);
  CHECK(problems.empty());
  CHECK(manifest.models.size() == 25);
  for (const char* arch : {"sm_80", "sm_90", "sm_100", "sm_120"}) {
    INFO(arch);
    const WarmList list = test::list_of(*shipped_manifest("prologues"), {known_target(arch)});
    CHECK(list.items.size() >= 500);
    CHECK(list.items.size() <= 1000);
  }
}
