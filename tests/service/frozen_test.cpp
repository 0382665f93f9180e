// A frozen service: what is stored serves, and nothing is compiled, tuned or written.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "codegen/candidates.hpp"
#include "codegen/default_variant.hpp"
#include "host/host_target.hpp"
#include "ropejit/ropejit.h"
#include "ropejit/service.hpp"
#include "service/binary_source.hpp"
#include "service/small_spec.hpp"
#include "spec/errors.hpp"
#include "spec/lower.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

const LaunchForm kForm = LaunchForm::in_place_start();

ServiceOptions options_of(const std::string& cache_dir, bool frozen = true) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = cache_dir;
  options.frozen = frozen;
  if (frozen) options.host_compiler = "/nowhere/c++";
  return options;
}

/// Every file and folder: its size and times, but not when it was last read.
using Shape = std::map<std::string, std::tuple<long long, long long, long long>>;
Shape shape_of(const std::string& folder) {
  Shape shape;
  for (const auto& item : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat status {};
    REQUIRE(::lstat(item.path().c_str(), &status) == 0);
    shape[item.path().string()] = {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  }
  return shape;
}

bool rotates(const RopeKernel& kernel) {
  std::vector<float> q(3 * 2 * 4, 1.0f);
  RopeArgs args;
  args.q.data = q.data();
  args.tokens = 3;
  args.positions = Positions::start(0);
  return kernel.launch(args) && q[8] == Approx(-0.3011687).epsilon(1e-6);
}

void store_variant(const std::string& directory, const internal::Variant& variant) {
  const internal::RotationPlan plan = internal::lower(small_spec(), kForm);
  const auto target = internal::host_target(std::nullopt);
  const internal::BinaryStore store(directory);
  internal::Events events({}, {});
  const internal::BinarySource source(plan, variant, *target, store, events);
  source.keep(source.compile());
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& item : std::filesystem::recursive_directory_iterator(folder)) {
    if (item.is_regular_file() && item.path().extension() == ".rje") files.push_back(item.path().string());
  }
  return files;
}

}  // namespace

TEST_CASE("a frozen service serves what is stored, without a compiler, and leaves the directory as it is") {
  const ScratchFolder folder;
  static_cast<void>(RopeService(options_of(folder.path(), false)).get(small_spec(), kForm));
  const Shape before = shape_of(folder.path());
  REQUIRE(before.size() > 3);

  const RopeService frozen(options_of(folder.path()));
  const RopeKernel kernel = frozen.get(small_spec(), kForm);
  CHECK(rotates(kernel));
  for (const VariantInfo& variant : kernel.info().variants) CHECK(variant.cache == CacheRung::shared);
  CHECK(frozen.cache_dir().empty());
  CHECK(frozen.stats().compiles == 0);
  CHECK(shape_of(folder.path()) == before);
}

TEST_CASE("what a frozen service lacks is an error that says how to add it, and no file is made") {
  const ScratchFolder folder;
  const RopeService frozen(options_of(folder.path() + "/absent"));
  const auto error = error_of([&] { return frozen.get(small_spec(), kForm); });
  REQUIRE(error);
  INFO(error->what());
  CHECK(error->code() == ErrorCode::not_cached);
  for (const char* word : {"no such entry", "ROPEJIT_RECORD=FILE", "ropejit warm --recorded FILE --arch host-"}) {
    CHECK(std::string(error->what()).find(word) != std::string::npos);
  }
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/absent"));
}

