#include "tune/record_set.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <tuple>

#include "codegen/legality.hpp"
#include "support/catch.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

std::vector<std::string> lines_of(const RecordSet& set) {
  std::vector<std::string> lines;
  for (const TuningRecord& record : set.all()) lines.push_back(to_json_line(record));
  for (const std::string& line : set.kept_lines()) lines.push_back(line);
  return lines;
}

TuningRecord changed(TuningRecord record, void (*change)(TuningRecord&)) {
  change(record);
  return record;
}

// Many records of few keys, which disagree in every way there is.
std::vector<TuningRecord> disagreeing_records(std::mt19937& random) {
  const auto pick = [&](std::size_t count) { return random() % count; };
  const char* versions[] = {"0.1.0", "0.1", "0.2.0", "0.10.0", "", "0.2.0-dev"};
  const char* variants[] = {"flat_v8_h4_t128", "flat_v16_h4_t128", "lanes_v8_h4_t128"};
  const double times[] = {10, 11, 0};
  std::vector<TuningRecord> records;
  for (int i = 0; i < 120; ++i) {
    TuningRecord record = sample_record(std::int64_t{1} << (8 + pick(3)), variants[pick(3)], times[pick(3)],
                                        sample_class(16u << pick(2)));
    if (pick(2) == 0) record.device.multiprocessors = 66;
    record.version = versions[pick(6)];
    record.pinned = pick(6) == 0;
    record.driver = pick(2) == 0 ? "580" : "575";
    records.push_back(record);
  }
  return records;
}

std::optional<Advice> nearest(const RecordSet& set, const DeviceKey& device, const KernelClass& kernel_class,
                              std::int64_t bytes_per_token, std::int64_t tokens) {
  return set.nearest(device, kernel_class, bytes_per_token, {tokens}).front();
}

}  // namespace

TEST_CASE("Records that disagree are settled by pin, version, time, variant and line, in this order") {
  // Each goes before those below it.
  const TuningRecord base = sample_record(4096, "flat_v8_h4_t128", 12.0);
  const std::vector<TuningRecord> ranking = {
      changed(base, [](TuningRecord& r) { r.pinned = true, r.version = "0.2", r.us = 0; }),
      changed(base, [](TuningRecord& r) { r.pinned = true, r.us = 99; }),
      changed(base, [](TuningRecord& r) { r.version = "0.10.0", r.us = 99; }),
      changed(base, [](TuningRecord& r) { r.version = "0.9.9", r.us = 98; }),
      changed(base, [](TuningRecord& r) { r.us = 11; }),
      changed(base, [](TuningRecord& r) { r.variant = "flat_v16_h4_t128"; }),
      changed(base, [](TuningRecord& r) { r.driver = "575"; }),
      base,
      changed(base, [](TuningRecord& r) { r.us = 0; }),  // not timed
      changed(base, [](TuningRecord& r) { r.version = "", r.us = 1; }),
  };
  for (std::size_t i = 0; i < ranking.size(); ++i) {
    CHECK_FALSE(goes_before(ranking[i], ranking[i]));
    for (std::size_t j = i + 1; j < ranking.size(); ++j) {
      INFO(i << " " << j);
      CHECK(goes_before(ranking[i], ranking[j]));
      CHECK_FALSE(goes_before(ranking[j], ranking[i]));
      for (const bool forwards : {true, false}) {
        RecordSet set;
        set.add(forwards ? ranking[i] : ranking[j]);
        set.add(forwards ? ranking[j] : ranking[i]);
        CHECK(lines_of(set) == std::vector<std::string>{to_json_line(ranking[i])});
      }
    }
  }
}

