#include "store/manifest.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "store/entry_folder.hpp"
#include "store/file/atomic.hpp"
#include "store/file/folder.hpp"
#include "store/file/output.hpp"
#include "store/file/read.hpp"
#include "store/signature.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kFolder = "v1";
constexpr const char* kName = "MANIFEST";
constexpr const char* kSignatureName = "MANIFEST.sig";
constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kGap = "  ";
constexpr std::uint64_t kMaxListedBytes = std::uint64_t{1} << 29;

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

ManifestRead refused(Miss::Kind kind, std::string reason) { return {{}, {kind, std::move(reason)}}; }

Miss::Kind kind_of(const FileContents& file) {
  return file.absent ? Miss::Kind::absent : file.refused ? Miss::Kind::refused : Miss::Kind::unreadable;
}

}  // namespace

std::optional<Manifest> Manifest::parse(std::string text) {
  Manifest manifest;
  manifest.text_ = std::move(text);
  const std::string_view all = manifest.text_;
  std::string_view previous;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = all.find('\n', at);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = all.substr(at, end - at);
    if (line.size() <= kHashDigits + kGap.size() || !is_hash(line.substr(0, kHashDigits)) ||
        line.substr(kHashDigits, kGap.size()) != kGap) {
      return std::nullopt;
    }
    const std::string_view path = line.substr(kHashDigits + kGap.size());
    if (path <= previous) return std::nullopt;  // sorted, and none twice
    manifest.lines_.emplace_back(at + kHashDigits + kGap.size(), path.size());
    previous = path;
    at = end + 1;
  }
  return manifest;
}

std::string_view Manifest::hash_of(std::string_view path) const {
  const std::string_view all = text_;
  const auto path_at = [all](const std::pair<std::size_t, std::size_t>& line) {
    return all.substr(line.first, line.second);
  };
  const auto found =
      std::lower_bound(lines_.begin(), lines_.end(), path,
                       [&](const auto& line, std::string_view wanted) { return path_at(line) < wanted; });
  if (found == lines_.end() || path_at(*found) != path) return {};
  return all.substr(found->first - kGap.size() - kHashDigits, kHashDigits);
}

ManifestRead read_manifest(const FileOps& ops, const Trust& trust, const std::string& directory) {
  FileContents file = read_file(ops, trust, directory, {kFolder}, kName, kMaxManifestBytes);
  if (!file.bytes) {
    if (file.absent) return refused(Miss::Kind::absent, "no manifest");
    return refused(kind_of(file), "MANIFEST: " + file.problem);
  }
  if (trust.kind == Trust::Kind::digest) {
    const std::string digest = blake3_hex(*file.bytes, kHashDigits / 2);
    if (digest != trust.digest) {
      return refused(Miss::Kind::refused, fmt::format("MANIFEST: found digest {}, allowed: {}", digest, trust.digest));
    }
  } else {
    const FileContents signature = read_file(ops, trust, directory, {kFolder}, kSignatureName, kSignatureBytes);
    if (!signature.bytes) {
      return refused(signature.absent ? Miss::Kind::refused : kind_of(signature), "MANIFEST.sig: " + signature.problem);
    }
    if (!is_signed(*file.bytes, *signature.bytes, trust.public_key)) {
      return refused(Miss::Kind::refused, fmt::format("MANIFEST.sig: no signature by the key of {}", trust.key_file));
    }
  }
  std::optional<Manifest> manifest = Manifest::parse(*std::move(file.bytes));
  if (!manifest) return refused(Miss::Kind::refused, "MANIFEST: not a manifest");
  return {std::move(manifest), {}};
}

std::optional<Miss> miss_by_manifest(const ManifestRead& read, std::string_view path, std::string_view bytes) {
  if (!read.manifest) return read.miss;
  const std::string_view hash = read.manifest->hash_of(path);
  if (hash.empty()) return Miss{Miss::Kind::absent, "not in the manifest"};
  if (hash != blake3_hex(bytes, kHashDigits / 2)) return Miss{Miss::Kind::refused, "not what the manifest says"};
  return std::nullopt;
}

ManifestWritten write_manifest(const FileOps& ops, const Trust& trust, const std::string& directory,
                               std::string_view secret_key) {
  ManifestWritten written;
  const Folder folder = open_folder(ops, trust, directory, {kFolder});
  if (!folder) {
    written.problem = folder.problem;
    return written;
  }
  written.path = folder.path + "/" + kName;
  AtomicFile manifest(ops, trust, folder, kName);
  AtomicFile signature(ops, trust, folder, kSignatureName);
  written.problem = in_its_place(ops, folder, kName, &manifest);
  if (written.problem.empty()) written.problem = in_its_place(ops, folder, kSignatureName, &signature);
  if (!written.problem.empty()) return written;

  std::vector<std::string> lines;  // "PATH HASH": sorted by path, as no path holds a space
  for (const EntryListing& entry : EntryFolder(directory, trust, false, ops).list()) {
    const std::string path = entry.path.substr(folder.path.size() + 1);
    // By name, and read again: what is hashed must be what a reader of this name will get.
    const FileContents file = read_file(ops, trust, directory, {kFolder, "entries", entry.key.substr(0, 2)},
                                        entry.key + ".rje", kMaxListedBytes);
    if (entry.metadata && file.bytes) {
      lines.push_back(fmt::format("{} {}", path, blake3_hex(*file.bytes, kHashDigits / 2)));
    } else {
      written.left_out.push_back(fmt::format("{}: {}", path, entry.metadata ? file.problem : entry.problem));
    }
  }
  const FileContents records = read_file(ops, trust, directory, {kFolder, "records"}, "records.jsonl", kMaxListedBytes);
  if (records.bytes) {
    lines.push_back(fmt::format("{} {}", kListedRecords, blake3_hex(*records.bytes, kHashDigits / 2)));
  } else if (!records.absent) {
    written.left_out.push_back(fmt::format("{}: {}", kListedRecords, records.problem));
  }
  llvm::sort(lines);
  std::string text;
  for (const std::string& line : lines) {
    const std::size_t space = line.rfind(' ');
    text += fmt::format("{}{}{}\n", line.substr(space + 1), kGap, line.substr(0, space));
  }
  written.files = lines.size();
  written.digest = blake3_hex(text, kHashDigits / 2);

  // A signature goes before the manifest that it is no longer of: whoever reads in between refuses, rather than
  // guesses.
  if (retry_interrupted([&] { return ops.unlink(folder.get(), kSignatureName); }) != 0 && errno != ENOENT) {
    written.problem = failure("remove", fmt::format("{}/{}", folder.path, kSignatureName));
    return written;
  }
  written.problem = manifest.commit(text);
  if (written.problem.empty() && !secret_key.empty()) {
    written.problem = signature.commit(sign(text, secret_key));
  }
  return written;
}

}  // namespace ropejit::internal
