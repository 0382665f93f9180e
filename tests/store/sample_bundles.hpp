// Bundles that tests of them make and expect back.
#pragma once

#include <string>
#include <vector>

#include "store/bundle/writer.hpp"
#include "store/sample_entries.hpp"
#include "store/signature.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

namespace ropejit::test {

inline const std::vector<std::string> kBundled = {"one", "two", "three"};
inline const std::string kSampleRecords = "{\"record\":1}\n";

/// The two halves of a key for tests.
inline std::string sample_secret_key() {
  return internal::read_secret_key(
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIOJbWgBMC+ew9X/ziLiACLEYsq/AhX/Kc4NjkjtecbMM\n"
      "-----END PRIVATE KEY-----\n");
}
inline std::string sample_public_pem() {
  return "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPBE8ClLgV4fUnktsT9nu/HoMaRZMINOlEQ9i9081kRA=\n"
         "-----END PUBLIC KEY-----\n";
}
inline internal::Trust trust_in_sample_key() {
  internal::Trust trust;
  trust.kind = internal::Trust::Kind::key;
  trust.public_key = internal::read_public_key(sample_public_pem());
  trust.key_file = "public.pem";
  return trust;
}

/// A directory with the entries `preimages`.
inline void fill_directory(const std::string& directory, const std::vector<std::string>& preimages = kBundled,
                           std::size_t payload_bytes = 40) {
  const internal::BinaryStore store(directory);
  for (const std::string& preimage : preimages) REQUIRE(store.write(sample_entry(preimage, payload_bytes)) == "");
}

/// What was written, for which the problem is empty.
inline internal::BundleWritten export_all(const std::string& directory, const std::string& path,
                                          const std::string& records = kSampleRecords,
                                          const std::string& secret_key = "") {
  internal::BundleRequest request;
  request.path = path;
  request.records = records;
  request.secret_key = secret_key;
  const internal::Tier source(directory, {}, true, internal::system_file_ops());
  internal::BundleWritten written = internal::write_bundle(internal::system_file_ops(), source, request);
  REQUIRE(written.problem == "");
  return written;
}

/// An entry as a bundle has it: without the time of its compile.
inline internal::Entry bundled(const std::string& preimage, std::size_t payload_bytes = 40) {
  internal::Entry entry = sample_entry(preimage, payload_bytes);
  entry.metadata.compile_ms = 0;
  return entry;
}

/// A store that has one bundle and nothing else.
inline internal::BinaryStore store_of(const std::string& bundle, const internal::Trust& trust = {},
                                      const internal::FileOps& ops = internal::system_file_ops()) {
  return {internal::StoreOptions{.directory = "", .read_only = {bundle}, .trust = trust}, ops};
}

/// A directory of three entries, and the bundle of it.
struct Bundled {
  Bundled() { fill_directory(directory), written = export_all(directory, path); }
  ScratchFolder scratch;
  std::string directory = scratch / "cache";
  std::string path = scratch / "all.rjb";
  internal::BundleWritten written;
};

inline internal::Tier directory_tier(const std::string& directory) {
  return {directory, {}, false, internal::system_file_ops()};
}

inline bool one_line(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

}  // namespace ropejit::test
