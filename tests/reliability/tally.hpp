// What a worker saw, gathered from its threads and printed as one line of JSON.
#pragma once

#include <llvm/Support/JSON.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/ropejit.hpp"

namespace ropejit::test {

/// Thread-safe.
class Tally {
 public:
  /// Options for the host target whose warnings are kept here; the cache directory is the environment's. The tally must
  /// outlive the service.
  ServiceOptions options();

  /// Gets plan `number`, launches it and checks what came out; nothing is thrown.
  void use(const RopeService& service, int number, std::uint64_t seed);
  /// Launches and checks.
  void check(const RopeKernel& kernel, std::uint64_t seed);
  void warn(std::string_view line);
  void fail(std::string_view what);

  bool all_right() const;

  /// right: launches that were checked; wrong: lines of those that failed; errors: what was thrown; warnings; rungs:
  /// binaries by where they came from; compiled: "plan/variant" of those that were compiled; get_us: of the first get.
  llvm::json::Object json() const;
  void print() const;

 private:
  void count(const KernelInfo& info, double get_us);

  mutable std::mutex mutex_;
  std::int64_t right_ = 0;
  std::int64_t wrong_count_ = 0;
  std::int64_t error_count_ = 0;
  std::vector<std::string> wrong_;
  std::vector<std::string> errors_;
  std::vector<std::string> warnings_;
  std::int64_t warning_count_ = 0;
  std::map<std::string, std::int64_t> rungs_;
  std::set<std::string> compiled_;
  double get_us_ = -1;
};

/// One line on stdout, at once: a reader waits at the other end of a pipe.
void print_line(llvm::json::Object object);

}  // namespace ropejit::test
