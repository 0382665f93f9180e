// What the jobs of ropejit_worker have in common: "name=value" arguments, and one function each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ropejit::test {

class WorkerArguments {
 public:
  /// Throws std::invalid_argument for a word that is not "name=value".
  explicit WorkerArguments(const std::vector<std::string>& words);

  std::string text(const std::string& name, const std::string& otherwise = {}) const;
  std::int64_t number(const std::string& name, std::int64_t otherwise) const;

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

// Each prints what it saw as lines of JSON and returns the exit status: 0 when all that it computed is right.

/// plans=N first=N threads=N rounds=N go=FILE: a service whose threads get, launch and check every plan, each in an
/// order of its own, once FILE is there.
int use_job(const WorkerArguments& arguments);
/// For each line of stdin, "get N" by the service that is there or "new N" by a new one, a line of what happened.
int serve_job(const WorkerArguments& arguments);
/// dir=DIR: writes every entry of a cache directory again and again, until killed.
int rewrite_job(const WorkerArguments& arguments);
/// dir=DIR count=N: adds N small valid entries, without waiting for the disk.
int fill_job(const WorkerArguments& arguments);
/// rounds=N round_ms=N plans=N: mixed use in rounds, after each a line about memory and descriptors.
int soak_job(const WorkerArguments& arguments);
/// count=N most=N samples=N: one service is asked for so many kernels that differ in theta; lines about memory.
int thetas_job(const WorkerArguments& arguments);
/// count=N threads=N plans=N dir=DIR: many gets beside a thread that removes and prunes entries and one that tunes.
int gets_job(const WorkerArguments& arguments);
/// dir=DIR error=EIO|ENOSPC|EINTR|ESTALE every=N: starts of a service, of which each meets the error at another system
/// call of its store.
int faults_job(const WorkerArguments& arguments);
/// mode=untouched|used|tuning|pausing after_ms=N: a service in a parent, used in its child.
int fork_job(const WorkerArguments& arguments);
/// mode=compile|background|tuning forks=N plans=N threads=N seed=N limit_s=N: children of a parent whose threads are in
/// the midst of gets, loads and compiles; each gets and launches every plan, by the parent's service.
int busy_fork_job(const WorkerArguments& arguments);
/// mode=return|exit|static: ends while a tuner works.
int leak_job(const WorkerArguments& arguments);

}  // namespace ropejit::test
