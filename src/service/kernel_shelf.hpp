// KernelShelf: the kernels that a service has. However many threads ask for one, it is made once; a bound keeps those
// that were asked for last; a child of fork takes over those that were whole.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "service/kernel_cell.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {

using CellPtr = std::shared_ptr<KernelCell>;

/// A kernel on the shelf, with what it was asked for by.
struct Shelved {
  RopeSpec spec;
  LaunchForm form;
  CellPtr cell;
};

/// Thread-safe.
class KernelShelf {
 public:
  /// `most`: the bound on kernels, 0: none. Where there would be more, those go that were asked for longest ago; never
  /// one that somebody but the shelf holds, so there may be more after all. `forgotten`: told how many went at a time.
  KernelShelf(std::size_t most, std::function<void(std::size_t)> forgotten);
  ~KernelShelf();
  KernelShelf(const KernelShelf&) = delete;
  KernelShelf& operator=(const KernelShelf&) = delete;

  /// The kernel of `key` (a plan's hash): kept, being made by another thread (waits for it), or made now by `make`,
  /// without a lock held. The second value is true where it was already there. Rethrows what make threw, to all who
  /// waited; the next asks anew.
  std::pair<CellPtr, bool> get(const std::string& key, const RopeSpec& spec, const LaunchForm& form,
                               const std::function<CellPtr()>& make);

  /// Lets a kernel go, whoever holds it. False where it is not there.
  bool forget(const std::string& key);
  /// Lets all go that nobody but the shelf holds, and returns how many.
  std::size_t forget_unused();

  bool empty() const;
  /// All kernels that are there, the newest first.
  std::vector<Shelved> all() const;

 private:
  // Kernels are nodes of a list that is whole after every single store: a child of fork reads the parent's without its
  // lock, whatever another thread was doing to it.
  struct Node {
    const std::string key;
    const Shelved kernel;
    std::atomic<std::uint64_t> last_asked{0};
    std::atomic<Node*> next{nullptr};
  };
  struct Place {
    Node* node = nullptr;                ///< null while the kernel is made
    std::shared_future<CellPtr> flight;  ///< what whoever makes it will hand over
  };
  struct Index {
    std::map<std::string, Place> places;
    std::size_t nodes = 0;
    std::uint64_t asked = 0;
  };
  using Nodes = std::vector<std::unique_ptr<Node>>;

  std::unique_ptr<Index> taken_over() const;
  std::unique_ptr<Node> take_off(Index& index, Node& node);
  Nodes beyond_the_bound(Index& index);
  void let_go(Nodes nodes) const;

  const std::size_t most_;
  const std::function<void(std::size_t)> forgotten_;
  std::atomic<Node*> newest_{nullptr};  ///< changed with the index's lock held
  PerProcess<Index> index_;
};

}  // namespace ropejit::internal
