// The manifest of a cache directory, v1/MANIFEST: which bytes its files have, so that they can be trusted whoever owns
// them. The grammar is in cache/FORMAT.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/entry.hpp"
#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

inline constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{64} << 20;
/// What a manifest calls the tuning records: their path below v1.
inline constexpr std::string_view kListedRecords = "records/records.jsonl";

class Manifest {
 public:
  /// Reads the text of a manifest; nothing where any line of it is not as it should be.
  static std::optional<Manifest> parse(std::string text);

  /// The 64 hex digits of the file whose path below v1 this is ("entries/ab/abcd....rje"); empty for one not listed.
  std::string_view hash_of(std::string_view path) const;
  std::size_t size() const { return lines_.size(); }

 private:
  std::string text_;
  std::vector<std::pair<std::size_t, std::size_t>> lines_;  ///< offset and length of each path; the hash is before it
};

/// A manifest that a trust allows, or why there is none.
struct ManifestRead {
  std::optional<Manifest> manifest = {};
  Miss miss = {};  ///< absent, unreadable or refused, where manifest is empty
};

/// Reads and checks DIRECTORY/v1/MANIFEST, which `trust` must be about (Trust::sealed).
ManifestRead read_manifest(const FileOps& ops, const Trust& trust, const std::string& directory);

/// Whether a file of the directory is what the manifest says: a miss of kind absent (not listed), refused (others
/// bytes), or nothing.
std::optional<Miss> miss_by_manifest(const ManifestRead& read, std::string_view path, std::string_view bytes);

struct ManifestWritten {
  std::string digest;                 ///< 64 hex digits: what ROPEJIT_TRUST=digest: takes
  std::string path;                   ///< where the manifest is
  std::size_t files = 0;              ///< files that it lists
  std::vector<std::string> left_out;  ///< files that are there and not trusted or not whole, one line each
  std::string problem;                ///< one line where nothing was written
};

/// Writes the manifest of what is trusted and whole in `directory` by the rules of `trust` (one that is not sealed),
/// and v1/MANIFEST.sig where `secret_key` (32 bytes) is not empty; else an older signature is removed.
/// What is no regular file in the place of one of them is a problem.
ManifestWritten write_manifest(const FileOps& ops, const Trust& trust, const std::string& directory,
                               std::string_view secret_key);

}  // namespace ropejit::internal
