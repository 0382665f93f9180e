// Tuning records as files of one record a line; the grammar is in cache/FORMAT.md.
//
// As with the store, nothing that goes wrong here is an error for the caller: what could not be read or written is told
// in one line each. Thread-safe, and safe beside other processes on the same file: it is replaced whole, by rename, and
// update_records takes turns with other updates.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.hpp"
#include "store/file/ops.hpp"
#include "store/file/read.hpp"
#include "store/trust.hpp"
#include "tune/record_set.hpp"

namespace ropejit::internal {

/// Problems beyond these are counted in one more line.
inline constexpr std::size_t kMaxProblemsTold = 10;

/// "<cache directory>/v1/records/records.jsonl"; empty for an empty directory, which keeps nothing.
std::string records_path(const std::string& cache_directory);

struct RecordsRead {
  RecordSet records;
  std::vector<std::string> problems;  ///< "records.jsonl:7: tokens: found 0, allowed: ..."
  bool absent = false;                ///< there is no such file: no problem
  bool unreadable = false;            ///< there is one, and none of it could be read or trusted
};

/// A bad line costs that line alone. `name`: what problems call the text. Blank lines mean nothing.
RecordsRead parse_records(std::string_view text, std::string_view name);

/// Reads a file that `trust` allows. In a cache directory (a path of records_path) the folders must be trusted too, and
/// where a manifest is what is trusted, it must have the file; a bundle in its place has records of its own; any other
/// file must be of this user or root, and writable by nobody else; links to it are followed. Gives the raw bytes.
FileContents read_records_file(const FileOps& ops, const std::string& path, const Trust& trust = {});

/// Reads the file so, and parses it. An empty path is an absent file.
RecordsRead read_records(const FileOps& ops, const std::string& path, const Trust& trust = {});

/// What a file of the set holds: every record and every kept line. The same for equal sets. `problem` is one line where
/// a record would not read back as it is; the text is empty then.
struct RecordsText {
  std::string text;
  std::string problem;
};
RecordsText to_text(const RecordSet& records);

/// Writes the whole file, or leaves the one that is there. Empty on success, else what failed, in one line. An empty
/// path keeps nothing and succeeds. A file of a cache directory that is sealed by its manifest is left alone, and so is
/// what is no regular file there; elsewhere a path is written by the rules of OutputFile, its folder made where it is
/// missing.
std::string write_records(const FileOps& ops, const std::string& path, const RecordSet& records,
                          const Trust& trust = {});

/// An update lasts milliseconds; whoever takes longer has been stopped, and must not stop others.
inline constexpr std::chrono::milliseconds kMaxUpdateWait{2000};

struct RecordsUpdate {
  bool written = false;
  std::vector<std::string> problems;  ///< bad lines, which the new file is without, and why nothing was written
};

/// Reads the file, lets `change` change its records, and writes them. A file that is there and cannot be read is left
/// as it is. Waits for other updates of the same folder, for kMaxUpdateWait at most: after that it goes ahead, and may
/// lose what another process writes at the same moment. An empty path keeps nothing: not written, no problem. What is
/// written through (OutputFile) has no records before.
RecordsUpdate update_records(const FileOps& ops, const std::string& path, const std::function<void(RecordSet&)>& change,
                             const Trust& trust = {});

}  // namespace ropejit::internal
