// A thread that is in the midst of something while its process is forked.
#pragma once

#include <functional>
#include <future>
#include <thread>

namespace ropejit::test {

/// Runs `work` on a thread of its own, as far as the place where it calls the function that it is given: there it stays
/// until the object ends.
class HeldAtFork {
 public:
  explicit HeldAtFork(std::function<void(const std::function<void()>& stay)> work)
      : thread_([this, work = std::move(work)] {
          work([this] {
            there_.set_value();
            may_go_.get_future().wait();
          });
        }) {
    there_.get_future().wait();
  }
  ~HeldAtFork() {
    may_go_.set_value();
    thread_.join();
  }
  HeldAtFork(const HeldAtFork&) = delete;
  HeldAtFork& operator=(const HeldAtFork&) = delete;

 private:
  std::promise<void> there_;
  std::promise<void> may_go_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace ropejit::test
