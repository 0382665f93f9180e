// ropejit_bench records: tunes the shapes of the shipped models, in one process, into a file of records. What the file
// has is left out, so a run that was cut off is gone on with by the same command.
#include <chrono>
#include <cstdio>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "bench/commands.hpp"
#include "bench/shipped_models.hpp"
#include "cli/arguments.hpp"
#include "ropejit/error.hpp"
#include "service/targets.hpp"
#include "spec/lower.hpp"
#include "store/file/output.hpp"
#include "tune/choice.hpp"
#include "tune/record_file.hpp"
#include "tune/tuner.hpp"

namespace ropejit::bench {
namespace {

using internal::RecordSet;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

void records_command(const Words& words) {
  const internal::Arguments arguments(
      "records", {{"--device", "NAME", ""}, {"--out", "FILE", ""}, {"--budget-s", "N", ""}}, words);
  const std::string path = arguments.required("--out", "records.jsonl");
  const double end = seconds() + static_cast<double>(arguments.integer("--budget-s", 1'000'000, 1, 1'000'000));
  const internal::OutputFile out(internal::system_file_ops(), path);
  if (out.kind() == internal::OutputFile::Kind::refused) {
    throw Error(ErrorCode::invalid_argument, "records", out.problem());
  }
  ServiceOptions options;
  options.device = arguments.text("--device");
  const auto target = internal::open_target(options);
  target->make_current();

  std::size_t tuned = 0;
  std::size_t there = 0;
  std::size_t left = 0;
  for (const RopeSpec& spec : shipped_specs()) {
    const internal::RotationPlan plan = internal::lower(spec, LaunchForm::in_place_ids());
    const internal::RecordsRead read = internal::read_records(internal::system_file_ops(), path);
    internal::TuneOptions how;
    how.tokens = internal::sizes_without_record(plan.kernel_class, internal::device_key_of(*target), read.records,
                                                internal::usual_sizes());
    if (how.tokens.empty()) {
      ++there;
      continue;
    }
    if (seconds() >= end) {
      ++left;
      continue;
    }
    const internal::TuneResult result = internal::tune(*target, plan, how, {});
    const auto update = internal::update_records(internal::system_file_ops(), path, [&](RecordSet& set) {
      for (auto& record : internal::records_of(*target, plan.kernel_class, result)) set.replace(std::move(record));
    });
    for (const std::string& problem : result.problems) fmt::print(stderr, "{}\n", problem);
    for (const std::string& problem : update.problems) fmt::print(stderr, "{}\n", problem);
    if (!update.written) throw Error(ErrorCode::io_error, "records", fmt::format("{}: cannot be written", path));
    ++tuned;
    fmt::print("{:.1f} s  {}\n", result.total_s, plan.kernel_class.text());
    std::fflush(stdout);
  }
  fmt::print("{} classes tuned, {} there before, {} left\n", tuned, there, left);
}

}  // namespace ropejit::bench
