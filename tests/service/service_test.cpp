#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "ropejit/ropejit.hpp"
#include "service/small_launch.hpp"
#include "service/small_spec.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

namespace {

using namespace ropejit;
using test::small_spec;
using test::works;

ServiceOptions host_options(const std::string& cache_dir, std::vector<std::string>* warnings = nullptr) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = cache_dir;
  if (warnings != nullptr) options.warn = [warnings](std::string_view line) { warnings->emplace_back(line); };
  return options;
}

void expect_rung(const RopeKernel& kernel, CacheRung rung) {
  for (const VariantInfo& variant : kernel.info().variants) {
    INFO(variant.entry << " came from " << to_string(variant.cache));
    CHECK(variant.cache == rung);
  }
}

/// Applies `damage` to every cached file.
template <class Damage>
void damage_all(const std::string& folder, Damage&& damage) {
  const std::vector<std::string> files = test::files_below(folder);
  REQUIRE_FALSE(files.empty());
  for (const std::string& file : files) test::write_text(file, damage(test::read_text(file)));
}

}  // namespace

TEST_CASE("A kernel is compiled once, then found on disk by another service and in memory by the same", "[service]") {
  const test::ScratchFolder folder;
  const LaunchForm form = LaunchForm::in_place_start();
  const RopeService first(host_options(folder.path()));
  const RopeKernel compiled = first.get(small_spec(), form);
  expect_rung(compiled, CacheRung::miss);
  CHECK(compiled.info().variants.front().compile_ms > 0);
  const RopeKernel again = first.get(small_spec(), form);
  expect_rung(again, CacheRung::memory);
  const RopeService second(host_options(folder.path()));
  const RopeKernel found = second.get(small_spec(), form);
  expect_rung(found, CacheRung::disk);
  for (const RopeKernel& kernel : {compiled, again, found}) CHECK(works(kernel));
  CHECK(found.info().plan_hash == compiled.info().plan_hash);
}

TEST_CASE("Two specs that mean the same plan share its binaries", "[service]") {
  const test::ScratchFolder folder;
  const LaunchForm form = LaunchForm::in_place_start();
  RopeSpec plain = small_spec();
  RopeSpec scaled = small_spec();
  scaled.scaling = LinearScaling{1.0};
  RopeSpec llama = small_spec();
  llama.scaling = Llama3Scaling{1.0, 1.0, 4.0, 8192};
  REQUIRE(plain != scaled);
  const RopeService service(host_options(folder.path()));
  expect_rung(service.get(plain, form), CacheRung::miss);
  const std::size_t files = test::files_below(folder.path()).size();
  const RopeKernel second = service.get(scaled, form);
  expect_rung(second, CacheRung::memory);
  CHECK(second.spec() == scaled);
  expect_rung(service.get(llama, form), CacheRung::memory);
  expect_rung(RopeService(host_options(folder.path())).get(scaled, form), CacheRung::disk);
  CHECK(test::files_below(folder.path()).size() == files);

  RopeSpec other = small_spec();
  other.theta = 500000.0;
  expect_rung(service.get(other, form), CacheRung::miss);
  expect_rung(service.get(plain, LaunchForm::in_place_ids()), CacheRung::miss);
}

TEST_CASE("Corrupted, truncated and empty entries cost a compile and a warning, and are replaced", "[service]") {
  struct Row {
    const char* what;
    std::string (*damage)(std::string);
  };
  const Row rows[] = {
      {"one bit of the payload",
       [](std::string bytes) {
         bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
         return bytes;
       }},
      {"half of the file", [](std::string bytes) { return bytes.substr(0, bytes.size() / 2); }},
      {"an empty file", [](std::string) { return std::string(); }},
      {"another kind of file", [](std::string) { return std::string("#!/bin/sh\necho no\n"); }},
  };
  const LaunchForm form = LaunchForm::in_place_start();
  for (const Row& row : rows) {
    INFO(row.what);
    const test::ScratchFolder folder;
    expect_rung(RopeService(host_options(folder.path())).get(small_spec(), form), CacheRung::miss);
    damage_all(folder.path(), row.damage);
    std::vector<std::string> warnings;
    const RopeKernel rebuilt = RopeService(host_options(folder.path(), &warnings)).get(small_spec(), form);
    expect_rung(rebuilt, CacheRung::miss);
    CHECK(works(rebuilt));
    CHECK_FALSE(warnings.empty());
    expect_rung(RopeService(host_options(folder.path())).get(small_spec(), form), CacheRung::disk);
  }
}

