#include "store/store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/atomic_file.hpp"
#include "store/entry_format.hpp"
#include "store/file_ops.hpp"
#include "store/read_file.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kSuffix = ".rje";
constexpr std::size_t kKeyDigits = 64;
constexpr std::size_t kShardDigits = 2;

std::string entries_folder(const std::string& directory) { return directory + "/v1/entries"; }

std::string entry_path(const std::string& directory, std::string_view key) {
  return fmt::format("{}/{}/{}{}", entries_folder(directory), key.substr(0, kShardDigits), key, kSuffix);
}

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

ReadResult read_entry(const FileOps& ops, const std::string& path) {
  FileContents file = read_file(ops, path, kMaxEntryBytes);
  if (file.bytes) return decode_entry(*file.bytes);
  if (file.absent) return {{}, {Miss::Kind::absent, "no such entry"}};
  return {{}, {Miss::Kind::unreadable, std::move(file.problem)}};
}

}  // namespace

std::string entry_key(std::string_view key_preimage) { return blake3_hex(key_preimage, kKeyDigits / 2); }

BinaryStore::BinaryStore(std::string directory) : BinaryStore(std::move(directory), system_file_ops()) {}

BinaryStore::BinaryStore(std::string directory, const FileOps& ops) : directory_(std::move(directory)), ops_(&ops) {}

ReadResult BinaryStore::read(std::string_view key_preimage) const {
  if (directory_.empty()) return {{}, {Miss::Kind::absent, "no cache directory"}};
  ReadResult result = read_entry(*ops_, entry_path(directory_, entry_key(key_preimage)));
  if (result.entry && result.entry->metadata.key_preimage != key_preimage) {
    return {{}, {Miss::Kind::damaged, "the entry is of another key"}};
  }
  return result;
}

std::string BinaryStore::write(const Entry& entry) const {
  if (directory_.empty()) return {};
  const EncodedEntry encoded = encode_entry(entry);
  if (!encoded.problem.empty()) return encoded.problem;

  const std::string path = entry_path(directory_, entry_key(entry.metadata.key_preimage));
  // A later version shares this directory and would lose its entry. That it writes one between this look and the
  // rename is harmless: it compiles again.
  if (read_entry(*ops_, path).miss.kind == Miss::Kind::newer) {
    return fmt::format("{}: written by a later version, left alone", path);
  }
  return AtomicFile(*ops_, path).commit(encoded.bytes);
}

std::vector<EntryListing> BinaryStore::list() const {
  std::vector<EntryListing> listings;
  if (directory_.empty()) return listings;

  const std::string top = entries_folder(directory_);
  std::vector<std::string> shards;
  ops_->list_directory(top.c_str(), shards);
  for (const std::string& shard : shards) {
    if (shard.size() != kShardDigits || !is_hex(shard)) continue;
    std::vector<std::string> names;
    ops_->list_directory(fmt::format("{}/{}", top, shard).c_str(), names);
    for (const std::string& name : names) {
      if (name.size() != kKeyDigits + kSuffix.size() || !name.ends_with(kSuffix)) continue;
      EntryListing listing;
      listing.key = name.substr(0, kKeyDigits);
      if (!is_hex(listing.key) || !listing.key.starts_with(shard)) continue;
      listing.path = fmt::format("{}/{}/{}", top, shard, name);
      FileContents file = read_file(*ops_, listing.path, kMaxEntryBytes);
      if (file.absent) continue;  // removed since the folder was read
      if (file.bytes) {
        listing.bytes = file.bytes->size();
        ReadResult decoded = decode_entry(*file.bytes);
        if (!decoded.entry) {
          listing.problem = std::move(decoded.miss.reason);
        } else if (entry_key(decoded.entry->metadata.key_preimage) != listing.key) {
          listing.problem = "the entry is of another key";
        } else {
          listing.metadata = std::move(decoded.entry->metadata);
        }
      } else {
        listing.problem = std::move(file.problem);
      }
      listings.push_back(std::move(listing));
    }
  }
  std::sort(listings.begin(), listings.end(),
            [](const EntryListing& a, const EntryListing& b) { return a.key < b.key; });
  return listings;
}

}  // namespace ropejit::internal
