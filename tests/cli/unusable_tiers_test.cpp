// Directories and bundles of which nothing serves: what services say of them, and doctor.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "store/sample_bundles.hpp"
#include "support/as_nobody.hpp"
#include "support/catch.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

struct Fault {
  const char* name;
  std::function<void(const std::string& path)> make;
  const char* reason;
  bool root = false;       // to be made by root alone
  bool read_only = false;  // no fault of a user's directory
  std::string trust = "owner";
};

void change_mode(const std::string& path, mode_t mode) { REQUIRE(::chmod(path.c_str(), mode) == 0); }

std::vector<Fault> faults(const std::string& bundle) {
  const auto copy = [bundle](const std::string& path) { fs::copy_file(bundle, path); };
  const auto change = [bundle](const std::string& path, std::size_t at) {
    std::string bytes = read_text(bundle);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_text(path, bytes);
  };
  return {
      {"a bundle that is cut",
       [bundle](const std::string& path) {
         const std::string bytes = read_text(bundle);
         write_text(path, bytes.substr(0, bytes.size() / 2));
       },
       "truncated"},
      {"a bundle with another byte in its index", [change](const std::string& path) { change(path, 100); }, "checksum"},
      {"a file that is no bundle", [](const std::string& path) { write_text(path, "text"); }, "no bundle"},
      {"an empty file", [](const std::string& path) { write_text(path, ""); }, ""},
      {"a bundle that others may write", [copy](const std::string& path) { copy(path), change_mode(path, 0666); },
       "mode 666"},
      {"another's bundle",
       [copy](const std::string& path) {
         copy(path);
         REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
       },
       "owned by user 65534", true},
      {"a pipe", [](const std::string& path) { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }, ""},
      {"a directory that others may write",
       [](const std::string& path) {
         fill_directory(path);
         change_mode(path, 0777);
       },
       "mode 777"},
      {"a directory as an emptyDir is",
       [](const std::string& path) {
         fs::create_directory(path);
         change_mode(path, 01777);
       },
       "mode 1777"},
      {"a directory in which others may write",
       [](const std::string& path) {
         fill_directory(path);
         change_mode(path + "/v1", 0775);
       },
       "mode 775"},
      {"another's directory",
       [](const std::string& path) {
         fill_directory(path);
         REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
       },
       "owned by user 65534", true},
      {"a link to another's directory",
       [](const std::string& path) {
         fill_directory(path + ".d");
         REQUIRE(::chown((path + ".d").c_str(), kNobody, kNobody) == 0);
         fs::create_symlink(path + ".d", path);
       },
       "owned by user 65534", true},
      {"nothing", [](const std::string&) {}, "nothing is there", false, true},
      {"a link that leads nowhere", [](const std::string& path) { fs::create_symlink("nowhere", path); },
       "nothing is there", false, true},
      {"a directory without a manifest, where one is trusted", [](const std::string& path) { fill_directory(path); },
       "no manifest", false, true, "digest:" + std::string(64, '0')},
      {"a bundle of another digest", copy, "found digest", false, true, "digest:" + std::string(64, '0')},
  };
}

}  // namespace

TEST_CASE("Of a tier that cannot be used a service says once that nothing in it serves and why, and so does doctor",
          "[host]") {
  const Bundled good;
  for (const Fault& fault : faults(good.path)) {
    if (fault.root && !can_become_nobody()) continue;
    for (const bool is_users : {true, false}) {
      if (is_users && fault.read_only) continue;
      CAPTURE(fault.name, is_users);
      Program program;
      program.environment["ROPEJIT_ON_MISS"] = "generic";
      program.environment["ROPEJIT_TRUST"] = fault.trust;
      const std::string spec = program.file("spec.json", kTwoHeads);
      const std::vector<std::string> run = {"run", "--model", spec, "--device", "host", "--tokens", "1"};
      const std::string path = program.folder / "tier";
      const Finished well = program(run);
      CAPTURE(well.err);
      REQUIRE(well.status == 0);
      CHECK_FALSE(holds(well.err, "serves:"));
      REQUIRE(program({"doctor"}).status == 0);

      fault.make(path);
      program.environment[is_users ? "ROPEJIT_CACHE_DIR" : "ROPEJIT_CACHE_PATH"] = path;
      const std::string line = "nothing in " + path + " serves" + (is_users ? ", and binaries are not kept: " : ": ");
      const Finished ran = program(run);
      CAPTURE(ran.err);
      CHECK(ran.status == 0);
      const std::size_t at = ran.err.find(line);
      REQUIRE(at != std::string::npos);
      CHECK(holds(ran.err.substr(at, ran.err.find('\n', at) - at), fault.reason));
      CHECK(ran.err.find(line, at + 1) == std::string::npos);
      CHECK_FALSE(holds(ran.err, "tuning records"));

      const Finished doctor = program({"doctor"});
      CAPTURE(doctor.out);
      CHECK(doctor.status == 1);
      CHECK(holds(doctor.out, line));
      CHECK(holds(doctor.out, fault.reason));
    }
  }
}

TEST_CASE("A folder that is made in a directory of everybody's keeps binaries, as the documentation says") {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "volume");
  for (const mode_t mode : {01777u, 0777u, 02777u}) {
    CAPTURE(mode);
    change_mode(scratch / "volume", mode);
    const BinaryStore store(scratch / "volume/ropejit");
    CHECK(store.write(sample_entry("key")) == "");
    CHECK(store.read("key").entry);
    CHECK(store.faults().empty());
    struct stat status = {};
    REQUIRE(::stat((scratch / "volume/ropejit").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
    fs::remove_all(scratch / "volume/ropejit");
  }
}
