#include "service/record_shelf.hpp"

#include <string.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "tune/choice.hpp"
#include "tune/record_file.hpp"
#include "tune/tuner.hpp"

namespace ropejit::internal {
namespace {

/// memmem is several times as fast as std::string_view::find on words of hex digits.
std::size_t place_of(std::string_view text, std::string_view word, std::size_t from) {
  const void* const found = ::memmem(text.data() + from, text.size() - from, word.data(), word.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

/// Replaces what is in `records` by the lines of `text` that have `word` and are of the device. To read all of a long
/// file would take longer than a first launch may.
void take_lines(std::string_view text, std::string_view word, const std::string& device, RecordSet& records) {
  for (std::size_t at = place_of(text, word, 0); at != std::string_view::npos;) {
    const std::size_t before = text.rfind('\n', at);
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (place_of(line, device, 0) != std::string_view::npos) {
      if (const RecordLine read = parse_record(line); read.record) records.replace(*read.record);
    }
    at = place_of(text, word, end);
  }
}

/// A shipped file is of one device.
bool is_of(std::string_view file, const std::string& device) {
  return place_of(file.substr(0, file.find('\n')), device, 0) != std::string_view::npos;
}

}  // namespace

RecordShelf::RecordShelf(const BinaryStore& store, Events& events) : store_(store), events_(events) {}

RecordSet RecordShelf::about(const DeviceKey& device, const KernelClass& kernel_class) const {
  const std::vector<TierRecords> kept = store_.records();
  // First, as what is wrong with a whole directory is then not told of each file in it.
  for (const TierFault& fault : store_.faults()) events_.warn_of(fault.path, fault.text());
  for (const TierRecords& one : kept) {
    if (one.text || one.miss.kind == Miss::Kind::absent) continue;
    events_.warn_of(one.directory,
                    fmt::format("the tuning records in {} are not used: {}", one.directory, one.miss.reason));
  }
  const std::string hash = kernel_class.hash();
  const std::string key = to_string(device);
  RecordSet records;
  for (const std::string& word : {hash, kin_of(kernel_class)}) {
    for (const TextFile& file : shipped_records()) {
      if (is_of(file.text, key)) take_lines(file.text, word, key, records);
    }
    // From the last to the first, which is to win.
    for (auto one = kept.rbegin(); one != kept.rend(); ++one) {
      if (one->text) take_lines(*one->text, word, key, records);
    }
    own_.with([&](RecordSet& own) {
      for (const TuningRecord& record : own.all()) records.replace(record);
    });
    // With a record of its own for every usual size, kin have no say.
    if (sizes_without_record(kernel_class, device, records, usual_sizes()).empty()) break;
  }
  return records;
}

void RecordShelf::add(const std::vector<TuningRecord>& records) {
  const auto change = [&](RecordSet& set) {
    for (const TuningRecord& record : records) set.replace(record);
  };
  own_.with(change);
  const RecordsUpdate update =
      update_records(system_file_ops(), records_path(store_.directory()), change, store_.options().trust);
  for (const std::string& problem : update.problems) {
    events_.warn_of(store_.directory(),
                    fmt::format("tuning records{}: {}", update.written ? "" : " are not kept", problem));
  }
}

}  // namespace ropejit::internal
