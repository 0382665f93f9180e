#include <filesystem>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "store/bundle/bundle.hpp"
#include "store/sample_bundles.hpp"
#include "support/catch.hpp"
#include "tune/record_file.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

Entry entry_for(const std::string& preimage, const std::string& arch) {
  Entry entry = sample_entry(preimage);
  entry.metadata.arch = arch;
  return entry;
}

void keep_record(const std::string& directory, const TuningRecord& record) {
  const auto add = [&](RecordSet& set) { set.add(record); };
  REQUIRE(update_records(system_file_ops(), records_path(directory), add).written);
}

// A program whose cache has three entries for sm_90, one for sm_80 and one for the host, and two records.
struct Warmed {
  Warmed() {
    fill_directory(program.cache());
    const BinaryStore store(program.cache());
    REQUIRE(store.write(entry_for("older", "sm_80")) == "");
    REQUIRE(store.write(entry_for("host", "host-x86_64")) == "");
    keep_record(program.cache(), sample_record(4096));
    TuningRecord older = sample_record(64);
    older.device.arch = "sm_80";
    keep_record(program.cache(), older);
  }
  llvm::json::Object exported(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"cache", "export", "--out", bundle, "--json"});
    return object(program(more));
  }
  Program program;
  std::string bundle = program.folder / "all.rjb";
};

void must_fail(const Finished& finished, int status, std::string_view said) {
  INFO(finished.err);
  CHECK(finished.status == status);
  CHECK(finished.out.empty());
  CHECK(holds(finished.err, said));
  CHECK(finished.err.find('\n') == finished.err.size() - 1);
}

}  // namespace

TEST_CASE("cache export makes the same bytes again, also of what cache import unpacked elsewhere") {
  const Warmed warmed;
  const llvm::json::Object made = warmed.exported();
  CHECK(made.getInteger("entries") == 5);
  CHECK(made.getInteger("records") == 2);
  CHECK(made.getInteger("bytes") == static_cast<std::int64_t>(fs::file_size(warmed.bundle)));
  CHECK(made.getBoolean("signed") == false);
  const std::string bytes = read_text(warmed.bundle);
  CHECK(made.getString("digest")->str() == Bundle::open(system_file_ops(), {}, warmed.bundle).bundle->index().digest());

  const Program other;
  const llvm::json::Object unpacked = object(other({"cache", "import", warmed.bundle, "--json"}));
  CHECK(unpacked.getInteger("written") == 5);
  CHECK(unpacked.getInteger("kept") == 0);
  CHECK(unpacked.getInteger("records") == 2);
  CHECK(unpacked.getArray("failed")->empty());
  CHECK(other({"cache", "verify"}).status == 0);
  const std::string again = other.folder / "again.rjb";
  const Finished text = other({"cache", "export", "--out", again});
  CHECK(text.status == 0);
  CHECK(holds(text.out, "5 entries, 2 tuning records, "));
  CHECK(holds(text.out, "digest " + made.getString("digest")->str()));
  CHECK(read_text(again) == bytes);
  const llvm::json::Object twice = object(other({"cache", "import", warmed.bundle, "--json"}));
  CHECK(twice.getInteger("written") == 0);
  CHECK(twice.getInteger("kept") == 5);
}

TEST_CASE("cache import merges records with those that are there") {
  const Warmed warmed;
  static_cast<void>(warmed.exported());
  const Program other;
  keep_record(other.cache(), sample_record(1));
  keep_record(other.cache(), sample_record(4096, "flat_v4_h1_t128", 1.5));  // faster
  CHECK(other({"cache", "import", warmed.bundle}).status == 0);
  const RecordSet merged = read_records(system_file_ops(), records_path(other.cache())).records;
  CHECK(merged.all().size() == 3);
  CHECK(merged.find(sample_device(), sample_class().hash(), 4096)->variant == "flat_v4_h1_t128");
}

TEST_CASE("cache export takes the entries and records of some architectures alone") {
  const Warmed warmed;
  struct Row {
    const char* list;
    int entries;
    int records;
  };
  for (const Row& row : {Row{"sm_90", 3, 1}, Row{"9.0", 3, 1}, Row{"sm_80,sm_90", 4, 2}, Row{"8.0,host", 2, 1},
                         Row{"host-x86_64", 1, 0}, Row{"host", 1, 0}}) {
    INFO(row.list);
    const llvm::json::Object made = warmed.exported({"--arch", row.list});
    CHECK(made.getInteger("entries") == row.entries);
    CHECK(made.getInteger("records") == row.records);
  }
  const std::string before = read_text(warmed.bundle);
  for (const char* wrong : {"sm_91", "sm_90,10.0", "sm_9", "sm_90,", ""}) {
    INFO(wrong);
    must_fail(warmed.program({"cache", "export", "--out", warmed.bundle, std::string("--arch=") + wrong}), 2, "--arch");
  }
  CHECK(read_text(warmed.bundle) == before);
}

