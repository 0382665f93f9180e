#include "service/record_shelf.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "store/read_file.hpp"
#include "tune/record_file.hpp"
#include "tune/tuner.hpp"

namespace ropejit::internal {
namespace {

/// Replaces what is in `records` by the lines of `text` that have `word`: to read all of a long file would take longer
/// than a first launch may.
void take_lines(std::string_view text, std::string_view word, RecordSet& records) {
  for (std::size_t at = text.find(word); at != std::string_view::npos;) {
    const std::size_t before = text.rfind('\n', at);
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const RecordLine line = parse_record(text.substr(begin, end - begin));
    if (line.record) records.replace(*line.record);
    at = text.find(word, end);
  }
}

/// Whether every size that is usually tuned has a record of the class's own to follow: kin have no say then.
bool covers_all_sizes(const RecordSet& records, const DeviceKey& device, const std::string& kernel_class) {
  const std::vector<std::int64_t>& sizes = usual_sizes();
  return std::all_of(sizes.begin(), sizes.end(),
                     [&](std::int64_t tokens) { return records.find(device, kernel_class, tokens) != nullptr; });
}

}  // namespace

RecordShelf::RecordShelf(std::string path, const std::function<void(std::string_view)>& warn)
    : path_(std::move(path)), warn_(warn) {}

RecordSet RecordShelf::about(const DeviceKey& device, const KernelClass& kernel_class) const {
  std::string own_file;
  if (!path_.empty()) {
    FileContents file = read_file(system_file_ops(), path_, kMaxRecordsBytes);
    if (file.bytes) own_file = *std::move(file.bytes);
    if (!file.bytes && !file.absent && warn_) warn_(fmt::format("tuning records are not used: {}", file.problem));
  }
  const std::string hash = kernel_class.hash();
  RecordSet records;
  for (const std::string& word : {hash, kin_of(kernel_class)}) {
    for (const TextFile& file : shipped_records()) take_lines(file.text, word, records);
    take_lines(own_file, word, records);
    const std::lock_guard lock(mutex_);
    for (const TuningRecord& record : own_.all()) records.replace(record);
    if (covers_all_sizes(records, device, hash)) break;
  }
  return records;
}

void RecordShelf::add(const std::vector<TuningRecord>& records) {
  {
    const std::lock_guard lock(mutex_);
    for (const TuningRecord& record : records) own_.replace(record);
  }
  const RecordsUpdate update = update_records(system_file_ops(), path_, [&](RecordSet& set) {
    for (const TuningRecord& record : records) set.replace(record);
  });
  if (!warn_) return;
  for (const std::string& problem : update.problems) warn_(fmt::format("tuning records: {}", problem));
}

}  // namespace ropejit::internal
