// Every rung of the ladder, by what is there and what is allowed.
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include <string>
#include <vector>

#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "host/host_target.hpp"
#include "ropejit/ropejit.hpp"
#include "service/binary_source.hpp"
#include "service/small_launch.hpp"
#include "service/small_spec.hpp"
#include "spec/lower.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

namespace {

using namespace ropejit;
using test::rotates_by;

struct Heard {
  std::vector<std::string> warnings;
  std::vector<std::string> log;
};

ServiceOptions options_of(const std::string& cache_dir, OnMiss on_miss, Heard* heard = nullptr) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = cache_dir;
  options.on_miss = on_miss;
  if (heard != nullptr) {
    options.warn = [heard](std::string_view line) { heard->warnings.emplace_back(line); };
    options.log = [heard](std::string_view line) { heard->log.emplace_back(line); };
  }
  return options;
}

std::vector<CacheRung> rungs_of(const RopeKernel& kernel) {
  std::vector<CacheRung> rungs;
  for (const VariantInfo& variant : kernel.info().variants) rungs.push_back(variant.cache);
  return rungs;
}

bool all_are(const RopeKernel& kernel, CacheRung rung) {
  for (const CacheRung one : rungs_of(kernel)) {
    if (one != rung) return false;
  }
  return true;
}

const LaunchForm kForm = LaunchForm::in_place_start();

/// The class's binaries with their steps in a buffer, as a warmed cache has them.
void store_buffered(const std::string& directory, const RopeSpec& spec) {
  const internal::RotationPlan plan = internal::lower(spec, kForm);
  const auto target = internal::host_target(std::nullopt);
  const internal::BinaryStore store(directory);
  internal::Events events({}, {});
  for (internal::VariantChoice choice : internal::serving_variants(plan, target->multiprocessors())) {
    choice.variant.buffered_steps = true;
    const internal::BinarySource source(plan, choice.variant, *target, store, events);
    source.keep(source.compile());
  }
}

}  // namespace

TEST_CASE("What is in no cache is compiled, served by the generic kernel, or an error, as the options say",
          "[service]") {
  const test::ScratchFolder folder;
  Heard heard;
  const RopeService generic(options_of(folder.path(), OnMiss::generic, &heard));
  const RopeKernel served = generic.get(test::small_spec(10000), kForm);
  CHECK(all_are(served, CacheRung::generic));
  CHECK(served.info().variants.front().variant == "generic");
  CHECK_FALSE(served.info().variants.front().missed.empty());
  CHECK(rotates_by(served, 10000));
  CHECK(heard.warnings.size() == 1);
  CHECK(generic.stats().generic_kernels == 1);
  CHECK(generic.stats().compiles == 0);

  const RopeService error(options_of(folder.path(), OnMiss::error));
  try {
    const RopeKernel kernel = error.get(test::small_spec(10000), kForm);
    FAIL("no error");
  } catch (const Error& caught) {
    CHECK(caught.code() == ErrorCode::not_cached);
    CHECK(std::string(caught.what()).find("no such entry") != std::string::npos);
  }
  CHECK(error.stats().gets_failed == 1);

  const RopeService compile(options_of(folder.path(), OnMiss::compile));
  CHECK(all_are(compile.get(test::small_spec(10000), kForm), CacheRung::miss));
  CHECK(compile.stats().compiles == compile.stats().entries_written);
  // And then all of them find it.
  for (const OnMiss on_miss : {OnMiss::generic, OnMiss::error, OnMiss::background}) {
    const RopeService later(options_of(folder.path(), on_miss));
    CHECK(all_are(later.get(test::small_spec(10000), kForm), CacheRung::disk));
  }
}

TEST_CASE("A binary of the class serves a plan of other numbers, before a compiler is asked", "[service]") {
  const test::ScratchFolder folder;
  store_buffered(folder.path(), test::small_spec(10000));
  for (const double theta : {10000.0, 500.0, 1e6}) {
    const RopeService service(options_of(folder.path(), OnMiss::error));
    const RopeKernel kernel = service.get(test::small_spec(theta), kForm);
    INFO("theta " << theta);
    CHECK(all_are(kernel, CacheRung::disk));
    for (const VariantInfo& variant : kernel.info().variants) {
      CHECK(variant.variant.find("_buffer") != std::string::npos);
      CHECK_FALSE(variant.missed.empty());
    }
    CHECK(rotates_by(kernel, theta));
    CHECK(service.stats().buffered_hits == kernel.info().variants.size());
  }
  // Its own binaries go before.
  const RopeService compiles(options_of("", OnMiss::compile));
  CHECK(all_are(compiles.get(test::small_spec(500), kForm), CacheRung::miss));
}

