#include "cli/records/records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cli/output.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kClassDigits = 12;

// The value of " key=value" in a class's text; empty where there is none.
std::string_view value_of(std::string_view text, std::string_view key) {
  const std::string start = fmt::format(" {}=", key);
  const std::size_t at = text.find(start);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + start.size());
  return text.substr(0, text.find(' '));
}

// A class in few words: "bf16 split_half r128 q32x128 k8x128". What is not a class's text comes as it is.
std::string short_class(const std::string& what) {
  const std::string_view dtype = value_of(what, "dtype");
  const std::string_view layout = value_of(what, "layout");
  const std::string_view rotary = value_of(what, "rotary");
  const std::string_view q = value_of(what, "q");
  if (dtype.empty() || layout.empty() || rotary.empty() || q.empty()) return excerpt(what, 40);
  std::string text = fmt::format("{} {} r{} q{}", dtype, layout, rotary, q.substr(0, q.find('+')));
  const std::string_view k = value_of(what, "k");
  if (k != "none") text += fmt::format(" k{}", k.substr(0, k.find('+')));
  return excerpt(text, 60);
}

std::string time_text(double us) { return us > 0 ? fmt::format("{:.4g}", us) : "-"; }

}  // namespace

std::string records_table(const std::vector<TuningRecord>& records) {
  std::vector<std::vector<std::string>> rows = {
      {"device", "class", "what", "tokens", "variant", "us", "us/copy", "pinned"}};
  for (const TuningRecord& record : records) {
    const bool ratio = record.us > 0 && record.copy_us > 0;
    rows.push_back({to_string(record.device), record.kernel_class.substr(0, kClassDigits), short_class(record.what),
                    grouped(record.tokens), record.variant, time_text(record.us),
                    ratio ? fmt::format("{:.3f}", record.us / record.copy_us) : "-", record.pinned ? "yes" : ""});
  }
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool number = i == 3 || i == 5 || i == 6;
      line += number ? fmt::format("{:>{}}  ", row[i], widths[i]) : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string place_of(const TuningRecord& record) {
  return fmt::format("{} {} {} {}", to_string(record.device), record.kernel_class.substr(0, kClassDigits),
                     grouped(record.tokens), record.tokens == 1 ? "token" : "tokens");
}

std::string choice_of(const TuningRecord& record) {
  return fmt::format("{}, {}{}", record.variant, record.us > 0 ? duration(record.us) : "not timed",
                     record.pinned ? ", pinned" : "");
}

RecordsComparison compare(const RecordSet& a, const RecordSet& b) {
  RecordsComparison found;
  for (const TuningRecord& of_a : a.all()) {
    const TuningRecord* of_b = b.find(of_a.device, of_a.kernel_class, of_a.tokens);
    if (of_b == nullptr) {
      found.only_a.push_back(of_a);
    } else if (of_b->variant != of_a.variant) {
      found.other_variants.emplace_back(of_a, *of_b);
    } else {
      ++found.same_variant;
    }
  }
  for (const TuningRecord& of_b : b.all()) {
    if (a.find(of_b.device, of_b.kernel_class, of_b.tokens) == nullptr) found.only_b.push_back(of_b);
  }
  return found;
}

}  // namespace ropejit::internal
