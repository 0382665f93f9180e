// A process that has few file descriptors left: a get works with what there is or says what it lacks, leaves nothing
// behind, and works again when there are some.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codegen/generate.hpp"
#include "cuda/cuda_target.hpp"
#include "cuda/nvrtc_target.hpp"
#include "ropejit/service.hpp"
#include "service/small_spec.hpp"
#include "store/bundle/writer.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/few_descriptors.hpp"
#include "support/sample_plans.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

constexpr int kMostFree = 20;
const LaunchForm kForm = LaunchForm::in_place_start();

// Where a service of the test finds what.
struct State {
  const char* name;
  bool user_entries;   // of its directory
  const char* shared;  // "", "directory" or "bundle": on the path of read-only ones
  bool in_memory;      // a get before
  bool no_cache;
  bool frozen;
  OnMiss on_miss;
  int enough;  // with so many descriptors a get succeeds
};

const State kStates[] = {
    {"nothing is stored", false, "", false, false, false, OnMiss::compile, 1},
    {"memory only", false, "", false, true, false, OnMiss::compile, 1},
    {"entries", true, "", false, false, false, OnMiss::compile, 1},
    {"a read-only directory", false, "directory", false, false, false, OnMiss::compile, 1},
    {"a bundle", false, "bundle", false, false, false, OnMiss::compile, 2},  // one of them stays open
    {"in memory", true, "", true, false, false, OnMiss::compile, 0},
    {"never compiled", false, "", false, false, false, OnMiss::generic, 1},
    {"compiled in the background", false, "", false, false, false, OnMiss::background, 1},
    {"frozen, entries", true, "", false, false, true, OnMiss::error, 2},
    {"frozen, a bundle", false, "bundle", false, false, true, OnMiss::error, 2},
};

std::vector<float> rotated(const RopeKernel& kernel) {
  std::vector<float> q(3 * 2 * 4);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(i) / 7;
  RopeArgs args;
  args.q.data = q.data();
  args.tokens = 3;
  args.positions = Positions::start(1000);
  REQUIRE(kernel.launch(args));
  return q;
}

// A folder with what the states need: made once, copied for each number.
class Prepared {
 public:
  Prepared() {
    // What was compiled once is taken from a folder the next time.
    std::filesystem::create_directory(scratch_ / "kept");
    std::filesystem::create_directory(scratch_ / "tmp");
    const ScopedVariable kept("ROPEJIT_TEST_KEPT", (scratch_ / "kept").c_str());
    ServiceOptions options;
    options.device = "host";
    options.host_compiler = compiler();
    options.cache_dir = scratch_ / "entries";
    expected = rotated(RopeService(options).get(small_spec(), kForm));
    internal::BundleRequest request;
    request.path = scratch_ / "bundle";
    const internal::Tier source(scratch_ / "entries", {}, true, internal::system_file_ops());
    REQUIRE(internal::write_bundle(internal::system_file_ops(), source, request).problem == "");
  }
  static std::string compiler() { return test_data_dir() + "/reliability/compiler.sh"; }
  std::string folder(const char* name) const { return scratch_ / name; }

  std::vector<float> expected;

 private:
  ScratchFolder scratch_;
};

const Prepared& prepared() {
  static const Prepared made;
  return made;
}

// What `work` returned in a process of its own, or how that ended.
std::string in_child(const std::function<std::string()>& work) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    const std::string text = work();
    const bool told = ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends[0], text.data(), text.size()))));
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status == 0 ? text : "the process ended with status " + std::to_string(status);
}

bool is_temporary(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename();
  return name.starts_with(".");
}

