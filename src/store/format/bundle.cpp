#include "store/format/bundle.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <llvm/ADT/StringExtras.h>

#include <utility>

#include "store/format/entry.hpp"
#include "store/format/raw_bytes.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kEntriesAt = 12;
constexpr std::size_t kFileBytesAt = 16;
constexpr std::size_t kRecordsBytesAt = 24;
constexpr std::size_t kRecordsHashAt = 32;
constexpr std::size_t kHashBytes = kChecksumBytes;
static_assert(kRecordsHashAt + kHashBytes == kBundleHeaderBytes && kHashBytes == kBundleChecksumBytes);

// Where things are in a row.
constexpr std::size_t kTrailerAt = kHashBytes;
constexpr std::size_t kBytesAt = 2 * kHashBytes;
static_assert(kBytesAt + 8 == kBundleRowBytes && kHashBytes == kEntryTrailerBytes);

constexpr std::uint64_t kLeastEntryBytes = kEntryHeaderBytes + kEntryTrailerBytes;

std::string hex_of(std::string_view bytes) {
  return llvm::toHex(llvm::StringRef(bytes.data(), bytes.size()), /*LowerCase=*/true);
}

BundleHeaderRead damaged(std::string reason) { return {{}, {Miss::Kind::damaged, std::move(reason)}}; }

}  // namespace

BundleHeaderRead read_bundle_header(std::string_view bytes, std::uint64_t file_bytes) {
  if (!bytes.starts_with(kBundleMagic)) return damaged("a file that is no bundle");
  if (bytes.size() < kBundleHeaderBytes) {
    return damaged(fmt::format("truncated: {} bytes are too few for a bundle", bytes.size()));
  }
  const auto version = number_at<std::uint32_t>(bytes, kVersionAt);
  if (version > kBundleFormatVersion) {
    return {{},
            {Miss::Kind::newer,
             fmt::format("a bundle of format version {}, known: up to {}", version, kBundleFormatVersion)}};
  }
  if (version == 0) return damaged("a bundle of format version 0");

  BundleHeader header;
  header.entries = number_at<std::uint32_t>(bytes, kEntriesAt);
  header.file_bytes = number_at<std::uint64_t>(bytes, kFileBytesAt);
  header.records_bytes = number_at<std::uint64_t>(bytes, kRecordsBytesAt);
  if (header.entries > kMaxBundleEntries) {
    return damaged(fmt::format("{} entries, allowed: at most {}", header.entries, kMaxBundleEntries));
  }
  if (header.records_bytes > kMaxRecordsBytes) {
    return damaged(fmt::format("{} bytes of records, allowed: at most {}", header.records_bytes, kMaxRecordsBytes));
  }
  if (header.file_bytes != file_bytes) {
    return damaged(fmt::format("{}: the file has {} bytes, the bundle {}",
                               file_bytes < header.file_bytes ? "truncated" : "damaged", file_bytes,
                               header.file_bytes));
  }
  // Neither sum can wrap: both numbers are within their limits.
  if (header.head_bytes() + header.entries * kLeastEntryBytes + header.records_bytes > file_bytes) {
    return damaged("damaged: its lengths do not match the file's size");
  }
  return {header, {}};
}

std::optional<BundleIndex> BundleIndex::parse(const BundleHeader& header, std::string head, std::string& problem) {
  const auto refuse = [&](const char* why) {
    problem = why;
    return std::nullopt;
  };
  if (head.size() != header.head_bytes()) return refuse("truncated: it ends within its index");
  const std::string_view checked = std::string_view(head).substr(0, head.size() - kBundleChecksumBytes);
  if (checksum_of(checked) != std::string_view(head).substr(checked.size())) {
    return refuse("damaged: the checksum of its index does not match");
  }
  BundleIndex index(header, std::move(head));
  index.offsets_.reserve(header.entries);
  std::uint64_t offset = header.head_bytes();
  for (std::size_t number = 0; number < header.entries; ++number) {
    const std::uint64_t bytes = number_at<std::uint64_t>(index.row(number), kBytesAt);
    // No sum can wrap: 2^20 entries of a little more than 2^28 bytes.
    if (bytes < kLeastEntryBytes || bytes > kMaxEntryBytes) return refuse("damaged: an entry of an impossible length");
    if (number > 0 && index.row(number - 1).substr(0, kHashBytes) >= index.row(number).substr(0, kHashBytes)) {
      return refuse("damaged: its keys do not ascend");
    }
    index.offsets_.push_back(offset);
    offset += bytes;
  }
  if (offset != index.records_offset()) return refuse("damaged: its lengths do not match the file's size");
  return index;
}

std::string_view BundleIndex::row(std::size_t number) const {
  return std::string_view(head_).substr(kBundleHeaderBytes + number * kBundleRowBytes, kBundleRowBytes);
}

std::string BundleIndex::key(std::size_t number) const { return hex_of(row(number).substr(0, kHashBytes)); }

std::vector<std::string> BundleIndex::keys() const {
  std::vector<std::string> keys;
  for (std::size_t number = 0; number < size(); ++number) keys.push_back(key(number));
  return keys;
}

std::uint64_t BundleIndex::bytes(std::size_t number) const { return number_at<std::uint64_t>(row(number), kBytesAt); }

std::string_view BundleIndex::trailer(std::size_t number) const { return row(number).substr(kTrailerAt, kHashBytes); }

std::optional<std::size_t> BundleIndex::find(std::string_view key) const {
  std::string wanted;
  if (key.size() != 2 * kHashBytes || !llvm::tryGetFromHex(llvm::StringRef(key.data(), key.size()), wanted)) {
    return std::nullopt;
  }
  const auto is_before = [&](std::size_t number) { return row(number).substr(0, kHashBytes) < wanted; };
  // By hand: libc++'s partition_point does not take llvm::seq, nor Clang 14 the library's own.
  std::size_t first = 0;
  for (std::size_t count = size(); count > 0;) {
    const std::size_t half = count / 2;
    const bool goes_on = is_before(first + half);
    first += goes_on ? half + 1 : 0;
    count = goes_on ? count - half - 1 : half;
  }
  if (first == size() || row(first).substr(0, kHashBytes) != wanted) return std::nullopt;
  return first;
}

std::string BundleIndex::records_hash() const {
  return hex_of(std::string_view(head_).substr(kRecordsHashAt, kHashBytes));
}

std::string BundleIndex::digest() const {
  return hex_of(std::string_view(head_).substr(head_.size() - kBundleChecksumBytes));
}

EncodedBundleHead encode_bundle_head(const std::vector<BundleRow>& rows, std::string_view records) {
  std::uint64_t file_bytes = kBundleHeaderBytes + rows.size() * kBundleRowBytes + kBundleChecksumBytes + records.size();
  for (const BundleRow& row : rows) file_bytes += row.bytes;
  std::string head(kBundleMagic);
  append_number(head, kBundleFormatVersion);
  append_number(head, static_cast<std::uint32_t>(rows.size()));
  append_number(head, file_bytes);
  append_number(head, static_cast<std::uint64_t>(records.size()));
  head += checksum_of(records);
  for (const BundleRow& row : rows) {
    head += llvm::fromHex(row.key);
    head += row.trailer;
    append_number(head, row.bytes);
  }
  const std::string checksum = checksum_of(head);
  return {head + checksum, file_bytes, hex_of(checksum)};
}

}  // namespace ropejit::internal
