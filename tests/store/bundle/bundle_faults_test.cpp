#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "store/every_call.hpp"
#include "store/faulty_file_ops.hpp"
#include "store/sample_bundles.hpp"
#include "store/signature.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

// The same without syncing: hundreds of real ones take minutes.
const FileOps& plain() {
  static const FaultyFileOps ops(-1, 0);
  return ops;
}

std::string bundle_of(const std::string& directory) { return directory + ".rjb"; }

void fill(const std::string& directory, const std::vector<std::string>& preimages) {
  for (const std::string& preimage : preimages)
    REQUIRE(BinaryStore(directory, plain()).write(sample_entry(preimage)) == "");
}

BundleWritten made(const std::string& directory, const FileOps& ops, const std::string& secret = "") {
  BundleRequest request;
  request.path = bundle_of(directory);
  request.records = kSampleRecords;
  request.secret_key = secret;
  return write_bundle(ops, Tier(directory, {}, true, ops), request);
}

void must_have(const std::set<std::string>& failed, std::initializer_list<const char*> calls) {
  for (const char* call : calls) {
    INFO(call);
    CHECK(failed.count(call) == 1);
  }
}

}  // namespace

TEST_CASE("A read of a bundle that fails at any call is a miss with a reason or the entry, and the next one serves") {
  for (const bool sealed : {false, true}) {
    const Trust trust = sealed ? trust_in_sample_key() : Trust();
    const std::set<std::string> failed = at_every_call(
        [&](const std::string& directory) {
          fill(directory, {"one", "two"});
          REQUIRE(made(directory, plain(), sample_secret_key()).problem == "");
        },
        [&](const std::string& directory, FaultyFileOps& ops, int error) {
          const BinaryStore store = store_of(bundle_of(directory), trust, ops);
          const ReadResult first = store.read("one");
          INFO("errno " << error << " at " << ops.failed() << ": " << first.miss.reason);
          if (first.entry) {
            CHECK(same(*first.entry, bundled("one")));
          } else {
            CHECK_FALSE(first.miss.reason.empty());
            CHECK(first.miss.reason.find('\n') == std::string::npos);
          }
          const bool closing = ops.failed() == "close" && !ops.keeps_failing;
          if (ops.failed().empty() || closing || error == EINTR) CHECK(first.entry);
          const bool only_then = !ops.failed().empty() && !ops.keeps_failing;
          const ReadResult second = store.read("one");
          if (only_then) CHECK(second.entry);
          if (!second.entry) CHECK_FALSE(second.miss.reason.empty());
          const TierRecords records = store.records()[0];
          if (records.text) CHECK(records.text == kSampleRecords);
          if (only_then) CHECK(records.text);
          if (!records.text) CHECK_FALSE(records.miss.reason.empty());
        });
    must_have(failed, {"open", "fstat", "read_at"});
    CHECK(failed.count("read") == (sealed ? 1 : 0));
  }
}

TEST_CASE("An export that fails at any call leaves a whole bundle, the old or the new one, and says so") {
  for (const bool replaces : {false, true}) {
    const std::set<std::string> failed = at_every_call(
        [&](const std::string& directory) {
          fill(directory, {"one"});
          if (replaces) REQUIRE(made(directory, plain(), sample_secret_key()).problem == "");
          fill(directory, {"two"});
        },
        [&](const std::string& directory, FaultyFileOps& ops, int error) {
          const BundleWritten written = made(directory, ops, sample_secret_key());
          INFO("errno " << error << " at " << ops.failed() << ": " << written.problem);
          CHECK(written.problem.find('\n') == std::string::npos);
          const std::string path = bundle_of(directory);
          const BundleOpened opened = Bundle::open(plain(), {}, path);
          const bool there = fs::exists(path);
          if (there) {
            REQUIRE(opened.bundle);
            CHECK(verify_bundle(*opened.bundle) == "");
          }
          if (replaces) CHECK(there);
          if (written.problem.empty()) {
            REQUIRE(there);
            CHECK(opened.bundle->index().digest() == written.digest);
            if (error != ENOENT) CHECK(written.left_out.empty() == (written.entries == 2));
            CHECK(Bundle::open(plain(), trust_in_sample_key(), path).bundle);
          } else if (fs::exists(path + ".sig") && there) {
            CHECK(Bundle::open(plain(), trust_in_sample_key(), path).bundle);
          }
          if (ops.failed().empty() || error == EINTR) {
            CHECK(written.problem.empty());
            CHECK(written.entries == 2);
          }
          if (error == EINTR || error == ENOENT) return;
          for (const char* decisive : {"create", "write", "rename", "list_directory", "unlink", "stat"}) {
            if (ops.failed() == decisive) CHECK_FALSE(written.problem.empty());
          }
          if (written.problem.empty() && error != ESTALE) CHECK(written.entries == 2);
        });
    must_have(failed,
              {"open", "fstat", "stat", "read", "create", "write", "fsync", "close", "rename", "list_directory"});
    CHECK(failed.count("unlink") == (replaces ? 1 : 0));
    CHECK(failed.count("read_at") == (replaces ? 1 : 0));
  }
}

TEST_CASE("An import that fails at any call leaves whole entries, and names those that it could not write") {
  const std::set<std::string> failed = at_every_call(
      [&](const std::string& directory) {
        fill(directory + "/from", {"one", "two", "three"});
        REQUIRE(made(directory + "/from", plain()).problem == "");
        fill(directory + "/into", {"one"});
      },
      [&](const std::string& directory, FaultyFileOps& ops, int error) {
        const BundleOpened opened = Bundle::open(ops, {}, bundle_of(directory + "/from"));
        CHECK(opened.miss.reason.empty() == (opened.bundle != nullptr));
        if (!opened.bundle) return;
        const std::string into = directory + "/into";
        const std::string problem = verify_bundle(*opened.bundle);
        CHECK(problem.find('\n') == std::string::npos);
        const Imported imported = import_entries(*opened.bundle, Tier(into, {}, false, ops));
        INFO("errno " << error << " at " << ops.failed());
        CHECK(imported.written + imported.kept + imported.failed.size() == 3);
        for (const std::string& line : imported.failed) CHECK(line.find('\n') == std::string::npos);
        const std::vector<EntryListing> listed = BinaryStore(into, plain()).list();
        for (const EntryListing& listing : listed) CHECK(listing.metadata);
        CHECK(listed.size() >= imported.written + imported.kept);
        if (ops.failed().empty() || error == EINTR) {
          CHECK(problem.empty());
          CHECK(imported.written == 2);
          CHECK(imported.kept == 1);
        }
        for (const char* decisive : {"create", "write", "rename"}) {
          if (ops.failed() == decisive && error != EINTR) CHECK_FALSE(imported.failed.empty());
        }
      });
  must_have(failed, {"open", "fstat", "read_at", "read", "create", "write", "fsync", "close", "rename", "mkdir"});
}

TEST_CASE("Interrupted calls and short transfers of a bundle are carried on with") {
  const ScratchFolder scratch;
  FaultyFileOps ops(-1, 0);
  ops.interrupt_everything = true;
  ops.transfer_limit = 7;
  const std::string directory = scratch / "cache";
  fill(directory, {"one", "two"});
  REQUIRE(made(directory, ops).problem == "");
  {
    const BinaryStore store = store_of(bundle_of(directory), {}, ops);
    CHECK(same(*store.read("two").entry, bundled("two")));
    CHECK(store.records()[0].text == kSampleRecords);
  }
  CHECK(ops.open_files() == 0);
}
