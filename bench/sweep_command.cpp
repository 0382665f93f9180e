#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/commands.hpp"
#include "bench/environment.hpp"
#include "bench/measure.hpp"
#include "bench/report.hpp"
#include "bench/results.hpp"
#include "bench/shards.hpp"
#include "bench/sweep.hpp"
#include "cli/arguments.hpp"
#include "ropejit/error.hpp"
#include "service/targets.hpp"

namespace ropejit::bench {
namespace {

using internal::Arguments;
using internal::Target;

constexpr std::int64_t kMostSeconds = 1'000'000;
constexpr std::int64_t kMostTokens = (std::int64_t{1} << 31) - 1;

std::vector<internal::Flag> flags() {
  return {{"--set", "NAME", ""},     {"--cell", "NAME", ""},  {"--tokens", "LIST", ""}, {"--shard", "I/N", ""},
          {"--variants", "IDS", ""}, {"--variant", "ID", ""}, {"--l2", "STATE", ""},    {"--resume", "FILE", ""},
          {"--budget-s", "N", ""},   {"--dry-run", "", ""},   {"--launches", "N", ""},  {"--device", "NAME", ""},
          {"--trials", "FILE", ""}};
}

std::vector<Cell> chosen_cells(const Arguments& arguments) {
  std::vector<Cell> cells = cells_of(arguments.text("--set").value_or("gate"));
  if (const auto name = arguments.text("--cell")) cells = cells_named(cells, *name);
  const std::vector<std::int64_t> tokens = arguments.integers("--tokens", 1, kMostTokens);
  if (!tokens.empty()) cells = at_tokens(cells, tokens);
  if (const auto shard = arguments.text("--shard")) cells = cells_of_shard(cells, parse_shard(*shard));
  return cells;
}

Selection chosen_variants(const Arguments& arguments) {
  const auto one = arguments.text("--variant");
  return parse_selection(one ? *one : arguments.text("--variants").value_or("best"));
}

L2 chosen_l2(const Arguments& arguments) {
  const auto state = arguments.choice("--l2", {"hot", "cold"});
  return !state ? L2::automatic : *state == 0 ? L2::hot : L2::cold;
}

std::shared_ptr<const Target> open(const Arguments& arguments) {
  ServiceOptions options;
  options.device = arguments.text("--device");
  auto target = internal::open_target(options);
  target->make_current();
  return target;
}

void list(const std::vector<Cell>& cells, const std::set<CellKey>& done, L2 l2, const std::string& selection) {
  for (const Cell& cell : cells) {
    const std::string name = cell.what.name();
    const char* state = SetLayout::of(cell, l2, {}).cold ? "cold" : "hot";
    fmt::print("{:<44} {:>7} tokens {:>10.3f} MB {:<4}{}\n", name, cell.tokens, static_cast<double>(cell.bytes()) / 1e6,
               state, done.count({name, cell.tokens, state, selection}) != 0 ? " done" : "");
  }
  fmt::print("{} cells\n", cells.size());
}

void run_one(const Arguments& arguments, const std::vector<Cell>& cells) {
  const std::int64_t launches = arguments.integer("--launches", 1, 1, 1'000'000);
  const Selection selection = chosen_variants(arguments);
  if (cells.size() != 1 || selection.listed.size() != 1) {
    throw Error(ErrorCode::invalid_argument, "arguments",
                fmt::format("--launches: found {} cells and {} named variants, allowed: one of each (--cell, --tokens, "
                            "--variant)",
                            cells.size(), selection.listed.size()));
  }
  const auto target = open(arguments);
  MeasureOptions options;
  options.selection = selection;
  options.l2 = chosen_l2(arguments);
  Measurer(*target, cells, options).run_once(cells.front(), selection.listed.front(), static_cast<int>(launches));
  fmt::print("{} at {} tokens: {} launched {} times\n", cells.front().what.name(), cells.front().tokens, selection.text,
             launches);
}

/// A line a cell in a file of its own: what a cost model is made from.
std::function<void(const Cell&, const std::vector<std::pair<std::string, double>>&)> trials_writer(
    const std::optional<std::string>& path) {
  if (!path) return {};
  append_output("bench", *path, "");  // says now that it cannot be written
  return [path = *path](const Cell& cell, const std::vector<std::pair<std::string, double>>& us) {
    std::string line = fmt::format(R"({{"cell":"{}","tokens":{},"us":{{)", cell.what.name(), cell.tokens);
    for (const auto& [name, time] : us)
      line += fmt::format(R"({}"{}":{:.4g})", line.back() == '{' ? "" : ",", name, time);
    append_output("bench", path, line + "}}\n");
  };
}

void print_row(const std::vector<Record>& records) {
  const CellSummary cell = summarize_cells(records).at(0);
  fmt::print("{:<36} {:>6} {:<4} {:>8.2f} {:<22} {:>6.3f} {:<22}", cell.cell, cell.tokens, cell.l2, cell.floor_us,
             cell.floor, cell.best_ratio, cell.best);
  if (!cell.untuned.empty()) fmt::print(" {:>6.3f} {:<22} {:.3f}", cell.untuned_ratio, cell.untuned, cell.over_best());
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace

void sweep_command(const Words& words) {
  const Arguments arguments("ropejit_bench", flags(), words);
  const std::vector<Cell> cells = chosen_cells(arguments);
  if (arguments.has("--launches")) return run_one(arguments, cells);

  const Selection selection = chosen_variants(arguments);
  const L2 l2 = chosen_l2(arguments);
  const ResultFile file(arguments.text("--resume").value_or(""));
  std::set<CellKey> done;
  for (const auto& [key, records] : whole_cells(file.found())) done.insert(key);
  if (arguments.has("--dry-run")) return list(cells, done, l2, selection.text);

  const auto target = open(arguments);
  const CacheSizes sizes = CacheSizes::of(*target);
  for (const Record& record : file.found()) {
    if (record.environment.gpu == target->name()) continue;
    throw Error(ErrorCode::invalid_argument, "arguments",
                fmt::format("--resume: found results of {}, allowed: a file of this device, {}", record.environment.gpu,
                            target->name()));
  }
  Sweep sweep;
  sweep.seconds = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  sweep.done = [&](const Cell& cell) {
    const char* state = SetLayout::of(cell, l2, sizes).cold ? "cold" : "hot";
    return done.count({cell.what.name(), cell.tokens, state, selection.text}) != 0;
  };
  if (arguments.has("--budget-s")) {
    sweep.budget = static_cast<double>(arguments.integer("--budget-s", kMostSeconds, 0, kMostSeconds));
  }
  std::vector<Cell> pending;
  for (const Cell& cell : cells) {
    if (!sweep.done(cell)) pending.push_back(cell);
  }
  // Made with the first cell, so that the budget covers it and a run with nothing to do is done at once.
  std::optional<Environment> environment;
  std::optional<Measurer> measurer;
  sweep.measure = [&](const Cell& cell) {
    if (!measurer) {
      environment = environment_of(*target, words);
      measurer.emplace(*target, pending, MeasureOptions{selection, l2, 0.6, trials_writer(arguments.text("--trials"))});
      fmt::print("{} ({}), driver {}, {}\n{:<36} {:>6} {:<4} {:>8} {:<22} {:>6} {:<22} {:>6} {:<22} {}\n",
                 environment->gpu, environment->arch, environment->driver.empty() ? "none" : environment->driver,
                 environment->nvrtc, "cell", "tokens", "L2", "floor us", "floor", "/floor", "best", "/floor", "default",
                 "/best");
    }
    std::vector<Record> records = measurer->measure(cell);
    for (Record& record : records) record.environment = *environment;
    file.append(records);
    print_row(records);
  };
  const Progress progress = run_sweep(cells, sweep);
  fmt::print("{} cells measured, {} done before, {} left\n", progress.measured, progress.skipped, progress.left);
}

void report_command(const Words& words) {
  const Arguments arguments("report", {}, words, 1000);
  if (arguments.positional().empty()) {
    throw Error(ErrorCode::invalid_argument, "arguments", "report: found no file, allowed: one or more");
  }
  std::vector<Record> records;
  for (const std::string& path : arguments.positional()) {
    for (Record& record : read_results(path)) records.push_back(std::move(record));
  }
  fmt::print("{}", report(records));
}

}  // namespace ropejit::bench
