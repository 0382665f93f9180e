#include "reliability/tally.hpp"

#include <llvm/Support/raw_ostream.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <utility>

#include "reliability/small_plans.hpp"

namespace ropejit::test {
namespace {

constexpr std::size_t kLinesKept = 50;

void keep(std::vector<std::string>& lines, std::string_view line) {
  if (lines.size() < kLinesKept) lines.emplace_back(line);
}

llvm::json::Array array_of(const std::vector<std::string>& lines) {
  llvm::json::Array array;
  for (const std::string& line : lines) array.push_back(llvm::json::fixUTF8(line));
  return array;
}

}  // namespace

ServiceOptions Tally::options() {
  ServiceOptions options;
  options.device = "host";
  options.warn = [this](std::string_view line) { warn(line); };
  return options;
}

void Tally::use(const RopeService& service, int number, std::uint64_t seed) {
  try {
    const SmallPlan plan = small_plan(number);
    const auto start = std::chrono::steady_clock::now();
    const RopeKernel kernel = service.get(plan.spec, plan.form);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    count(kernel.info(), took.count());
    check(kernel, seed);
  } catch (const Error& error) {
    fail(error.log().empty() ? error.what() : std::string(error.what()) + ": " + error.log());
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

void Tally::check(const RopeKernel& kernel, std::uint64_t seed) {
  const std::string wrong = launch_and_check(kernel, seed);
  const std::lock_guard lock(mutex_);
  if (wrong.empty()) {
    ++right_;
  } else {
    ++wrong_count_;
    keep(wrong_, wrong);
  }
}

void Tally::warn(std::string_view line) {
  const std::lock_guard lock(mutex_);
  ++warning_count_;
  keep(warnings_, line);
}

void Tally::fail(std::string_view what) {
  const std::lock_guard lock(mutex_);
  ++error_count_;
  keep(errors_, what);
}

bool Tally::all_right() const {
  const std::lock_guard lock(mutex_);
  return right_ > 0 && wrong_count_ == 0 && error_count_ == 0;
}

void Tally::count(const KernelInfo& info, double get_us) {
  const std::lock_guard lock(mutex_);
  if (get_us_ < 0) get_us_ = get_us;
  // A variant that serves two sizes is in the list twice.
  std::map<std::string, CacheRung> binaries;
  for (const VariantInfo& variant : info.variants) binaries.emplace(variant.variant, variant.cache);
  for (const auto& [variant, rung] : binaries) {
    ++rungs_[to_string(rung)];
    if (rung == CacheRung::miss) compiled_.insert(info.plan_hash + "/" + variant);
  }
}

llvm::json::Object Tally::json() const {
  const std::lock_guard lock(mutex_);
  llvm::json::Object rungs;
  for (const auto& [rung, times] : rungs_) rungs[rung] = times;
  return llvm::json::Object{{"right", right_},
                            {"wrong_count", wrong_count_},
                            {"wrong", array_of(wrong_)},
                            {"error_count", error_count_},
                            {"errors", array_of(errors_)},
                            {"warning_count", warning_count_},
                            {"warnings", array_of(warnings_)},
                            {"rungs", std::move(rungs)},
                            {"compiled", array_of({compiled_.begin(), compiled_.end()})},
                            {"get_us", get_us_}};
}

void Tally::print() const { print_line(json()); }

void print_line(llvm::json::Object object) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << llvm::json::Value(std::move(object)) << '\n';
  stream.flush();
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace ropejit::test
