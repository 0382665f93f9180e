#include "store/file/atomic.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <utility>

#include "support/hash.hpp"

namespace ropejit::internal {
namespace {

constexpr int kMaxNameTries = 100;
constexpr std::size_t kRandomBytes = 6;
constexpr std::size_t kMostOfName = 200;

// Names need only differ: a file that is there is never opened, and its folder is closed to others.
std::string fresh_digits() {
  static std::atomic<unsigned> counter{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return blake3_hex(fmt::format("{} {} {}", ::getpid(), now, counter.fetch_add(1)), kRandomBytes);
}

// What fails here leaves a file that fewer may read. The owner first, as a change of owner takes bits of the mode away.
void take_after(const FileOps& ops, int file, const struct stat& old) {
  struct stat own = {};
  if (retry_interrupted([&] { return ops.fstat(file, &own); }) != 0) return;
  if ((own.st_uid != old.st_uid || own.st_gid != old.st_gid) &&
      retry_interrupted([&] { return ops.change_owner(file, old.st_uid, old.st_gid); }) != 0) {
    retry_interrupted([&] { return ops.change_owner(file, own.st_uid, old.st_gid); });
  }
  retry_interrupted([&] { return ops.change_mode(file, old.st_mode & 0777); });
}

}  // namespace

AtomicFile::AtomicFile(const FileOps& ops, const Trust& trust, const Folder& folder, std::string name, mode_t mode)
    : ops_(ops), trust_(trust), folder_(folder), name_(std::move(name)), mode_(mode) {}

AtomicFile::~AtomicFile() { discard(); }

std::string AtomicFile::commit(std::string_view bytes) {
  return commit([bytes](const Put& put) { return put(bytes); });
}

std::string AtomicFile::commit(const std::function<std::string(const Put& put)>& content) {
  std::string problem = fill(content);
  if (problem.empty() && retry_interrupted([&] {
                           return ops_.rename(folder_.get(), temporary_.c_str(), folder_.get(), name_.c_str());
                         }) != 0) {
    problem = failure("rename to", folder_.path + "/" + name_);
  }
  if (!problem.empty()) {
    discard();
    return problem;
  }
  temporary_.clear();
  // The file is in place and whole whatever happens here; what a failure loses is that it survives a power cut.
  retry_interrupted([&] { return ops_.fsync(folder_.get()); });
  return {};
}

OpenFile AtomicFile::create() {
  for (int tries = 0; tries < kMaxNameTries; ++tries) {
    // A name may be as long as names are, and this one is longer.
    std::string name = fmt::format(".{}.{}", std::string_view(name_).substr(0, kMostOfName), fresh_digits());
    const int file = retry_interrupted([&] {
      return ops_.open(folder_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       old_ ? 0600 : mode_);
    });
    if (file < 0 && errno == EEXIST) continue;
    if (file >= 0) temporary_ = std::move(name);
    return {ops_, file};
  }
  return {};
}

std::string AtomicFile::fill(const std::function<std::string(const Put& put)>& content) {
  OpenFile file = create();
  if (!file) return failure("create a file in", folder_.path);
  const std::string path = folder_.path + "/" + temporary_;
  share_with_group(ops_, trust_, file.get(), 0660);
  if (old_) take_after(ops_, file.get(), *old_);

  const Put put = [&](std::string_view bytes) { return put_all(ops_, file.get(), bytes, path, "the file system"); };
  if (std::string problem = content(put); !problem.empty()) return problem;
  if (retry_interrupted([&] { return ops_.fsync(file.get()); }) != 0) return failure("sync", path);
  if (!file.close()) return failure("close", path);  // network file systems report a full disk here
  return {};
}

void AtomicFile::discard() noexcept {
  if (temporary_.empty()) return;
  retry_interrupted([&] { return ops_.unlink(folder_.get(), temporary_.c_str()); });
  temporary_.clear();
}

}  // namespace ropejit::internal
