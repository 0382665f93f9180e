#include "store/bundle_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "store/atomic_file.hpp"
#include "store/bundle_format.hpp"
#include "store/entry_format.hpp"
#include "store/folder.hpp"
#include "store/read_range.hpp"
#include "store/signature.hpp"

namespace ropejit::internal {
namespace {

std::string failure(const char* what, const std::string& path) {
  const int error = errno;
  return fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(error));
}

// An entry as a bundle has it. What a time says is of one compile on one machine; the rest follows from the key and the
// compiler.
EncodedEntry as_bundled(Entry entry) {
  entry.metadata.compile_ms = 0;
  return encode_entry(entry);
}

Folder open_parent(const FileOps& ops, const std::filesystem::path& path) {
  Folder folder;
  folder.path = path.has_parent_path() ? path.parent_path().string() : ".";
  folder.file = OpenFile(ops, retry_interrupted([&] {
                           return ops.open(AT_FDCWD, folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
                         }));
  if (!folder) folder.problem = failure("open folder", folder.path);
  return folder;
}

// Why `name` is not replaced; empty where it may be. `other`: as something else is there. A link is something else.
std::string in_the_way(const FileOps& ops, const Folder& folder, const std::string& name, bool replaces_anything,
                       bool& other) {
  const std::string path = folder.path + "/" + name;
  const auto refuse = [&](const char* found, const char* allowed) {
    other = true;
    return fmt::format("{}: found {}, allowed: {}", path, found, allowed);
  };
  if (name.empty() || name == "." || name == "..") return refuse("no name of a file", "one");
  struct stat status = {};
  if (retry_interrupted([&] { return ops.stat(folder.get(), name.c_str(), &status); }) != 0) {
    return errno == ENOENT ? "" : failure("stat", path);
  }
  if (!S_ISREG(status.st_mode)) return refuse("no regular file", "a bundle, which is replaced");
  if (replaces_anything) return {};
  const OpenFile file(ops, retry_interrupted([&] {
                        return ops.open(folder.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
                      }));
  if (!file) return failure("open", path);
  std::string start;
  if (!read_range(ops, file.get(), start, 0, kBundleMagic.size())) return failure("read", path);
  if (start == kBundleMagic) return {};
  return refuse("a file that is no bundle", "a bundle, which is replaced; --force replaces any file");
}

// Removes what may be a signature of the bundle that is about to be replaced: by its name and its length.
std::string remove_signature(const FileOps& ops, const Folder& folder, const std::string& name) {
  struct stat status = {};
  if (retry_interrupted([&] { return ops.stat(folder.get(), name.c_str(), &status); }) != 0) {
    return errno == ENOENT ? "" : failure("stat", folder.path + "/" + name);
  }
  if (!S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(kSignatureBytes)) return {};
  if (retry_interrupted([&] { return ops.unlink(folder.get(), name.c_str()); }) == 0 || errno == ENOENT) return {};
  return failure("remove", folder.path + "/" + name);
}

}  // namespace

BundleWritten write_bundle(const FileOps& ops, const Tier& source, const BundleRequest& request) {
  BundleWritten written;
  const auto failed = [&](std::string problem) {
    written.problem = std::move(problem);
    return std::move(written);
  };
  const std::filesystem::path path(request.path);
  const std::string name = path.filename().string();
  const std::string signature_name = bundle_signature_path(name);
  const Folder folder = open_parent(ops, path);
  if (!folder) return failed(folder.problem);
  std::string problem = in_the_way(ops, folder, name, request.replaces_anything, written.in_the_way);
  if (!problem.empty()) return failed(std::move(problem));

  std::vector<BundleRow> rows;
  const std::vector<std::string> keys = source.keys(problem);
  if (!problem.empty()) return failed(std::move(problem));
  for (const std::string& key : keys) {
    ReadResult read = source.read_key(key);
    if (!read.entry) {
      if (read.miss.kind == Miss::Kind::unreadable) return failed(fmt::format("{}: {}", key, read.miss.reason));
      written.left_out.push_back(fmt::format("{}: {}", key, read.miss.reason));
      continue;
    }
    if (request.wanted && !request.wanted(read.entry->metadata)) continue;
    const EncodedEntry encoded = as_bundled(*std::move(read.entry));
    if (!encoded.problem.empty()) return failed(fmt::format("{}: {}", key, encoded.problem));
    rows.push_back({key, encoded.bytes.substr(encoded.bytes.size() - kEntryTrailerBytes), encoded.bytes.size()});
  }
  if (request.accepts) request.accepts();
  if (rows.size() > kMaxBundleEntries) {
    return failed(fmt::format("{} entries, allowed: at most {}", rows.size(), kMaxBundleEntries));
  }
  if (request.records.size() > kMaxRecordsBytes) {
    return failed(fmt::format("{} bytes of records, allowed: at most {}", request.records.size(), kMaxRecordsBytes));
  }

  const EncodedBundleHead head = encode_bundle_head(rows, request.records);
  written.entries = rows.size();
  written.bytes = head.file_bytes;
  written.digest = head.digest;

  if (std::string kept = remove_signature(ops, folder, signature_name); !kept.empty()) return failed(std::move(kept));
  const auto content = [&](const AtomicFile::Put& put) {
    std::string unwritten = put(head.bytes);
    for (std::size_t i = 0; i < rows.size() && unwritten.empty(); ++i) {
      ReadResult read = source.read_key(rows[i].key);
      if (!read.entry) return fmt::format("{}: changed while it was exported: {}", rows[i].key, read.miss.reason);
      const EncodedEntry encoded = as_bundled(*std::move(read.entry));
      if (encoded.bytes.size() != rows[i].bytes || !encoded.bytes.ends_with(rows[i].trailer)) {
        return fmt::format("{}: changed while it was exported", rows[i].key);
      }
      unwritten = put(encoded.bytes);
    }
    return unwritten.empty() ? put(request.records) : unwritten;
  };
  // Bundles are there to be carried: others may read them.
  const Trust own;
  written.problem = AtomicFile(ops, own, folder, name, 0644).commit(content);
  if (written.problem.empty() && !request.secret_key.empty()) {
    const std::string signature = sign(signed_text_of_bundle(written.digest), request.secret_key);
    written.problem = AtomicFile(ops, own, folder, signature_name, 0644).commit(signature);
  }
  return written;
}

}  // namespace ropejit::internal
