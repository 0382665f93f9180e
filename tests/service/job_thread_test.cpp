#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "service/events.hpp"
#include "service/job_thread.hpp"
#include "support/catch.hpp"

using namespace ropejit::internal;

TEST_CASE("Jobs are done one after another, and waited for") {
  std::vector<int> order;  // the thread's alone until it is waited for
  JobThread thread;
  for (int i = 0; i < 5; ++i) REQUIRE(thread.add([&order, i] { order.push_back(i); }));
  REQUIRE(thread.wait(60));
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(thread.wait(0));
}

TEST_CASE("The job in hand is hurried and finished, and those that wait are dropped") {
  std::promise<void> begun;
  std::promise<void> hurry;
  std::atomic<int> done = 0;
  {
    JobThread thread([&] { hurry.set_value(); });
    REQUIRE(thread.add([&] {
      begun.set_value();
      hurry.get_future().wait();
      ++done;
    }));
    REQUIRE(thread.add([&] { done += 100; }));
    begun.get_future().wait();
    CHECK_FALSE(thread.wait(0.01));
  }
  CHECK(done == 1);
}

TEST_CASE("A thread that was stopped takes no more jobs") {
  JobThread thread;
  thread.stop();
  CHECK_FALSE(thread.add([] {}));
  CHECK(thread.wait(0));
}

TEST_CASE("A warning is said once, one cause in a directory is one warning, and notes go to the log alone") {
  std::vector<std::string> warned;
  std::vector<std::string> logged;
  Events events([&](std::string_view line) { warned.emplace_back(line); },
                [&](std::string_view line) { logged.emplace_back(line); });
  CHECK(events.takes_notes());
  events.warn("a");
  events.warn("a");
  events.warn("b");
  events.warn_of("/cache", "one is not kept: cannot write /cache/1: No space left on device");
  events.warn_of("/cache", "two is not kept: cannot write /cache/2: No space left on device");
  events.warn_of("/cache", "three is not kept: cannot write /cache/3: Read-only file system");
  events.warn_of("/other", "one is not kept: cannot write /other/1: No space left on device");
  events.note("n");
  CHECK(warned.size() == 5);
  CHECK(logged.size() == 6);
  CHECK(events.stats().warnings == 5);
}

TEST_CASE("A sink that throws fails nobody") {
  Events events([](std::string_view) { throw 1; }, {});
  CHECK_NOTHROW(events.warn("a"));
  CHECK_FALSE(events.takes_notes());
  CHECK(events.stats().warnings == 1);
}
