// Which kernels a service keeps, and what goes with those that it lets go.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "host/host_target.hpp"
#include "ropejit/ropejit.h"
#include "ropejit/ropejit.hpp"
#include "service/idle_kernel.hpp"
#include "service/kernel_shelf.hpp"
#include "service/small_launch.hpp"
#include "service/small_spec.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;
using test::cell_of;
using test::works;

const LaunchForm kForm = LaunchForm::in_place_start();

/// Asks for kernels by name, and knows which had to be made.
struct Asker {
  explicit Asker(std::size_t most) : shelf(most, [this](std::size_t count) { told += count; }) {}

  CellPtr get(const std::string& key) {
    return shelf.get(key, test::small_spec(), kForm, [] { return cell_of(); }).first;
  }
  bool has(const std::string& key) {
    bool made = false;
    shelf.get(key, test::small_spec(), kForm, [&] {
      made = true;
      return cell_of();
    });
    return !made;
  }

  std::size_t told = 0;
  KernelShelf shelf;
};

/// A target whose constants are counted: what is alive, and what was said of each when it went.
class CountingTarget final : public Target {
 public:
  const std::string& name() const override { return host_->name(); }
  const std::string& arch() const override { return host_->arch(); }
  std::uint32_t multiprocessors() const override { return 1; }
  MemoryTraits memory() const override { return {}; }
  const std::string& recipe() const override { return host_->recipe(); }
  const Compiler& compiler() const override { return host_->compiler(); }
  std::shared_ptr<const LoadedKernel> load(std::string_view image, const KernelSource& source) const override {
    return host_->load(image, source);
  }
  DeviceConstant constant(const void*, std::size_t) const override {
    ++made;
    auto launched = std::make_shared<std::atomic<bool>>(false);
    const auto release = [this, launched](const int* data) {
      ++(launched->load() ? kept : freed);
      delete data;
    };
    return {std::shared_ptr<const int>(new int(0), release), 1, launched};
  }
  void make_current() const override {}
  DeviceBuffer allocate(std::size_t bytes) const override { return host_->allocate(bytes); }
  void upload(void*, const void*, std::size_t) const override {}
  void download(void*, const void*, std::size_t) const override {}
  void synchronize() const override {}
  std::size_t free_bytes() const override { return 0; }
  void upload_aside(void*, const void*, std::size_t) const override {}
  void download_aside(void*, const void*, std::size_t) const override {}
  bool is_capturing() const noexcept override { return false; }
  void copy(void*, const void*, std::size_t, void*) const override {}
  double time_us(const std::function<void()>&, int) const override { return 0; }
  std::unique_ptr<Replay> capture(std::function<void(void*, int)>, int) const override { return nullptr; }
  std::unique_ptr<Replay> record(std::function<void(Recorder&, int)>, int) const override { return nullptr; }

  mutable int made = 0;
  mutable int freed = 0;
  mutable int kept = 0;

 private:
  const std::shared_ptr<const Target> host_ = host_target(std::nullopt);
};

ServiceOptions options_of(const std::string& cache_dir, std::int64_t most) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = cache_dir;
  options.most_kernels = most;
  return options;
}

