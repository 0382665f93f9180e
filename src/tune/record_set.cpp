#include "tune/record_set.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <tuple>
#include <utility>

#include <llvm/ADT/STLExtras.h>

#include "codegen/legality.hpp"
#include "codegen/variant.hpp"

namespace ropejit::internal {
namespace {

using Key = std::tuple<const DeviceKey&, std::string_view, std::int64_t>;

Key key_of(const TuningRecord& record) { return {record.device, record.kernel_class, record.tokens}; }

bool key_less(const TuningRecord& record, const Key& key) { return key_of(record) < key; }

// "0.10.2" is 0, 10, 2. What follows the digits of a part does not count, and neither do zeros at the end.
std::vector<std::uint64_t> numbers_of(std::string_view version) {
  std::vector<std::uint64_t> numbers;
  while (!version.empty()) {
    const std::string_view part = version.substr(0, version.find('.'));
    version.remove_prefix(std::min(part.size() + 1, version.size()));
    std::uint64_t number = 0;
    if (std::from_chars(part.data(), part.data() + part.size(), number).ec == std::errc::result_out_of_range) {
      number = std::numeric_limits<std::uint64_t>::max();
    }
    numbers.push_back(number);
  }
  while (!numbers.empty() && numbers.back() == 0) numbers.pop_back();
  return numbers;
}

double time_of(const TuningRecord& record) {
  return std::isfinite(record.us) && record.us > 0 ? record.us : std::numeric_limits<double>::infinity();
}

bool is_legal(const KernelClass& kernel_class, const std::string& variant) {
  const std::optional<Variant> parsed = parse_variant(variant);
  return parsed && why_illegal(kernel_class, *parsed).empty();
}

double octaves_between(double a, double b) { return std::fabs(std::log2(a / b)); }

}  // namespace

bool goes_before(const TuningRecord& a, const TuningRecord& b) {
  if (a.pinned != b.pinned) return a.pinned;
  if (a.version != b.version) {
    const std::vector<std::uint64_t> version_a = numbers_of(a.version);
    const std::vector<std::uint64_t> version_b = numbers_of(b.version);
    if (version_a != version_b) return version_a > version_b;
  }
  if (time_of(a) != time_of(b)) return time_of(a) < time_of(b);
  if (a.variant != b.variant) return a.variant < b.variant;
  return to_json_line(a) < to_json_line(b);
}

RecordSet::RecordSet(std::vector<TuningRecord> records, std::vector<std::string> kept_lines)
    : records_(std::move(records)), kept_lines_(std::move(kept_lines)) {
  settle();
}

// Sorts, and of each key keeps the first.
void RecordSet::settle() {
  llvm::sort(records_, [](const TuningRecord& a, const TuningRecord& b) {
    const Key key_a = key_of(a);
    const Key key_b = key_of(b);
    return key_a != key_b ? key_a < key_b : goes_before(a, b);
  });
  records_.erase(std::unique(records_.begin(), records_.end(),
                             [](const TuningRecord& a, const TuningRecord& b) { return key_of(a) == key_of(b); }),
                 records_.end());
  llvm::sort(kept_lines_);
  kept_lines_.erase(std::unique(kept_lines_.begin(), kept_lines_.end()), kept_lines_.end());
}

void RecordSet::put(TuningRecord record, bool (*goes_instead)(const TuningRecord& record, const TuningRecord& old)) {
  const auto at = llvm::lower_bound(records_, key_of(record), key_less);
  if (at == records_.end() || key_of(*at) != key_of(record)) {
    records_.insert(at, std::move(record));
  } else if (goes_instead(record, *at)) {
    *at = std::move(record);
  }
}

void RecordSet::add(TuningRecord record) { put(std::move(record), goes_before); }

void RecordSet::replace(TuningRecord record) {
  put(std::move(record), [](const TuningRecord& next, const TuningRecord& old) { return next.pinned || !old.pinned; });
}

bool RecordSet::remove(const DeviceKey& device, std::string_view kernel_class, std::int64_t tokens) {
  const TuningRecord* found = find(device, kernel_class, tokens);
  if (found == nullptr) return false;
  records_.erase(records_.begin() + (found - records_.data()));
  return true;
}

void RecordSet::merge(const RecordSet& other) {
  if (&other == this) return;
  llvm::append_range(records_, other.records_);
  llvm::append_range(kept_lines_, other.kept_lines_);
  settle();
}

const TuningRecord* RecordSet::find(const DeviceKey& device, std::string_view kernel_class, std::int64_t tokens) const {
  const Key key(device, kernel_class, tokens);
  const auto at = llvm::lower_bound(records_, key, key_less);
  return at != records_.end() && key_of(*at) == key ? &*at : nullptr;
}

std::vector<TuningRecord> RecordSet::of_class(const DeviceKey& device, const std::string& kernel_class) const {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  const auto begin = llvm::lower_bound(records_, Key(device, kernel_class, least), key_less);
  const auto end = std::find_if_not(begin, records_.end(), [&](const TuningRecord& record) {
    return record.kernel_class == kernel_class && record.device == device;
  });
  return {begin, end};
}

std::vector<std::optional<Advice>> RecordSet::nearest(const DeviceKey& device, const KernelClass& kernel_class,
                                                      std::int64_t bytes_per_token,
                                                      const std::vector<std::int64_t>& tokens) const {
  const std::string own = kernel_class.hash();
  const std::string kin = kin_of(kernel_class);
  std::vector<std::optional<Advice>> advice;
  for (const std::int64_t one : tokens)
    advice.push_back(nearest_of(device, kernel_class, own, kin, bytes_per_token, one));
  return advice;
}

std::optional<Advice> RecordSet::nearest_of(const DeviceKey& device, const KernelClass& kernel_class,
                                            const std::string& own, const std::string& kin,
                                            std::int64_t bytes_per_token, std::int64_t tokens) const {
  if (tokens < 1) return std::nullopt;
  const TuningRecord* best = nullptr;
  // Own class before kin, then the two distances.
  std::tuple<bool, double, std::int64_t> best_distance;
  for (const TuningRecord& record : records_) {
    if (record.device != device || record.tokens < 1) continue;
    const bool other = record.kernel_class != own;
    if (other && (record.kin != kin || record.bytes_per_token < 1 || bytes_per_token < 1)) continue;
    // Products before the quotient: exact, so that the ends of what is trusted are too.
    const double asked = static_cast<double>(tokens) * (other ? static_cast<double>(bytes_per_token) : 1.0);
    const double timed =
        static_cast<double>(record.tokens) * (other ? static_cast<double>(record.bytes_per_token) : 1.0);
    const double octaves = octaves_between(asked, timed);
    if (octaves > (other ? kTrustKin : kTrustTokens)) continue;
    const std::tuple distance(other, octaves, std::abs(record.bytes_per_token - bytes_per_token));
    if (best != nullptr && distance >= best_distance) continue;
    if (!is_legal(kernel_class, record.variant)) continue;
    best = &record;
    best_distance = distance;
  }
  if (best == nullptr) return std::nullopt;
  return Advice{*best, std::get<1>(best_distance), !std::get<0>(best_distance)};
}

}  // namespace ropejit::internal
