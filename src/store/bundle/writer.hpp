// Makes a bundle of a directory's entries, or of another bundle's.
//
// The same entries and records give the same bytes, whoever makes them, when and where: entries stand in order of
// key, and what differs between two compiles of one binary, the time that it took, is set to 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.hpp"
#include "store/file/ops.hpp"
#include "store/tier.hpp"

namespace ropejit::internal {

struct BundleRequest {
  std::string path;          ///< the file to make, or what is written through (OutputFile); its folder is there
  std::string records = {};  ///< text of tuning records; empty: none
  /// Whether an entry goes into it; empty: all do.
  std::function<bool(const EntryMetadata& metadata)> wanted = {};
  /// Called when every entry was asked about and nothing is written yet; throws where there is to be no bundle.
  std::function<void()> accepts = {};
  std::string secret_key = {};     ///< 32 bytes: PATH.sig is written too; empty: a signature that is there is removed
  bool replaces_anything = false;  ///< a file that is no bundle may be replaced
};

struct BundleWritten {
  std::string digest;  ///< 64 hex digits: what ROPEJIT_TRUST=digest: takes
  std::size_t entries = 0;
  std::uint64_t bytes = 0;            ///< the size of the file
  std::vector<std::string> left_out;  ///< entries that were listed and cannot be used, one line each
  std::string problem;                ///< one line where nothing was written
  bool in_the_way = false;            ///< that is the problem: PATH is neither replaced nor written through
  bool to_standard_output = false;    ///< PATH is this process's standard output by another name
};

/// Writes the bundle by the rules of OutputFile; signed ones to regular files alone. `source` is read twice, an entry
/// at a time; one that changes meanwhile is a problem. A signature is removed before the bundle that it is of: whoever
/// reads in between refuses, rather than guesses.
BundleWritten write_bundle(const FileOps& ops, const Tier& source, const BundleRequest& request);

}  // namespace ropejit::internal