TEST_CASE("a frozen service leaves a damaged entry where it is") {
  const ScratchFolder folder;
  static_cast<void>(RopeService(options_of(folder.path(), false)).get(small_spec(), kForm));
  for (const std::string& file : files_in(folder.path())) std::filesystem::resize_file(file, 100);
  const Shape before = shape_of(folder.path());
  const RopeService frozen(options_of(folder.path()));
  const auto error = error_of([&] { return frozen.get(small_spec(), kForm); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::not_cached);
  CHECK(shape_of(folder.path()) == before);
}

TEST_CASE("a frozen service takes the generic kernel where that is allowed") {
  const ScratchFolder folder;
  ServiceOptions options = options_of(folder.path());
  options.on_miss = OnMiss::generic;
  const RopeKernel kernel = RopeService(options).get(small_spec(), kForm);
  CHECK(rotates(kernel));
  for (const VariantInfo& variant : kernel.info().variants) CHECK(variant.cache == CacheRung::generic);
}

TEST_CASE("where nothing that was chosen is stored, any variant of the class serves the rows") {
  const ScratchFolder folder;
  const internal::RotationPlan plan = internal::lower(small_spec(), kForm);
  const auto chosen = internal::serving_variants(plan, internal::host_target(std::nullopt)->multiprocessors());
  std::optional<internal::Variant> other;
  for (const internal::Variant& variant : internal::candidate_variants(plan.kernel_class)) {
    bool is_chosen = false;
    for (const internal::VariantChoice& choice : chosen) is_chosen = is_chosen || choice.variant == variant;
    if (!is_chosen) other = variant;
  }
  REQUIRE(other);
  const internal::Variant universal = chosen.back().variant;

  store_variant(folder.path(), universal);
  const RopeKernel by_universal = RopeService(options_of(folder.path())).get(small_spec(), kForm);
  CHECK(rotates(by_universal));
  for (const VariantInfo& variant : by_universal.info().variants) CHECK(variant.variant == to_string(universal));

  store_variant(folder.path(), *other);
  const RopeKernel by_other = RopeService(options_of(folder.path())).get(small_spec(), kForm);
  CHECK(rotates(by_other));
  CHECK(by_other.info().variants.front().variant == to_string(*other));
  CHECK_FALSE(by_other.info().variants.front().missed.empty());
  CHECK(by_other.info().variants.back().variant == to_string(universal));
}

TEST_CASE("options that a frozen service cannot honour are refused, in its environment too") {
  ServiceOptions options = options_of("");
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::background}) {
    options.on_miss = on_miss;
    const auto error = error_of([&] { return RopeService(options); });
    REQUIRE(error);
    CHECK(std::string(error->what()).find("on_miss: found") != std::string::npos);
  }
  options.on_miss.reset();
  options.tuning = Tuning::background;
  CHECK(error_of([&] { return RopeService(options); }));

  const ScopedVariable frozen("ROPEJIT_FROZEN", "yes");
  options = ServiceOptions();
  const auto error = error_of([&] { return RopeService(options); });
  REQUIRE(error);
  CHECK(std::string(error->what()).find("ROPEJIT_FROZEN: found \"yes\", allowed: 0 or 1") != std::string::npos);
  options.frozen = false;  // an option wins over the environment
  CHECK_FALSE(error_of([&] { return RopeService(options); }));
}

TEST_CASE("the environment and C's options freeze a service, too") {
  const ScratchFolder folder;
  const std::string cache = R"({"device":"host","cache_dir":")" + folder.path() + "\"";
  const auto status_of = [](const std::string& json) {
    ropejit_service* service = nullptr;
    REQUIRE(ropejit_service_create(json.c_str(), &service) == ROPEJIT_OK);
    ropejit_kernel* kernel = nullptr;
    const ropejit_status status = ropejit_get(service, small_spec().to_json().c_str(), nullptr, &kernel);
    ropejit_kernel_release(kernel);
    ropejit_service_release(service);
    return status;
  };
  CHECK(status_of(cache + R"(,"frozen":true})") == ROPEJIT_NOT_CACHED);
  const ScopedVariable frozen("ROPEJIT_FROZEN", "1");
  CHECK(status_of(cache + "}") == ROPEJIT_NOT_CACHED);
  CHECK(status_of(cache + R"(,"frozen":false})") == ROPEJIT_OK);
}
