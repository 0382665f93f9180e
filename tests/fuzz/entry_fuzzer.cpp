// Entry files: decode_entry, and a BinaryStore that finds the input in place of an entry that it wrote.
#include <llvm/Support/BLAKE3.h>

#include <algorithm>
#include <memory>
#include <random>

#include "fuzz/fuzzer.hpp"
#include "store/format/entry.hpp"
#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/scratch_folder.hpp"

namespace ropejit::test::fuzzed {
namespace {

using namespace ropejit::internal;

constexpr const char* kPreimage = "class/1 sample";

std::string encoded(const Entry& entry) {
  EncodedEntry result = encode_entry(entry);
  require(result.problem.empty(), "an entry that was read can be written");
  return std::move(result.bytes);
}

// The store that inputs are put into, now and then a new one: what it moves aside would become too much.
class Folder {
 public:
  std::string entry() {
    if (left_-- == 0) {
      left_ = 500;
      folder_ = std::make_unique<ScratchFolder>();
      store_ = std::make_unique<BinaryStore>(*folder_ / "cache");
      require(store_->write(sample_entry(kPreimage)).empty(), "an entry can be written");
      path_ = entry_file(*folder_ / "cache", kPreimage);
    }
    return path_;
  }
  const BinaryStore& store() const { return *store_; }

 private:
  int left_ = 0;
  std::unique_ptr<ScratchFolder> folder_;
  std::unique_ptr<BinaryStore> store_;
  std::string path_;
};

template <typename Number>
void put(std::string& bytes, std::size_t at, Number number) {
  for (std::size_t i = 0; i < sizeof number; ++i) bytes[at + i] = static_cast<char>(number >> (8 * i) & 0xff);
}

// With the checksum that the bytes before it have.
std::string sealed(std::string body) {
  const auto hash = llvm::BLAKE3::hash<kEntryTrailerBytes>(
      llvm::ArrayRef<std::uint8_t>(reinterpret_cast<const std::uint8_t*>(body.data()), body.size()));
  return body.append(reinterpret_cast<const char*>(hash.data()), hash.size());
}

// Header, metadata and payload of bytes that are long enough, as its lengths say, or all payload.
struct Parts {
  std::string header, metadata, payload;
};

Parts parts_of(const std::string& input) {
  const std::string body = input.substr(kEntryHeaderBytes, input.size() - kEntryHeaderBytes - kEntryTrailerBytes);
  std::size_t metadata = 0;
  for (std::size_t i = 0; i < 4; ++i) metadata |= std::size_t{static_cast<unsigned char>(input[12 + i])} << (8 * i);
  metadata = std::min(metadata, body.size());
  return {input.substr(0, kEntryHeaderBytes), body.substr(0, metadata), body.substr(metadata)};
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> entries;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{40}, std::size_t{700}}) {
    entries.push_back(encoded(sample_entry(kPreimage, bytes)));
  }
  entries.push_back(encoded(sample_entry("class/2 another", 5)));
  Entry unknown = sample_entry(kPreimage, 3);
  unknown.metadata = {kPreimage, "", "kernel \xe2\x82\xac", "", "", -1, -1, -1, 0};
  entries.push_back(encoded(unknown));
  return entries;
}

void check(std::string_view input) {
  const ReadResult read = decode_entry(input);
  require(read.entry || !read.miss.reason.empty(), "a miss says why");
  require(read.miss.reason.find('\n') == std::string::npos, "a reason is one line");
  if (read.entry) {
    const std::string again = encoded(*read.entry);
    const ReadResult back = decode_entry(again);
    require(back.entry && same(*back.entry, *read.entry), "an entry reads back as it was written");
    require(encoded(*back.entry) == again, "equal entries have the same bytes");
    require(input.substr(0, input.size() - kEntryTrailerBytes).ends_with(read.entry->payload), "payload as it is");
  }

  static Folder folder;
  write_text(folder.entry(), input);
  const ReadResult found = folder.store().read(kPreimage);
  const bool wanted = read.entry && read.entry->metadata.key_preimage == kPreimage;
  require(found.entry.has_value() == wanted, "a store gives the entry that was asked for, and no other");
  if (wanted) require(same(*found.entry, *read.entry), "a store gives what the file holds");
}

const JsonMutator& json_mutator() {
  static const JsonMutator mutator([] {
    std::vector<std::string> texts;
    for (const std::string& entry : seeds()) texts.push_back(parts_of(entry).metadata);
    return texts;
  }());
  return mutator;
}

// Mostly a part of the entry changed, with lengths and checksum put right again: the checksum stops all else.
std::string mutate(const std::string& input, std::size_t limit, std::uint32_t seed) {
  std::mt19937 random(seed);
  if (input.size() < kEntryHeaderBytes + kEntryTrailerBytes || random() % 8 == 0) return mutate_bytes(input, limit);
  Parts parts = parts_of(input);
  const std::size_t part_limit = std::max<std::size_t>(limit / 2, 1);
  bool right_lengths = random() % 8 != 0;
  switch (random() % 8) {
    case 0: parts.payload = mutate_bytes(parts.payload, part_limit); break;
    case 1:
      parts.header = mutate_bytes(parts.header, kEntryHeaderBytes);
      right_lengths = false;
      break;
    case 2: parts.metadata = mutate_bytes(parts.metadata, part_limit); break;
    default: parts.metadata = json_mutator()(parts.metadata, part_limit, static_cast<std::uint32_t>(random())); break;
  }
  if (right_lengths && parts.header.size() == kEntryHeaderBytes) {
    put(parts.header, 12, static_cast<std::uint32_t>(parts.metadata.size()));
    put(parts.header, 16, static_cast<std::uint64_t>(parts.payload.size()));
  }
  const std::string changed = sealed(parts.header + parts.metadata + parts.payload);
  return changed.size() <= limit ? changed : mutate_bytes(input, limit);
}

}  // namespace ropejit::test::fuzzed