TEST_CASE("A bundle in place of a directory is shown as one is, and never changed") {
  Warmed warmed;
  static_cast<void>(warmed.exported());
  const std::string bytes = read_text(warmed.bundle);
  Program& program = warmed.program;
  CHECK(parsed(program({"cache", "ls", "--cache-dir", warmed.bundle, "--json"})).getAsArray()->size() == 5);
  CHECK(holds(program({"cache", "show", entry_key("host"), "--cache-dir", warmed.bundle}).out, "host-x86_64"));
  CHECK(holds(program({"cache", "verify", "--cache-dir", warmed.bundle}).out, "5 entries, 0 bad"));
  CHECK(holds(program({"records", "ls", "--cache-dir", warmed.bundle}).out, "2 "));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"cache", "clear"},
                                                {"cache", "prune"},
                                                {"cache", "manifest"},
                                                {"cache", "import", warmed.bundle}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--cache-dir", warmed.bundle});
    must_fail(program(all), 2, "found a bundle, allowed: a directory");
  }
  CHECK(read_text(warmed.bundle) == bytes);

  program.environment["ROPEJIT_CACHE_PATH"] = warmed.bundle;
  CHECK(parsed(program({"cache", "ls", "--json"})).getAsArray()->size() == 10);
  CHECK(holds(program({"doctor"}).out, "a bundle of 5 entries and tuning records, digest "));
  write_text(warmed.bundle, bytes.substr(0, bytes.size() - 1));
  CHECK(program({"cache", "verify"}).status == 1);
  const Finished doctor = program({"doctor"});
  CHECK(doctor.status == 1);
  CHECK(holds(doctor.out, "truncated"));
}

TEST_CASE("cache import refuses what is not whole or not trusted, with the reason, and writes nothing") {
  const Warmed warmed;
  static_cast<void>(warmed.exported({"--sign", warmed.program.file("secret", std::string(64, '7'))}));
  const std::string bytes = read_text(warmed.bundle);
  const std::string bad = warmed.program.folder / "bad.rjb";
  const auto changed = [&](std::size_t at, char to) {
    std::string text = bytes;
    text[at] = to;
    return text;
  };
  const std::size_t payload = kBundleHeaderBytes + 5 * kBundleRowBytes + kBundleChecksumBytes + 100;
  const struct {
    const char* what;
    std::string text;
    const char* said;
  } rows[] = {{"truncated", bytes.substr(0, bytes.size() / 2), "truncated"},
              {"empty", "", "a file that is no bundle"},
              {"another file", "{}", "a file that is no bundle"},
              {"of a later version", changed(8, 2), "format version 2, known: up to 1"},
              {"changed in its index", changed(100, static_cast<char>(bytes[100] ^ 1)), "checksum of its index"},
              {"changed in an entry", changed(payload, static_cast<char>(bytes[payload] ^ 1)), "entry "},
              {"changed in its records", changed(bytes.size() - 1, ' '), "tuning records"}};
  const Program other;
  for (const auto& row : rows) {
    INFO(row.what);
    write_text(bad, row.text);
    must_fail(other({"cache", "import", bad}), 2, row.said);
  }
  must_fail(other({"cache", "import", other.folder / "none.rjb"}), 2, "No such file");
  must_fail(other({"cache", "import", other.folder.path()}), 2, "not a regular file");
  must_fail(other({"cache", "import"}), 2, "the path of a bundle");
  must_fail(other({"cache", "import", bad, "--out=x"}), 2, "--out belongs to export");

  Program wary;
  wary.environment["ROPEJIT_TRUST"] = "digest:" + std::string(64, '0');
  must_fail(wary({"cache", "import", warmed.bundle}), 2, "found digest ");
  wary.environment["ROPEJIT_TRUST"] = "key:" + wary.file("public.pem", sample_public_pem());
  must_fail(wary({"cache", "import", warmed.bundle}), 2, "no signature by the key of");
  CHECK_FALSE(fs::exists(other.cache()));
  CHECK_FALSE(fs::exists(wary.cache()));

  const std::string digest = Bundle::open(system_file_ops(), {}, warmed.bundle).bundle->index().digest();
  wary.environment["ROPEJIT_TRUST"] = "digest:" + digest;
  CHECK(wary({"cache", "import", warmed.bundle}).status == 0);
  CHECK(BinaryStore(wary.cache()).list().size() == 5);
}

TEST_CASE("cache export says why it makes no bundle, and what it leaves out") {
  const Warmed warmed;
  const Program& program = warmed.program;
  const std::string text = program.file("notes", "mine");
  must_fail(program({"cache", "export"}), 2, "--out");
  must_fail(program({"cache", "export", "--out", text}), 2, "found a file that is no bundle");
  CHECK(read_text(text) == "mine");
  CHECK(program({"cache", "export", "--out", text, "--force"}).status == 0);
  CHECK(Bundle::open(system_file_ops(), {}, text).bundle);
  must_fail(program({"cache", "export", "--out", program.folder.path(), "--force"}), 2, "found a directory");
  must_fail(program({"cache", "export", "--out", program.folder / "no/where"}), 1, "No such file");
  must_fail(program({"cache", "export", "--out", warmed.bundle, "--cache-dir", program.folder / "empty"}), 2,
            "found nothing");
  must_fail(program({"cache", "export", "--out", warmed.bundle, "--sign", text}), 2, "found no key");
  CHECK_FALSE(fs::exists(warmed.bundle));

  write_text(entry_file(program.cache(), "two"), "damaged");
  const Finished partly = program({"cache", "export", "--out", warmed.bundle});
  CHECK(partly.status == 1);
  CHECK(holds(partly.out, "4 entries"));
  CHECK(holds(partly.err, "left out: " + entry_key("two")));
}
