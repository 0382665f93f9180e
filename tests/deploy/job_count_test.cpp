// How many compiles run side by side, on machines that are made of files.
#include "deploy/job_count.hpp"

#include <filesystem>

#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

namespace {

using namespace ropejit;
using internal::kCompileBytes;

void write(const test::ScratchFolder& root, const std::string& path, const std::string& text) {
  const std::filesystem::path file(root / path);
  std::filesystem::create_directories(file.parent_path());
  test::write_text(file.string(), text);
}

constexpr const char* kMeminfo = "MemTotal:  2000 kB\nMemFree:   100 kB\nMemAvailable:   1000 kB\nBuffers: 5 kB\n";

}  // namespace

TEST_CASE("Memory that is left is the least of the machine's and of every control group's") {
  const test::ScratchFolder root;
  CHECK_FALSE(internal::memory_left(root.path()));
  write(root, "proc/meminfo", kMeminfo);
  CHECK(internal::memory_left(root.path()) == 1000U * 1024);

  // Version 2: of the group and of those above it, the one that leaves least counts. Pages that can go are free.
  write(root, "proc/self/cgroup", "0::/pod/container\n");
  write(root, "sys/fs/cgroup/pod/container/memory.max", "max\n");
  write(root, "sys/fs/cgroup/pod/container/memory.current", "5\n");
  CHECK(internal::memory_left(root.path()) == 1000U * 1024);
  write(root, "sys/fs/cgroup/pod/memory.max", "500000\n");
  write(root, "sys/fs/cgroup/pod/memory.current", "300000\n");
  CHECK(internal::memory_left(root.path()) == 200000U);
  write(root, "sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 100000\n");
  CHECK(internal::memory_left(root.path()) == 300000U);
  write(root, "sys/fs/cgroup/pod/container/memory.max", "1000\n");
  CHECK(internal::memory_left(root.path()) == 995U);
  write(root, "sys/fs/cgroup/pod/container/memory.current", "2000\n");
  CHECK(internal::memory_left(root.path()) == 0U);
}

TEST_CASE("Control groups of version 1 count too, and what makes no sense does not") {
  const test::ScratchFolder root;
  write(root, "proc/meminfo", "MemAvailable: soon\n");
  write(root, "proc/self/cgroup", "9:cpu:/x\nnonsense\n4:memory:/docker/1\n");
  CHECK_FALSE(internal::memory_left(root.path()));
  write(root, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "7000\n");
  write(root, "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "3000\n");
  write(root, "sys/fs/cgroup/memory/docker/1/memory.stat", "total_inactive_file 1000\n");
  CHECK(internal::memory_left(root.path()) == 5000U);
}

TEST_CASE("Jobs are bounded by cores and by memory, and never fewer than one") {
  CHECK(internal::jobs_within(8, std::nullopt) == 8);
  CHECK(internal::jobs_within(8, 100 * kCompileBytes) == 8);
  CHECK(internal::jobs_within(8, 3 * kCompileBytes + 5) == 3);
  CHECK(internal::jobs_within(8, 0) == 1);
  CHECK(internal::default_jobs() >= 1);
}
