// The head of a bundle: what says which entries it holds, where, and with which bytes. The grammar is in
// cache/FORMAT.md. Pure: no file is touched here.
//
//   header, 64 bytes | a row for each entry, by key | checksum | entries | records
//   `------------------- head --------------------------------'
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.hpp"

namespace ropejit::internal {

inline constexpr std::string_view kBundleMagic = "\x89RJB\r\n\x1a\n";
inline constexpr std::uint32_t kBundleFormatVersion = 1;
inline constexpr std::uint64_t kMaxBundleEntries = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kBundleHeaderBytes = 64;
inline constexpr std::uint64_t kBundleRowBytes = 72;
inline constexpr std::uint64_t kBundleChecksumBytes = 32;

/// What the first 64 bytes say, within its limits and in agreement with the size of the file.
struct BundleHeader {
  std::uint64_t entries = 0;
  std::uint64_t records_bytes = 0;
  std::uint64_t file_bytes = 0;

  std::uint64_t head_bytes() const { return kBundleHeaderBytes + entries * kBundleRowBytes + kBundleChecksumBytes; }
};

/// A header, or why there is none: damaged or newer.
struct BundleHeaderRead {
  std::optional<BundleHeader> header;
  Miss miss;
};

/// `bytes`: those that the file begins with; more than 64 do no harm, fewer are damage.
BundleHeaderRead read_bundle_header(std::string_view bytes, std::uint64_t file_bytes);

/// Which entries there are and where. Immutable.
class BundleIndex {
 public:
  /// Verifies the head of a file whose header was read; nothing, and `problem` in one line, where it is damaged.
  static std::optional<BundleIndex> parse(const BundleHeader& header, std::string head, std::string& problem);

  std::size_t size() const { return offsets_.size(); }
  /// The key of entry `number`, which is below size(): 64 hex digits. Keys ascend with it.
  std::string key(std::size_t number) const;
  std::vector<std::string> keys() const;
  /// The place of a key of 64 hex digits among the others.
  std::optional<std::size_t> find(std::string_view key) const;

  std::uint64_t offset(std::size_t number) const { return offsets_[number]; }
  std::uint64_t bytes(std::size_t number) const;
  /// The last 32 bytes of the entry: its own trailer.
  std::string_view trailer(std::size_t number) const;

  std::uint64_t records_offset() const { return header_.file_bytes - header_.records_bytes; }
  std::uint64_t records_bytes() const { return header_.records_bytes; }
  /// BLAKE3-256 of the records, 64 hex digits.
  std::string records_hash() const;

  /// The checksum of the head, 64 hex digits: it names every byte of the bundle.
  std::string digest() const;

 private:
  BundleIndex(const BundleHeader& header, std::string head) : header_(header), head_(std::move(head)) {}
  std::string_view row(std::size_t number) const;

  BundleHeader header_;
  std::string head_;
  std::vector<std::uint64_t> offsets_;
};

/// One entry of a bundle that is being made.
struct BundleRow {
  std::string key;      ///< 64 hex digits
  std::string trailer;  ///< 32 bytes
  std::uint64_t bytes = 0;
};

struct EncodedBundleHead {
  std::string bytes;
  std::uint64_t file_bytes = 0;  ///< the size of the whole bundle
  std::string digest;            ///< BundleIndex::digest()
};

/// The head of the bundle of these rows, which ascend by key, and records; all within their limits.
EncodedBundleHead encode_bundle_head(const std::vector<BundleRow>& rows, std::string_view records);

}  // namespace ropejit::internal
