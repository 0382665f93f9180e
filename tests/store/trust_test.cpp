#include "store/trust.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "ropejit/error.hpp"
#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/as_nobody.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

constexpr unsigned kStranger = 1234;
constexpr unsigned kTeam = 4321;

// A cache of nobody's with one entry, and the parts of the way to it.
struct Cache {
  Cache() {
    REQUIRE(::chown(scratch.path().c_str(), kNobody, kNobody) == 0);
    REQUIRE(as_nobody([&] { return BinaryStore(directory).write(sample_entry("key")); }) == "");
  }
  ScratchFolder scratch;
  std::string directory = scratch / "cache";
  std::string v1 = directory + "/v1";
  std::string entries = v1 + "/entries";
  std::string file = entry_file(directory, "key");
  std::string shard = fs::path(file).parent_path().string();
};

void mode(const std::string& path, mode_t bits) { REQUIRE(::chmod(path.c_str(), bits) == 0); }
void owner(const std::string& path, unsigned user, unsigned group) {
  REQUIRE(::lchown(path.c_str(), user, group) == 0);
}
// The attack: what stood here is elsewhere, where others may have put anything, and a link leads to it.
void replace_by_link(const Cache& cache, const std::string& path) {
  const std::string elsewhere = cache.scratch / "elsewhere";
  fs::rename(path, elsewhere);
  fs::create_symlink(elsewhere, path);
  owner(path, kStranger, kStranger);
}
// All that is below the directory, itself too.
void all_of(const Cache& cache, const std::function<void(const std::string&, bool is_folder)>& change) {
  change(cache.directory, true);
  for (const auto& item : fs::recursive_directory_iterator(cache.directory)) {
    change(item.path().string(), item.is_directory());
  }
}
void share_with_team(const Cache& cache) {
  all_of(cache, [](const std::string& path, bool is_folder) {
    owner(path, kStranger, kTeam);
    mode(path, is_folder ? 02770 : 0660);
  });
}

// "hit", or "KIND: reason" of the miss.
std::string outcome(const Cache& cache, const Trust& trust, unsigned group = kNobody) {
  return as_nobody(
      [&]() -> std::string {
        const BinaryStore store(StoreOptions{.directory = cache.directory, .trust = trust});
        const ReadResult read = store.read("key");
        if (read.entry) return "hit";
        return (read.miss.kind == Miss::Kind::refused ? "refused: " : "other: ") + read.miss.reason;
      },
      group);
}

}  // namespace

