// Entries that the tests of the store write and expect back.
#pragma once

#include <string>
#include <vector>

#include "store/store.hpp"
#include "support/scratch_folder.hpp"

namespace ropejit::test {

inline internal::Entry sample_entry(const std::string& preimage = "class/1 sample", std::size_t payload_bytes = 40) {
  internal::Entry entry;
  entry.metadata.key_preimage = preimage;
  entry.metadata.arch = "sm_90";
  entry.metadata.entry = "rope_sample";
  entry.metadata.variant = "flat_v16_h8_t128";
  entry.metadata.compiler = "NVRTC 13.0 \"quoted\" \xc3\xa9";
  entry.metadata.registers = 32;
  entry.metadata.spill_bytes = 0;
  entry.metadata.compile_ms = 81.25;
  entry.payload.resize(payload_bytes);
  for (std::size_t i = 0; i < payload_bytes; ++i) entry.payload[i] = static_cast<char>(i * 37 % 256);
  return entry;
}

inline bool same(const internal::Entry& a, const internal::Entry& b) {
  const internal::EntryMetadata& m = a.metadata;
  const internal::EntryMetadata& n = b.metadata;
  return a.payload == b.payload && m.key_preimage == n.key_preimage && m.arch == n.arch && m.entry == n.entry &&
         m.variant == n.variant && m.compiler == n.compiler && m.registers == n.registers &&
         m.spill_bytes == n.spill_bytes && m.stack_bytes == n.stack_bytes && !(m.compile_ms < n.compile_ms) &&
         !(n.compile_ms < m.compile_ms);
}

inline std::string entry_file(const std::string& directory, const std::string& preimage) {
  const std::string key = internal::entry_key(preimage);
  return directory + "/v1/entries/" + key.substr(0, 2) + "/" + key + ".rje";
}

/// Every file in an entries folder below `folder`, temporary ones too.
inline std::vector<std::string> entries_below(const std::string& folder) {
  std::vector<std::string> files = files_below(folder);
  std::erase_if(files, [](const std::string& file) { return file.find("/v1/entries/") == std::string::npos; });
  return files;
}

}  // namespace ropejit::test