TEST_CASE("Any order of adding, and any way of merging, gives the same set") {
  std::mt19937 random(20240607);
  for (int round = 0; round < 40; ++round) {
    std::vector<TuningRecord> records = disagreeing_records(random);
    RecordSet first;
    for (const TuningRecord& record : records) first.add(record);
    first.merge(RecordSet({}, {"{\"record\":2,\"a\":1}"}));
    first.merge(RecordSet({}, {"{\"record\":2,\"b\":1}"}));
    const std::vector<std::string> expected = lines_of(first);
    CHECK(expected.size() > 12);
    CHECK(expected.size() <= 14);

    std::shuffle(records.begin(), records.end(), random);
    RecordSet parts[3];
    for (const TuningRecord& record : records) parts[random() % 3].add(record);
    parts[0].merge(RecordSet({}, {"{\"record\":2,\"b\":1}"}));
    parts[1].merge(RecordSet({}, {"{\"record\":2,\"a\":1}"}));
    parts[2].merge(RecordSet({}, {"{\"record\":2,\"b\":1}"}));
    RecordSet left = parts[0];
    left.merge(parts[1]);
    left.merge(parts[2]);
    RecordSet right = parts[2];
    right.merge(parts[1]);
    right.merge(parts[0]);
    right.merge(right);
    CHECK(lines_of(left) == expected);
    CHECK(lines_of(right) == expected);
    CHECK(lines_of(RecordSet(records, {"{\"record\":2,\"b\":1}", "{\"record\":2,\"a\":1}"})) == expected);
  }
}

TEST_CASE("Records are in order of device, class and tokens, whatever order they came in") {
  std::mt19937 random(7);
  const RecordSet set(disagreeing_records(random));
  const auto key = [](const TuningRecord& r) { return std::tuple(r.device, r.kernel_class, r.tokens); };
  REQUIRE(set.all().size() == 12);
  for (std::size_t i = 1; i < set.all().size(); ++i) CHECK(key(set.all()[i - 1]) < key(set.all()[i]));
  for (const TuningRecord& record : set.all()) {
    CHECK(set.find(record.device, record.kernel_class, record.tokens) == &record);
    const std::vector<TuningRecord> own = set.of_class(record.device, record.kernel_class);
    REQUIRE(own.size() == 3);
    CHECK(own[0].tokens == 256);
    CHECK(own[1].tokens == 512);
    CHECK(own[2].tokens == 1024);
    CHECK(own[2].kernel_class == record.kernel_class);
    CHECK(own[2].device == record.device);
  }
  CHECK(set.find(sample_device(), sample_class(16).hash(), 257) == nullptr);
  CHECK(set.of_class(sample_device(), "").empty());
  CHECK(set.of_class({"sm_80", 108, 1, 1, 1}, sample_class(16).hash()).empty());
}

TEST_CASE("Tuning anew replaces a record whatever its time, but not what a person pinned") {
  RecordSet set;
  set.replace(sample_record(4096, "flat_v8_h4_t128", 10));
  set.replace(sample_record(4096, "flat_v16_h4_t128", 20));
  REQUIRE(set.all().size() == 1);
  CHECK(set.all()[0].us == 20);

  set.replace(changed(sample_record(4096, "lanes_v8_h4_t128", 0), [](TuningRecord& r) { r.pinned = true; }));
  CHECK(set.all()[0].variant == "lanes_v8_h4_t128");
  set.replace(sample_record(4096, "flat_v8_h4_t128", 1));
  CHECK(set.all()[0].variant == "lanes_v8_h4_t128");
  set.replace(changed(sample_record(4096, "flat_v4_h4_t128", 0), [](TuningRecord& r) { r.pinned = true; }));
  CHECK(set.all()[0].variant == "flat_v4_h4_t128");

  CHECK_FALSE(set.remove(sample_device(), sample_class().hash(), 1));
  CHECK(set.remove(sample_device(), sample_class().hash(), 4096));
  CHECK(set.empty());
}

TEST_CASE("A class's own records are trusted to a factor of four in tokens, ends included") {
  const KernelClass own = sample_class();
  RecordSet set;
  set.add(sample_record(100, "flat_v8_h4_t128"));
  struct Row {
    std::int64_t tokens;
    bool trusted;
    double octaves;
  };
  const Row rows[] = {{100, true, 0}, {200, true, 1}, {400, true, 2}, {401, false, 0}, {50, true, 1},
                      {25, true, 2},  {24, false, 0}, {0, false, 0},  {-1, false, 0}};
  for (const Row& row : rows) {
    INFO(row.tokens);
    const std::optional<Advice> advice = nearest(set, sample_device(), own, sample_bytes(own), row.tokens);
    REQUIRE(advice.has_value() == row.trusted);
    if (!advice) continue;
    CHECK(advice->own_class);
    CHECK(advice->octaves == row.octaves);
    CHECK(advice->record.tokens == 100);
  }
}

