#include "store/bundle/writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <utility>

#include "store/file/output.hpp"
#include "store/file/read.hpp"
#include "store/format/bundle.hpp"
#include "store/format/entry.hpp"
#include "store/signature.hpp"

namespace ropejit::internal {
namespace {

// An entry as a bundle has it. What a time says is of one compile on one machine; the rest follows from the key and the
// compiler.
EncodedEntry as_bundled(Entry entry) {
  entry.metadata.compile_ms = 0;
  return encode_entry(entry);
}

// Why the file that is there is not replaced; empty where it may be. `other`: as it is something else than a bundle.
std::string in_the_way(const FileOps& ops, const OutputFile& out, const std::string& path, bool& other) {
  const OpenFile file(ops, retry_interrupted([&] {
                        return ops.open(out.folder().get(), out.name().c_str(),
                                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
                      }));
  if (!file) return failure("open", path);
  std::string start;
  if (!read_range(ops, file.get(), start, 0, kBundleMagic.size())) return failure("read", path);
  if (start == kBundleMagic) return {};
  other = true;
  return fmt::format(
      "{}: found a file that is no bundle, allowed: a bundle, which is replaced; --force replaces any file", path);
}

// Removes what may be a signature of the bundle that is about to be replaced: by its name and its length.
std::string remove_signature(const FileOps& ops, const std::string& path) {
  struct stat status = {};
  if (retry_interrupted([&] { return ops.stat(AT_FDCWD, path.c_str(), &status); }) != 0) {
    return errno == ENOENT ? "" : failure("stat", path);
  }
  if (!S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(kSignatureBytes)) return {};
  if (retry_interrupted([&] { return ops.unlink(AT_FDCWD, path.c_str()); }) == 0 || errno == ENOENT) return {};
  return failure("remove", path);
}

}  // namespace

BundleWritten write_bundle(const FileOps& ops, const Tier& source, const BundleRequest& request) {
  BundleWritten written;
  const auto failed = [&](std::string problem) {
    written.problem = std::move(problem);
    return std::move(written);
  };
  const OutputFile out(ops, request.path);
  const OutputFile signature(ops, bundle_signature_path(request.path));
  const bool is_file = out.kind() == OutputFile::Kind::file;
  const bool is_signed = !request.secret_key.empty();
  std::string problem = out.problem();
  written.to_standard_output = out.is_standard_output();
  written.in_the_way = out.kind() == OutputFile::Kind::refused;
  if (problem.empty() && out.exists() && !request.replaces_anything) {
    problem = in_the_way(ops, out, request.path, written.in_the_way);
  }
  if (problem.empty() && is_signed && (!is_file || signature.kind() != OutputFile::Kind::file)) {
    written.in_the_way = true;
    problem =
        fmt::format("{}: found no regular file, allowed: one, as a signature lies beside its bundle", request.path);
  }
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

  if (is_file) {
    if (std::string kept = remove_signature(ops, bundle_signature_path(request.path)); !kept.empty())
      return failed(std::move(kept));
  }
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
  written.problem = out.write(content, 0644);
  if (written.problem.empty() && is_signed) {
    written.problem = signature.write(sign(signed_text_of_bundle(written.digest), request.secret_key), 0644);
  }
  return written;
}

}  // namespace ropejit::internal