bool comes_from(const RopeKernel& kernel, CacheRung rung) {
  for (const VariantInfo& variant : kernel.info().variants) {
    if (variant.cache != rung) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("A failure is told to all who waited for it and not remembered", "[service]") {
  Asker asker(0);
  const auto fails = []() -> CellPtr { throw Error(ErrorCode::internal, "test", "no"); };
  CHECK_THROWS_AS(asker.shelf.get("a", test::small_spec(), kForm, fails), Error);
  CHECK(asker.shelf.empty());
  CHECK_FALSE(asker.has("a"));
  CHECK(asker.has("a"));
}

TEST_CASE("Beyond the bound those go that were asked for longest ago", "[service]") {
  struct Row {
    std::size_t most;
    std::string asked;  // one letter a kernel
    std::string there;
    std::size_t gone;
  };
  const Row rows[] = {
      {0, "abcdefgh", "abcdefgh", 0}, {1, "abc", "c", 2},       {2, "abc", "bc", 1},
      {2, "abac", "ac", 1},           {3, "abcabcd", "bcd", 1}, {2, "abcab", "ab", 3},
  };
  for (const Row& row : rows) {
    INFO(row.most << " of " << row.asked);
    Asker asker(row.most);
    for (const char key : row.asked) asker.get(std::string(1, key));
    CHECK(asker.shelf.all().size() == row.there.size());
    CHECK(asker.told == row.gone);
    for (const char key : row.there) CHECK(asker.has(std::string(1, key)));
  }
}

TEST_CASE("A kernel that somebody holds does not go for the bound, and goes when it is let go", "[service]") {
  Asker asker(2);
  std::vector<CellPtr> held;
  for (const char* key : {"a", "b", "c", "d"}) held.push_back(asker.get(key));
  CHECK(asker.shelf.all().size() == 4);
  CHECK(asker.told == 0);
  CHECK(asker.shelf.forget_unused() == 0);
  held[1].reset();
  asker.get("e");
  CHECK(asker.told == 1);
  CHECK(asker.has("a"));
  CHECK(asker.has("c"));
  held.clear();
  asker.get("f");
  CHECK(asker.shelf.all().size() == 2);
}

TEST_CASE("A kernel is forgotten by name whoever holds it, and all that nobody holds at once", "[service]") {
  Asker asker(0);
  const CellPtr held = asker.get("a");
  asker.get("b");
  asker.get("c");
  CHECK(asker.shelf.forget("a"));
  CHECK_FALSE(asker.shelf.forget("a"));
  CHECK_FALSE(asker.shelf.forget("never"));
  CHECK(held.use_count() == 1);
  CHECK(asker.get("a") != held);
  CHECK(asker.shelf.forget_unused() == 3);
  CHECK(asker.shelf.empty());
  CHECK(asker.told == 4);
}

TEST_CASE("Threads that ask, hold and forget at once never lose a kernel in their hands", "[service]") {
  std::atomic<std::size_t> told = 0;
  std::atomic<int> wrong = 0;
  KernelShelf shelf(3, [&](std::size_t count) { told += count; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string key(1, static_cast<char>('a' + (i * (t + 1)) % 7));
        const CellPtr cell = shelf.get(key, test::small_spec(), kForm, [] { return cell_of(); }).first;
        if (i % 20 == 0) shelf.forget_unused();
        if (i % 30 == 0) shelf.forget(key);
        if (!cell->current().complete) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(told > 0);
  shelf.forget_unused();
  CHECK(shelf.empty());
}

TEST_CASE("Steps in device memory are made once, and go with their kernel unless it was launched", "[service]") {
  for (const bool launched : {false, true}) {
    INFO((launched ? "launched" : "never launched"));
    const auto target = std::make_shared<CountingTarget>();
    {
      const auto buffers = std::make_shared<StepBuffers>(target);
      const CellPtr cell = cell_of(launched, buffers);
      const RotationPlan plan = lower(test::small_spec(10000), kForm);
      for (int tries = 0; tries < 5; ++tries) buffers->of(plan);
      CHECK(target->made == 1);
      buffers->of(lower(test::small_spec(500), kForm));
      CHECK(target->made == 2);
      CHECK(target->freed + target->kept == 0);
    }
    CHECK(target->freed == (launched ? 0 : 2));
    CHECK(target->kept == (launched ? 2 : 0));
  }
}

TEST_CASE("A service lets kernels go beyond its bound, and finds them in its cache when they are asked for again",
          "[service]") {
  const test::ScratchFolder folder;
  const RopeService service(options_of(folder.path(), 2));
  const RopeKernel held = service.get(test::small_spec(1000), kForm);
  for (const double theta : {2000.0, 3000.0, 4000.0}) CHECK(works(service.get(test::small_spec(theta), kForm)));
  CHECK(service.stats().kernels_forgotten == 2);
  CHECK(comes_from(service.get(test::small_spec(1000), kForm), CacheRung::memory));
  CHECK(comes_from(service.get(test::small_spec(4000), kForm), CacheRung::memory));
  CHECK(comes_from(service.get(test::small_spec(2000), kForm), CacheRung::disk));
  CHECK(works(held));

  CHECK(service.forget(test::small_spec(1000), kForm));
  CHECK_FALSE(service.forget(test::small_spec(1000), kForm));
  CHECK(works(held));
  CHECK(comes_from(service.get(test::small_spec(1000), kForm), CacheRung::disk));
  CHECK(service.forget_unused() == 2);
  CHECK(service.forget_unused() == 0);
  CHECK_THROWS_AS(service.forget(RopeSpec{}, kForm), Error);
  CHECK_THROWS_AS(RopeService(options_of("", -1)), Error);
}

TEST_CASE("A service of the C API lets kernels go by its bound, by name, and all that nobody holds", "[service]") {
  const std::string spec = test::small_spec(1000).to_json();
  const std::string other = test::small_spec(2000).to_json();
  ropejit_service* service = nullptr;
  CHECK(ropejit_service_create(R"({"most_kernels": -1})", &service) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(ropejit_service_create(R"({"most_kernels": "all"})", &service) != ROPEJIT_OK);
  REQUIRE(ropejit_service_create(R"({"device": "host", "cache_dir": "", "most_kernels": 1})", &service) == ROPEJIT_OK);
  ropejit_kernel* kernel = nullptr;
  REQUIRE(ropejit_get(service, spec.c_str(), nullptr, &kernel) == ROPEJIT_OK);

  std::int64_t forgotten = 5;
  CHECK(ropejit_forget(service, nullptr, nullptr, &forgotten) == ROPEJIT_OK);
  CHECK(forgotten == 0);
  CHECK(ropejit_forget(service, spec.c_str(), nullptr, &forgotten) == ROPEJIT_OK);
  CHECK(forgotten == 1);
  CHECK(ropejit_forget(service, spec.c_str(), nullptr, &forgotten) == ROPEJIT_OK);
  CHECK(forgotten == 0);
  ropejit_kernel_release(kernel);
  for (const std::string& one : {spec, other}) {
    REQUIRE(ropejit_get(service, one.c_str(), nullptr, &kernel) == ROPEJIT_OK);
    ropejit_kernel_release(kernel);
  }
  CHECK(ropejit_forget(service, nullptr, nullptr, nullptr) == ROPEJIT_OK);
  CHECK(ropejit_forget(service, spec.c_str(), nullptr, &forgotten) == ROPEJIT_OK);
  CHECK(forgotten == 0);
  char text[8192];
  CHECK(ropejit_metrics(service, nullptr, text, sizeof text, nullptr) == ROPEJIT_OK);
  CHECK(std::string(text).find("ropejit_kernels_forgotten_total 3") != std::string::npos);

  CHECK(ropejit_forget(nullptr, nullptr, nullptr, &forgotten) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(ropejit_forget(service, nullptr, "{}", &forgotten) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(ropejit_forget(service, "{", nullptr, &forgotten) == ROPEJIT_PARSE_ERROR);
  CHECK(forgotten == 0);
  ropejit_service_release(service);
}
