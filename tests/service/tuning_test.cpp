#include <stdlib.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/service.hpp"
#include "service/record_shelf.hpp"
#include "support/catch.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"
#include "tune/record_file.hpp"

using namespace ropejit;

namespace {

RopeSpec small_spec() {
  RopeSpec spec;
  spec.dtype = DType::bf16;
  spec.rotary_dim = 16;
  spec.q = {2, 16, 0};
  return spec;
}

ServiceOptions options_for(const test::ScratchFolder& folder, Tuning tuning) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = folder.path();
  options.tuning = tuning;
  options.tuning_tokens = {1, 64};
  options.tuning_budget_ms = 1500;  // the host's compiler takes its time
  options.tuning_share = 1;
  return options;
}

bool rotates(const RopeKernel& rope) {
  std::vector<std::uint16_t> q(2 * 16, 0x3f80);
  RopeArgs args;
  args.q.data = q.data();
  args.tokens = 1;
  args.positions = Positions::start(1);
  return static_cast<bool>(rope.launch(args)) && q[0] != 0x3f80;
}

}  // namespace

TEST_CASE("Tuning on demand is done before get returns, once, and kept for other services", "[host]") {
  const test::ScratchFolder folder;
  std::vector<std::string> warnings;
  ServiceOptions options = options_for(folder, Tuning::on_demand);
  options.warn = [&](std::string_view line) { warnings.emplace_back(line); };
  const RopeKernel tuned = RopeService(options).get(small_spec(), LaunchForm::in_place_start());
  INFO((warnings.empty() ? std::string() : warnings.front()));
  CHECK(tuned.variant_for(1).by == ChosenBy::exact);
  CHECK(tuned.variant_for(1).tuned_tokens == 1);
  CHECK(tuned.variant_for(64).by == ChosenBy::exact);
  CHECK(tuned.variant_for(100000).by == ChosenBy::untuned);
  CHECK(rotates(tuned));

  const RopeKernel later =
      RopeService(options_for(folder, Tuning::off)).get(small_spec(), LaunchForm::in_place_start());
  CHECK(later.variant_for(64).by == ChosenBy::exact);
  CHECK(later.variant_for(64).variant == tuned.variant_for(64).variant);
  CHECK(later.variant_for(64).cache == CacheRung::disk);
  CHECK(rotates(later));
}

TEST_CASE("Tuning in the background serves the default at once and puts the better kernel in place", "[host]") {
  const test::ScratchFolder folder;
  const RopeService service(options_for(folder, Tuning::background));
  const RopeKernel rope = service.get(small_spec(), LaunchForm::in_place_start());
  CHECK(rope.variant_for(1).by == ChosenBy::untuned);
  CHECK(rotates(rope));
  // Launches go on from other threads while the kernel changes under them.
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) failed += rotates(rope) ? 0 : 1;
    });
  }
  CHECK(service.wait_for_tuning(120));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
  CHECK(rope.variant_for(1).by == ChosenBy::exact);
  CHECK(rope.info().variants.front().by == ChosenBy::exact);
  CHECK(rotates(rope));
}

TEST_CASE("With swap_when_tuned off the better kernel waits for commit_tuned", "[host]") {
  const test::ScratchFolder folder;
  ServiceOptions options = options_for(folder, Tuning::background);
  options.swap_when_tuned = false;
  const RopeService service(options);
  const RopeKernel rope = service.get(small_spec(), LaunchForm::in_place_start());
  CHECK(service.commit_tuned() == 0);
  CHECK(service.wait_for_tuning(120));
  CHECK(rope.variant_for(1).by == ChosenBy::untuned);
  CHECK(service.commit_tuned() == 1);
  CHECK(rope.variant_for(1).by == ChosenBy::exact);
  CHECK(service.commit_tuned() == 0);
}

TEST_CASE("While tuning is paused nothing is tuned, and a service may go in the middle of it", "[host]") {
  const test::ScratchFolder folder;
  RopeKernel rope;
  {
    const RopeService service(options_for(folder, Tuning::background));
    service.pause_tuning();
    service.pause_tuning();
    rope = service.get(small_spec(), LaunchForm::in_place_start());
    service.resume_tuning();
    CHECK_FALSE(service.wait_for_tuning(0.5));
    CHECK(rope.variant_for(1).by == ChosenBy::untuned);
  }
  CHECK(rotates(rope));
}

TEST_CASE("Tuning that cannot be done is a warning, and the default serves", "[host]") {
  const test::ScratchFolder folder;
  ServiceOptions options = options_for(folder, Tuning::on_demand);
  options.tuning_tokens = {1 << 30};  // more than fits
  std::vector<std::string> warnings;
  options.warn = [&](std::string_view line) { warnings.emplace_back(line); };
  const RopeKernel rope = RopeService(options).get(small_spec(), LaunchForm::in_place_start());
  CHECK(rope.variant_for(1).by == ChosenBy::untuned);
  REQUIRE_FALSE(warnings.empty());
  CHECK(warnings.front().find("tuning at 1073741824 tokens: found tensors of") == 0);
}

TEST_CASE("A tuning option that makes no sense is refused with what is allowed") {
  struct Row {
    void (*change)(ServiceOptions&);
    const char* field;
  };
  for (const Row& row : {Row{[](ServiceOptions& o) { o.tuning_share = 0; }, "tuning_share"},
                         Row{[](ServiceOptions& o) { o.tuning_share = 1.5; }, "tuning_share"},
                         Row{[](ServiceOptions& o) { o.tuning_budget_ms = 0; }, "tuning_budget_ms"},
                         Row{[](ServiceOptions& o) { o.tuning_tokens = {0}; }, "tuning_tokens"},
                         Row{[](ServiceOptions& o) {
                               o.tuning_tokens = {1, 1LL << 31};
                             },
                             "tuning_tokens"}}) {
    ServiceOptions options;
    row.change(options);
    try {
      const RopeService service(options);
      FAIL(row.field);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(std::string(error.what()).find(row.field) == 0);
    }
  }
}

TEST_CASE("ROPEJIT_TUNING is the default of the option, and what it cannot mean is refused") {
  {
    const test::ScopedVariable variable("ROPEJIT_TUNING", "sometimes");
    CHECK_THROWS_AS(RopeService(ServiceOptions{}), Error);
    ServiceOptions options;
    options.tuning = Tuning::off;
    CHECK_NOTHROW(RopeService(options));
  }
  const test::ScopedVariable variable("ROPEJIT_TUNING", "background");
  CHECK_NOTHROW(RopeService(ServiceOptions{}));
}

TEST_CASE("Every shipped record can be read, and names a variant and a device") {
  for (const internal::TextFile& file : internal::shipped_records()) {
    INFO(file.name);
    const internal::RecordsRead read = internal::parse_records(file.text, file.name);
    for (const std::string& problem : read.problems) FAIL(problem);
    CHECK_FALSE(read.records.empty());
    CHECK(read.records.all().front().device == read.records.all().back().device);  // a file is of one device
    for (const internal::TuningRecord& record : read.records.all()) {
      CHECK(record.us > 0);
      CHECK_FALSE(record.pinned);
    }
  }
}
