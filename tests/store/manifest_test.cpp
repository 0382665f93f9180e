#include "store/manifest.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "store/every_call.hpp"
#include "store/sample_entries.hpp"
#include "store/signature.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/hash.hpp"
#include "support/scratch_folder.hpp"
#include "tune/record_file.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

// Made by OpenSSL: genpkey -algorithm ed25519, pkey -pubout, and pkeyutl -sign -rawin of the four bytes "text".
constexpr const char* kSecretPem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIOJbWgBMC+ew9X/ziLiACLEYsq/AhX/Kc4NjkjtecbMM\n"
    "-----END PRIVATE KEY-----\n";
constexpr const char* kPublicPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAPBE8ClLgV4fUnktsT9nu/HoMaRZMINOlEQ9i9081kRA=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kSignatureOfText =
    "da2e56ec7ee5df00dfc5652f31a03479f770f94e04594e8fe9d76cbe5a711578"
    "abf8b324fd36ec8b8fa14e182a0329b18fe59631397f942c8d8a2965bf70ac0c";

std::string hex_of(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) {
    constexpr const char* digits = "0123456789abcdef";
    hex += digits[static_cast<unsigned char>(byte) / 16];
    hex += digits[static_cast<unsigned char>(byte) % 16];
  }
  return hex;
}

Trust by_digest(const std::string& digest) { return trust_named("trust", "digest:" + digest); }

Trust by_key() {
  Trust trust;
  trust.kind = Trust::Kind::key;
  trust.public_key = read_public_key(kPublicPem);
  trust.key_file = "team.pem";
  return trust;
}

// A cache with two entries and its manifest, in an order that the shards' names do not give away.
struct Sealed {
  explicit Sealed(std::string path = {}) : directory(path.empty() ? scratch / "cache" : std::move(path)) {
    const BinaryStore store(directory);
    REQUIRE(store.write(sample_entry("one")) == "");
    REQUIRE(store.write(sample_entry("two")) == "");
    written = write_manifest(system_file_ops(), Trust(), directory, read_secret_key(kSecretPem));
    REQUIRE(written.problem == "");
  }
  BinaryStore store(const Trust& trust) const {
    return BinaryStore(StoreOptions{.directory = directory, .trust = trust});
  }
  std::string file(const char* name) const { return directory + "/v1/" + name; }

  ScratchFolder scratch;
  std::string directory;
  ManifestWritten written;
};

}  // namespace

TEST_CASE("Keys and signatures are those of OpenSSL") {
  const std::string secret = read_secret_key(kSecretPem);
  const std::string open = read_public_key(kPublicPem);
  REQUIRE(secret.size() == 32);
  REQUIRE(open.size() == 32);
  const std::string signature = sign("text", secret);
  CHECK(hex_of(signature) == kSignatureOfText);
  CHECK(is_signed("text", signature, open));
  CHECK_FALSE(is_signed("texts", signature, open));
  CHECK_FALSE(is_signed("text", signature.substr(1), open));
  CHECK_FALSE(is_signed("text", signature, secret));
  for (std::size_t at = 0; at < signature.size(); ++at) {
    std::string wrong = signature;
    wrong[at] = static_cast<char>(wrong[at] ^ 1);
    CHECK_FALSE(is_signed("text", wrong, open));
  }
  CHECK(read_public_key(" " + hex_of(open) + "\n") == open);
  CHECK(read_secret_key(hex_of(secret)) == secret);
  for (const std::string& text : {std::string(), hex_of(open).substr(1), std::string(64, 'x'), std::string(kSecretPem),
                                  std::string("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"),
                                  std::string(kPublicPem).substr(0, 60)}) {
    INFO(text);
    CHECK(read_public_key(text).empty());
  }
  CHECK(read_secret_key(kPublicPem).empty());
}

TEST_CASE("A manifest is read back as it was written, and anything else is none") {
  const std::string hash(64, 'a');
  const std::string text = hash + "  entries/00/x.rje\n" + std::string(64, 'b') + "  entries/01/y.rje\n";
  const std::optional<Manifest> manifest = Manifest::parse(text);
  REQUIRE(manifest);
  CHECK(manifest->size() == 2);
  CHECK(manifest->hash_of("entries/00/x.rje") == hash);
  CHECK(manifest->hash_of("entries/01/y.rje") == std::string(64, 'b'));
  for (const char* path : {"", "entries/00/x.rj", "entries/00/x.rje ", "entries/02/z.rje"}) {
    CHECK(manifest->hash_of(path).empty());
  }
  CHECK(Manifest::parse("")->size() == 0);
  for (const std::string& wrong :
       {text.substr(0, text.size() - 1), "\n" + text, text + "\n", text + text, hash + " one space\n", hash + "  \n",
        std::string(63, 'a') + "   x\n", std::string(64, 'A') + "  x\n", hash + "  b\n" + hash + "  a\n"}) {
    INFO(wrong);
    CHECK_FALSE(Manifest::parse(wrong));
  }
}

