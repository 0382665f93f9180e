#include <llvm/Support/FormatVariadic.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "reliability/faulty_calls.hpp"
#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"

namespace ropejit::test {
namespace {

namespace fs = std::filesystem;

constexpr int kPlan = 1;

/// One start of a service in a directory.
llvm::json::Object start(const std::string& directory) {
  Tally tally;
  ServiceOptions options = tally.options();
  options.cache_dir = directory;
  tally.use(RopeService(options), kPlan, 1);
  return tally.json();
}

std::int64_t number(const llvm::json::Object& object, const char* name) { return *object.getInteger(name); }

bool is_right(const llvm::json::Object& seen) {
  return number(seen, "right") == 1 && number(seen, "wrong_count") == 0 && number(seen, "error_count") == 0;
}

void damage_entries(const fs::path& directory) {
  for (const auto& at : fs::recursive_directory_iterator(directory)) {
    if (at.path().extension() == ".rje") std::ofstream(at.path(), std::ios::binary | std::ios::app) << "more";
  }
}

}  // namespace

int faults_job(const WorkerArguments& arguments) {
  const std::map<std::string, int> errors = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"ESTALE", ESTALE}};
  const int error = errors.at(arguments.text("error"));
  const auto every = static_cast<int>(arguments.number("every", 1));
  const fs::path folder = arguments.text("dir");
  const fs::path whole = folder / "whole";
  const fs::path damaged = folder / "damaged";
  if (!is_right(start(whole))) throw std::runtime_error("not right without a fault");
  fs::copy(whole, damaged, fs::copy_options::recursive);
  damage_entries(damaged);

  const fs::path directory = folder / "cache";
  std::int64_t starts = 0;
  std::int64_t bad = 0;
  std::int64_t most_warnings = 0;
  std::set<std::string> calls;
  std::string first_bad;
  for (const fs::path& from : {fs::path(), whole, damaged}) {
    for (const bool keeps_failing : {false, true}) {
      for (int at = 0;; at += every) {
        fs::remove_all(directory);
        if (!from.empty()) fs::copy(from, directory, fs::copy_options::recursive);
        arm({at, error, keeps_failing});
        const llvm::json::Object seen = start(directory.string());
        const std::string failed = failed_call();
        arm({});
        if (failed.empty()) break;
        ++starts;
        calls.insert(failed);
        // What is damaged already has a line for each entry.
        if (from != damaged) most_warnings = std::max(most_warnings, number(seen, "warning_count"));
        const llvm::json::Object next = start(directory.string());
        if (is_right(seen) && is_right(next)) continue;
        ++bad;
        if (first_bad.empty()) {
          llvm::json::Object copy = is_right(seen) ? next : seen;
          first_bad = failed + ", call " + std::to_string(at) + ": " +
                      llvm::formatv("{0}", llvm::json::Value(std::move(copy))).str();
        }
      }
    }
  }
  llvm::json::Array names;
  for (const std::string& name : calls) names.push_back(name);
  print_line(llvm::json::Object{{"starts", starts},
                                {"bad", bad},
                                {"first_bad", llvm::json::fixUTF8(first_bad)},
                                {"most_warnings", most_warnings},
                                {"calls", std::move(names)}});
  return bad == 0 ? 0 : 1;
}

}  // namespace ropejit::test
