#include "store/store.hpp"

#include <fmt/format.h>

#include <atomic>
#include <deque>
#include <utility>

namespace ropejit::internal {

struct BinaryStore::Stack {
  Stack(StoreOptions given, const FileOps& file_ops) : options(std::move(given)), ops(file_ops) {
    if (!options.directory.empty()) tiers.emplace_back(options.directory, options.trust, false, ops);
    for (const std::string& path : options.read_only) tiers.emplace_back(path, options.trust, true, ops);
  }

  // Asks the directory itself no more often than it prunes: the answer is in a file.
  bool may_be_due() const {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    auto next = next_look.load();
    const auto interval = std::chrono::steady_clock::duration(options.limits.interval).count();
    return (next == 0 || now >= next) && next_look.compare_exchange_strong(next, now + interval);
  }

  StoreOptions options;
  const FileOps& ops;
  std::deque<Tier> tiers;  ///< the user's first, where there is one
  mutable std::atomic<std::chrono::steady_clock::rep> next_look{0};
};

std::string TierFault::text() const {
  return fmt::format("nothing in {} serves{}: {}", path, is_written ? ", and binaries are not kept" : "", reason);
}

BinaryStore::BinaryStore(StoreOptions options) : BinaryStore(std::move(options), system_file_ops()) {}

BinaryStore::BinaryStore(StoreOptions options, const FileOps& ops)
    : stack_(std::make_shared<const Stack>(std::move(options), ops)) {}

BinaryStore::BinaryStore(std::string directory) : BinaryStore(std::move(directory), system_file_ops()) {}

BinaryStore::BinaryStore(std::string directory, const FileOps& ops)
    : BinaryStore(StoreOptions{.directory = std::move(directory)}, ops) {}

const StoreOptions& BinaryStore::options() const { return stack_->options; }

ReadResult BinaryStore::read(std::string_view key_preimage) const {
  ReadResult all;
  if (stack_->tiers.empty()) {
    all.miss = {Miss::Kind::absent, "no cache directory"};
    return all;
  }
  for (const Tier& tier : stack_->tiers) {
    ReadResult one = tier.read(key_preimage);
    all.quarantined = all.quarantined || one.quarantined;
    if (one.entry) {
      one.misses = std::move(all.misses);
      one.quarantined = all.quarantined;
      return one;
    }
    if (all.misses.empty() || (all.miss.kind == Miss::Kind::absent && one.miss.kind != Miss::Kind::absent)) {
      all.miss = one.miss;
    }
    all.misses.push_back({tier.path(), std::move(one.miss)});
  }
  return all;
}

std::string BinaryStore::write(const Entry& entry) const {
  if (directory().empty()) return {};
  std::string problem = stack_->tiers.front().write(entry);
  if (problem.empty() && stack_->may_be_due()) {
    // What goes wrong is no concern of the writer's: the entry is there, and the next pruning meets it again.
    static_cast<void>(internal::prune(stack_->ops, options().trust, directory(), options().limits, Pruning::when_due));
  }
  return problem;
}

KeyLock BinaryStore::lock(std::string_view key_preimage, std::chrono::milliseconds bound) const {
  if (directory().empty()) return {KeyLock::Outcome::unavailable, "no cache directory"};
  if (options().trust.sealed()) {
    return {KeyLock::Outcome::unavailable, "the cache directory is sealed by its manifest"};
  }
  return lock_key(stack_->ops, options().trust, directory(), entry_key(key_preimage), bound);
}

std::vector<EntryListing> BinaryStore::list() const {
  std::vector<EntryListing> all;
  for (const Tier& tier : stack_->tiers) {
    for (EntryListing& listing : tier.list()) all.push_back(std::move(listing));
  }
  return all;
}

std::vector<TierRecords> BinaryStore::records() const {
  std::vector<TierRecords> all;
  for (const Tier& tier : stack_->tiers) all.push_back(tier.records());
  return all;
}

std::vector<const Tier*> BinaryStore::tiers() const {
  std::vector<const Tier*> all;
  for (const Tier& tier : stack_->tiers) all.push_back(&tier);
  return all;
}

std::vector<TierFault> BinaryStore::faults() const {
  std::vector<TierFault> faults;
  for (const Tier& tier : stack_->tiers) {
    const bool is_first = &tier == &stack_->tiers.front();
    const bool is_written = is_first && !directory().empty();
    const bool is_users = is_written || (is_first && options().first_is_users);
    const TierState state = tier.state();
    if (state.kind == TierState::Kind::absent) {
      if (!is_users) faults.push_back({state.path, "nothing is there", false});
    } else if (!state.problem.empty() && !(is_users && state.unsealed)) {
      faults.push_back({state.path, state.problem, is_written});
    }
  }
  return faults;
}

Pruned BinaryStore::prune(const Limits& limits) const {
  return internal::prune(stack_->ops, options().trust, directory(), limits, Pruning::now);
}

Pruned BinaryStore::clear() const {
  return internal::prune(stack_->ops, options().trust, directory(), options().limits, Pruning::everything);
}

}  // namespace ropejit::internal
