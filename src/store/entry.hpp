// What the store keeps, and what it answers to a look for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::internal {

/// The most that the tuning records of a directory or a bundle may take.
inline constexpr std::uint64_t kMaxRecordsBytes = std::uint64_t{64} << 20;

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
    refused,     ///< the file is there and the trust forbids it (store/trust.hpp)
  };
  Kind kind = Kind::absent;
  std::string reason;
};

/// A directory that was looked at in vain.
struct DirectoryMiss {
  std::string directory;
  Miss miss;
};

/// A hit or a miss.
struct ReadResult {
  std::optional<Entry> entry = {};
  /// Meaningful when entry is empty: of several directories the first miss that is not `absent`, if there is one.
  Miss miss = {};
  std::string found_in = {};               ///< the directory that had it
  bool read_only = false;                  ///< that directory is one of the read-only ones
  bool quarantined = false;                ///< a damaged file was moved out of the way
  std::vector<DirectoryMiss> misses = {};  ///< one for each directory that was looked at without success, in order
};

/// The tuning records that a directory or a bundle holds, as they are, or why there are none.
struct TierRecords {
  std::string directory;
  std::optional<std::string> text = {};
  Miss miss = {};  ///< meaningful where text is empty; `absent`: there are none
};

struct EntryListing {
  std::string key;        ///< 64 hex digits
  std::string directory;  ///< the cache that the entry is in
  std::string path;       ///< the file that holds the entry
  std::uint64_t bytes = 0;
  std::optional<EntryMetadata> metadata;  ///< empty: damaged, newer, unreadable or refused; `problem` says why
  Miss::Kind kind = Miss::Kind::absent;   ///< meaningful where metadata is empty
  std::string problem;
};

/// The key of a preimage: its BLAKE3-256, as 64 hex digits.
std::string entry_key(std::string_view key_preimage);

}  // namespace ropejit::internal
