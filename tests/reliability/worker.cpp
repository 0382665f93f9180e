// ropejit_worker: does one job with the library, as a process of its own, and prints what it saw. run.py starts it,
// many at a time, and kills some.
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>

#include "reliability/worker_job.hpp"

namespace ropejit::test {

WorkerArguments::WorkerArguments(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::size_t at = word.find('=');
    if (at == std::string::npos) throw std::invalid_argument("found " + word + ", allowed: name=value");
    values_.emplace_back(word.substr(0, at), word.substr(at + 1));
  }
}

std::string WorkerArguments::text(const std::string& name, const std::string& otherwise) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return value;
  }
  return otherwise;
}

std::int64_t WorkerArguments::number(const std::string& name, std::int64_t otherwise) const {
  const std::string value = text(name);
  return value.empty() ? otherwise : std::stoll(value);
}

}  // namespace ropejit::test

int main(int argc, char** argv) {
  using namespace ropejit::test;
  const std::map<std::string, int (*)(const WorkerArguments&)> jobs = {
      {"use", use_job},       {"serve", serve_job},   {"rewrite", rewrite_job},     {"fill", fill_job},
      {"soak", soak_job},     {"gets", gets_job},     {"fork", fork_job},           {"leak", leak_job},
      {"faults", faults_job}, {"thetas", thetas_job}, {"busy_fork", busy_fork_job},
  };
  try {
    const auto job = jobs.find(argc > 1 ? argv[1] : "");
    if (job == jobs.end()) {
      std::fputs(
          "usage: ropejit_worker use|serve|rewrite|fill|soak|thetas|gets|faults|fork|busy_fork|leak [name=value ...]\n",
          stderr);
      return 2;
    }
    return job->second(WorkerArguments({argv + 2, argv + argc}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ropejit_worker: %s\n", error.what());
    return 2;
  }
}
