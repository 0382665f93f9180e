#include "store/tier.hpp"

#include <fmt/format.h>

#include <utility>

#include "store/file/folder.hpp"
#include "store/manifest.hpp"

namespace ropejit::internal {
namespace {

// A file in a directory's place is refused as a directory, and so is much else.
bool may_be_a_file(const Miss& miss) { return miss.kind == Miss::Kind::refused; }

// What is wrong with a whole bundle is no property of an entry, as damage and a version would be.
Miss of_entry(Miss miss) {
  if (miss.kind == Miss::Kind::damaged || miss.kind == Miss::Kind::newer) miss.kind = Miss::Kind::unreadable;
  return miss;
}

}  // namespace

Tier::Tier(std::string path, Trust trust, bool read_only, const FileOps& ops)
    : folder_(std::move(path), trust, read_only, ops), trust_(std::move(trust)), ops_(&ops) {}

Tier::~Tier() { delete bundle_.load(); }

// No lock: one that another thread holds at a fork would stay locked in the child.
Tier::Look Tier::look() const {
  if (const Bundle* known = bundle_.load()) return {known, {}, true};
  BundleOpened opened = Bundle::open(*ops_, trust_, path());
  if (!opened.bundle) return {nullptr, of_entry(std::move(opened.miss)), opened.is_file};
  const Bundle* first = nullptr;
  if (bundle_.compare_exchange_strong(first, opened.bundle.get())) first = opened.bundle.release();
  return {first, {}, true};
}

ReadResult Tier::missed(const Look& found) const {
  ReadResult result;
  result.miss = found.miss;
  result.misses.push_back({path(), found.miss});
  return result;
}

ReadResult Tier::read(std::string_view key_preimage) const {
  if (const Bundle* known = bundle_.load()) return known->read(key_preimage);
  ReadResult result = folder_.read(key_preimage);
  if (result.entry || !may_be_a_file(result.miss)) return result;
  const Look found = look();
  if (found.bundle != nullptr) return found.bundle->read(key_preimage);
  // A directory that is refused can be opened, and no file.
  return found.is_file || found.miss.kind == Miss::Kind::unreadable ? missed(found) : result;
}

ReadResult Tier::read_key(std::string_view key) const {
  const Look found = look();
  if (found.bundle != nullptr) return found.bundle->read_key(key);
  return found.is_file ? missed(found) : folder_.read_key(key);
}

std::vector<EntryListing> Tier::list() const {
  const Look found = look();
  if (found.bundle != nullptr) return found.bundle->list();
  if (!found.is_file) return folder_.list();
  EntryListing listing;
  listing.directory = listing.path = path();
  listing.kind = found.miss.kind;
  listing.problem = found.miss.reason;
  return {listing};
}

std::vector<std::string> Tier::keys(std::string& problem) const {
  const Look found = look();
  if (found.bundle == nullptr && !found.is_file) return folder_.keys(problem);
  if (found.bundle != nullptr) return found.bundle->index().keys();
  problem = fmt::format("{}: {}", path(), found.miss.reason);
  return {};
}

TierRecords Tier::records() const {
  if (const Bundle* known = bundle_.load()) return known->records();
  TierRecords records = folder_.records();
  if (records.text || !may_be_a_file(records.miss)) return records;
  const Look found = look();
  if (found.bundle != nullptr) return found.bundle->records();
  if (found.is_file || found.miss.kind == Miss::Kind::unreadable) records.miss = found.miss;
  return records;
}

std::string Tier::write(const Entry& entry) const {
  std::string problem = folder_.write(entry);
  if (problem.empty()) return problem;
  const Look found = look();
  if (!found.is_file) return problem;
  if (found.bundle == nullptr) return fmt::format("{}: {}", path(), found.miss.reason);
  return fmt::format("{}: found a bundle, allowed: a directory, as nothing is written to bundles", path());
}

Imported import_entries(const Bundle& bundle, const Tier& into) {
  Imported imported;
  for (const std::string& key : bundle.index().keys()) {
    if (into.read_key(key).entry) {
      ++imported.kept;
      continue;
    }
    const ReadResult read = bundle.read_key(key);
    const std::string problem = read.entry ? into.write(*read.entry) : read.miss.reason;
    if (problem.empty()) {
      ++imported.written;
    } else {
      imported.failed.push_back(fmt::format("{}: {}", key, problem));
    }
  }
  return imported;
}

TierState Tier::state() const {
  TierState state;
  state.path = path();
  if (const Look found = look(); found.bundle != nullptr || found.is_file) {
    state.kind = TierState::Kind::bundle;
    state.problem = found.miss.reason;
    if (found.bundle == nullptr) return state;
    const BundleIndex& index = found.bundle->index();
    state.entries = index.size();
    state.has_records = index.records_bytes() != 0;
    state.digest = index.digest();
    return state;
  }
  const Folder top = open_folder(*ops_, trust_, path(), {});
  if (!top && top.absent) return state;
  state.kind = TierState::Kind::directory;
  state.problem = top.problem;
  if (!top) return state;
  if (const Folder entries = open_folder(*ops_, trust_, path(), {"v1", "entries"}); !entries && !entries.absent) {
    state.problem = entries.problem;
  } else if (trust_.sealed()) {
    const ManifestRead read = read_manifest(*ops_, trust_, path());
    if (!read.manifest) state.problem = read.miss.reason;
    state.unsealed = !read.manifest && read.miss.kind == Miss::Kind::absent;
  }
  return state;
}

}  // namespace ropejit::internal
