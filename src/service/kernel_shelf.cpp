#include "service/kernel_shelf.hpp"

#include <algorithm>
#include <exception>

namespace ropejit::internal {
namespace {

/// With the shelf's lock held nobody can come by a kernel that the shelf alone has.
bool is_held(const Shelved& kernel) { return kernel.cell.use_count() > 1; }

}  // namespace

KernelShelf::KernelShelf(std::size_t most, std::function<void(std::size_t)> forgotten)
    : most_(most), forgotten_(std::move(forgotten)), index_([this] { return taken_over(); }) {}

KernelShelf::~KernelShelf() {
  for (Node* node = newest_.load(); node != nullptr;) {
    const std::unique_ptr<Node> last(node);
    node = last->next.load();
  }
}

/// In a child of fork: what the parent had. What it was making is not there, and is made anew by whoever asks.
std::unique_ptr<KernelShelf::Index> KernelShelf::taken_over() const {
  auto index = std::make_unique<Index>();
  for (Node* node = newest_.load(std::memory_order_acquire); node != nullptr; node = node->next.load()) {
    index->places[node->key].node = node;
    index->asked = std::max(index->asked, node->last_asked.load());
    ++index->nodes;
  }
  return index;
}

std::unique_ptr<KernelShelf::Node> KernelShelf::take_off(Index& index, Node& node) {
  std::atomic<Node*>* link = &newest_;
  while (link->load() != &node) link = &link->load()->next;
  link->store(node.next.load());
  --index.nodes;
  index.places.erase(node.key);
  return std::unique_ptr<Node>(&node);
}

KernelShelf::Nodes KernelShelf::beyond_the_bound(Index& index) {
  Nodes gone;
  while (most_ != 0 && index.nodes > most_) {
    Node* oldest = nullptr;
    for (Node* node = newest_.load(); node != nullptr; node = node->next.load()) {
      if (is_held(node->kernel)) continue;
      if (oldest == nullptr || node->last_asked.load() < oldest->last_asked.load()) oldest = node;
    }
    if (oldest == nullptr) break;
    gone.push_back(take_off(index, *oldest));
  }
  return gone;
}

/// Not under the lock: to unload a kernel takes its time.
void KernelShelf::let_go(Nodes nodes) const {
  if (nodes.empty()) return;
  const std::size_t count = nodes.size();
  nodes.clear();
  forgotten_(count);
}

std::pair<CellPtr, bool> KernelShelf::get(const std::string& key, const RopeSpec& spec, const LaunchForm& form,
                                          const std::function<CellPtr()>& make) {
  std::promise<CellPtr> promise;
  std::shared_future<CellPtr> flight;
  CellPtr known;
  const bool mine = index_.with([&](Index& index) {
    const auto [at, is_new] = index.places.try_emplace(key);
    Place& place = at->second;
    if (is_new) place.flight = promise.get_future().share();
    flight = place.flight;
    if (place.node == nullptr) return is_new;
    place.node->last_asked.store(++index.asked);
    known = place.node->kernel.cell;
    return false;
  });
  if (known) return {std::move(known), true};
  if (!mine) return {flight.get(), true};
  try {
    known = make();
    auto node = std::unique_ptr<Node>(new Node{key, {spec, form, known}});
    index_.with([&](Index& index) {
      Place& place = index.places.at(key);
      place.flight = {};
      place.node = node.release();
      place.node->last_asked.store(++index.asked);
      place.node->next.store(newest_.load());
      newest_.store(place.node);
      ++index.nodes;
    });
  } catch (...) {
    index_.with([&](Index& index) { index.places.erase(key); });
    promise.set_exception(std::current_exception());
    throw;
  }
  promise.set_value(known);
  let_go(index_.with([&](Index& index) { return beyond_the_bound(index); }));
  return {std::move(known), false};
}

bool KernelShelf::forget(const std::string& key) {
  Nodes gone = index_.with([&](Index& index) {
    Nodes nodes;
    const auto at = index.places.find(key);
    if (at != index.places.end() && at->second.node != nullptr) nodes.push_back(take_off(index, *at->second.node));
    return nodes;
  });
  const bool was_there = !gone.empty();
  let_go(std::move(gone));
  return was_there;
}

std::size_t KernelShelf::forget_unused() {
  Nodes gone = index_.with([&](Index& index) {
    Nodes nodes;
    for (Node* node = newest_.load(); node != nullptr;) {
      Node* const next = node->next.load();
      if (!is_held(node->kernel)) nodes.push_back(take_off(index, *node));
      node = next;
    }
    return nodes;
  });
  const std::size_t count = gone.size();
  let_go(std::move(gone));
  return count;
}

bool KernelShelf::empty() const {
  return index_.with([](Index& index) { return index.nodes == 0; });
}

std::vector<Shelved> KernelShelf::all() const {
  return index_.with([&](Index&) {
    std::vector<Shelved> kernels;
    for (const Node* node = newest_.load(); node != nullptr; node = node->next.load()) kernels.push_back(node->kernel);
    return kernels;
  });
}

}  // namespace ropejit::internal
