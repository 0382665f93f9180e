#include "store/format/entry.hpp"

#include <fmt/format.h>

#include "store/format/metadata.hpp"
#include "store/format/raw_bytes.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kMagic = "\x89RJE\r\n\x1a\n";
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kMetadataBytesAt = 12;
constexpr std::size_t kPayloadBytesAt = 16;
static_assert(kMagic.size() == kVersionAt && kPayloadBytesAt + 8 == kEntryHeaderBytes);
static_assert(kEntryTrailerBytes == kChecksumBytes);

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
