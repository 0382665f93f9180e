#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "store/bundle/bundle.hpp"
#include "store/sample_bundles.hpp"
#include "support/as_nobody.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

constexpr unsigned kStranger = 1234;
constexpr unsigned kTeam = 4321;

// A signed bundle of nobody's.
struct Carried {
  Carried() {
    fill_directory(scratch / "cache");
    written = export_all(scratch / "cache", path, kSampleRecords, sample_secret_key());
    REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
    owner(kNobody, kNobody);
  }
  void owner(unsigned user, unsigned group) const { REQUIRE(::lchown(path.c_str(), user, group) == 0); }
  void mode(mode_t bits) const { REQUIRE(::chmod(path.c_str(), bits) == 0); }
  ScratchFolder scratch;
  std::string path = scratch / "all.rjb";
  std::string signature = path + ".sig";
  BundleWritten written;
};

// "hit", or the reason of the miss, by entry and by records alike.
std::string outcome(const Carried& carried, const Trust& trust, unsigned group = kNobody) {
  return as_nobody(
      [&]() -> std::string {
        const BinaryStore store = store_of(carried.path, trust);
        const ReadResult read = store.read("one");
        const TierRecords records = store_of(carried.path, trust).records()[0];
        if (read.entry.has_value() != records.text.has_value()) return "entries and records differ";
        if (read.entry) return "hit";
        if (read.miss.reason != records.miss.reason) return "reasons differ: " + records.miss.reason;
        return (read.miss.kind == Miss::Kind::refused ? "refused: " : "other: ") + read.miss.reason;
      },
      group);
}

Trust by_digest(const std::string& digest) {
  Trust trust;
  trust.kind = Trust::Kind::digest;
  trust.digest = digest;
  return trust;
}

}  // namespace

TEST_CASE("A bundle is served only where its owner is trusted, its digest is the one asked for, or its key is") {
  if (!can_become_nobody()) {
    WARN("skipped: only root can make files of others");
    return;
  }
  Trust team;
  team.kind = Trust::Kind::group;
  team.group = kTeam;
  const Trust key = trust_in_sample_key();
  Trust other_key = key;
  other_key.public_key[0] = static_cast<char>(other_key.public_key[0] ^ 1);
  struct Row {
    const char* what;
    Trust trust;
    std::function<void(const Carried&)> change;
    std::string expected;  ///< "hit", or what the refusal says
  };
  const std::string digest = Carried().written.digest;
  const auto stranger = [](const Carried& c) { c.owner(kStranger, kStranger); };
  const Row rows[] = {
      {"as it was carried", {}, [](const Carried&) {}, "hit"},
      {"root's", {}, [](const Carried& c) { c.owner(0, 0); }, "hit"},
      {"a stranger's", {}, stranger, "owned by user 1234"},
      {"one that its group may write", {}, [](const Carried& c) { c.mode(0664); }, "mode 664"},
      {"one that all may write", {}, [](const Carried& c) { c.mode(0646); }, "mode 646"},
      {"a link to it",
       {},
       [](const Carried& c) {
         fs::rename(c.path, c.scratch / "elsewhere");
         fs::create_symlink(c.scratch / "elsewhere", c.path);
       },
       "hit"},
      {"one that cannot be read", {}, [](const Carried& c) { c.owner(0, 0), c.mode(0600); }, "other: cannot open"},
      {"the team's", team, [](const Carried& c) { c.owner(kStranger, kTeam), c.mode(0664); }, "hit"},
      {"another team's", team, [](const Carried& c) { c.owner(kStranger, kStranger), c.mode(0664); },
       "owned by user 1234"},
      {"of the digest", by_digest(digest), stranger, "hit"},
      {"of the digest, written by all", by_digest(digest), [](const Carried& c) { c.mode(0666); }, "hit"},
      {"of another digest", by_digest(std::string(64, '0')), [](const Carried&) {}, "found digest " + digest},
      {"signed", key, stranger, "hit"},
      {"signed by another key", other_key, [](const Carried&) {}, "no signature by the key of public.pem"},
      {"not signed", key, [](const Carried& c) { fs::remove(c.signature); }, "signature: cannot open"},
      {"with a longer signature", key, [](const Carried& c) { write_text(c.signature, std::string(65, 'x')); },
       "65 bytes, allowed"},
      {"with no signature in it", key, [](const Carried& c) { write_text(c.signature, ""); }, "no signature by"},
      {"with the signature of other entries", key,
       [](const Carried& c) {
         fill_directory(c.scratch / "other", {"four"});
         export_all(c.scratch / "other", c.scratch / "other.rjb", "", sample_secret_key());
         fs::rename(c.scratch / "other.rjb.sig", c.signature);
       },
       "no signature by"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const Carried carried;
    row.change(carried);
    const std::string found = outcome(carried, row.trust, kTeam);
    INFO(found);
    if (row.expected == "hit") {
      CHECK(found == "hit");
    } else {
      CHECK(found.find(row.expected) != std::string::npos);
      if (row.expected.find("other: ") != 0) CHECK(found.rfind("refused: ", 0) == 0);
      CHECK(found.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("Under a digest, a payload that was changed behind the index is refused") {
  const Carried carried;
  std::string bytes = read_text(carried.path);
  bytes[bytes.size() - kSampleRecords.size() - 40] ^= 1;
  write_text(carried.path, bytes);
  int refused = 0;
  const BinaryStore store = store_of(carried.path, by_digest(carried.written.digest));
  for (const std::string& preimage : kBundled) {
    const ReadResult read = store.read(preimage);
    if (!read.entry && read.miss.kind != Miss::Kind::absent) ++refused;
  }
  CHECK(refused == 1);
  CHECK(store.records()[0].text == kSampleRecords);
}

TEST_CASE("A new bundle without a signature takes the old one's away, and no other file") {
  const Carried carried;
  REQUIRE(fs::file_size(carried.signature) == 64);
  export_all(carried.scratch / "cache", carried.path);
  CHECK_FALSE(fs::exists(carried.signature));
  write_text(carried.signature, "somebody's notes");
  export_all(carried.scratch / "cache", carried.path);
  CHECK(read_text(carried.signature) == "somebody's notes");
  export_all(carried.scratch / "cache", carried.path, "", sample_secret_key());
  CHECK(Bundle::open(system_file_ops(), trust_in_sample_key(), carried.path).bundle);
}
