// Files of tuning records: parse_records and parse_record.
#include <algorithm>
#include <random>

#include "codegen/legality.hpp"
#include "codegen/variant.hpp"
#include "fuzz/fuzzer.hpp"
#include "tune/record_file.hpp"
#include "tune/sample_records.hpp"

namespace ropejit::test::fuzzed {
namespace {

using namespace ropejit::internal;

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string text_of(const RecordSet& records) {
  RecordsText text = to_text(records);
  require(text.problem.empty(), "what was read can be written");
  return std::move(text.text);
}

void check_line(std::string_view line) {
  const RecordLine read = parse_record(line);
  require(read.record.has_value() == read.problem.empty(), "a record, or why there is none");
  require(!(read.record && read.keep), "only lines that are no record are kept");
  require(read.problem.find('\n') == std::string::npos, "a problem is one line");
  if (!read.record) return;
  const std::string written = to_json_line(*read.record);
  const RecordLine again = parse_record(written);
  require(again.record && to_json_line(*again.record) == written, "a record's line reads back as the record");
  require(!goes_before(*read.record, *again.record) && !goes_before(*again.record, *read.record),
          "a record does not go before itself");
}

void check_advice(const RecordSet& records) {
  static const KernelClass sample = sample_class();
  for (const std::optional<Advice>& advice :
       records.nearest(sample_device(), sample, sample_bytes(sample), {1, 5000, std::int64_t{1} << 53})) {
    if (!advice) continue;
    const std::optional<Variant> variant = parse_variant(advice->record.variant);
    require(variant && why_illegal(sample, *variant).empty(), "variants that are advised are legal");
  }
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> texts;
  for (const char* variant : {"flat_v8_h4_t128", "lanes_v16_h8_t256", "shared_v16_h8_t128", "flat_v16_h8_t128_buffer",
                              "universal_v2_h1_t128", "later_v8"}) {
    texts.push_back(to_json_line(sample_record(4096, variant)));
  }
  TuningRecord pinned = sample_record(1, "flat_v4_h2_t128", 0);
  pinned.pinned = true;
  pinned.version = "0.10.2-rc1";
  TuningRecord kin = sample_record(64, "flat_v8_h4_t128", 3.5, sample_class(16, 4));
  kin.cold = false;
  texts.push_back(joined({to_json_line(pinned), to_json_line(kin), R"({"record": 2, "device": "later"})", "", "{}"}));
  texts.push_back(joined({to_json_line(sample_record(512)), to_json_line(sample_record(512, "flat_v8_h4_t128", 11)),
                          to_json_line(sample_record(4096, "flat_v4_h2_t128", 12.5))}));
  return texts;
}

void check(std::string_view input) {
  check_line(input);
  const RecordsRead read = parse_records(input, "records");
  for (const std::string& problem : read.problems) {
    require(!problem.empty() && problem.find('\n') == std::string::npos, "a problem is one line");
  }
  const std::string text = text_of(read.records);
  require(text_of(parse_records(text, "again").records) == text, "a file reads back as it was written");

  std::vector<std::string> lines = lines_of(input);
  std::reverse(lines.begin(), lines.end());
  const auto half = lines.begin() + static_cast<std::ptrdiff_t>(lines.size() / 2);
  RecordSet merged = parse_records(joined({lines.begin(), half}), "first").records;
  merged.merge(parse_records(joined({half, lines.end()}), "second").records);
  require(text_of(merged) == text, "records merge to the same in any order");
  check_advice(read.records);
}

const JsonMutator& json_mutator() {
  static const JsonMutator mutator([] {
    std::vector<std::string> lines;
    for (const std::string& text : seeds()) {
      for (std::string& line : lines_of(text)) lines.push_back(std::move(line));
    }
    return lines;
  }());
  return mutator;
}

// One line changed as JSON, or doubled, or removed; or bytes anywhere.
std::string mutate(const std::string& input, std::size_t limit, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::string> lines = lines_of(input);
  if (lines.empty() || random() % 8 == 0) return mutate_bytes(input, limit);
  const auto at = lines.begin() + static_cast<std::ptrdiff_t>(random() % lines.size());
  switch (random() % 8) {
    case 0: lines.erase(at); break;
    case 1: lines.insert(at, std::string(*at)); break;
    default: *at = json_mutator()(*at, limit, static_cast<std::uint32_t>(random())); break;
  }
  std::string changed = joined(lines);
  return changed.size() <= limit ? changed : mutate_bytes(input, limit);
}

}  // namespace ropejit::test::fuzzed