TEST_CASE("The manifest lists what is whole, sorted, under the digest that trust asks for") {
  Sealed sealed;
  write_text(entry_file(sealed.directory, "two"), "damaged");
  REQUIRE(write_records(system_file_ops(), records_path(sealed.directory), RecordSet()) == "");
  const ManifestWritten written = write_manifest(system_file_ops(), Trust(), sealed.directory, "");
  CHECK(written.problem == "");
  CHECK(written.files == 2);
  REQUIRE(written.left_out.size() == 1);
  CHECK(written.left_out[0].find(entry_key("two")) != std::string::npos);
  const std::string key = entry_key("one");
  const std::string entry = blake3_hex(read_text(entry_file(sealed.directory, "one")), 32);
  const std::string text = read_text(sealed.file("MANIFEST"));
  CHECK(text == entry + "  entries/" + key.substr(0, 2) + "/" + key + ".rje\n" + blake3_hex("", 32) +
                    "  records/records.jsonl\n");
  CHECK(written.digest == blake3_hex(text, 32));
  CHECK_FALSE(fs::exists(sealed.file("MANIFEST.sig")));  // of the manifest before
}

TEST_CASE("What a manifest has is trusted whoever owns it, and nothing else is") {
  for (const bool signed_one : {false, true}) {
    const Sealed sealed;
    const Trust trust = signed_one ? by_key() : by_digest(sealed.written.digest);
    INFO(to_string(trust));
    REQUIRE(sealed.store(trust).read("one").entry);
    CHECK(sealed.store(trust).read("three").miss.kind == Miss::Kind::absent);

    const std::string file = entry_file(sealed.directory, "one");
    REQUIRE(::chmod(file.c_str(), 0666) == 0);
    REQUIRE(::chmod(sealed.directory.c_str(), 0777) == 0);
    if (::geteuid() == 0) REQUIRE(::chown(file.c_str(), 1234, 1234) == 0);
    CHECK(sealed.store(trust).read("one").entry);
    CHECK(sealed.store(Trust()).read("one").miss.kind == Miss::Kind::refused);

    // Another entry of the same key, whole in itself.
    const ScratchFolder other;
    REQUIRE(BinaryStore(other.path()).write(sample_entry("one", 41)) == "");
    fs::copy_file(entry_file(other.path(), "one"), file, fs::copy_options::overwrite_existing);
    const ReadResult read = sealed.store(trust).read("one");
    CHECK(read.miss.kind == Miss::Kind::refused);
    CHECK(read.miss.reason.find("manifest") != std::string::npos);
    CHECK_FALSE(read.quarantined);
    CHECK(fs::exists(file));

    // One that came later.
    REQUIRE(::chmod(sealed.directory.c_str(), 0700) == 0);
    REQUIRE(BinaryStore(sealed.directory).write(sample_entry("three")) == "");
    CHECK(sealed.store(trust).read("three").miss.kind == Miss::Kind::absent);
    CHECK(sealed.store(trust).read("two").entry);
  }
}

TEST_CASE("A manifest that is not the one trusted serves nothing, and says why") {
  struct Row {
    const char* what;
    void (*change)(const Sealed&);
    const char* by_digest;  ///< what the reason has; "" where entries are served
    const char* by_key;
  };
  const Row rows[] = {
      {"another manifest", [](const Sealed& s) { write_text(s.file("MANIFEST"), read_text(s.file("MANIFEST")) + "x"); },
       "found digest", "no signature by the key of team.pem"},
      {"another signature", [](const Sealed& s) { write_text(s.file("MANIFEST.sig"), std::string(64, 'x')); }, "",
       "no signature"},
      {"a signature of other length", [](const Sealed& s) { write_text(s.file("MANIFEST.sig"), "x"); }, "",
       "no signature"},
      {"a long signature", [](const Sealed& s) { write_text(s.file("MANIFEST.sig"), std::string(65, 'x')); }, "",
       "at most 64"},
      {"no signature", [](const Sealed& s) { fs::remove(s.file("MANIFEST.sig")); }, "", "MANIFEST.sig"},
      {"no manifest", [](const Sealed& s) { fs::remove(s.file("MANIFEST")); }, "no manifest", "no manifest"},
      {"a link in place of the manifest",
       [](const Sealed& s) {
         fs::rename(s.file("MANIFEST"), s.scratch / "elsewhere");
         fs::create_symlink(s.scratch / "elsewhere", s.file("MANIFEST"));
       },
       "symbolic link", "symbolic link"},
      {"a manifest that is none, signed",
       [](const Sealed& s) {
         write_text(s.file("MANIFEST"), "none");
         write_text(s.file("MANIFEST.sig"), sign("none", read_secret_key(kSecretPem)));
       },
       "found digest", "not a manifest"},
  };
  for (const Row& row : rows) {
    const Sealed sealed;
    row.change(sealed);
    for (const bool signed_one : {false, true}) {
      const char* reason = signed_one ? row.by_key : row.by_digest;
      INFO(row.what << ", " << (signed_one ? "key" : "digest"));
      const ReadResult read = sealed.store(signed_one ? by_key() : by_digest(sealed.written.digest)).read("one");
      CHECK(read.entry.has_value() == std::string_view(reason).empty());
      if (!read.entry) CHECK(read.miss.reason.find(reason) != std::string::npos);
    }
  }
}

