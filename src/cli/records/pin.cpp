#include "cli/records/records.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "ropejit/error.hpp"
#include "ropejit/version.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kLeastClassDigits = 4;
constexpr std::size_t kMostClassDigits = 32;

// The one class of the file whose hash begins with `prefix`.
std::string find_class(const RecordSet& records, const std::string& prefix, const std::string& path) {
  if (prefix.size() < kLeastClassDigits || prefix.size() > kMostClassDigits ||
      prefix.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw bad_argument("--class: found {}, allowed: {} to {} hex digits, the first of a class's hash", quoted(prefix),
                       kLeastClassDigits, kMostClassDigits);
  }
  std::set<std::string> all;
  std::set<std::string> matching;
  for (const TuningRecord& record : records.all()) {
    all.insert(record.kernel_class);
    if (record.kernel_class.starts_with(prefix)) matching.insert(record.kernel_class);
  }
  if (matching.empty()) {
    throw bad_argument("--class: found {}, allowed: one of the {} {} in {} (ropejit records ls)", prefix, all.size(),
                       all.size() == 1 ? "class" : "classes", excerpt(path, 200));
  }
  if (matching.size() > 1) {
    throw bad_argument("--class: found {}, with which {} begin, allowed: digits enough to tell them apart", prefix,
                       fmt::join(matching, ", "));
  }
  return *matching.begin();
}

// What a pin starts from: the record of these launches, else the nearest in tokens.
TuningRecord nearest_in_tokens(const std::vector<TuningRecord>& of_class, std::int64_t tokens) {
  return *std::min_element(of_class.begin(), of_class.end(), [&](const TuningRecord& a, const TuningRecord& b) {
    const auto factor = [&](const TuningRecord& record) {
      const auto [less, more] = std::minmax(record.tokens, tokens);
      return static_cast<double>(more) / static_cast<double>(less);
    };
    return factor(a) < factor(b);
  });
}

std::string pin_one(RecordSet& records, TuningRecord record, const PinChoice& choice) {
  if (record.variant != choice.variant || record.tokens != choice.tokens) {
    // Nobody timed this one.
    record.us = record.copy_us = record.spread_us = 0;
    record.templates = record.compiler = record.driver = "";
    record.version = ROPEJIT_VERSION;
  }
  record.variant = choice.variant;
  record.tokens = choice.tokens;
  record.pinned = true;
  std::string line = fmt::format("{}: {}\n", place_of(record), choice_of(record));
  records.replace(std::move(record));
  return line;
}

std::string unpin_one(RecordSet& records, TuningRecord record) {
  records.remove(record.device, record.kernel_class, record.tokens);
  record.pinned = false;
  std::string line = place_of(record);
  // Without a time there was nothing but the choice.
  if (record.us == 0) return line + ": removed\n";
  line += fmt::format(": {}, no longer pinned\n", choice_of(record));
  records.add(std::move(record));
  return line;
}

}  // namespace

std::string apply_pin(RecordSet& records, const PinChoice& choice, const std::string& path) {
  const std::string kernel_class = find_class(records, choice.class_digits, path);
  std::set<DeviceKey> devices;
  for (const TuningRecord& record : records.all()) {
    if (record.kernel_class == kernel_class) devices.insert(record.device);
  }
  std::string text;
  for (const DeviceKey& device : devices) {
    if (!choice.unpin) {
      text += pin_one(records, nearest_in_tokens(records.of_class(device, kernel_class), choice.tokens), choice);
      continue;
    }
    const TuningRecord* found = records.find(device, kernel_class, choice.tokens);
    if (found != nullptr && found->pinned) text += unpin_one(records, *found);
  }
  if (text.empty()) {
    throw bad_argument("--tokens: found {}, at which nothing of class {} is pinned, allowed: the tokens of a pin",
                       choice.tokens, kernel_class);
  }
  return text;
}

}  // namespace ropejit::internal
