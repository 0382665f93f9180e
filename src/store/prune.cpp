#include "store/prune.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "store/file/folder.hpp"

namespace ropejit::internal {
namespace {

constexpr const char* kLockName = "prune.lock";
constexpr std::string_view kEntrySuffix = ".rje";
constexpr std::string_view kLockSuffix = ".lock";

struct Found {
  std::time_t used;
  std::uint64_t bytes;
  std::uint16_t shard;  ///< in Sweep::shards_
  std::string name;
};

// One pass over one directory.
class Sweep {
 public:
  Sweep(const FileOps& ops, const Trust& trust, const std::string& directory, const Limits& limits, bool everything)
      : ops_(ops),
        trust_(trust),
        directory_(directory),
        limits_(limits),
        everything_(everything),
        now_(std::time(nullptr)) {}

  Pruned run() {
    result_.done = true;
    for (const std::string& shard : shards_of("entries")) look_at(shard);
    remove_entries();
    for (const std::string_view folder : {"", "records", "quarantine"}) sweep(folder);
    for (const std::string& shard : shards_of("locks")) sweep_locks(shard);
    return std::move(result_);
  }

 private:
  std::vector<std::string> names_in(const Folder& folder) {
    std::vector<std::string> names;
    if (!folder) {
      if (!folder.absent) tell(folder.problem);
    } else if (retry_interrupted([&] { return ops_.list_directory(folder.get(), names); }) != 0) {
      tell(failure("list", folder.path));
    }
    return names;
  }

  std::vector<std::string> shards_of(std::string_view top) {
    std::vector<std::string> shards = names_in(open_folder(ops_, trust_, directory_, {"v1", top}));
    std::erase_if(shards, [](const std::string& name) {
      return name.size() != 2 || name.find_first_not_of("0123456789abcdef") != std::string::npos;
    });
    return shards;
  }

  bool is_older(const struct stat& status, std::chrono::seconds age) const {
    return now_ - status.st_mtime > age.count();
  }

  bool remove(const Folder& folder, const std::string& name) {
    if (retry_interrupted([&] { return ops_.unlink(folder.get(), name.c_str()); }) == 0 || errno == ENOENT) return true;
    tell(failure("remove", folder.path + "/" + name));
    return false;
  }

  std::optional<struct stat> file_status(const Folder& folder, const std::string& name) {
    struct stat status = {};
    if (retry_interrupted([&] { return ops_.stat(folder.get(), name.c_str(), &status); }) != 0) return std::nullopt;
    if (S_ISDIR(status.st_mode)) return std::nullopt;
    return status;
  }

  void sweep_leftover(const Folder& folder, const std::string& name) {
    const auto status = file_status(folder, name);
    if (status && is_older(*status, kLeftoverAge) && remove(folder, name)) ++result_.leftovers;
  }

  void look_at(const std::string& shard) {
    const Folder folder = open_folder(ops_, trust_, directory_, {"v1", "entries", shard});
    const auto place = static_cast<std::uint16_t>(shards_.size());
    shards_.push_back(shard);
    for (std::string& name : names_in(folder)) {
      if (name.starts_with('.')) {
        sweep_leftover(folder, name);
      } else if (name.ends_with(kEntrySuffix)) {
        const auto status = file_status(folder, name);
        if (!status) continue;
        result_.kept_bytes += static_cast<std::uint64_t>(status->st_size);
        found_.push_back({status->st_mtime, static_cast<std::uint64_t>(status->st_size), place, std::move(name)});
      }
    }
    result_.kept = found_.size();
  }

  void remove_entries() {
    llvm::sort(found_, [](const Found& a, const Found& b) { return a.used < b.used; });
    // The folders of those that go, opened once each, as they come; at most 256.
    std::array<Folder, 256> folders;
    for (const Found& entry : found_) {
      const std::time_t age = now_ - entry.used;
      const bool too_old = limits_.max_age && age > limits_.max_age->count();
      if (!everything_) {
        if (!too_old && result_.kept_bytes <= limits_.max_bytes) break;
        // A stamp from the future says nothing.
        if (age >= 0 && age < limits_.spared.count()) break;
      }
      Folder& folder = folders[entry.shard % folders.size()];
      if (!folder) folder = open_folder(ops_, trust_, directory_, {"v1", "entries", shards_[entry.shard]});
      if (!folder || !remove(folder, entry.name)) continue;
      ++result_.entries;
      --result_.kept;
      result_.bytes += entry.bytes;
      result_.kept_bytes -= entry.bytes;
    }
  }

