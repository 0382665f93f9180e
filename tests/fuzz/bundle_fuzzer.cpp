// Bundles: the whole file, as a Bundle opens it, from memory.
#include <llvm/Support/BLAKE3.h>

#include <algorithm>
#include <random>

#include "fuzz/fuzzer.hpp"
#include "store/bundle/bundle.hpp"
#include "store/format/entry.hpp"
#include "store/intercepted_file_ops.hpp"
#include "store/sample_entries.hpp"
#include "support/hash.hpp"

namespace ropejit::test::fuzzed {
namespace {

using namespace ropejit::internal;

constexpr int kFile = 1000000;

// One file, whatever its name, that is this text.
class MemoryFile final : public InterceptedFileOps {
 public:
  explicit MemoryFile(std::string_view text) : InterceptedFileOps(system_file_ops()), text_(text) {}
  int open(int, const char*, int, mode_t) const override { return kFile; }
  int close(int) const override { return 0; }
  int fstat(int, struct stat* result) const override {
    *result = {};
    result->st_mode = S_IFREG | 0600;  // root's, which anybody trusts
    result->st_size = static_cast<off_t>(text_.size());
    return 0;
  }
  ssize_t read_at(int, void* to, std::size_t bytes, off_t offset) const override {
    const auto from = static_cast<std::size_t>(offset);
    require(from <= text_.size() && bytes <= std::max<std::size_t>(text_.size() - from, kBundleHeaderBytes),
            "nothing is read or allocated beyond the file");
    bytes = std::min(bytes, text_.size() - from);
    std::copy_n(text_.data() + from, bytes, static_cast<char*>(to));
    return static_cast<ssize_t>(bytes);
  }

 private:
  bool fails(const char*) const override { return true; }
  std::string_view text_;
};

std::string hash_of(std::string_view bytes) {
  const auto hash = llvm::BLAKE3::hash<32>(
      llvm::ArrayRef<std::uint8_t>(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

void put(std::string& bytes, std::size_t at, std::uint64_t number, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) bytes[at + i] = static_cast<char>(number >> (8 * i) & 0xff);
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size; ++i) number |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return number;
}

std::string bundle_of(std::vector<Entry> entries, const std::string& records) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return entry_key(a.metadata.key_preimage) < entry_key(b.metadata.key_preimage);
  });
  std::vector<BundleRow> rows;
  std::string bodies;
  for (const Entry& entry : entries) {
    const std::string bytes = encode_entry(entry).bytes;
    rows.push_back({entry_key(entry.metadata.key_preimage), bytes.substr(bytes.size() - 32), bytes.size()});
    bodies += bytes;
  }
  return encode_bundle_head(rows, records).bytes + bodies + records;
}

bool is_reason(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

}  // namespace

std::vector<std::string> seeds() {
  return {"", bundle_of({}, ""), bundle_of({}, "{\"record\":1}\n"), bundle_of({sample_entry("one", 5)}, ""),
          bundle_of({sample_entry("one", 5), sample_entry("two", 0), sample_entry("three", 300)}, "{\"record\":1}\n")};
}

void check(std::string_view input) {
  const MemoryFile file(input);
  const BundleOpened opened = Bundle::open(file, Trust(), "bundle");
  if (!opened.bundle) {
    require(is_reason(opened.miss.reason), "a bundle that is refused says why, in a line");
    return;
  }
  const BundleIndex& index = opened.bundle->index();
  std::size_t end = kBundleHeaderBytes + index.size() * kBundleRowBytes + kBundleChecksumBytes;
  require(index.digest() == blake3_hex(input.substr(0, end - kBundleChecksumBytes), 32), "the digest is of the head");
  bool whole = true;
  for (std::size_t number = 0; number < index.size(); ++number) {
    require(number == 0 || index.key(number - 1) < index.key(number), "keys ascend");
    require(index.offset(number) == end, "entries follow one another");
    end += index.bytes(number);
    require(end <= input.size(), "entries lie in the file");
    require(index.find(index.key(number)) == number, "each key is found");
    const ReadResult read = opened.bundle->read_key(index.key(number));
    const ReadResult decoded = decode_entry(input.substr(index.offset(number), index.bytes(number)));
    whole = whole && read.entry;
    if (read.entry) {
      require(decoded.entry && same(*decoded.entry, *read.entry), "what is served is what the file holds");
      require(entry_key(read.entry->metadata.key_preimage) == index.key(number), "it is of the key");
      const ReadResult found = opened.bundle->read(read.entry->metadata.key_preimage);
      require(found.entry && same(*found.entry, *read.entry), "and found by its preimage");
    } else {
      require(is_reason(read.miss.reason), "a miss says why, in a line");
    }
  }
  require(end + index.records_bytes() == input.size(), "the file ends with the records");
  require(!index.find(std::string(64, 'g')) && !index.find("") && !index.find("0"), "what is no key is not found");
  require(opened.bundle->list().size() == index.size(), "each entry is listed");
  const TierRecords records = opened.bundle->records();
  if (records.text) require(*records.text == input.substr(end), "records are the file's");
  whole = whole && (records.text || records.miss.kind == Miss::Kind::absent);
  require(verify_bundle(*opened.bundle).empty() == whole, "a bundle is whole if all that is in it is");
}

const JsonMutator& json_mutator() {
  static const JsonMutator mutator({});
  return mutator;
}

// Mostly with hashes, and often with lengths, put right again: they stop all else.
std::string mutate(const std::string& input, std::size_t limit, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string changed = mutate_bytes(input, limit);
  if (changed.size() < kBundleHeaderBytes + kBundleChecksumBytes || random() % 8 == 0) return changed;
  changed.replace(0, kBundleMagic.size(), kBundleMagic);
  if (random() % 8 != 0) put(changed, 8, kBundleFormatVersion, 4);
  const std::uint64_t most = (changed.size() - kBundleHeaderBytes - kBundleChecksumBytes) / kBundleRowBytes;
  if (random() % 4 != 0 && number_at(changed, 12, 4) > most) put(changed, 12, random() % (most + 1), 4);
  if (random() % 8 != 0) put(changed, 16, changed.size(), 8);
  const std::uint64_t entries = std::min(number_at(changed, 12, 4), most);
  const std::size_t checked = kBundleHeaderBytes + entries * kBundleRowBytes;
  const std::size_t bodies = changed.size() - checked - kBundleChecksumBytes;
  if (number_at(changed, 24, 8) > bodies) put(changed, 24, random() % (bodies + 1), 8);
  std::size_t at = checked + kBundleChecksumBytes;
  const std::size_t end = changed.size() - number_at(changed, 24, 8);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t row = kBundleHeaderBytes + i * kBundleRowBytes;
    std::uint64_t bytes = number_at(changed, row + 64, 8);
    if (i + 1 == entries && random() % 8 != 0) put(changed, row + 64, bytes = end - at, 8);
    if (bytes > end - at) put(changed, row + 64, bytes = (end - at) / (entries - i), 8);
    if (bytes < 32) break;
    if (random() % 2 == 0)
      changed.replace(at + bytes - 32, 32, hash_of(std::string_view(changed).substr(at, bytes - 32)));
    if (random() % 2 == 0) changed.replace(row + 32, 32, changed.substr(at + bytes - 32, 32));
    at += bytes;
  }
  if (random() % 2 == 0) changed.replace(32, 32, hash_of(std::string_view(changed).substr(end)));
  return changed.replace(checked, kBundleChecksumBytes, hash_of(std::string_view(changed).substr(0, checked)));
}

}  // namespace ropejit::test::fuzzed
