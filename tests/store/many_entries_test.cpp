#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "store/sample_entries.hpp"
#include "store/store.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Of 2,000 hits.
double median_read(const BinaryStore& store) {
  std::vector<double> times;
  for (int i = 0; i < 2000; ++i) {
    const auto start = Clock::now();
    const bool hit = store.read("measured").entry.has_value();
    times.push_back(microseconds_since(start));
    REQUIRE(hit);
  }
  std::nth_element(times.begin(), times.begin() + 1000, times.end());
  return times[1000];
}

// Until there are `count` of them. Pruning looks at sizes alone, so all but one may be empty.
void fill(const std::string& directory, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string file = entry_file(directory, std::to_string(i));
    const std::string shard = fs::path(file).parent_path().string();
    if (::mkdir(shard.c_str(), 0700) == 0) REQUIRE(::chmod(shard.c_str(), 0700) == 0);
    write_text(file, "");
  }
}

}  // namespace

TEST_CASE("A look-up among 100,000 entries takes the time of one among 10") {
  const ScratchFolder scratch(fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path());
  const BinaryStore store(scratch.path());
  REQUIRE(store.write(sample_entry("measured", 40000)) == "");
  fill(scratch.path(), 9);
  const double few = median_read(store);
  fill(scratch.path(), 99999);
  const double many = median_read(store);
  const auto start = Clock::now();
  const Pruned pruned = store.prune(Limits{});
  const double pruning = microseconds_since(start);
  CHECK(pruned.kept == 100000);
  WARN("median look-up: " << few << " us among 10, " << many << " us among 100,000; pruning looked at all in "
                          << pruning / 1000 << " ms");
  CHECK(many < 3 * few);
}
