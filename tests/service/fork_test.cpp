// Children of fork, whatever other threads of their parents were in the midst of.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ropejit/ropejit.hpp"
#include "service/events.hpp"
#include "service/idle_kernel.hpp"
#include "service/kernel_shelf.hpp"
#include "service/small_launch.hpp"
#include "service/small_spec.hpp"
#include "store/key_lock.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/dynamic_library.hpp"
#include "support/held_at_fork.hpp"
#include "support/made_once.hpp"
#include "support/per_process.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

namespace {

using namespace ropejit;
using namespace std::chrono_literals;
using test::has_generic;
using test::HeldAtFork;
using test::in_child;
using test::rotates_by;
using Stay = std::function<void()>;

const LaunchForm kForm = LaunchForm::in_place_start();

/// A compiler that stays at its first compile until `gate` is gone, and says by a file that it is there. Children pass.
class StayingCompiler {
 public:
  StayingCompiler() {
    test::write_text(gate_, "");
    test::write_text(path(), "#!/bin/sh\n[ \"$1\" = --version ] && exec c++ --version\n: > '" + there_ +
                                 "'\nwhile [ -e '" + gate_ +
                                 "' ] && [ -z \"$ROPEJIT_TEST_PASSES\" ]; do sleep 0.01; done\nexec c++ \"$@\"\n");
    ::chmod(path().c_str(), 0755);
  }
  ~StayingCompiler() { open(); }

  std::string path() const { return folder_ / "compiler"; }
  void wait_until_there() const {
    while (!std::filesystem::exists(there_)) std::this_thread::sleep_for(2ms);
  }
  void open() const {
    std::error_code ignored;
    std::filesystem::remove(gate_, ignored);
  }

 private:
  test::ScratchFolder folder_;
  std::string gate_ = folder_ / "gate";
  std::string there_ = folder_ / "there";
};

ServiceOptions options_of(const StayingCompiler& compiler, const std::string& cache_dir, OnMiss on_miss) {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = cache_dir;
  options.host_compiler = compiler.path();
  options.on_miss = on_miss;
  return options;
}

}  // namespace

TEST_CASE("A value that another thread is making at a fork is made in the child", "[service]") {
  const internal::MadeOnce<int> made;
  {
    const HeldAtFork held([&](const Stay& stay) {
      made.get([&] {
        stay();
        return 7;
      });
    });
    CHECK(in_child([&] { return made.get([] { return 8; }) == 8; }) == "");
    CHECK(made.made() == nullptr);
  }
  CHECK(made.get([] { return 9; }) == 7);
  CHECK(in_child([&] { return made.get([] { return 8; }) == 7; }) == "");
  CHECK_THROWS_AS(internal::MadeOnce<int>().get([]() -> int { throw 1; }), int);
  delete made.made();
}

TEST_CASE("State whose lock another thread holds at a fork begins anew in the child, and in the child's child",
          "[service]") {
  const internal::PerProcess<std::vector<int>> state;
  const auto add = [](std::vector<int>& all) {
    all.push_back(1);
    return all.size();
  };
  {
    const HeldAtFork held([&](const Stay& stay) {
      state.with([&](std::vector<int>& all) {
        all = {1, 2, 3};
        stay();
      });
    });
    CHECK(in_child([&] {
            const bool in_ours = state.with(add) == 1 && state.with(add) == 2;
            return in_ours && in_child([&] { return state.with(add) == 1; }).empty() && state.with(add) == 3;
          }) == "");
  }
  CHECK(state.with(add) == 4);
}

TEST_CASE("Whatever part of a service another thread is in the midst of at a fork, the child can use it", "[service]") {
  internal::Events events([](std::string_view) {}, {});
  internal::KernelShelf shelf(0, [](std::size_t) {});
  const auto at_once = [] { return test::cell_of(); };
  const auto get = [&](const std::function<internal::CellPtr()>& make) {
    return shelf.get("key", test::small_spec(), kForm, make).second;
  };
  struct Row {
    const char* what;
    std::function<void(const Stay&)> hold;
    std::function<bool()> use;
  };
  const Row rows[] = {
      {"counts", [&](const Stay& stay) { events.count([&](ServiceStats& stats) { stats.gets = 5, stay(); }); },
       [&] {
         events.warn("a line");
         return events.stats().warnings == 1 && events.stats().gets == 0;
       }},
      {"a kernel that is being made",
       [&](const Stay& stay) {
         get([&] {
           stay();
           return test::cell_of();
         });
       },
       [&] { return !get(at_once) && get(at_once); }},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const HeldAtFork held(row.hold);
    CHECK(in_child(row.use) == "");
  }
}

