#include "store/format/entry.hpp"

#include <llvm/Support/BLAKE3.h>

#include <limits>

#include "store/sample_entries.hpp"
#include "support/catch.hpp"

using namespace ropejit::internal;
using ropejit::test::same;
using ropejit::test::sample_entry;

namespace {

std::string encoded(const Entry& entry) {
  EncodedEntry result = encode_entry(entry);
  REQUIRE(result.problem.empty());
  return result.bytes;
}

// The trailer computed afresh, so that what is wrong is not the checksum.
std::string resealed(std::string bytes) {
  bytes.resize(bytes.size() - 32);
  const auto hash = llvm::BLAKE3::hash<32>(
      llvm::ArrayRef<std::uint8_t>(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  return bytes.append(reinterpret_cast<const char*>(hash.data()), hash.size());
}

std::string with_metadata(const std::string& metadata) {
  std::string bytes = encoded(sample_entry()).substr(0, 12);
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(metadata.size() >> (8 * i) & 0xff);
  bytes += std::string(8, '\0') + metadata + std::string(32, 'x');
  return resealed(bytes);
}

}  // namespace

TEST_CASE("An entry reads back as it was written") {
  for (const std::size_t payload_bytes : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{100000}}) {
    const Entry entry = sample_entry("a preimage\nof two lines \xe2\x82\xac", payload_bytes);
    const ReadResult result = decode_entry(encoded(entry));
    REQUIRE(result.entry);
    CHECK(same(*result.entry, entry));
  }
}

TEST_CASE("The bytes of an entry are those of cache/FORMAT.md") {
  const std::string bytes = encoded(sample_entry("p", 3));
  CHECK(bytes.substr(0, 8) == "\x89RJE\r\n\x1a\n");
  CHECK(bytes.substr(8, 4) == std::string("\1\0\0\0", 4));
  const auto metadata_bytes = static_cast<unsigned char>(bytes[12]) + 256u * static_cast<unsigned char>(bytes[13]);
  CHECK(bytes.substr(16, 8) == std::string("\3\0\0\0\0\0\0\0", 8));
  CHECK(bytes.substr(24, 20) == R"({"key_preimage":"p",)");
  CHECK(bytes[24 + metadata_bytes - 1] == '}');
  CHECK(bytes.substr(24 + metadata_bytes, 3) == sample_entry("p", 3).payload);
  CHECK(bytes.size() == 24 + metadata_bytes + 3 + 32);
  CHECK(resealed(bytes) == bytes);
}

TEST_CASE("Every truncation of an entry is damaged") {
  const std::string bytes = encoded(sample_entry());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    INFO("length " << length);
    const ReadResult result = decode_entry(std::string_view(bytes).substr(0, length));
    CHECK_FALSE(result.entry);
    CHECK(result.miss.kind == Miss::Kind::damaged);
    CHECK_FALSE(result.miss.reason.empty());
  }
}

TEST_CASE("Every flipped bit of an entry, and every byte too many, is damaged") {
  const std::string bytes = encoded(sample_entry());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = bytes;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      const ReadResult result = decode_entry(bad);
      INFO("byte " << at << " bit " << bit);
      REQUIRE_FALSE(result.entry);
      REQUIRE(result.miss.kind == Miss::Kind::damaged);
    }
  }
  CHECK_FALSE(decode_entry(bytes + '\0').entry);
}

TEST_CASE("An entry with a valid checksum is still checked field by field") {
  const std::string good = encoded(sample_entry());
  const auto with_byte = [&](std::size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    return resealed(bytes);
  };
  struct Case {
    const char* what;
    std::string bytes;
    Miss::Kind kind;
  };
  const std::string optional_absent = R"({"key_preimage":"p","entry":"e"})";
  const Case cases[] = {
      {"version 0", with_byte(8, 0), Miss::Kind::damaged},
      {"version 2", with_byte(8, 2), Miss::Kind::newer},
      {"version 2^31", with_byte(11, '\x80'), Miss::Kind::newer},
      {"metadata one longer", with_byte(12, static_cast<char>(good[12] + 1)), Miss::Kind::damaged},
      {"metadata beyond the limit", with_byte(15, '\x7f'), Miss::Kind::damaged},
      {"payload one shorter", with_byte(16, static_cast<char>(good[16] - 1)), Miss::Kind::damaged},
      {"payload of nearly 2^64, so that the sum would wrap", with_byte(23, '\xff'), Miss::Kind::damaged},
      {"metadata that is no JSON", with_metadata("{"), Miss::Kind::damaged},
      {"metadata that is no object", with_metadata("[]"), Miss::Kind::damaged},
      {"metadata without a preimage", with_metadata(R"({"entry":"e"})"), Miss::Kind::damaged},
      {"metadata without an entry", with_metadata(R"({"key_preimage":"p"})"), Miss::Kind::damaged},
      {"a preimage that is a number", with_metadata(R"({"key_preimage":1,"entry":"e"})"), Miss::Kind::damaged},
      {"registers beyond an int", with_metadata(R"({"key_preimage":"p","entry":"e","registers":4294967296})"),
       Miss::Kind::damaged},
      {"nesting that would overflow the stack", with_metadata(std::string(1000000, '[')), Miss::Kind::damaged},
      {"empty metadata", with_metadata(""), Miss::Kind::damaged},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const ReadResult result = decode_entry(c.bytes);
    CHECK_FALSE(result.entry);
    CHECK(result.miss.kind == c.kind);
    CHECK(result.miss.reason.find('\n') == std::string::npos);
  }
  // That the helpers above make good entries where nothing is wrong.
  const ReadResult result = decode_entry(with_metadata(optional_absent));
  REQUIRE(result.entry);
  CHECK(result.entry->metadata.registers == -1);
  CHECK(decode_entry(resealed(good)).entry);
}

TEST_CASE("An entry that breaks a limit is not encoded") {
  Entry entry = sample_entry();
  SECTION("a preimage beyond a mebibyte") { entry.metadata.key_preimage.assign(1 << 20, 'a'); }
  SECTION("a preimage that is not UTF-8") { entry.metadata.key_preimage = "\xff"; }
  SECTION("an entry name that is not UTF-8") { entry.metadata.entry = "\xff"; }
  SECTION("a payload beyond 256 MiB") { entry.payload.assign((std::size_t{1} << 28) + 1, 'a'); }
  const EncodedEntry result = encode_entry(entry);
  CHECK(result.bytes.empty());
  CHECK_FALSE(result.problem.empty());
}

TEST_CASE("Metadata that cannot be written as it is does no harm") {
  Entry entry = sample_entry();
  entry.metadata.compiler = "not UTF-8: \xff";
  entry.metadata.compile_ms = std::numeric_limits<double>::quiet_NaN();
  const ReadResult result = decode_entry(encoded(entry));
  REQUIRE(result.entry);
  CHECK(result.entry->payload == entry.payload);
  CHECK(result.entry->metadata.compiler.substr(0, 11) == "not UTF-8: ");
  CHECK(result.entry->metadata.compile_ms <= 0.0);
}
