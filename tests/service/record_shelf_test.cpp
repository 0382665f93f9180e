#include "service/record_shelf.hpp"

#include <filesystem>

#include "store/sample_bundles.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"
#include "tune/record_file.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

// Of a device that nobody ships records of.
DeviceKey device() { return {"sm_90", 7, 1, 1, 1}; }

TuningRecord record_of(std::int64_t tokens, const std::string& variant, bool pinned = false) {
  TuningRecord record = sample_record(tokens, variant);
  record.device = device();
  record.pinned = pinned;
  return record;
}

void keep(const std::string& directory, const std::vector<TuningRecord>& records) {
  REQUIRE(write_records(system_file_ops(), records_path(directory), RecordSet(records)) == "");
}

}  // namespace

TEST_CASE(
    "Records of the user's, of read-only directories and of bundles are followed in this order, pinned ones first") {
  const ScratchFolder scratch;
  const std::string user = scratch / "user", shared = scratch / "shared", bundle = scratch / "all.rjb";
  keep(user, {record_of(1, "flat_v1_h1_t128")});
  keep(shared, {record_of(1, "flat_v2_h1_t128"), record_of(64, "flat_v2_h1_t128"), record_of(128, "flat_v2_h1_t128")});
  const RecordSet in_bundle({record_of(1, "flat_v4_h1_t128"), record_of(64, "flat_v4_h1_t128"),
                             record_of(128, "flat_v4_h1_t128", true), record_of(4096, "flat_v4_h1_t128")});
  fill_directory(scratch / "cache", {"one"});
  export_all(scratch / "cache", bundle, to_text(in_bundle).text);

  const BinaryStore store(StoreOptions{.directory = user, .read_only = {shared, bundle}});
  std::vector<std::string> warnings;
  Events events([&](std::string_view line) { warnings.emplace_back(line); }, {});
  RecordShelf shelf(store, events);
  const auto variant_at = [&](std::int64_t tokens) -> std::string {
    const RecordSet known = shelf.about(device(), sample_class());
    const TuningRecord* found = known.find(device(), sample_class().hash(), tokens);
    return found == nullptr ? "none" : found->variant;
  };
  CHECK(variant_at(1) == "flat_v1_h1_t128");
  CHECK(variant_at(64) == "flat_v2_h1_t128");
  CHECK(variant_at(128) == "flat_v4_h1_t128");
  CHECK(variant_at(4096) == "flat_v4_h1_t128");
  CHECK(variant_at(8192) == "none");
  CHECK(warnings.empty());

  shelf.add({record_of(64, "flat_v8_h1_t128")});
  CHECK(variant_at(64) == "flat_v8_h1_t128");
  CHECK(read_records(system_file_ops(), records_path(user)).records.all().size() == 2);
  CHECK(read_records(system_file_ops(), records_path(bundle)).records.all().size() == 4);
}

TEST_CASE("A bundle that cannot be used, or is not there, is a warning, and costs its records alone") {
  const ScratchFolder scratch;
  const std::string user = scratch / "user", bundle = scratch / "all.rjb";
  keep(user, {record_of(1, "flat_v1_h1_t128")});
  write_text(bundle, "no bundle");
  const BinaryStore store(StoreOptions{.directory = user, .read_only = {bundle, scratch / "absent"}});
  std::vector<std::string> warnings;
  Events events([&](std::string_view line) { warnings.emplace_back(line); }, {});
  const RecordShelf shelf(store, events);
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(shelf.about(device(), sample_class()).find(device(), sample_class().hash(), 1) != nullptr);
  }
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].find("nothing in " + bundle + " serves: ") == 0);
  CHECK(warnings[0].find("a file that is no bundle") != std::string::npos);
  CHECK(warnings[1] == "nothing in " + (scratch / "absent") + " serves: nothing is there");
}

TEST_CASE("Where the records alone cannot be used, it is the records that are told of") {
  const ScratchFolder scratch;
  const std::string user = scratch / "user";
  fill_directory(user);
  keep(user, {record_of(1, "flat_v1_h1_t128")});
  std::filesystem::permissions(records_path(user), std::filesystem::perms::all);
  const BinaryStore store(user);
  std::vector<std::string> warnings;
  Events events([&](std::string_view line) { warnings.emplace_back(line); }, {});
  static_cast<void>(RecordShelf(store, events).about(device(), sample_class()));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("the tuning records in " + user + " are not used: ") == 0);
}
