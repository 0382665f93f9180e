#include "store/tier.hpp"

#include <fmt/format.h>

#include <utility>

#include "store/folder.hpp"

namespace ropejit::internal {
namespace {

// Of the whole bundle. What is wrong with it is no property of an entry, as damage and a version would be.
Miss miss_of(const BundleOpened& opened) {
  const bool of_bundle = opened.miss.kind == Miss::Kind::damaged || opened.miss.kind == Miss::Kind::newer;
  return {of_bundle ? Miss::Kind::unreadable : opened.miss.kind, opened.miss.reason};
}

ReadResult missed(const BundleOpened& opened, const std::string& path) {
  ReadResult result;
  result.miss = miss_of(opened);
  result.misses.push_back({path, result.miss});
  return result;
}

// A file in a directory's place is refused as a directory, and so is much else.
bool may_be_a_file(const Miss& miss) { return miss.kind == Miss::Kind::refused; }

}  // namespace

Tier::Tier(std::string path, Trust trust, bool read_only, const FileOps& ops)
    : folder_(std::move(path), trust, read_only, ops), trust_(std::move(trust)), ops_(&ops) {}

Tier::~Tier() { delete opened_.load(); }

// No lock: one that another thread holds at a fork would stay locked in the child.
const BundleOpened* Tier::as_bundle(BundleOpened& kept) const {
  if (const BundleOpened* known = opened_.load()) return known;
  BundleOpened opened = Bundle::open(*ops_, trust_, path());
  if (!opened.is_file || opened.miss.kind == Miss::Kind::unreadable) {  // for a reason that may pass
    kept = std::move(opened);
    return kept.is_file ? &kept : nullptr;
  }
  auto own = std::make_unique<const BundleOpened>(std::move(opened));
  const BundleOpened* first = nullptr;
  return opened_.compare_exchange_strong(first, own.get()) ? own.release() : first;
}

ReadResult Tier::read(std::string_view key_preimage) const {
  BundleOpened kept;
  ReadResult result;
  if (opened_.load() == nullptr) {
    result = folder_.read(key_preimage);
    if (result.entry || !may_be_a_file(result.miss)) return result;
  }
  const BundleOpened* const opened = as_bundle(kept);
  if (opened == nullptr) return kept.miss.kind == Miss::Kind::unreadable ? missed(kept, path()) : result;
  return opened->bundle ? opened->bundle->read(key_preimage) : missed(*opened, path());
}

ReadResult Tier::read_key(std::string_view key) const {
  BundleOpened kept;
  const BundleOpened* const opened = as_bundle(kept);
  if (opened == nullptr) return folder_.read_key(key);
  return opened->bundle ? opened->bundle->read_key(key) : missed(*opened, path());
}

std::vector<EntryListing> Tier::list() const {
  BundleOpened kept;
  const BundleOpened* const opened = as_bundle(kept);
  if (opened == nullptr) return folder_.list();
  if (opened->bundle) return opened->bundle->list();
  EntryListing listing;
  listing.directory = listing.path = path();
  const Miss miss = miss_of(*opened);
  listing.kind = miss.kind;
  listing.problem = miss.reason;
  return {listing};
}

std::vector<std::string> Tier::keys(std::string& problem) const {
  BundleOpened kept;
  const BundleOpened* const opened = as_bundle(kept);
  if (opened == nullptr) return folder_.keys(problem);
  std::vector<std::string> keys;
  if (!opened->bundle) {
    problem = fmt::format("{}: {}", path(), opened->miss.reason);
    return keys;
  }
  const BundleIndex& index = opened->bundle->index();
  for (std::size_t number = 0; number < index.size(); ++number) keys.push_back(index.key(number));
  return keys;
}

TierRecords Tier::records() const {
  BundleOpened kept;
  TierRecords records;
  if (opened_.load() == nullptr) {
    records = folder_.records();
    if (records.text || !may_be_a_file(records.miss)) return records;
  }
  const BundleOpened* const opened = as_bundle(kept);
  if (opened == nullptr) return records;
  if (opened->bundle) return opened->bundle->records();
  records.directory = path();
  records.miss = miss_of(*opened);
  return records;
}

std::string Tier::write(const Entry& entry) const {
  std::string problem = folder_.write(entry);
  BundleOpened kept;
  if (!problem.empty() && as_bundle(kept) != nullptr) {
    return fmt::format("{}: found a bundle, allowed: a directory, as nothing is written to bundles", path());
  }
  return problem;
}

TierState Tier::state() const {
  TierState state;
  state.path = path();
  BundleOpened kept;
  if (const BundleOpened* const opened = as_bundle(kept)) {
    state.kind = TierState::Kind::bundle;
    if (opened->bundle) {
      const BundleIndex& index = opened->bundle->index();
      state.entries = index.size();
      state.has_records = index.records_bytes() != 0;
      state.digest = index.digest();
    } else {
      state.problem = opened->miss.reason;
    }
    return state;
  }
  const Folder folder = open_folder(*ops_, trust_, path(), {});
  if (!folder && folder.absent) return state;
  state.kind = TierState::Kind::directory;
  state.problem = folder.problem;
  return state;
}

}  // namespace ropejit::internal