TEST_CASE("A read-only directory serves what the user's lacks, and is not written", "[service]") {
  const test::ScratchFolder shared;
  const test::ScratchFolder own;
  RopeService(options_of(shared.path(), OnMiss::compile)).get(test::small_spec(10000), kForm);
  const std::vector<std::string> before = test::files_below(shared.path());
  const test::ScopedVariable path("ROPEJIT_CACHE_PATH", shared.path().c_str());
  REQUIRE(std::getenv("ROPEJIT_CACHE_PATH") != nullptr);
  const RopeService service(options_of(own.path(), OnMiss::compile));
  const RopeKernel found = service.get(test::small_spec(10000), kForm);
  CHECK(all_are(found, CacheRung::shared));
  CHECK(found.info().variants.front().missed.size() == 1);
  CHECK(rotates_by(found, 10000));
  CHECK(all_are(service.get(test::small_spec(500), kForm), CacheRung::miss));
  CHECK(test::files_below(shared.path()) == before);
  CHECK(service.stats().shared_hits == found.info().variants.size());
}

TEST_CASE("In the background the generic kernel serves until the kernel's own binaries are there", "[service]") {
  const test::ScratchFolder folder;
  const RopeService service(options_of(folder.path(), OnMiss::background));
  const RopeKernel kernel = service.get(test::small_spec(10000), kForm);
  CHECK(rotates_by(kernel, 10000));
  REQUIRE(service.wait_for_compiles(120));
  CHECK(all_are(kernel, CacheRung::miss));
  CHECK(rotates_by(kernel, 10000));
  CHECK(service.stats().compiles > 0);
}

TEST_CASE("Without a compiler the generic kernel serves every form of launch, and one warning says why", "[service]") {
  Heard heard;
  ServiceOptions options = options_of("", OnMiss::compile, &heard);
  options.host_compiler = "/nonexistent/c++";
  const RopeService service(options);
  for (int i = 0; i < 3; ++i) CHECK(rotates_by(service.get(test::small_spec(10000), kForm), 10000));
  REQUIRE(heard.warnings.size() == 1);
  CHECK(heard.warnings.front().find("/nonexistent/c++") != std::string::npos);

  RopeSpec grows = test::small_spec(10000);
  DynamicScaling scaling;
  scaling.factor = 2;
  scaling.max_position_embeddings = 64;
  grows.scaling = scaling;
  CHECK(rotates_by(service.get(grows, kForm).at_length(64), 10000));
}

TEST_CASE("Rows of the table that are missing are served by the nearest that is there", "[service]") {
  // 71 heads of 64: several rows.
  RopeSpec spec;
  spec.dtype = DType::bf16;
  spec.rotary_dim = 64;
  spec.q = {71, 64, 0};
  spec.k = Operand{1, 64, 0};
  const test::ScratchFolder folder;
  const RopeKernel whole = RopeService(options_of(folder.path(), OnMiss::compile)).get(spec, kForm);
  const internal::BinaryStore store(folder.path());
  const std::string lost = whole.info().variants.front().entry;
  for (const internal::EntryListing& entry : store.list()) {
    REQUIRE(entry.metadata);
    if (entry.metadata->entry == lost) REQUIRE(::unlink(entry.path.c_str()) == 0);
  }
  const RopeKernel kernel = RopeService(options_of(folder.path(), OnMiss::generic)).get(spec, kForm);
  const std::vector<VariantInfo>& rows = kernel.info().variants;
  REQUIRE(rows.size() == whole.info().variants.size());
  if (rows.size() > 2) {
    CHECK(rows.front().variant == whole.info().variants[1].variant);
    CHECK(all_are(kernel, CacheRung::disk));
  } else {
    CHECK(rows.front().cache == CacheRung::generic);
    CHECK(rows.back().cache == CacheRung::disk);
  }
}

TEST_CASE("A child of fork goes on with the host target, while a thread of its parent works", "[service]") {
  const RopeService service(options_of("", OnMiss::background));
  const RopeKernel kernel = service.get(test::small_spec(10000), kForm);
  CHECK(test::in_child([&] {
          const bool right = rotates_by(kernel, 10000);
          const RopeService own(options_of("", OnMiss::generic));
          return right && rotates_by(own.get(test::small_spec(500), kForm), 500);
        }) == "");
  CHECK(service.wait_for_compiles(120));
}

TEST_CASE("Counts come out as Prometheus reads them", "[service]") {
  ServiceStats stats;
  stats.compiles = 5;
  stats.compile_ms = 1250;
  const std::string text = prometheus_text(stats, "device=\"0\"");
  CHECK(text.find("# TYPE ropejit_compiles_total counter\nropejit_compiles_total{device=\"0\"} 5\n") !=
        std::string::npos);
  CHECK(text.find("ropejit_compile_seconds_total{device=\"0\"} 1.250000\n") != std::string::npos);
  CHECK(text.back() == '\n');
  CHECK(prometheus_text(stats).find("ropejit_gets_total 0\n") != std::string::npos);
}
