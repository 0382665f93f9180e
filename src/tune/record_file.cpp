#include "tune/record_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <thread>
#include <utility>

#include "store/atomic_file.hpp"
#include "store/read_file.hpp"

namespace ropejit::internal {
namespace {

// Problems of one file, the first of them in full.
class Problems {
 public:
  void add(std::string problem) {
    if (told_.size() < kMaxProblemsTold) {
      told_.push_back(std::move(problem));
    } else {
      ++more_;
    }
  }
  std::vector<std::string> lines(std::string_view name) && {
    if (more_ != 0) told_.push_back(fmt::format("{}: and {} more", name, more_));
    return std::move(told_);
  }

 private:
  std::vector<std::string> told_;
  std::size_t more_ = 0;
};

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

// While it lives, other updates of files in the same folder wait. The folder itself is locked: the file is replaced by
// each update, and a file for the lock alone would stay behind.
class UpdateTurn {
 public:
  UpdateTurn(const FileOps& ops, const std::string& folder)
      : folder_(ops, retry_interrupted([&] { return ops.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); })) {
    if (!folder_) return;
    const auto deadline = std::chrono::steady_clock::now() + kMaxUpdateWait;
    // A file system without locks fails otherwise than by "somebody has it": the update goes on without.
    while (retry_interrupted([&] { return ops.lock(folder_.get()); }) != 0 && errno == EWOULDBLOCK &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

 private:
  OpenFile folder_;
};

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

std::string records_path(const std::string& cache_directory) {
  return cache_directory.empty() ? "" : cache_directory + "/v1/records/records.jsonl";
}

RecordsRead parse_records(std::string_view text, std::string_view name) {
  std::vector<TuningRecord> records;
  std::vector<std::string> kept_lines;
  Problems problems;
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
    problems.add(fmt::format("{}:{}: {}{}{}", name, number, parsed.problem, parsed.keep ? "; kept as it is" : "",
                             whole ? "" : " (the file ends in this line)"));
  }
  RecordsRead read;
  read.records = RecordSet(std::move(records), std::move(kept_lines));
  read.problems = std::move(problems).lines(name);
  return read;
}

RecordsRead read_records(const FileOps& ops, const std::string& path) {
  RecordsRead read;
  read.absent = path.empty();
  if (read.absent) return read;
  const FileContents file = read_file(ops, path, kMaxRecordsBytes);
  if (file.bytes) return parse_records(*file.bytes, path);
  read.absent = file.absent;
  read.unreadable = !file.absent;
  if (read.unreadable) read.problems.push_back(fmt::format("{}: {}", path, file.problem));
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

std::string write_records(const FileOps& ops, const std::string& path, const RecordSet& records) {
  if (path.empty()) return {};
  const RecordsText encoded = to_text(records);
  if (!encoded.problem.empty()) return fmt::format("{}: {}", path, encoded.problem);
  return AtomicFile(ops, path).commit(encoded.text);
}

RecordsUpdate update_records(const FileOps& ops, const std::string& path,
                             const std::function<void(RecordSet&)>& change) {
  RecordsUpdate update;
  if (path.empty()) return update;
  const std::string folder = folder_of(path);
  // A folder that cannot be made is told of when the file is written.
  static_cast<void>(make_directories(ops, folder));
  const UpdateTurn turn(ops, folder);
  RecordsRead read = read_records(ops, path);
  update.problems = std::move(read.problems);
  if (read.unreadable) return update;
  change(read.records);
  std::string problem = write_records(ops, path, read.records);
  update.written = problem.empty();
  if (!problem.empty()) update.problems.push_back(std::move(problem));
  return update;
}

}  // namespace ropejit::internal
