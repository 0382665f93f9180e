#include "store/bundle/bundle.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <utility>

#include "store/file/read.hpp"
#include "store/format/entry.hpp"
#include "store/signature.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

// Why a bundle that is whole is not trusted; nothing where it is.
std::optional<Miss> miss_by_seal(const FileOps& ops, const Trust& trust, const std::string& path,
                                 const std::string& digest) {
  if (trust.kind == Trust::Kind::digest && digest != trust.digest) {
    return Miss{Miss::Kind::refused, fmt::format("found digest {}, allowed: {}", digest, trust.digest)};
  }
  if (trust.kind != Trust::Kind::key) return std::nullopt;
  const FileContents signature =
      read_file(ops, trust, AT_FDCWD, bundle_signature_path(path), kSignatureBytes, Links::followed);
  if (!signature.bytes) {
    const bool passing = !signature.absent && !signature.refused;
    return Miss{passing ? Miss::Kind::unreadable : Miss::Kind::refused, "its signature: " + signature.problem};
  }
  if (is_signed(signed_text_of_bundle(digest), *signature.bytes, trust.public_key)) return std::nullopt;
  return Miss{Miss::Kind::refused, fmt::format("no signature by the key of {}", trust.key_file)};
}

}  // namespace

std::string verify_bundle(const Bundle& bundle) {
  for (const std::string& key : bundle.index().keys()) {
    if (const ReadResult read = bundle.read_key(key); !read.entry) {
      return fmt::format("entry {}: {}", key, read.miss.reason);
    }
  }
  const TierRecords records = bundle.records();
  return records.text || records.miss.kind == Miss::Kind::absent ? "" : records.miss.reason;
}

std::string signed_text_of_bundle(std::string_view digest) { return fmt::format("ropejit bundle {}\n", digest); }

Bundle::Bundle(const FileOps& ops, const Trust& trust, std::string path, OpenFile file, BundleIndex index)
    : ops_(&ops), sealed_(trust.sealed()), path_(std::move(path)), file_(std::move(file)), index_(std::move(index)) {}

BundleOpened Bundle::open(const FileOps& ops, const Trust& trust, const std::string& path) {
  const auto unreadable = [](const char* what, bool is_file) -> BundleOpened {
    return {{Miss::Kind::unreadable, failure(what)}, is_file};
  };
  // O_NONBLOCK: opening a pipe that somebody put there must not wait for a writer.
  OpenFile file(
      ops, retry_interrupted([&] { return ops.open(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); }));
  if (!file && errno == ENOENT) return {{Miss::Kind::absent, failure("open")}, false};
  if (!file) return unreadable("open", false);
  struct stat status = {};
  if (retry_interrupted([&] { return ops.fstat(file.get(), &status); }) != 0) return unreadable("stat", false);
  if (!S_ISREG(status.st_mode)) return {{Miss::Kind::refused, "not a regular file"}, false};
  if (std::string problem = distrust(trust, status); !problem.empty()) {
    return {{Miss::Kind::refused, std::move(problem)}, true};
  }

  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  std::string head;
  if (!read_range(ops, file.get(), head, 0, kBundleHeaderBytes)) return unreadable("read", true);
  BundleHeaderRead read = read_bundle_header(head, file_bytes);
  if (!read.header) return {std::move(read.miss), true};
  if (!read_range(ops, file.get(), head, 0, read.header->head_bytes())) return unreadable("read", true);
  std::string problem;
  std::optional<BundleIndex> index = BundleIndex::parse(*read.header, std::move(head), problem);
  if (!index) return {{Miss::Kind::damaged, std::move(problem)}, true};
  if (std::optional<Miss> miss = miss_by_seal(ops, trust, path, index->digest())) return {*std::move(miss), true};

  BundleOpened opened;
  opened.is_file = true;
  opened.bundle = std::make_unique<const Bundle>(ops, trust, path, std::move(file), *std::move(index));
  return opened;
}

std::optional<Miss> Bundle::read_into(std::string& bytes, std::uint64_t offset, std::uint64_t count) const {
  if (!read_range(*ops_, file_.get(), bytes, offset, count)) return Miss{Miss::Kind::unreadable, failure("read")};
  if (bytes.size() == count) return std::nullopt;
  return Miss{Miss::Kind::damaged, "the bundle was truncated after it was opened"};
}

ReadResult Bundle::entry_at(std::size_t number) const {
  std::string bytes;
  if (std::optional<Miss> miss = read_into(bytes, index_.offset(number), index_.bytes(number))) {
    return {{}, *std::move(miss)};
  }
  // The trailer is the hash of all before it, which decode_entry verifies: so these are the bytes that the index is of.
  if (!bytes.ends_with(index_.trailer(number))) {
    return {{}, {sealed_ ? Miss::Kind::refused : Miss::Kind::damaged, "not what the index of the bundle says"}};
  }
  ReadResult result = decode_entry(bytes);
  if (result.entry && entry_key(result.entry->metadata.key_preimage) != index_.key(number)) {
    return {{}, {Miss::Kind::damaged, "the entry is of another key"}};
  }
  return result;
}

ReadResult Bundle::read_key(std::string_view key) const {
  ReadResult result;
  if (const std::optional<std::size_t> number = index_.find(key)) {
    result = entry_at(*number);
  } else {
    result.miss = {Miss::Kind::absent, "no such entry"};
  }
  if (result.entry) {
    result.found_in = path_;
    result.read_only = true;
  } else {
    result.misses.push_back({path_, result.miss});
  }
  return result;
}

ReadResult Bundle::read(std::string_view key_preimage) const {
  ReadResult result = read_key(entry_key(key_preimage));
  if (result.entry && result.entry->metadata.key_preimage != key_preimage) {
    result.entry.reset();
    result.miss = {Miss::Kind::damaged, "the entry is of another key"};
    result.misses.push_back({path_, result.miss});
  }
  return result;
}

std::vector<EntryListing> Bundle::list() const {
  std::vector<EntryListing> listings;
  for (std::size_t number = 0; number < index_.size(); ++number) {
    EntryListing listing;
    listing.key = index_.key(number);
    listing.directory = path_;
    listing.path = path_ + ":" + listing.key;
    listing.bytes = index_.bytes(number);
    ReadResult read = entry_at(number);
    if (read.entry) listing.metadata = std::move(read.entry->metadata);
    listing.kind = read.miss.kind;
    listing.problem = std::move(read.miss.reason);
    listings.push_back(std::move(listing));
  }
  return listings;
}

TierRecords Bundle::records() const {
  TierRecords records;
  records.directory = path_;
  if (index_.records_bytes() == 0) {
    records.miss = {Miss::Kind::absent, "no tuning records"};
    return records;
  }
  std::string text;
  if (std::optional<Miss> miss = read_into(text, index_.records_offset(), index_.records_bytes())) {
    records.miss = *std::move(miss);
  } else if (blake3_hex(text, kBundleChecksumBytes) != index_.records_hash()) {
    records.miss = {sealed_ ? Miss::Kind::refused : Miss::Kind::damaged,
                    "tuning records: not what the index of the bundle says"};
  } else {
    records.text = std::move(text);
  }
  return records;
}

}  // namespace ropejit::internal
