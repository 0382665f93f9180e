// One computation a key, however many threads ask at once; results are kept, failures are not.
#pragma once

#include <future>
#include <map>
#include <mutex>
#include <utility>

namespace ropejit::internal {

template <class Key, class Value>
class SingleFlight {
 public:
  /// The value of `key`: kept, being made by another thread (waits for it), or made now by `make`, without a lock
  /// held. Second: true when it was already there. Rethrows what make threw, to all who waited; the next asks anew.
  template <class Make>
  std::pair<Value, bool> get(const Key& key, Make&& make) {
    std::promise<Value> promise;
    std::shared_future<Value> future;
    bool mine = false;
    {
      const std::lock_guard lock(mutex_);
      auto [at, inserted] = flights_.try_emplace(key);
      if (inserted) at->second = promise.get_future().share();
      future = at->second;
      mine = inserted;
    }
    if (!mine) return {future.get(), true};
    try {
      Value value = make();
      promise.set_value(value);
      return {std::move(value), false};
    } catch (...) {
      {
        const std::lock_guard lock(mutex_);
        flights_.erase(key);
      }
      promise.set_exception(std::current_exception());
      throw;
    }
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::shared_future<Value>> flights_;
};

}  // namespace ropejit::internal
