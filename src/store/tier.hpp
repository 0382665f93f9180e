// Tier: one place of a BinaryStore's, a directory or a bundle; which of them is found out when it is looked at. A
// bundle that was opened once is served from then on; where there is none, or none that can be used, the next look
// tries again. Thread-safe, and works on in a child of fork.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/bundle/bundle.hpp"
#include "store/entry.hpp"
#include "store/entry_folder.hpp"
#include "store/file/ops.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

/// What a tier is, for people.
struct TierState {
  std::string path;
  enum class Kind { absent, directory, bundle } kind = Kind::absent;
  std::string problem = {};  ///< why nothing in it is used, in one line; what follows is empty then
  bool unsealed = false;     ///< the problem: a manifest is what is trusted, and there is none
  // What is known of a bundle:
  std::size_t entries = 0;
  bool has_records = false;
  std::string digest = {};  ///< 64 hex digits: what ROPEJIT_TRUST=digest: takes
};

class Tier {
 public:
  /// See EntryFolder. A bundle is never changed, whatever `read_only` says.
  Tier(std::string path, Trust trust, bool read_only, const FileOps& ops);
  ~Tier();
  Tier(const Tier&) = delete;
  Tier& operator=(const Tier&) = delete;

  const std::string& path() const { return folder_.directory(); }

  /// These read as the functions of EntryFolder and Bundle of those names do. A bundle that cannot be used is a miss
  /// for every entry; in a list it is one line, without a key.
  ReadResult read(std::string_view key_preimage) const;
  ReadResult read_key(std::string_view key) const;
  std::vector<EntryListing> list() const;
  std::vector<std::string> keys(std::string& problem) const;
  TierRecords records() const;

  /// Writes as EntryFolder does; into a bundle nothing is written, and the reason says so.
  std::string write(const Entry& entry) const;

  TierState state() const;

 private:
  struct Look {
    const Bundle* bundle = nullptr;
    Miss miss = {};        ///< why there is none
    bool is_file = false;  ///< no directory, whatever else
  };
  Look look() const;
  ReadResult missed(const Look& found) const;

  EntryFolder folder_;
  Trust trust_;
  const FileOps* ops_;
  mutable std::atomic<const Bundle*> bundle_{nullptr};  ///< set once; owned
};

struct Imported {
  std::size_t written = 0;
  std::size_t kept = 0;             ///< entries that were there, and whole
  std::vector<std::string> failed;  ///< "KEY: why", for those that are not there now
};

/// Writes the bundle's entries that are not there yet, or not whole, each as the store writes. The bundle was verified.
Imported import_entries(const Bundle& bundle, const Tier& into);

}  // namespace ropejit::internal