TEST_CASE("A sealed directory is not changed, and that is no failure") {
  const Sealed sealed;
  const BinaryStore store = sealed.store(by_digest(sealed.written.digest));
  const auto before = files_below(sealed.directory).size();
  CHECK(store.write(sample_entry("three")) == "");
  CHECK_FALSE(store.prune(Limits{.max_bytes = 0, .spared = std::chrono::seconds(0)}).done);
  CHECK_FALSE(store.clear().done);
  write_text(entry_file(sealed.directory, "one"), "damaged");
  CHECK_FALSE(store.read("one").quarantined);
  CHECK(files_below(sealed.directory).size() == before);
}

TEST_CASE("Tuning records are under the same trust as entries") {
  Sealed sealed;
  const std::string path = records_path(sealed.directory);
  REQUIRE(write_records(system_file_ops(), path, RecordSet()) == "");
  const Trust trust = by_digest(write_manifest(system_file_ops(), Trust(), sealed.directory, "").digest);
  CHECK(read_records(system_file_ops(), path, trust).problems.empty());
  CHECK_FALSE(update_records(
                  system_file_ops(), path, [](RecordSet&) {}, trust)
                  .written);
  write_text(path, "{}\n");
  CHECK(read_records(system_file_ops(), path, trust).unreadable);
  CHECK_FALSE(read_records(system_file_ops(), path).unreadable);
  REQUIRE(::chmod((sealed.directory + "/v1/records").c_str(), 0777) == 0);
  const RecordsRead read = read_records(system_file_ops(), path);
  CHECK(read.unreadable);
  REQUIRE(read.problems.size() == 1);
  CHECK(read.problems[0].find("mode 777") != std::string::npos);
}

TEST_CASE("Reading a sealed directory with a fault at any call gives the entry or a reason") {
  const std::set<std::string> failed =
      at_every_call([](const std::string& directory) { const Sealed sealed(directory); },
                    [](const std::string& directory, FaultyFileOps& ops, int error) {
                      const BinaryStore store(StoreOptions{.directory = directory, .trust = by_key()}, ops);
                      const ReadResult read = store.read("one");
                      INFO("errno " << error << " at " << ops.failed() << ": " << read.miss.reason);
                      CHECK(read.entry.has_value() == read.miss.reason.empty());
                      if (ops.failed().empty() || error == EINTR) CHECK(read.entry);
                      // What may pass is tried anew by the same store.
                      if (!ops.failed().empty() && !ops.keeps_failing && error != ENOENT)
                        CHECK(store.read("one").entry);
                    });
  CHECK(failed == std::set<std::string>{"open", "fstat", "read", "close"});
}

TEST_CASE("Writing a manifest with a fault at any call leaves none, or the one that is trusted") {
  at_every_call([](const std::string& directory) { const Sealed sealed(directory); },
                [](const std::string& directory, FaultyFileOps& ops, int error) {
                  const ManifestWritten written = write_manifest(ops, Trust(), directory, read_secret_key(kSecretPem));
                  INFO("errno " << error << " at " << ops.failed() << ": " << written.problem);
                  CHECK(written.problem.find('\n') == std::string::npos);
                  if (!written.problem.empty()) return;
                  const BinaryStore store(StoreOptions{.directory = directory, .trust = by_key()});
                  for (const EntryListing& listing : store.list()) {
                    CHECK((listing.metadata || listing.kind == Miss::Kind::absent));
                  }
                });
}
