// Bundle: the entries and tuning records of a cache in one file, read as a directory is, without unpacking it.
//
// Opening reads the index and verifies it; an entry is read, and verified, when it is asked for. The file stays open,
// and nothing of it is mapped: what is done to it meanwhile costs misses and nothing worse. A file that is renamed over
// it is not seen. Thread-safe, and works on in a child of fork: reads share no position.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.hpp"
#include "store/file/ops.hpp"
#include "store/format/bundle.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

class Bundle;

/// A bundle, or why there is none.
struct BundleOpened {
  std::unique_ptr<const Bundle> bundle = {};
  Miss miss = {};
  bool is_file = false;  ///< there is a regular file: it is no use to look for a directory of this name

  BundleOpened() = default;
  BundleOpened(Miss why, bool file) : miss(std::move(why)), is_file(file) {}
};

class Bundle {
 public:
  /// Opens a file that `trust` allows: for `owner` and `group` by its status; for `digest` one whose digest it is; for
  /// `key` one whose signature, in PATH.sig, is by that key. Links are followed, as on the way to a cache directory.
  /// `ops` outlives the bundle.
  static BundleOpened open(const FileOps& ops, const Trust& trust, const std::string& path);

  Bundle(const FileOps& ops, const Trust& trust, std::string path, OpenFile file, BundleIndex index);

  const std::string& path() const { return path_; }
  const BundleIndex& index() const { return index_; }

  /// Reads and verifies the entry of this preimage.
  ReadResult read(std::string_view key_preimage) const;
  /// Reads and verifies the entry of this key: 64 hex digits.
  ReadResult read_key(std::string_view key) const;

  /// Every entry, by key; what cannot be used is listed with its problem. Reads all of them.
  std::vector<EntryListing> list() const;

  /// The text of the tuning records; absent where there are none.
  TierRecords records() const;

 private:
  std::optional<Miss> read_into(std::string& bytes, std::uint64_t offset, std::uint64_t count) const;
  ReadResult entry_at(std::size_t number) const;

  const FileOps* ops_;
  bool sealed_;
  std::string path_;
  OpenFile file_;
  BundleIndex index_;
};

/// Reads every entry and the records. Empty where all are whole, else what is not whole, in one line.
std::string verify_bundle(const Bundle& bundle);

/// The text that is signed for a bundle, which names its digest.
std::string signed_text_of_bundle(std::string_view digest);

/// How the signature of the bundle PATH is called.
inline std::string bundle_signature_path(const std::string& path) { return path + ".sig"; }

}  // namespace ropejit::internal
