#include "store/entry_folder.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <ctime>
#include <utility>

#include "store/file/atomic.hpp"
#include "store/file/folder.hpp"
#include "store/file/read.hpp"
#include "store/format/entry.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kSuffix = ".rje";
constexpr std::string_view kRecordsName = "records.jsonl";
constexpr std::size_t kKeyDigits = 64;
constexpr std::size_t kShardDigits = 2;
constexpr std::size_t kMaxQuarantined = 16;  // the newest so many stay
constexpr std::time_t kStampSeconds = 24 * 60 * 60;

std::string name_of(std::string_view key) { return fmt::format("{}{}", key, kSuffix); }
std::string_view shard_of(std::string_view key) { return key.substr(0, kShardDigits); }
std::string listed_path(std::string_view key) { return fmt::format("entries/{}/{}", shard_of(key), name_of(key)); }

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

Miss miss_of(const FileContents& file) {
  if (file.absent) return {Miss::Kind::absent, "no such entry"};
  return {file.refused ? Miss::Kind::refused : Miss::Kind::unreadable, file.problem};
}

}  // namespace

std::string entry_key(std::string_view key_preimage) { return blake3_hex(key_preimage, kKeyDigits / 2); }

EntryFolder::EntryFolder(std::string directory, Trust trust, bool read_only, const FileOps& ops)
    : directory_(std::move(directory)), trust_(std::move(trust)), read_only_(read_only), ops_(&ops) {}

std::optional<Miss> EntryFolder::miss_by_seal(std::string_view path, std::string_view bytes) const {
  if (!trust_.sealed()) return std::nullopt;
  const auto manifest = manifest_.with([&](std::shared_ptr<const ManifestRead>& known) {
    // What failed for a reason that may pass is tried anew; what is known is kept.
    if (!known || known->miss.kind == Miss::Kind::unreadable) {
      known = std::make_shared<const ManifestRead>(read_manifest(*ops_, trust_, directory_));
    }
    return known;
  });
  return miss_by_manifest(*manifest, path, bytes);
}

void EntryFolder::stamp(const FileContents& file) const {
  const std::time_t age = std::time(nullptr) - file.status.st_mtime;
  // A stamp from the future (a clock that was wrong) would keep the entry for ever.
  if (age > kStampSeconds || age < -kStampSeconds) retry_interrupted([&] { return ops_->touch(file.file.get()); });
}

// Moves a damaged entry to where nobody reads it again, if it is still the file that was read: another process may have
// replaced it by a good one. False where it stays: the next write replaces it.
bool EntryFolder::quarantine(const FileContents& file, const std::string& name) const {
  const Folder folder = make_folder(*ops_, trust_, directory_, {"v1", "quarantine"});
  if (!folder) return false;
  struct stat now = {};
  if (retry_interrupted([&] { return ops_->stat(file.folder.get(), name.c_str(), &now); }) != 0) return false;
  if (now.st_ino != file.status.st_ino || now.st_dev != file.status.st_dev) return false;

  // Names begin with the time, so that their order is by age.
  const std::string to = fmt::format("{:012}-{}", static_cast<std::int64_t>(std::time(nullptr)), name);
  const auto move = [&] { return ops_->rename(file.folder.get(), name.c_str(), folder.get(), to.c_str()); };
  if (retry_interrupted(move) != 0) return false;

  std::vector<std::string> names;
  if (retry_interrupted([&] { return ops_->list_directory(folder.get(), names); }) != 0) return true;
  llvm::sort(names);
  for (std::size_t i = 0; i + kMaxQuarantined < names.size(); ++i) {
    retry_interrupted([&] { return ops_->unlink(folder.get(), names[i].c_str()); });
  }
  return true;
}

FileContents EntryFolder::file_of(std::string_view key) const {
  return read_file(*ops_, trust_, directory_, {"v1", "entries", shard_of(key)}, name_of(key), kMaxEntryBytes);
}

ReadResult EntryFolder::read(std::string_view key_preimage) const {
  const std::string key = entry_key(key_preimage);
  const FileContents file = file_of(key);
  ReadResult result = judge(file, key);
  if (result.entry) {
    result.found_in = directory_;
    result.read_only = read_only_;
    if (may_change()) stamp(file);
    return result;
  }
  if (may_change() && result.miss.kind == Miss::Kind::damaged) result.quarantined = quarantine(file, name_of(key));
  result.misses.push_back({directory_, result.miss});
  return result;
}

