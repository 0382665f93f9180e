#include "tune/record_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "store/file/atomic.hpp"
#include "store/file/folder.hpp"
#include "store/file/output.hpp"
#include "store/tier.hpp"

namespace ropejit::internal {
namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

constexpr std::chrono::milliseconds kLongestPause{2};  // an update is short
constexpr std::string_view kPlaceInCache = "/v1/records/records.jsonl";

// Folder and name of a records file. What lies where records_path() puts it is of a cache directory, and the folders of
// that must be trusted too; any other file somebody named, who answers for the way to it.
struct Place {
  std::string directory;
  std::string name;
  bool in_cache = false;
};

Place place_of(const std::string& path) {
  if (path.ends_with(kPlaceInCache) && path.size() > kPlaceInCache.size()) {
    return {path.substr(0, path.size() - kPlaceInCache.size()), "records.jsonl", true};
  }
  const std::filesystem::path file(path);
  const std::string folder = file.parent_path().string();
  return {folder.empty() ? "." : folder, file.filename().string(), false};
}

// Other updates of files in the same folder wait while it is locked, until it is closed. The folder itself is locked:
// the file is replaced by each update, and a file for the lock alone would stay behind.
void take_turn(const FileOps& ops, Folder& folder) {
  // Where there are no locks, and where the wait was for nothing, the update goes on without.
  if (lock_until(ops, folder.get(), std::chrono::steady_clock::now() + kMaxUpdateWait, kLongestPause)) {
    folder.file.set_locked();
  }
}

RecordsRead read_contents(FileContents file, const std::string& path) {
  if (file.bytes) return parse_records(*file.bytes, path);
  RecordsRead read;
  read.absent = file.absent;
  read.unreadable = !file.absent;
  if (read.unreadable) read.problems.push_back(fmt::format("{}: {}", path, file.problem));
  return read;
}

// A records file that is about to be written.
class Destination {
 public:
  Destination(const FileOps& ops, const Trust& trust, const std::string& path)
      : ops_(ops), trust_(trust), path_(path), place_(place_of(path)) {
    if (place_.in_cache && trust.sealed()) {
      problem_ = path + ": sealed by the manifest, left as it is";
    } else if (place_.in_cache) {
      folder_ = make_folder(ops, trust, place_.directory, {"v1", "records"});
      problem_ = folder_ ? in_its_place(ops, folder_, place_.name) : folder_.problem;
    } else if (problem_ = make_directories(ops, place_.directory); problem_.empty()) {
      problem_ = named_.emplace(ops, path).problem();
    }
  }

  const std::string& problem() const { return problem_; }
  /// Whether it has records that stay: what is written through has none.
  bool is_file() const { return !named_ || named_->kind() == OutputFile::Kind::file; }
  const Folder& folder() const { return named_ ? named_->folder() : folder_; }
  Folder& folder() { return named_ ? named_->folder() : folder_; }

  FileContents read() const {
    return read_file(ops_, trust_, folder().get(), named_ ? named_->name() : place_.name, kMaxRecordsBytes);
  }
  std::string write(const RecordSet& records) const {
    if (!problem_.empty()) return problem_;
    const RecordsText encoded = to_text(records);
    if (!encoded.problem.empty()) return fmt::format("{}: {}", path_, encoded.problem);
    if (named_) return named_->write(encoded.text, 0600);
    return AtomicFile(ops_, trust_, folder_, place_.name).commit(encoded.text);
  }

 private:
  const FileOps& ops_;
  const Trust& trust_;
  const std::string& path_;
  const Place place_;
  Folder folder_;                    ///< where the file is in a cache directory
  std::optional<OutputFile> named_;  ///< elsewhere
  std::string problem_;
};

}  // namespace

std::string records_path(const std::string& cache_directory) {
  return cache_directory.empty() ? "" : cache_directory + std::string(kPlaceInCache);
}

RecordsRead parse_records(std::string_view text, std::string_view name) {
  std::vector<TuningRecord> records;
  std::vector<std::string> kept_lines;
  RecordsRead read;
  std::size_t untold = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const bool whole = end != std::string_view::npos;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(whole ? end + 1 : text.size());
    if (is_blank(line)) continue;

    RecordLine parsed = parse_record(line);
    if (parsed.record) {
      records.push_back(*std::move(parsed.record));
      continue;
    }
    if (parsed.keep) kept_lines.emplace_back(line);
    if (read.problems.size() == kMaxProblemsTold) {
      ++untold;
      continue;
    }
    read.problems.push_back(fmt::format("{}:{}: {}{}{}", name, number, parsed.problem,
                                        parsed.keep ? "; kept as it is" : "",
                                        whole ? "" : " (the file ends in this line)"));
  }
  if (untold != 0) read.problems.push_back(fmt::format("{}: and {} more", name, untold));
  read.records = RecordSet(std::move(records), std::move(kept_lines));
  return read;
}

FileContents read_records_file(const FileOps& ops, const std::string& path, const Trust& trust) {
  const Place place = place_of(path);
  if (!place.in_cache) return read_file(ops, Trust(), AT_FDCWD, path, kMaxRecordsBytes, Links::followed);
  TierRecords records = Tier(place.directory, trust, true, ops).records();
  FileContents file;
  file.bytes = std::move(records.text);
  file.absent = records.miss.kind == Miss::Kind::absent;
  file.refused = records.miss.kind == Miss::Kind::refused;
  file.problem = std::move(records.miss.reason);
  return file;
}

RecordsRead read_records(const FileOps& ops, const std::string& path, const Trust& trust) {
  if (!path.empty()) return read_contents(read_records_file(ops, path, trust), path);
  RecordsRead read;
  read.absent = true;
  return read;
}

RecordsText to_text(const RecordSet& records) {
  RecordsText result;
  for (const TuningRecord& record : records.all()) {
    const std::string line = to_json_line(record);
    if (const RecordLine back = parse_record(line); !back.record) {
      return {{}, fmt::format("a record is not one: {}", back.problem)};
    }
    result.text += line;
    result.text += '\n';
  }
  for (const std::string& line : records.kept_lines()) {
    result.text += line;
    result.text += '\n';
  }
  if (result.text.size() > kMaxRecordsBytes) {
    return {{}, fmt::format("{} bytes of records, allowed: at most {}", result.text.size(), kMaxRecordsBytes)};
  }
  return result;
}

std::string write_records(const FileOps& ops, const std::string& path, const RecordSet& records, const Trust& trust) {
  return path.empty() ? "" : Destination(ops, trust, path).write(records);
}

RecordsUpdate update_records(const FileOps& ops, const std::string& path, const std::function<void(RecordSet&)>& change,
                             const Trust& trust) {
  RecordsUpdate update;
  if (path.empty()) return update;
  Destination destination(ops, trust, path);
  if (!destination.problem().empty()) {
    update.problems.push_back(destination.problem());
    return update;
  }
  RecordsRead read;
  if (destination.is_file()) {
    take_turn(ops, destination.folder());
    read = read_contents(destination.read(), path);
  }
  update.problems = std::move(read.problems);
  if (read.unreadable) return update;
  change(read.records);
  std::string problem = destination.write(read.records);
  update.written = problem.empty();
  if (!problem.empty()) update.problems.push_back(std::move(problem));
  return update;
}

}  // namespace ropejit::internal
