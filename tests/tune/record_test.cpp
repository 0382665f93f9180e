#include "tune/record.hpp"

#include <clocale>
#include <cmath>
#include <limits>
#include <string>

#include "support/catch.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("A device key is one text and back, and nothing else is one") {
  const DeviceKey key{"sm_90", 132, 2619, 5120, 52428800};
  CHECK(to_string(key) == "sm_90/132/2619/5120/52428800");
  for (const DeviceKey& each :
       {key, DeviceKey{"host-x86_64", 0, 0, 0, 0}, DeviceKey{"sm_100a", 4294967295u, 1, 2, 18446744073709551615u}}) {
    CHECK(parse_device_key(to_string(each)) == each);
  }
  for (const char* text :
       {"", "sm_90", "sm_90/132/2619/5120", "sm_90/132/2619/5120/52428800/1", "sm_90/132/2619/5120/",
        "/132/2619/5120/1", "sm_90/0132/2619/5120/1", "sm_90/-1/2619/5120/1", "sm_90/4294967296/2619/5120/1",
        "sm_90/132 /2619/5120/1", "sm_90/132/2619/5120/18446744073709551616", "sm 90/132/2619/5120/1",
        "sm_90/132/2619/5120/1\n", "sm_\xff/1/1/1/1"}) {
    INFO(text);
    CHECK_FALSE(parse_device_key(text));
  }
}

TEST_CASE("Devices that differ in anything have keys of their own") {
  const DeviceKey key = sample_device();
  DeviceKey others[] = {key, key, key, key, key};
  others[0].arch = "sm_100";
  others[1].multiprocessors = 66;
  others[2].memory_mhz += 1;
  others[3].memory_bits /= 2;
  others[4].l2_bytes /= 2;
  for (const DeviceKey& other : others) {
    CHECK(other != key);
    CHECK(to_string(other) != to_string(key));
  }
}

TEST_CASE("Kin are the classes that differ in numbers of heads alone") {
  const std::string kin = kin_of(sample_class(32, 8));
  CHECK(kin.size() == 32);
  CHECK(kin_of(sample_class(16, 1)) == kin);
  CHECK(kin_of(sample_class(1, 1)) == kin);
  CHECK(kin_of(sample_class(1, 1)) == sample_class(1, 1).hash());
  CHECK(kin_of(sample_class(32, 0)) != kin);  // without k
  CHECK(kin_of(sample_class(32, 0)) == kin_of(sample_class(7, 0)));
  KernelClass other = sample_class(32, 8);
  other.negate_sin = true;
  CHECK(kin_of(other) != kin);
}

TEST_CASE("A record is one line and back, whatever its texts hold") {
  TuningRecord record = sample_record();
  record.us = 0.1;
  record.spread_us = 1e-300;
  record.pinned = true;
  record.gpu = "a \"GPU\"\n\tof \\ two lines";
  const std::string line = to_json_line(record);
  INFO(line);
  CHECK(line.rfind("{\"record\":1,\"device\":\"sm_90/132/2619/5120/52428800\",\"class\":\"", 0) == 0);
  CHECK(line.find('\n') == std::string::npos);
  const RecordLine back = parse_record(line);
  CHECK(back.problem == "");
  REQUIRE(back.record);
  CHECK(back.record->gpu == record.gpu);
  CHECK(back.record->us == 0.1);
  CHECK(back.record->pinned);
  CHECK(to_json_line(*back.record) == line);
}

TEST_CASE("Every field of a record is in its line") {
  using Change = void (*)(TuningRecord&);
  const Change changes[] = {
      [](TuningRecord& r) { r.device.l2_bytes += 1; },
      [](TuningRecord& r) { r.kernel_class[0] ^= 1; },
      [](TuningRecord& r) { r.kin[0] ^= 1; },
      [](TuningRecord& r) { r.what += "x"; },
      [](TuningRecord& r) { r.bytes_per_token += 1; },
      [](TuningRecord& r) { r.tokens += 1; },
      [](TuningRecord& r) { r.variant = "flat_v4_h1_t32"; },
      [](TuningRecord& r) { r.us += 1; },
      [](TuningRecord& r) { r.copy_us += 1; },
      [](TuningRecord& r) { r.spread_us += 1; },
      [](TuningRecord& r) { r.cold = !r.cold; },
      [](TuningRecord& r) { r.templates += "x"; },
      [](TuningRecord& r) { r.version += "x"; },
      [](TuningRecord& r) { r.compiler += "x"; },
      [](TuningRecord& r) { r.driver += "x"; },
      [](TuningRecord& r) { r.gpu += "x"; },
      [](TuningRecord& r) { r.pinned = !r.pinned; },
  };
  const std::string before = to_json_line(sample_record());
  for (const Change change : changes) {
    TuningRecord record = sample_record();
    change(record);
    const std::string line = to_json_line(record);
    INFO(line);
    CHECK(line != before);
    const RecordLine back = parse_record(line);
    REQUIRE(back.record);
    CHECK(to_json_line(*back.record) == line);
  }
}

TEST_CASE("Numbers keep their point in a locale with a decimal comma") {
  const std::string line = to_json_line(sample_record());
  const std::string before = std::setlocale(LC_ALL, nullptr);
  if (std::setlocale(LC_ALL, "de_DE.UTF-8") == nullptr) return;  // not on this machine
  const std::string there = to_json_line(sample_record());
  const RecordLine back = parse_record(line);
  std::setlocale(LC_ALL, before.c_str());
  CHECK(there == line);
  REQUIRE(back.record);
  CHECK(back.record->us == 12.5);
}

