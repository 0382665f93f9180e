#include "store/key_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "store/file/folder.hpp"

namespace ropejit::internal {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kLongestPause{50};
constexpr int kMaxReopened = 100;

KeyLock unavailable(const char* what) { return {KeyLock::Outcome::unavailable, failure(what, "a lock file")}; }

}  // namespace

KeyLock lock_key(const FileOps& ops, const Trust& trust, const std::string& directory, std::string_view key,
                 milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  const std::string name = fmt::format("{}.lock", key);
  for (int tries = 0; tries < kMaxReopened; ++tries) {
    const Folder folder = make_folder(ops, trust, directory, {"v1", "locks", key.substr(0, 2)});
    if (!folder) return {KeyLock::Outcome::unavailable, folder.problem};
    // For writing: network file systems lock nothing else exclusively. Never waits, whatever lies there.
    OpenFile file(ops, retry_interrupted([&] {
                    return ops.open(folder.get(), name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                                    0600);
                  }));
    if (!file) return unavailable("open");
    share_with_group(ops, trust, file.get(), 0660);

    if (!lock_until(ops, file.get(), deadline, kLongestPause)) {
      if (errno != EWOULDBLOCK) return unavailable("lock");
      return {KeyLock::Outcome::timed_out, fmt::format("another process has the lock after {} ms", bound.count())};
    }
    file.set_locked();
    struct stat status = {};
    if (retry_interrupted([&] { return ops.fstat(file.get(), &status); }) != 0) return unavailable("stat");
    if (status.st_nlink > 0) return {KeyLock::Outcome::held, {}, std::move(file)};
    // Pruned while this waited: others lock another file by now.
  }
  return {KeyLock::Outcome::unavailable, "the lock file is removed again and again"};
}

}  // namespace ropejit::internal