std::string EntryFolder::write(const Entry& entry) const {
  if (!may_change()) return {};
  const EncodedEntry encoded = encode_entry(entry);
  if (!encoded.problem.empty()) return encoded.problem;

  const std::string key = entry_key(entry.metadata.key_preimage);
  const Folder folder = make_folder(*ops_, trust_, directory_, {"v1", "entries", shard_of(key)});
  if (!folder) return folder.problem;
  // A later version shares this directory and would lose its entry. That it writes one between this look and the
  // rename is harmless: it compiles again.
  const FileContents old = read_file(*ops_, trust_, folder.get(), name_of(key), kMaxEntryBytes);
  if (old.bytes && decode_entry(*old.bytes).miss.kind == Miss::Kind::newer) {
    return fmt::format("{}/{}: written by a later version, left alone", folder.path, name_of(key));
  }
  return AtomicFile(*ops_, trust_, folder, name_of(key)).commit(encoded.bytes);
}

// Returns the first thing that failed, in one line.
std::string EntryFolder::each_file(const std::function<void(const Folder& shard, const std::string& key)>& use) const {
  std::string problem;
  const auto list = [&](const Folder& folder, std::vector<std::string>& names) {
    if (retry_interrupted([&] { return ops_->list_directory(folder.get(), names); }) == 0 || !problem.empty()) return;
    problem = failure("list folder", folder.path);
  };
  const Folder top = open_folder(*ops_, trust_, directory_, {"v1", "entries"});
  if (!top) return top.absent ? "" : top.problem;
  std::vector<std::string> shards;
  list(top, shards);
  for (const std::string& shard : shards) {
    if (shard.size() != kShardDigits || !is_hex(shard)) continue;
    const Folder folder = open_folder(*ops_, trust_, directory_, {"v1", "entries", shard});
    if (!folder) {
      if (!folder.absent && problem.empty()) problem = folder.problem;
      continue;
    }
    std::vector<std::string> names;
    list(folder, names);
    for (const std::string& name : names) {
      if (name.size() != kKeyDigits + kSuffix.size() || !name.ends_with(kSuffix)) continue;
      const std::string key = name.substr(0, kKeyDigits);
      if (is_hex(key) && key.starts_with(shard)) use(folder, key);
    }
  }
  return problem;
}

// What a file holds that is to be the entry of this key. The miss of an entry that is whole is meaningless.
ReadResult EntryFolder::judge(const FileContents& file, std::string_view key) const {
  ReadResult result;
  if (!file.bytes) {
    result.miss = miss_of(file);
  } else if (std::optional<Miss> sealed = miss_by_seal(listed_path(key), *file.bytes)) {
    result.miss = *std::move(sealed);
  } else {
    result = decode_entry(*file.bytes);
    if (result.entry && entry_key(result.entry->metadata.key_preimage) != key) {
      result.entry.reset();
      result.miss = {Miss::Kind::damaged, "the entry is of another key"};
    }
  }
  return result;
}

std::vector<EntryListing> EntryFolder::list() const {
  std::vector<EntryListing> listings;
  static_cast<void>(each_file([&](const Folder& folder, const std::string& key) {
    EntryListing listing;
    listing.key = key;
    listing.directory = directory_;
    listing.path = folder.path + "/" + name_of(key);
    const FileContents file = read_file(*ops_, trust_, folder.get(), name_of(key), kMaxEntryBytes);
    if (file.absent) return;  // removed since the folder was read
    if (file.bytes) listing.bytes = file.bytes->size();
    ReadResult read = judge(file, key);
    if (read.entry) listing.metadata = std::move(read.entry->metadata);
    listing.kind = read.miss.kind;
    listing.problem = std::move(read.miss.reason);
    listings.push_back(std::move(listing));
  }));
  llvm::sort(listings, [](const EntryListing& a, const EntryListing& b) { return a.key < b.key; });
  return listings;
}

std::vector<std::string> EntryFolder::keys(std::string& problem) const {
  std::vector<std::string> keys;
  problem = each_file([&](const Folder&, const std::string& key) { keys.push_back(key); });
  llvm::sort(keys);
  return keys;
}

ReadResult EntryFolder::read_key(std::string_view key) const { return judge(file_of(key), key); }

TierRecords EntryFolder::records() const {
  TierRecords records;
  records.directory = directory_;
  FileContents file =
      read_file(*ops_, trust_, directory_, {"v1", "records"}, std::string(kRecordsName), kMaxRecordsBytes);
  if (!file.bytes) {
    records.miss = miss_of(file);
  } else if (std::optional<Miss> sealed = miss_by_seal(kListedRecords, *file.bytes)) {
    records.miss = *std::move(sealed);
  } else {
    records.text = *std::move(file.bytes);
  }
  return records;
}

}  // namespace ropejit::internal
