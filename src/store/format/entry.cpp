#include "store/format/entry.hpp"

#include <fmt/format.h>
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include <cmath>
#include <limits>

#include "ropejit/error.hpp"
#include "store/format/raw_bytes.hpp"
#include "support/json.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kMagic = "\x89RJE\r\n\x1a\n";
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kMetadataBytesAt = 12;
constexpr std::size_t kPayloadBytesAt = 16;
static_assert(kMagic.size() == kVersionAt && kPayloadBytesAt + 8 == kEntryHeaderBytes);
static_assert(kEntryTrailerBytes == kChecksumBytes);

constexpr IntRange kAnyInt{std::numeric_limits<int>::min(), std::numeric_limits<int>::max()};

int int_or_unknown(const ObjectReader& object, std::string_view key) {
  return static_cast<int>(object.find_int(key, kAnyInt).value_or(-1));
}

// Empty on success, else one line: a preimage or entry name that is not UTF-8 would not read back as it is.
std::string write_metadata(const EntryMetadata& metadata, std::string& json) {
  if (!llvm::json::isUTF8(metadata.key_preimage)) return "key_preimage: not UTF-8";
  if (!llvm::json::isUTF8(metadata.entry)) return "entry: not UTF-8";

  json.clear();
  llvm::raw_string_ostream stream(json);
  llvm::json::OStream out(stream);
  out.object([&] {
    out.attribute("key_preimage", metadata.key_preimage);
    out.attribute("entry", metadata.entry);
    out.attribute("arch", llvm::json::fixUTF8(metadata.arch));
    out.attribute("variant", llvm::json::fixUTF8(metadata.variant));
    out.attribute("compiler", llvm::json::fixUTF8(metadata.compiler));
    out.attribute("registers", metadata.registers);
    out.attribute("spill_bytes", metadata.spill_bytes);
    out.attribute("stack_bytes", metadata.stack_bytes);
    // Not as a double: LLVM prints those with the decimal sign of the process's locale.
    const double compile_ms = std::isfinite(metadata.compile_ms) ? metadata.compile_ms : 0.0;
    out.attributeBegin("compile_ms");
    out.rawValue(fmt::format("{}", compile_ms));
    out.attributeEnd();
  });
  stream.flush();
  return {};
}

// Empty on success, else one line.
std::string read_metadata(std::string_view json, EntryMetadata& metadata) {
  constexpr std::string_view text = "a string";
  try {
    const llvm::json::Object parsed = parse_json_object(json);
    const ObjectReader object(parsed);
    metadata.key_preimage = object.get_string("key_preimage", text);
    metadata.entry = object.get_string("entry", text);
    metadata.arch = object.find_string("arch", text).value_or("");
    metadata.variant = object.find_string("variant", text).value_or("");
    metadata.compiler = object.find_string("compiler", text).value_or("");
    metadata.registers = int_or_unknown(object, "registers");
    metadata.spill_bytes = int_or_unknown(object, "spill_bytes");
    metadata.stack_bytes = int_or_unknown(object, "stack_bytes");
    // No reader of ours has a range that lets 0 through, and a time is only told to people.
    const llvm::json::Value* compile_ms = object.find("compile_ms");
    metadata.compile_ms = compile_ms == nullptr ? 0.0 : compile_ms->getAsNumber().value_or(0.0);
    return {};
  } catch (const Error& error) {
    return fmt::format("metadata: {}", error.what());
  }
}

ReadResult miss(Miss::Kind kind, std::string reason) { return {{}, {kind, std::move(reason)}}; }
ReadResult damaged(std::string reason) { return miss(Miss::Kind::damaged, std::move(reason)); }

}  // namespace

EncodedEntry encode_entry(const Entry& entry) {
  std::string metadata;
  if (std::string problem = write_metadata(entry.metadata, metadata); !problem.empty()) return {{}, std::move(problem)};
  if (metadata.size() > kMaxMetadataBytes) {
    return {{}, fmt::format("metadata: found {} bytes, allowed: at most {}", metadata.size(), kMaxMetadataBytes)};
  }
  if (entry.payload.size() > kMaxPayloadBytes) {
    return {{}, fmt::format("payload: found {} bytes, allowed: at most {}", entry.payload.size(), kMaxPayloadBytes)};
  }

  std::string bytes;
  bytes.reserve(kEntryHeaderBytes + metadata.size() + entry.payload.size() + kEntryTrailerBytes);
  bytes += kMagic;
  append_number(bytes, kEntryFormatVersion);
  append_number(bytes, static_cast<std::uint32_t>(metadata.size()));
  append_number(bytes, static_cast<std::uint64_t>(entry.payload.size()));
  bytes += metadata;
  bytes += entry.payload;
  bytes += checksum_of(bytes);
  return {std::move(bytes), {}};
}

ReadResult decode_entry(std::string_view bytes) {
  if (bytes.size() < kEntryHeaderBytes + kEntryTrailerBytes) {
    return damaged(fmt::format("{} bytes are too few for an entry", bytes.size()));
  }
  if (!bytes.starts_with(kMagic)) return damaged("not an entry file");

  // The checksum comes before the version: a version that is too high is then what somebody wrote, not a flipped bit.
  const std::string_view body = bytes.substr(0, bytes.size() - kEntryTrailerBytes);
  if (checksum_of(body) != bytes.substr(body.size())) return damaged("checksum does not match");
  const auto version = number_at<std::uint32_t>(bytes, kVersionAt);
  if (version > kEntryFormatVersion) {
    return miss(Miss::Kind::newer, fmt::format("format version {}, known: up to {}", version, kEntryFormatVersion));
  }
  if (version == 0) return damaged("format version 0");

  // Both are checked against their limits before they are added: the sum cannot wrap.
  const std::uint64_t metadata_bytes = number_at<std::uint32_t>(bytes, kMetadataBytesAt);
  const std::uint64_t payload_bytes = number_at<std::uint64_t>(bytes, kPayloadBytesAt);
  if (metadata_bytes > kMaxMetadataBytes || payload_bytes > kMaxPayloadBytes ||
      kEntryHeaderBytes + metadata_bytes + payload_bytes != body.size()) {
    return damaged("lengths do not match the file's size");
  }

  Entry entry;
  const std::string_view metadata = body.substr(kEntryHeaderBytes, metadata_bytes);
  if (std::string problem = read_metadata(metadata, entry.metadata); !problem.empty()) {
    return damaged(std::move(problem));
  }
  entry.payload = body.substr(kEntryHeaderBytes + metadata_bytes);
  return {std::move(entry), {}};
}

}  // namespace ropejit::internal
