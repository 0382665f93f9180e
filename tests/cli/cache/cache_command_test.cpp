#include <unistd.h>

#include <filesystem>

#include "cli/json_output.hpp"
#include "cli/program.hpp"
#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

// A program whose cache has three entries.
struct Cached {
  Cached() {
    for (const char* preimage : {"one", "two", "three"})
      REQUIRE(BinaryStore(program.cache()).write(sample_entry(preimage)) == "");
  }
  Program program;
};

}  // namespace

TEST_CASE("cache show takes the first digits of one key") {
  const Cached cached;
  const std::string key = entry_key("one");
  for (const std::size_t digits : {std::size_t{8}, key.size()}) {
    const llvm::json::Object shown = object(cached.program({"cache", "show", key.substr(0, digits), "--json"}));
    CHECK(shown.getString("key")->str() == key);
    CHECK(shown.getString("key_preimage")->str() == "one");
    CHECK(shown.getString("entry")->str() == "rope_sample");
    CHECK(shown.getInteger("registers") == 32);
  }
  const Finished text = cached.program({"cache", "show", key.substr(0, 8)});
  CHECK(text.status == 0);
  CHECK(holds(text.out, "flat_v16_h8_t128"));

  struct Row {
    std::vector<std::string> words;
    const char* said;
  };
  const Row rows[] = {{{"cache", "show"}, "first digits of a key"},
                      {{"cache", "show", "nothing"}, "no entry has a key that begins with \"nothing\""},
                      {{"cache", "show", ""}, "several keys"},
                      {{"cache", "show", key, "--max-age=1"}, "--max-age belongs to prune"},
                      {{"cache", "verify", "more"}, "found the word \"more\""}};
  for (const Row& row : rows) {
    const Finished finished = cached.program(row.words);
    INFO(finished.err);
    CHECK(finished.status == 2);
    CHECK(holds(finished.err, row.said));
  }
}

TEST_CASE("cache verify says which entries are bad, with status 1, and changes nothing") {
  const Cached cached;
  CHECK(cached.program({"cache", "verify"}).status == 0);
  const std::string file = entry_file(cached.program.cache(), "two");
  write_text(file, "damaged");
  const Finished finished = cached.program({"cache", "verify"});
  CHECK(finished.status == 1);
  CHECK(holds(finished.out, file));
  CHECK(holds(finished.out, "3 entries, 1 bad"));
  CHECK(fs::exists(file));
  const Finished json = cached.program({"cache", "verify", "--json"});
  CHECK(json.status == 1);
  const llvm::json::Object found = object(json);
  CHECK(found.getInteger("entries") == 3);
  REQUIRE(found.getArray("bad")->size() == 1);
  CHECK((*found.getArray("bad"))[0].getAsObject()->getString("state")->str() == "damaged");
}

TEST_CASE("cache prune and clear remove what they say") {
  const Cached cached;
  const std::string file = entry_file(cached.program.cache(), "one");
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(49));
  llvm::json::Object pruned = object(cached.program({"cache", "prune", "--max-age", "2", "--json"}));
  CHECK(pruned.getInteger("removed") == 1);
  CHECK(pruned.getInteger("kept") == 2);
  CHECK_FALSE(fs::exists(file));
  for (const char* wrong : {"--max-bytes=x", "--max-age=0"}) {
    CHECK(cached.program({"cache", "prune", wrong}).status == 2);
  }
  CHECK(cached.program({"cache", "clear"}).status == 0);
  CHECK(BinaryStore(cached.program.cache()).list().empty());
}

TEST_CASE("cache manifest prints the digest that ROPEJIT_TRUST takes, and signs") {
  Cached cached;
  Program& program = cached.program;
  const Finished printed = program({"cache", "manifest"});
  CHECK(printed.status == 0);
  REQUIRE(printed.out.size() == 65);
  program.environment["ROPEJIT_TRUST"] = "digest:" + printed.out.substr(0, 64);
  CHECK(program({"cache", "verify"}).status == 0);
  REQUIRE(::chmod(program.cache().c_str(), 0777) == 0);
  CHECK(program({"cache", "verify"}).status == 0);
  REQUIRE(::chmod(program.cache().c_str(), 0700) == 0);
  program.environment["ROPEJIT_TRUST"] = "digest:" + std::string(64, '0');
  CHECK(program({"cache", "verify"}).status == 1);
  program.environment.erase("ROPEJIT_TRUST");

  const std::string secret = program.file("secret", std::string(64, '7') + "\n");
  const llvm::json::Object written = object(program({"cache", "manifest", "--sign", secret, "--json"}));
  CHECK(written.getInteger("files") == 3);
  CHECK(written.getBoolean("signed") == true);
  CHECK(written.getString("digest")->str() == printed.out.substr(0, 64));
  CHECK(fs::file_size(program.cache() + "/v1/MANIFEST.sig") == 64);
  CHECK(program({"cache", "manifest", "--sign", program.file("none", "no key")}).status == 2);
}

TEST_CASE("cache ls and path know the read-only directories, and wrong variables are bad input") {
  Cached cached;
  Program& program = cached.program;
  const std::string image = program.folder / "image";
  REQUIRE(BinaryStore(image).write(sample_entry("four")) == "");
  program.environment["ROPEJIT_CACHE_PATH"] = image;
  CHECK(parsed(program({"cache", "ls", "--json"})).getAsArray()->size() == 4);
  CHECK(holds(program({"cache", "ls"}).out, "1 entry, "));
  const llvm::json::Object path = object(program({"cache", "path", "--json"}));
  CHECK(path.getString("path")->str() == program.cache());
  CHECK(path.getArray("read_only")->size() == 1);
  CHECK(path.getString("trust")->str() == "owner");
  CHECK(program({"cache", "path"}).out == program.cache() + "\n");
  for (const auto& [name, value] : {std::pair("ROPEJIT_TRUST", "me"), std::pair("ROPEJIT_CACHE_MAX_BYTES", "x")}) {
    Program other;
    other.environment[name] = value;
    const Finished finished = other({"cache", "ls"});
    CHECK(finished.status == 2);
    CHECK(holds(finished.err, name));
  }
}