  // Temporary files beside those of `name`; of the quarantine everything, where everything goes.
  void sweep(std::string_view name) {
    const Folder folder = name.empty() ? open_folder(ops_, trust_, directory_, {"v1"})
                                       : open_folder(ops_, trust_, directory_, {"v1", name});
    for (const std::string& file : names_in(folder)) {
      if (file.starts_with('.')) {
        sweep_leftover(folder, file);
      } else if (everything_ && name == "quarantine") {
        remove(folder, file);
      }
    }
  }

  void sweep_locks(const std::string& shard) {
    const Folder folder = open_folder(ops_, trust_, directory_, {"v1", "locks", shard});
    for (const std::string& name : names_in(folder)) {
      if (!name.ends_with(kLockSuffix)) continue;
      const auto status = file_status(folder, name);
      if (!status || (!everything_ && !is_older(*status, kLockFileAge))) continue;
      // Removed by its holder alone (key_lock.hpp).
      OpenFile file(ops_, retry_interrupted([&] {
                      return ops_.open(folder.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
                    }));
      if (!file || retry_interrupted([&] { return ops_.lock(file.get()); }) != 0) continue;
      file.set_locked();
      // It may be another file by now than the one that is held.
      struct stat held = {};
      if (retry_interrupted([&] { return ops_.fstat(file.get(), &held); }) != 0) continue;
      const auto there = file_status(folder, name);
      if (!there || there->st_ino != held.st_ino) continue;
      if (remove(folder, name)) ++result_.locks;
    }
  }

  void tell(std::string problem) {
    if (result_.problem.empty()) result_.problem = std::move(problem);
  }

  const FileOps& ops_;
  const Trust& trust_;
  const std::string& directory_;
  const Limits& limits_;
  bool everything_;
  std::time_t now_;
  std::vector<std::string> shards_;
  std::vector<Found> found_;
  Pruned result_;
};

}  // namespace

Pruned prune(const FileOps& ops, const Trust& trust, const std::string& directory, const Limits& limits,
             Pruning pruning) {
  Pruned nothing;
  if (directory.empty() || trust.sealed()) return nothing;
  const Folder folder = open_folder(ops, trust, directory, {"v1"});
  if (!folder) {
    if (!folder.absent) nothing.problem = folder.problem;
    return nothing;
  }
  const auto fail = [&](const char* what) {
    nothing.problem = failure(what, fmt::format("{}/{}", folder.path, kLockName));
    return nothing;
  };
  // The stamp of the last pruning is the time of the lock's file. Asked before it is opened: this is done often.
  struct stat status = {};
  const bool is_there =
      retry_interrupted([&] { return ops.stat(folder.get(), kLockName, &status); }) == 0 && S_ISREG(status.st_mode);
  if (pruning == Pruning::when_due && is_there) {
    const std::time_t age = std::time(nullptr) - status.st_mtime;
    if (age >= 0 && age < limits.interval.count()) return nothing;
  }
  OpenFile file(ops, retry_interrupted([&] {
                  return ops.open(folder.get(), kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                                  0600);
                }));
  if (!file) return fail("open");
  share_with_group(ops, trust, file.get(), 0660);
  if (retry_interrupted([&] { return ops.lock(file.get()); }) != 0) {
    if (errno == EWOULDBLOCK) return nothing;
    return fail("lock");
  }
  file.set_locked();
  // Before the work: one that is killed in the midst of it is not followed by the next at once.
  if (retry_interrupted([&] { return ops.touch(file.get()); }) != 0) return fail("stamp");
  return Sweep(ops, trust, directory, limits, pruning == Pruning::everything).run();
}

}  // namespace ropejit::internal
