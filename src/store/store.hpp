// BinaryStore: a directory of binaries, one self-describing file each. Bytes only: it knows no plan and no device.
//
// Nothing that goes wrong here is an error for the caller: a read is a hit or a miss with its reason, a write
// succeeds or says why not. Thread-safe, and safe beside other processes on the same directory: an entry is
// published by rename, complete or not at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::internal {

/// What an entry says about itself.
struct EntryMetadata {
  std::string key_preimage;  ///< the text whose BLAKE3 is the key
  std::string arch;          ///< "sm_90"
  std::string entry;         ///< kernel name inside the payload
  std::string variant;       ///< "flat_v16_h8_t128"
  std::string compiler;      ///< "NVRTC 13.0"
  int registers = -1;
  int spill_bytes = -1;
  int stack_bytes = -1;
  double compile_ms = 0;
};

struct Entry {
  EntryMetadata metadata;
  std::string payload;
};

/// Why a read found nothing: one line, e.g. "no such entry" or "checksum does not match".
struct Miss {
  enum class Kind {
    absent,      ///< no file
    damaged,     ///< magic, lengths, checksum or metadata are wrong
    newer,       ///< written by a later format version: left alone
    unreadable,  ///< the file is there and cannot be opened or read
  };
  Kind kind = Kind::absent;
  std::string reason;
};

/// A hit or a miss.
struct ReadResult {
  std::optional<Entry> entry;
  Miss miss;  ///< meaningful when entry is empty
};

struct EntryListing {
  std::string key;  ///< 64 hex digits
  std::string path;
  std::uint64_t bytes = 0;
  std::optional<EntryMetadata> metadata;  ///< empty: damaged, newer or unreadable; `problem` says why
  std::string problem;
};

/// 64 hex digits: BLAKE3-256 of the preimage.
std::string entry_key(std::string_view key_preimage);

class FileOps;  // store/file_ops.hpp: the system calls of the store

class BinaryStore {
 public:
  /// `directory` is created (mode 0700, parents too) at the first write. Empty: nothing is kept.
  explicit BinaryStore(std::string directory);
  /// The same with system calls of the caller's, which must outlive the store: for tests that make them fail.
  BinaryStore(std::string directory, const FileOps& ops);

  const std::string& directory() const { return directory_; }

  /// Reads and verifies the entry whose key preimage is this text. A damaged one is a miss.
  ReadResult read(std::string_view key_preimage) const;

  /// Publishes an entry, replacing one of the same key. Empty on success, else what failed, in one line;
  /// no partial file stays behind.
  std::string write(const Entry& entry) const;

  /// Every entry, sorted by key; damaged ones are listed with their problem.
  std::vector<EntryListing> list() const;

 private:
  std::string directory_;
  const FileOps* ops_;
};

/// Option, else ROPEJIT_CACHE_DIR, else $XDG_CACHE_HOME/ropejit, else $HOME/.cache/ropejit, else "" (memory only).
/// XDG_CACHE_HOME must be absolute to count, as its specification says.
std::string cache_directory(const std::optional<std::string>& option);

}  // namespace ropejit::internal