void check_state(const State& state, int free) {
  const Prepared& have = prepared();
  const ScratchFolder scratch;
  const std::string user = scratch / "cache";
  const std::string temporary = scratch / "tmp";
  std::filesystem::create_directory(temporary);
  if (state.user_entries) std::filesystem::copy(have.folder("entries"), user, std::filesystem::copy_options::recursive);
  const std::string shared = state.shared;
  const ScopedVariable path("ROPEJIT_CACHE_PATH",
                            shared.empty() ? nullptr : have.folder(shared == "bundle" ? "bundle" : "entries").c_str());
  const ScopedVariable kept("ROPEJIT_TEST_KEPT", have.folder("kept").c_str());
  const ScopedVariable tmpdir("TMPDIR", temporary.c_str());
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = state.no_cache ? "" : user;
  options.host_compiler = Prepared::compiler();
  options.on_miss = state.on_miss;
  options.frozen = state.frozen;

  const int before = open_descriptors();
  {
    std::optional<RopeService> service;
    std::optional<RopeKernel> kernel;
    std::string problem;
    if (state.in_memory) RopeService(service.emplace(options)).get(small_spec(), kForm);
    {
      const FewDescriptors few(free);
      try {
        if (!service) service.emplace(options);
        kernel = service->get(small_spec(), kForm);
      } catch (const Error& error) {
        problem = error.what();
      }
    }
    CHECK((kernel || free < state.enough));
    INFO(problem);
    CHECK(kernel.has_value() == problem.empty());
    CHECK(problem.find('\n') == std::string::npos);
    if (kernel) CHECK(rotated(*kernel) == have.expected);
    if (!service) service.emplace(options);
    const RopeKernel later = service->get(small_spec(), kForm);
    CHECK(rotated(later) == have.expected);
    if (state.on_miss == OnMiss::background) CHECK(service->wait_for_compiles(200));
  }
  CHECK(open_descriptors() == before);
  for (const std::string& file : files_below(user)) {
    INFO(file);
    CHECK(!is_temporary(file));
  }
  for (const internal::EntryListing& entry : internal::BinaryStore(user).list()) CHECK(entry.problem == "");
  CHECK(std::filesystem::is_empty(temporary));
}

}  // namespace

TEST_CASE(
    "with any number of free descriptors a get works or says why not, leaves nothing, and works again with more") {
  const State state = GENERATE(from_range(std::begin(kStates), std::end(kStates)));
  for (int free = 0; free <= kMostFree; ++free) {
    INFO(state.name << ", " << free << " free descriptors");
    check_state(state, free);
  }
}

TEST_CASE("NVRTC that lacked descriptors says so, and compiles when there are some") {
  const SamplePlan sample = sample_plans().front();
  const internal::KernelSource source = internal::generate(sample.plan, sample.variant);
  // Empty, or what was wrong, in one line.
  const auto compiled = [&](const internal::BuildTarget& target) -> std::string {
    try {
      return target.compiler().compile(source).image.empty() ? "an empty image" : "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  // Each number in a process of its own, in which NVRTC is loaded for the first time.
  for (int free = 0; free <= 8; ++free) {
    const std::string said = in_child([&]() -> std::string {
      const auto target = internal::nvrtc_build_target("sm_90", std::nullopt);
      std::string few_said;
      {
        const FewDescriptors few(free);
        few_said = compiled(*target);
      }
      if (few_said.find('\n') != std::string::npos) return "several lines: " + few_said;
      if (!few_said.empty() && free >= 4) return "with few: " + few_said;
      const std::string then = compiled(*target);
      return then.empty() ? "" : "with many: " + then;
    });
    if (said.find("cannot be loaded") != std::string::npos) {
      WARN("skipped: " << said);
      return;
    }
    CAPTURE(free);
    CHECK(said == "");
  }
}

TEST_CASE(
    "without descriptors a device that was left open is not taken to be the CPU, and is found when there are some") {
  ServiceOptions options;
  options.device = "auto";
  options.cache_dir = "";
  options.on_miss = OnMiss::generic;
  const RopeService service(options);
  std::string problem;
  {
    const FewDescriptors few(0);
    try {
      service.get(small_spec(), kForm);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::device_unavailable);
      problem = error.what();
    }
  }
  // Where another test has loaded the driver, no descriptor is needed to find it.
  if (internal::cuda_info().devices == 0) {
    CHECK(problem.find("device: found auto, and too few file descriptors to look for a GPU") != std::string::npos);
  }
  CHECK(problem.find('\n') == std::string::npos);
  CHECK_NOTHROW(service.get(small_spec(), kForm));
}
