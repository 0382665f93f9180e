#include "service/work_permit.hpp"

#include <atomic>
#include <chrono>
#include <thread>

#include "support/catch.hpp"

using ropejit::internal::WorkPermit;

namespace {

/// A guest that asks once, on a thread of its own.
class Guest {
 public:
  Guest(WorkPermit& permit, double device_us)
      : thread_([this, &permit, device_us] {
          allowed_ = permit.wait(device_us);
          asked_ = true;
        }) {}
  ~Guest() { thread_.join(); }
  /// Whether it has an answer within so many milliseconds.
  bool has_answer(int ms) const {
    for (int i = 0; i < ms && !asked_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return asked_;
  }
  bool allowed() const { return allowed_; }

 private:
  std::atomic<bool> asked_{false};
  std::atomic<bool> allowed_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("A guest rests for as long as its share wants") {
  WorkPermit permit(0.05, [] { return false; });
  const auto start = std::chrono::steady_clock::now();
  CHECK(permit.wait(1000));
  // A millisecond of work at a twentieth: nineteen of rest.
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(19));
  WorkPermit whole(1, [] { return false; });
  CHECK(whole.wait(1e9));
}

TEST_CASE("While a stream is being captured there is no work") {
  std::atomic<bool> capturing{true};
  WorkPermit permit(1, [&] { return capturing.load(); });
  const Guest guest(permit, 0);
  CHECK_FALSE(guest.has_answer(50));
  capturing = false;
  CHECK(guest.has_answer(5000));
  CHECK(guest.allowed());
}

TEST_CASE("While it is paused there is no work, and pauses are counted") {
  WorkPermit permit(1, [] { return false; });
  permit.pause();
  permit.pause();
  const Guest guest(permit, 0);
  CHECK_FALSE(guest.has_answer(30));
  permit.resume();
  CHECK_FALSE(guest.has_answer(30));
  permit.resume();
  CHECK(guest.has_answer(5000));
  CHECK(guest.allowed());
}

TEST_CASE("A pause begins when the work that was begun has ended") {
  WorkPermit permit(1, [] { return false; });
  REQUIRE(permit.wait(0));  // at work now
  std::atomic<bool> paused{false};
  std::thread host([&] {
    permit.pause();
    paused = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK_FALSE(paused);
  permit.rest();
  host.join();
  CHECK(paused);
}

TEST_CASE("Stopping ends every wait with no") {
  WorkPermit resting(0.001, [] { return false; });
  WorkPermit captured(1, [] { return true; });
  WorkPermit paused(1, [] { return false; });
  paused.pause();
  const Guest first(resting, 1e9);
  const Guest second(captured, 0);
  const Guest third(paused, 0);
  for (WorkPermit* permit : {&resting, &captured, &paused}) permit->stop();
  for (const Guest* guest : {&first, &second, &third}) {
    CHECK(guest->has_answer(5000));
    CHECK_FALSE(guest->allowed());
  }
  CHECK(resting.is_stopped());
}