TEST_CASE("A valid entry whose payload the target refuses is a miss and stays where it is", "[service]") {
  // An entry for the same key with bytes that are no shared object, as another version of a loader would see them.
  const test::ScratchFolder folder;
  const LaunchForm form = LaunchForm::in_place_start();
  RopeService(host_options(folder.path())).get(small_spec(), form);
  const internal::BinaryStore store(folder.path());
  for (const internal::EntryListing& listing : store.list()) {
    REQUIRE(listing.metadata.has_value());
    REQUIRE(store
                .write({*listing.metadata,
                        "\x7f"
                        "ELF but not really"})
                .empty());
  }
  const std::vector<std::string> files = test::files_below(folder.path());
  std::vector<std::string> before;
  for (const std::string& file : files) before.push_back(test::read_text(file));
  std::vector<std::string> warnings;
  const RopeKernel kernel = RopeService(host_options(folder.path(), &warnings)).get(small_spec(), form);
  expect_rung(kernel, CacheRung::miss);
  CHECK(works(kernel));
  CHECK_FALSE(warnings.empty());
  for (std::size_t i = 0; i < files.size(); ++i) CHECK(test::read_text(files[i]) == before[i]);
}

TEST_CASE("Without a directory, or with one that cannot be, everything works from memory", "[service]") {
  const LaunchForm form = LaunchForm::in_place_start();
  const RopeService memory_only(host_options(""));
  CHECK(memory_only.cache_dir().empty());
  CHECK(works(memory_only.get(small_spec(), form)));
  std::vector<std::string> warnings;
  const RopeService nowhere(host_options("/proc/no/such/place", &warnings));
  CHECK(works(nowhere.get(small_spec(), form)));
  CHECK_FALSE(warnings.empty());
}

TEST_CASE("Many threads that ask for one plan get one kernel, compiled once", "[service]") {
  const test::ScratchFolder folder;
  const RopeService service(host_options(folder.path()));
  std::atomic<int> misses = 0;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const RopeKernel kernel = service.get(small_spec(), LaunchForm::in_place_start());
      if (kernel.info().variants.front().cache == CacheRung::miss) ++misses;
      if (works(kernel)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(misses == 1);
  CHECK(right == 8);
}

TEST_CASE("A kernel outlives its service, and an empty handle refuses to launch", "[service]") {
  RopeKernel kernel;
  CHECK_FALSE(static_cast<bool>(kernel));
  CHECK(kernel.launch({}).code == ErrorCode::not_prepared);
  CHECK_THROWS_AS(kernel.info(), Error);
  kernel = RopeService(host_options("")).get(small_spec(), LaunchForm::in_place_start());
  CHECK(works(kernel));
  const RopeKernel copy = kernel;
  kernel = RopeKernel();
  CHECK(works(copy));
}

TEST_CASE("A device or a spec that cannot be is an error with a code, and the service stays usable", "[service]") {
  const LaunchForm form = LaunchForm::in_place_start();
  for (const char* device : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", "CUDA", "host:0"}) {
    INFO(device);
    ServiceOptions options = host_options("");
    options.device = device;
    try {
      RopeService(options).get(small_spec(), form);
      FAIL("taken");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
    }
  }
  ServiceOptions far = host_options("");
  far.device = "cuda:4095";
  CHECK_THROWS_AS(RopeService(far).get(small_spec(), form), Error);

  const RopeService service(host_options(""));
  RopeSpec bad = small_spec();
  bad.rotary_dim = 3;
  CHECK_THROWS_AS(service.get(bad, form), Error);
  CHECK(works(service.get(small_spec(), form)));
}

TEST_CASE("The table serves by size, and says which entry that is", "[service]") {
  const RopeService service(host_options(""));
  RopeSpec spec;
  spec.rotary_dim = 128;
  spec.q = {32, 128, 0};
  spec.k = Operand{8, 128, 0};
  const RopeKernel kernel = service.get(spec, LaunchForm::in_place_ids());
  const std::vector<VariantInfo>& variants = kernel.info().variants;
  REQUIRE(variants.size() >= 2);
  CHECK(variants.front().min_tokens == 0);
  CHECK(variants.back().variant.find("universal") == 0);
  CHECK(&kernel.variant_for(1) == &variants.front());
  CHECK(&kernel.variant_for(1 << 20) == &variants[variants.size() - 2]);
}
