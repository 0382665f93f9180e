#include "store/quarantine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <vector>

namespace ropejit::internal {

bool quarantine(const FileOps& ops, const Trust& trust, const std::string& directory, const Folder& shard,
                const std::string& name, const struct stat& status) {
  const Folder folder = make_folder(ops, trust, directory, {"v1", "quarantine"});
  if (!folder) return false;
  struct stat now = {};
  if (retry_interrupted([&] { return ops.stat(shard.get(), name.c_str(), &now); }) != 0) return false;
  if (now.st_ino != status.st_ino || now.st_dev != status.st_dev) return false;

  // Names begin with the time, so that their order is by age.
  const std::string to = fmt::format("{:012}-{}", static_cast<std::int64_t>(std::time(nullptr)), name);
  const auto move = [&] { return ops.rename(shard.get(), name.c_str(), folder.get(), to.c_str()); };
  if (retry_interrupted(move) != 0) return false;

  std::vector<std::string> names;
  if (retry_interrupted([&] { return ops.list_directory(folder.get(), names); }) != 0) return true;
  std::sort(names.begin(), names.end());
  for (std::size_t i = 0; i + kMaxQuarantined < names.size(); ++i) {
    retry_interrupted([&] { return ops.unlink(folder.get(), names[i].c_str()); });
  }
  return true;
}

}  // namespace ropejit::internal