TEST_CASE("Keys that are not known and keys for people alone may come and go") {
  const std::string line = to_json_line(sample_record());
  CHECK(parse_record(replaced(line, "\"cold\":true", "\"colour\":[\"red\",{\"a\":null}]")).record->cold == false);
  CHECK(parse_record(replaced(line, "\"copy_us\":11.75,", "")).record->copy_us == 0);
  CHECK(parse_record(replaced(line, ",\"pinned\":false", "")).record);
  CHECK(parse_record(replaced(line, "\"gpu\":\"NVIDIA H100 80GB HBM3\",", "")).record);
  CHECK(parse_record(replaced(line, "\"us\":12.5", "\"us\":0")).record);  // a choice that was not timed
  CHECK(parse_record(line + "\r").record);
}

TEST_CASE("A line that is not a record says why, in one line") {
  struct Row {
    const char* from;
    const char* to;
    const char* named;
  };
  const Row rows[] = {
      {"\"record\":1,", "", "record: missing"},
      {"\"record\":1", "\"record\":0", "record: found 0"},
      {"\"record\":1", "\"record\":1.5", "record: found 1.5"},
      {"\"record\":1", "\"record\":\"1\"", "record: found \"1\""},
      {"sm_90/132", "sm_90/x", "device: found \"sm_90/x"},
      {"\"device\":\"", "\"devices\":\"", "device: missing"},
      {"\"class\":\"", "\"class\":\"X", "class: found"},
      {"\"class\":\"", "\"klass\":\"", "class: missing"},
      {"\"kin\":\"", "\"kin\":\"0", "kin: found"},
      {"\"tokens\":4096", "\"tokens\":0", "tokens: found 0"},
      {"\"tokens\":4096", "\"tokens\":-4096", "tokens: found -4096"},
      {"\"tokens\":4096", "\"tokens\":1e300", "tokens: found"},
      {"\"tokens\":4096", "\"tokens\":40.5", "tokens: found 40.5"},
      {"\"bytes_per_token\":20480", "\"bytes_per_token\":0", "bytes_per_token: found 0"},
      {"\"us\":12.5", "\"us\":-12.5", "us: found -12.5"},
      {"\"us\":12.5", "\"us\":NaN", "us: found"},
      {"\"us\":12.5", "\"us\":Infinity", "us: found"},
      {"\"us\":12.5", "\"us\":1e400", "us: found"},
      {"\"us\":12.5", "\"us\":null", "us: found null"},
      {"\"us\":12.5,", "", "us: missing"},
      {"\"copy_us\":11.75", "\"copy_us\":-1", "copy_us: found -1"},
      {"\"spread_us\":0.125", "\"spread_us\":-1", "spread_us: found -1"},
      {"\"cold\":true", "\"cold\":1", "cold: found 1"},
      {"\"pinned\":false", "\"pinned\":\"no\"", "pinned: found"},
      {"flat_v8_h4_t128", "Flat V8", "variant: found \"Flat V8\""},
      {"flat_v8_h4_t128", "", "variant: found \"\""},
      {"\"cold\":true", "\"us\":1", "us"},  // twice
      {"{", "[", ""},
      {"}", "", ""},
      {"{", "{\"gpu2\":\"\xff\",", ""},
  };
  const std::string line = to_json_line(sample_record());
  for (const Row& row : rows) {
    const std::string bad = replaced(line, row.from, row.to);
    INFO(bad);
    const RecordLine parsed = parse_record(bad);
    CHECK_FALSE(parsed.record);
    CHECK_FALSE(parsed.keep);
    CHECK_FALSE(parsed.problem.empty());
    INFO(parsed.problem);
    CHECK(parsed.problem.find(row.named) != std::string::npos);
    CHECK(parsed.problem.find('\n') == std::string::npos);
  }
  for (std::size_t bytes = 0; bytes < line.size(); ++bytes) {
    const RecordLine parsed = parse_record(line.substr(0, bytes));
    CHECK_FALSE(parsed.record);
    CHECK_FALSE(parsed.problem.empty());
  }
  CHECK(parse_record(std::string(kMaxRecordBytes + 1, ' ')).problem.find("65536") != std::string::npos);
  CHECK_FALSE(parse_record(std::string(50000, '[')).record);
}

TEST_CASE("What a later library may have written is told apart from what is wrong") {
  const std::string line = to_json_line(sample_record());
  const std::string later[] = {
      replaced(line, "\"record\":1", "\"record\":2"),
      "{\"record\":99,\"nothing\":\"like before\"}",
      replaced(line, "flat_v8_h4_t128", "tiled_x4_y2"),
  };
  for (const std::string& each : later) {
    INFO(each);
    const RecordLine parsed = parse_record(each);
    CHECK_FALSE(parsed.record);
    CHECK(parsed.keep);
    CHECK_FALSE(parsed.problem.empty());
  }
  CHECK_FALSE(parse_record("{\"record\":2").keep);
}

TEST_CASE("A record that breaks the grammar does not become a line that reads as another") {
  const auto refused = [](auto change) {
    TuningRecord record = sample_record();
    change(record);
    return !parse_record(to_json_line(record)).record;
  };
  CHECK(refused([](TuningRecord& r) { r.us = std::nan(""); }));
  CHECK(refused([](TuningRecord& r) { r.us = std::numeric_limits<double>::infinity(); }));
  CHECK(refused([](TuningRecord& r) { r.tokens = 0; }));
  CHECK(refused([](TuningRecord& r) { r.variant = "fastest"; }));
  CHECK(refused([](TuningRecord& r) { r.device.arch = "sm/90"; }));
  CHECK(refused([](TuningRecord& r) { r.kernel_class = ""; }));
}
