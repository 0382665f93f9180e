// Does something again and again, with a fault at each of its system calls in turn.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "store/faulty_file_ops.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

namespace ropejit::test {

inline constexpr int kFaults[] = {EIO, ENOSPC, EINTR, ESTALE, EACCES, EROFS, EMFILE, ENOLCK, EDQUOT, ENOENT};

inline bool is_leftover(const std::string& file) {
  return std::filesystem::path(file).filename().string().starts_with('.');
}

/// Calls `attempt` in a fresh folder that `prepare` filled, for each error and each call that it makes, until one
/// passes without a fault. Looks that no file is left open, and that no temporary one is left behind unless to remove
/// it was what failed. Returns the names of the calls that failed.
inline std::set<std::string> at_every_call(
    const std::function<void(const std::string& directory)>& prepare,
    const std::function<void(const std::string& directory, FaultyFileOps& ops, int error)>& attempt) {
  std::set<std::string> failed;
  // Thousands of small folders: in memory seconds, on a disk minutes.
  const std::filesystem::path memory = "/dev/shm";
  const bool usable = ::access(memory.c_str(), W_OK | X_OK) == 0;
  const std::filesystem::path parent = usable ? memory : std::filesystem::temp_directory_path();
  for (const bool keeps_failing : {false, true}) {
    for (const int error : kFaults) {
      if (keeps_failing && error == EINTR) continue;  // a system that only interrupts has a test of its own
      for (int at = 0;; ++at) {
        REQUIRE(at < 1000);
        const ScratchFolder scratch(parent);
        const std::string directory = scratch / "cache";
        prepare(directory);
        FaultyFileOps ops(at, error);
        ops.keeps_failing = keeps_failing;
        attempt(directory, ops, error);
        INFO("errno " << error << " at call " << at << " (" << ops.failed() << ")" << (keeps_failing ? " and on" : ""));
        CHECK(ops.open_files() == 0);
        if (!keeps_failing && ops.failed() != "unlink") {
          for (const std::string& file : files_below(scratch.path())) CHECK_FALSE(is_leftover(file));
        }
        if (ops.failed().empty()) break;
        failed.insert(ops.failed());
      }
    }
  }
  return failed;
}

}  // namespace ropejit::test