TEST_CASE("Kin are trusted to a factor of two in bytes, ends included, and after the class's own") {
  const KernelClass asked = sample_class(16, 4);  // half the bytes of the kin's
  const KernelClass kin = sample_class(32, 8);
  RecordSet set;
  set.add(sample_record(100, "flat_v8_h4_t128", 10, kin));
  struct Row {
    std::int64_t tokens;
    bool trusted;
    double octaves;
  };
  const Row rows[] = {{200, true, 0}, {100, true, 1}, {400, true, 1}, {401, false, 0}, {99, false, 0}};
  for (const Row& row : rows) {
    INFO(row.tokens);
    const std::optional<Advice> advice = nearest(set, sample_device(), asked, sample_bytes(asked), row.tokens);
    REQUIRE(advice.has_value() == row.trusted);
    if (!advice) continue;
    CHECK_FALSE(advice->own_class);
    CHECK(advice->octaves == row.octaves);
  }
  // One of its own, however much farther, as long as it is trusted.
  set.add(sample_record(50, "flat_v8_h2_t128", 10, asked));
  CHECK(nearest(set, sample_device(), asked, sample_bytes(asked), 200)->own_class);
  CHECK_FALSE(nearest(set, sample_device(), asked, sample_bytes(asked), 201)->own_class);
  // Of other classes that are not kin, and of other devices, nothing is used.
  CHECK_FALSE(nearest(set, sample_device(), sample_class(16, 0), sample_bytes(asked), 200));
  DeviceKey slice = sample_device();
  slice.multiprocessors = 66;
  CHECK_FALSE(nearest(set, slice, asked, sample_bytes(asked), 200));
}

TEST_CASE("Of equally near kin, the nearer bytes of a token come first, then the order of the set") {
  const KernelClass asked = sample_class(16, 16);
  const std::int64_t bytes = sample_bytes(asked);
  RecordSet set;
  set.add(sample_record(50, "flat_v8_h4_t128", 10, sample_class(64, 64)));  // 4 times the bytes: 200 of asked
  set.add(sample_record(200, "flat_v8_h2_t128", 10, sample_class(8, 24)));  // as many bytes: 200
  CHECK(nearest(set, sample_device(), asked, bytes, 200)->record.variant == "flat_v8_h2_t128");
  set.add(sample_record(200, "flat_v8_h1_t128", 10, sample_class(24, 8)));  // the same again
  const bool first = sample_class(24, 8).hash() < sample_class(8, 24).hash();
  CHECK(nearest(set, sample_device(), asked, bytes, 200)->record.variant ==
        (first ? "flat_v8_h1_t128" : "flat_v8_h2_t128"));
  // Tokens of the class's own, at equal distance: the fewer come first.
  set.add(sample_record(100, "flat_v4_h1_t128", 10, asked));
  set.add(sample_record(400, "flat_v4_h2_t128", 10, asked));
  CHECK(nearest(set, sample_device(), asked, bytes, 200)->record.variant == "flat_v4_h1_t128");
  CHECK(nearest(set, sample_device(), asked, bytes, 201)->record.variant == "flat_v4_h2_t128");
}

TEST_CASE("A variant that is illegal for the class is no advice: the next nearest is") {
  const KernelClass asked = sample_class(4, 4);
  const KernelClass kin = sample_class(8, 8);
  REQUIRE_FALSE(why_illegal(asked, {Family::flat, 8, 8, 128}).empty());
  REQUIRE(why_illegal(kin, {Family::flat, 8, 8, 128}).empty());
  RecordSet set;
  set.add(sample_record(100, "flat_v8_h8_t128", 10, kin));
  CHECK_FALSE(nearest(set, sample_device(), asked, sample_bytes(asked), 200));
  CHECK(nearest(set, sample_device(), kin, sample_bytes(kin), 100));
  set.add(sample_record(120, "flat_v8_h4_t128", 10, kin));
  CHECK(nearest(set, sample_device(), asked, sample_bytes(asked), 200)->record.tokens == 120);
  // Its own too: legality may have changed since, or a person may have pinned it.
  set.add(sample_record(200, "flat_v8_h8_t128", 10, asked));
  CHECK(nearest(set, sample_device(), asked, sample_bytes(asked), 200)->record.tokens == 120);
}