TEST_CASE("An entry is loaded only where its owner and the folders that lead to it are trusted") {
  if (!can_become_nobody()) {
    WARN("skipped: only root can make files of others");
    return;
  }
  struct Row {
    const char* what;
    std::function<void(const Cache&)> change;
    const char* expected;  ///< "hit", or what the refusal says
  };
  const Row rows[] = {
      {"as it was written", [](const Cache&) {}, "hit"},
      {"all of it root's",
       [](const Cache& c) {
         all_of(c, [](const std::string& path, bool is_folder) {
           owner(path, 0, 0);
           mode(path, is_folder ? 0755 : 0644);
         });
       },
       "hit"},
      {"readable by all", [](const Cache& c) { mode(c.file, 0644), mode(c.shard, 0755); }, "hit"},
      {"a link to the cache directory",
       [](const Cache& c) {
         fs::rename(c.directory, c.scratch / "elsewhere");
         fs::create_symlink(c.scratch / "elsewhere", c.directory);
       },
       "hit"},
      {"a file that the group may write", [](const Cache& c) { mode(c.file, 0660); }, "mode 660"},
      {"a file that all may write", [](const Cache& c) { mode(c.file, 0602); }, "mode 602"},
      {"someone else's file", [](const Cache& c) { owner(c.file, kStranger, kStranger), mode(c.file, 0644); },
       "user 1234"},
      {"a shard that the group may write", [](const Cache& c) { mode(c.shard, 0770); }, "mode 770"},
      {"a sticky shard that all may write", [](const Cache& c) { mode(c.shard, 01777); }, "mode 1777"},
      {"entries that all may write", [](const Cache& c) { mode(c.entries, 0703); }, "mode 703"},
      {"v1 that the group may write", [](const Cache& c) { mode(c.v1, 0720); }, "mode 720"},
      {"a directory that all may write", [](const Cache& c) { mode(c.directory, 0777); }, "mode 777"},
      {"someone else's directory",
       [](const Cache& c) { owner(c.directory, kStranger, kStranger), mode(c.directory, 0755); }, "user 1234"},
      {"someone else's shard", [](const Cache& c) { owner(c.shard, kStranger, kStranger), mode(c.shard, 0755); },
       "user 1234"},
      {"a link in place of the entry", [](const Cache& c) { replace_by_link(c, c.file); }, "symbolic link"},
      {"a link in place of the shard", [](const Cache& c) { replace_by_link(c, c.shard); }, "Not a directory"},
      {"a link in place of entries", [](const Cache& c) { replace_by_link(c, c.entries); }, "Not a directory"},
      {"a link in place of v1", [](const Cache& c) { replace_by_link(c, c.v1); }, "Not a directory"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const Cache cache;
    row.change(cache);
    const std::string found = outcome(cache, Trust());
    INFO(found);
    if (std::string(row.expected) == "hit") {
      CHECK(found == "hit");
    } else {
      CHECK(found.rfind("refused: ", 0) == 0);
      CHECK(found.find(row.expected) != std::string::npos);
      CHECK(found.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("A directory that is not trusted is not written to either") {
  if (!can_become_nobody()) {
    WARN("skipped: only root can make files of others");
    return;
  }
  const Cache cache;
  mode(cache.v1, 0777);
  const std::string problem = as_nobody([&] { return BinaryStore(cache.directory).write(sample_entry("another")); });
  CHECK(problem.find("mode 777") != std::string::npos);
  CHECK_FALSE(fs::exists(entry_file(cache.directory, "another")));
}

TEST_CASE("A trusted group may share a directory, and nobody else") {
  if (!can_become_nobody()) {
    WARN("skipped: only root can make files of others");
    return;
  }
  const Trust team = trust_named("trust", "gid:4321");
  const Trust others = trust_named("trust", "gid:4322");
  {
    const Cache cache;
    share_with_team(cache);
    CHECK(outcome(cache, team, kTeam) == "hit");
    CHECK(outcome(cache, others, kTeam).find("user 1234") != std::string::npos);
    CHECK(outcome(cache, Trust(), kTeam).find("user 1234") != std::string::npos);

    // What one member writes the others can read, replace and lock.
    const std::string written = as_nobody(
        [&]() -> std::string {
          const BinaryStore store(StoreOptions{.directory = cache.directory, .trust = team});
          if (std::string problem = store.write(sample_entry("mine")); !problem.empty()) return problem;
          return store.lock("mine", std::chrono::milliseconds(0)).reason;
        },
        kTeam);
    CHECK(written == "");
    struct stat status = {};
    for (const std::string& file : files_below(cache.directory)) {
      INFO(file);
      REQUIRE(::stat(file.c_str(), &status) == 0);
      CHECK(status.st_gid == kTeam);
      CHECK((status.st_mode & 07777u) == 0660u);
      REQUIRE(::stat(fs::path(file).parent_path().c_str(), &status) == 0);
      CHECK(status.st_gid == kTeam);
      CHECK((status.st_mode & 07777u) == 02770u);
    }
  }
  {
    const Cache cache;
    share_with_team(cache);
    mode(cache.shard, 02777);
    CHECK(outcome(cache, team, kTeam).find("mode 2777") != std::string::npos);
  }
  {
    const Cache cache;  // of nobody's, and nothing in it of the group
    CHECK(outcome(cache, team) == "hit");
    mode(cache.file, 0660);
    CHECK(outcome(cache, team).find("mode 660") != std::string::npos);
  }
}

TEST_CASE("Trust is read from one word, and what is wrong with it is one line") {
  const ScratchFolder scratch;
  const std::string hex(64, 'a');
  write_text(scratch / "key", hex + "\n");
  REQUIRE(::chmod((scratch / "key").c_str(), 0644) == 0);
  for (const std::string& text : {std::string("owner"), std::string("gid:0"), std::string("gid:4294967294"),
                                  "digest:" + hex, "key:" + scratch / "key"}) {
    CHECK(to_string(trust_named("T", text)) == text);
  }
  CHECK(trust_named("T", "digest:" + std::string(64, 'A')).digest == hex);
  CHECK(trust_named("T", "key:" + scratch / "key").public_key == std::string(32, '\xaa'));

  write_text(scratch / "no_key", "hello");
  write_text(scratch / "open_key", hex);
  REQUIRE(::chmod((scratch / "open_key").c_str(), 0666) == 0);
  for (const std::string& text :
       {std::string(""), std::string("all"), std::string("gid:"), std::string("gid:-1"), std::string("gid:4294967295"),
        std::string("gid:1x"), "digest:" + hex.substr(1), "digest:" + std::string(64, 'g'), std::string("key:"),
        "key:" + scratch / "none", "key:" + scratch / "no_key", "key:" + scratch / "open_key",
        std::string("owner\nowner")}) {
    INFO(text);
    try {
      static_cast<void>(trust_named("ROPEJIT_TRUST", text));
      FAIL("no error");
    } catch (const ropejit::Error& error) {
      CHECK(error.code() == ropejit::ErrorCode::invalid_argument);
      const std::string message = error.what();
      CHECK(message.find("ROPEJIT_TRUST: found ") != std::string::npos);
      CHECK(message.find('\n') == std::string::npos);
    }
  }
}
