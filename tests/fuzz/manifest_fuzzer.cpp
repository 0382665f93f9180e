// Manifests of a cache directory, and the keys that they are signed by.
#include <algorithm>
#include <map>
#include <random>

#include "fuzz/fuzzer.hpp"
#include "store/manifest.hpp"
#include "store/signature.hpp"
#include "support/hash.hpp"

namespace ropejit::test::fuzzed {
namespace {

using namespace ropejit::internal;

constexpr std::size_t kPathAt = 66;  // after 64 digits and two blanks

// What the grammar of cache/FORMAT.md says a manifest lists.
std::map<std::string, std::string> listed(std::string_view text) {
  std::map<std::string, std::string> hashes;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    require(end != std::string_view::npos && end > kPathAt, "each line is whole");
    const auto added = hashes.emplace(text.substr(kPathAt, end - kPathAt), text.substr(0, 64));
    require(added.second && std::next(added.first) == hashes.end(), "paths are sorted, and each is there once");
    text.remove_prefix(end + 1);
  }
  return hashes;
}

void check_manifest(std::string_view input) {
  const std::optional<Manifest> manifest = Manifest::parse(std::string(input));
  if (!manifest) return;
  const std::map<std::string, std::string> hashes = listed(input);
  require(manifest->size() == hashes.size(), "a file for each line");
  for (const auto& [path, hash] : hashes) {
    require(manifest->hash_of(path) == hash, "each path has its hash");
    require(hash.find_first_not_of("0123456789abcdef") == std::string::npos, "a hash is hex digits");
    require(manifest->hash_of(path + "x").empty() || hashes.count(path + "x") != 0, "no other path has one");
  }
  require(manifest->hash_of("").empty() && manifest->hash_of("entries").empty() == (hashes.count("entries") == 0),
          "no other path has one");
}

void check_keys(std::string_view input) {
  const std::string open = read_public_key(input);
  const std::string secret = read_secret_key(input);
  require(open.empty() || open.size() == kKeyBytes, "a key has 32 bytes");
  require(secret.empty() || secret.size() == kKeyBytes, "a key has 32 bytes");
  require(!is_signed("text", input, std::string(kKeyBytes, 'k')), "nothing is signed by chance");
  if (!open.empty()) require(!is_signed("text", std::string(kSignatureBytes, 's'), open), "nor by any key");
}

}  // namespace

std::vector<std::string> seeds() {
  std::string manifest;
  for (const char* path :
       {"entries/00/00aa.rje", "entries/00/00ab.rje", "entries/ff/ff00.rje", "records/records.jsonl"}) {
    manifest += blake3_hex(path, 32) + "  " + path + "\n";
  }
  return {"",
          manifest,
          manifest.substr(0, manifest.find('\n') + 1),
          blake3_hex("a key", 32) + "\n",
          "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
          "-----END PUBLIC KEY-----\n",
          "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
          "-----END PRIVATE KEY-----\n"};
}

void check(std::string_view input) {
  check_manifest(input);
  check_keys(input);
}

const JsonMutator& json_mutator() {
  static const JsonMutator mutator({});
  return mutator;
}

// Half of the time whole lines are doubled, dropped or sorted, or a path is changed behind its hash.
std::string mutate(const std::string& input, std::size_t limit, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t end = std::min(input.find('\n', at), input.size());
    lines.push_back(input.substr(at, end - at));
    at = end + 1;
  }
  if (lines.empty() || random() % 2 == 0) return mutate_bytes(input, limit);
  const auto line = lines.begin() + static_cast<std::ptrdiff_t>(random() % lines.size());
  switch (random() % 4) {
    case 0: lines.insert(line, std::string(*line)); break;
    case 1: lines.erase(line); break;
    default:
      if (line->size() > kPathAt) *line = line->substr(0, kPathAt) + mutate_bytes(line->substr(kPathAt), 80);
      break;
  }
  if (random() % 2 == 0) {
    std::sort(lines.begin(), lines.end(), [](const std::string& a, const std::string& b) {
      return a.substr(std::min(a.size(), kPathAt)) < b.substr(std::min(b.size(), kPathAt));
    });
  }
  std::string changed;
  for (const std::string& each : lines) changed += each + "\n";
  return changed.size() <= limit ? changed : mutate_bytes(input, limit);
}

}  // namespace ropejit::test::fuzzed