TEST_CASE("A fork waits while a library is loaded, but not for ever", "[service]") {
  struct Row {
    std::chrono::milliseconds held;
    std::chrono::milliseconds at_least;
    std::chrono::milliseconds at_most;
  };
  const auto child = [] {
    const internal::Loading loading;
    return true;
  };
  { const internal::Loading first; }
  for (const Row& row : {Row{300ms, 250ms, 30s}, Row{60s, 900ms, 30s}}) {
    std::atomic<bool> there = false;
    std::atomic<bool> done = false;
    std::thread loader([&] {
      const internal::Loading loading;
      there = true;
      const auto end = std::chrono::steady_clock::now() + row.held;
      while (!done && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    });
    while (!there) std::this_thread::yield();
    const auto start = std::chrono::steady_clock::now();
    CHECK(in_child(child) == "");
    const auto took = std::chrono::steady_clock::now() - start;
    done = true;
    loader.join();
    CHECK(took >= row.at_least);
    CHECK(took <= row.at_most);
  }
  CHECK(in_child(child) == "");
}

TEST_CASE("A lock that is given back is free, whatever children were forked while it was held", "[service]") {
  const test::ScratchFolder folder;
  const internal::BinaryStore store(folder / "cache");
  int to_child[2] = {-1, -1};
  REQUIRE(::pipe(to_child) == 0);
  pid_t child = -1;
  {
    const internal::KeyLock lock = store.lock("key", 0ms);
    REQUIRE(lock.held());
    child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(to_child[1]);
      char byte = 0;
      ::_exit(::read(to_child[0], &byte, 1) == 0 ? 0 : 1);  // lives until the parent closes its end
    }
    CHECK_FALSE(store.lock("key", 0ms).held());
  }
  CHECK(store.lock("key", 0ms).held());
  ::close(to_child[1]);
  ::close(to_child[0]);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("A child gets the plan that another thread was compiling at the fork, and those that were there",
          "[service]") {
  if (!test::kChildMayHaveThreads) return;
  const test::ScopedVariable timeout("ROPEJIT_LOCK_TIMEOUT_MS", "300");
  for (const bool keeps : {false, true}) {
    INFO((keeps ? "in a folder" : "in memory alone"));
    const test::ScratchFolder folder;
    const StayingCompiler compiler;
    const RopeService service(options_of(compiler, keeps ? folder / "cache" : "", OnMiss::compile));
    std::thread busy([&] { service.get(test::small_spec(10000), kForm); });
    compiler.wait_until_there();
    const std::string ended = in_child([&] {
      ::setenv("ROPEJIT_TEST_PASSES", "1", 1);
      const RopeKernel kernel = service.get(test::small_spec(10000), kForm);
      const RopeKernel other = service.get(test::small_spec(500), kForm);
      return rotates_by(kernel, 10000) && rotates_by(other, 500) && service.stats().gets == 2;
    });
    compiler.open();
    busy.join();
    CHECK(ended == "");
    CHECK(rotates_by(service.get(test::small_spec(10000), kForm), 10000));
    // What is whole at a fork is not made again.
    CHECK(in_child([&] {
            const RopeKernel kernel = service.get(test::small_spec(10000), kForm);
            return rotates_by(kernel, 10000) && service.stats().memory_hits == 1;
          }) == "");
  }
}

TEST_CASE("A child's own thread compiles what was left to its parent's, for kernels of the parent too", "[service]") {
  if (!test::kChildMayHaveThreads) return;
  const StayingCompiler compiler;
  const RopeService service(options_of(compiler, "", OnMiss::background));
  const RopeKernel in_hand = service.get(test::small_spec(10000), kForm);
  compiler.wait_until_there();
  const RopeKernel waiting = service.get(test::small_spec(500), kForm);
  const auto all_well = [&] {
    ::setenv("ROPEJIT_TEST_PASSES", "1", 1);
    if (!rotates_by(in_hand, 10000) || !service.wait_for_compiles(100)) return false;
    const RopeKernel own = service.get(test::small_spec(20), kForm);
    if (!rotates_by(own, 20) || !service.wait_for_compiles(100)) return false;
    return !has_generic(in_hand) && !has_generic(waiting) && !has_generic(own) && rotates_by(in_hand, 10000) &&
           rotates_by(waiting, 500) && rotates_by(own, 20);
  };
  CHECK(in_child(all_well) == "");
  // Also of a child's child, and where a get comes before the wait.
  if (test::kThreadsMayWorkAtFork) {
    CHECK(in_child([&] {
            const RopeKernel first = service.get(test::small_spec(500), kForm);
            return rotates_by(first, 500) && in_child(all_well).empty();
          }) == "");
  }
  CHECK(has_generic(in_hand));
  compiler.open();
  CHECK(service.wait_for_compiles(100));
  CHECK_FALSE(has_generic(in_hand));
  CHECK_FALSE(has_generic(waiting));
}
