#include "bench/report.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/cells.hpp"
#include "bench/size_class.hpp"
#include "support/text.hpp"

namespace ropejit::bench {
namespace {

struct Count {
  std::size_t cells = 0;
  std::size_t met = 0;

  void add(bool meets) {
    ++cells;
    met += meets ? 1 : 0;
  }
  std::string text() const { return fmt::format("{} of {}", met, cells); }
};

/// Targets are met to three digits: 1.0204 is 1.02.
bool meets(double ratio, double limit) { return ratio < limit + 0.0005; }

std::string ratio_text(double ratio, double limit) {
  return meets(ratio, limit) ? fmt::format("{:.3f}", ratio) : fmt::format("**{:.3f}**", ratio);
}

double untuned_or_best(const CellSummary& cell) { return cell.untuned.empty() ? cell.best_ratio : cell.untuned_ratio; }

std::string class_table(const SizeClass& size, std::vector<CellSummary> cells) {
  std::stable_sort(cells.begin(), cells.end(),
                   [](const CellSummary& a, const CellSummary& b) { return untuned_or_best(a) > untuned_or_best(b); });
  std::string text = fmt::format(
      "\n### {}: at most {} of the floor\n\n"
      "| cell | tokens | L2 | MB | floor us | floor | default | / floor | best | / floor | spread | default / best |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|\n",
      size.name, size.limit);
  for (const CellSummary& cell : cells) {
    const bool untuned = !cell.untuned.empty();
    text += fmt::format("| {} | {} | {} | {:.3f} | {:.2f} | {} | {} | {} | {} | {} | {:.1f} % | {} |\n", cell.cell,
                        internal::grouped(cell.tokens), cell.l2, static_cast<double>(cell.bytes) / 1e6, cell.floor_us,
                        cell.floor, untuned ? cell.untuned : "-",
                        untuned ? ratio_text(cell.untuned_ratio, size.limit) : "-", cell.best,
                        ratio_text(cell.best_ratio, size.limit), cell.spread * 100,
                        untuned ? ratio_text(cell.over_best(), kDefaultLimit) : "-");
  }
  return text;
}

/// Layouts are worth comparing where a cell differs from another in nothing else. Their floors are the same copies, so
/// what is compared is the time over the floor of the same minute.
struct Comparison {
  std::string text;
  Count count;
};

/// `name` with the part that says the arrangement replaced by "*", or nothing where it has none.
std::optional<std::pair<std::string, std::string>> split_name(const std::string& name) {
  for (const Arrangement arrangement : kArrangements) {
    const std::string part = fmt::format("-{}-", to_string(arrangement));
    const std::size_t at = name.find(part);
    if (at == std::string::npos) continue;
    return std::pair{std::string(name).replace(at, part.size(), "-*-"), std::string(to_string(arrangement))};
  }
  return std::nullopt;
}

Comparison compare_layouts(const std::vector<CellSummary>& cells) {
  std::map<std::tuple<std::string, std::int64_t, std::string>, std::map<std::string, double>> groups;
  for (const CellSummary& cell : cells) {
    if (const auto name = split_name(cell.cell))
      groups[{name->first, cell.tokens, cell.l2}][name->second] = cell.best_ratio;
  }
  Comparison comparison;
  for (const auto& [key, ratios] : groups) {
    if (ratios.size() < 2) continue;
    const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
    const auto [fastest, slowest] = std::minmax_element(ratios.begin(), ratios.end(), less);
    const double apart = slowest->second / fastest->second;
    comparison.count.add(meets(apart, kLayoutLimit));
    comparison.text +=
        fmt::format("| {} | {} | {} | {} | {} | {} |\n", std::get<0>(key), internal::grouped(std::get<1>(key)),
                    std::get<2>(key), fastest->first, slowest->first, ratio_text(apart, kLayoutLimit));
  }
  return comparison;
}

Comparison compare_tables(const std::vector<CellSummary>& cells) {
  std::map<std::tuple<std::string, std::int64_t, std::string>, const CellSummary*> by_name;
  for (const CellSummary& cell : cells) by_name[{cell.cell, cell.tokens, cell.l2}] = &cell;
  Comparison comparison;
  for (const auto& [key, exact] : by_name) {
    const auto table = by_name.find({std::get<0>(key) + "-table", std::get<1>(key), std::get<2>(key)});
    if (table == by_name.end()) continue;
    const double limit = exact->bytes > kTableFree ? 1.0 : kTableLimit;
    const double over = exact->best_ratio / table->second->best_ratio;
    // What two measurements of one thing may differ by is no loss.
    const double noise = exact->spread + table->second->spread;
    comparison.count.add(meets(over, limit + noise));
    comparison.text +=
        fmt::format("| {} | {} | {} | {:.3f} | {:.3f} | {} |\n", exact->cell, internal::grouped(exact->tokens),
                    exact->l2, exact->best_ratio, table->second->best_ratio, ratio_text(over, limit + noise));
  }
  return comparison;
}

std::string made_with(const std::vector<Record>& records) {
  std::set<std::string> machines;
  std::set<std::string> commands;
  for (const Record& record : records) {
    const Environment& with = record.environment;
    machines.insert(fmt::format("{} ({}), driver {}, {}, ropejit {}, {}", with.gpu, with.arch,
                                with.driver.empty() ? "none" : with.driver, with.nvrtc, with.version, with.date));
    commands.insert(with.command);
  }
  return fmt::format("{}\n\n    {}\n", fmt::join(machines, "\n"), fmt::join(commands, "\n    "));
}

}  // namespace

std::vector<CellSummary> summarize_cells(const std::vector<Record>& records) {
  std::map<std::tuple<std::string, std::int64_t, std::string>, CellSummary> cells;
  for (const auto& [key, ours] : whole_cells(records)) {
    for (const Record& record : ours) {
      CellSummary& cell = cells[{key.cell, key.tokens, key.l2}];
      cell.cell = key.cell;
      cell.tokens = key.tokens;
      cell.l2 = key.l2;
      cell.bytes = record.bytes;
      if (cell.best.empty() || record.ratio < cell.best_ratio) {
        cell.best = record.variant;
        cell.best_ratio = record.ratio;
        cell.floor = record.floor;
        cell.floor_us = record.floor_us;
        cell.spread = record.us > 0 ? record.spread_us / record.us : 0;
      }
      if (record.is_default && (cell.untuned.empty() || record.ratio < cell.untuned_ratio)) {
        cell.untuned = record.variant;
        cell.untuned_ratio = record.ratio;
      }
    }
  }
  std::vector<CellSummary> summaries;
  for (auto& [key, cell] : cells) summaries.push_back(std::move(cell));
  return summaries;
}

std::string report(const std::vector<Record>& records) {
  const std::vector<CellSummary> cells = summarize_cells(records);
  if (cells.empty()) return "no whole cell\n";
  std::string text = made_with(records);
  std::string targets =
      "\n### Targets\n\n| | limit | default | best | default within 1.15 of the best |\n|---|---|---|---|---|\n";
  for (const SizeClass& size : kSizeClasses) {
    std::vector<CellSummary> own;
    std::copy_if(cells.begin(), cells.end(), std::back_inserter(own),
                 [&](const CellSummary& cell) { return &size_class(cell.bytes) == &size; });
    if (own.empty()) continue;
    text += class_table(size, own);
    Count best;
    Count untuned;
    Count close;
    for (const CellSummary& cell : own) {
      best.add(meets(cell.best_ratio, size.limit));
      if (cell.untuned.empty()) continue;
      untuned.add(meets(cell.untuned_ratio, size.limit));
      close.add(meets(cell.over_best(), kDefaultLimit));
    }
    targets +=
        fmt::format("| {} | {} | {} | {} | {} |\n", size.name, size.limit, untuned.text(), best.text(), close.text());
  }
  const Comparison layouts = compare_layouts(cells);
  if (layouts.count.cells != 0) {
    text +=
        "\n### Layouts against each other, best variants\n\n| cell | tokens | L2 | fastest | slowest | apart "
        "|\n|---|---|---|---|---|---|\n";
    text += layouts.text;
    targets += fmt::format("| layouts | {} | | {} | |\n", kLayoutLimit, layouts.count.text());
  }
  const Comparison tables = compare_tables(cells);
  if (tables.count.cells != 0) {
    text +=
        "\n### Exact angles against a caller's fp32 table, best variants, over the floor\n\n| cell | tokens | L2 | "
        "exact | table | exact / table |\n|---|---|---|---|---|---|\n";
    text += tables.text;
    targets += fmt::format("| exact angles against a table | {} to 5 MB, 1 above, and the spread | | {} | |\n",
                           kTableLimit, tables.count.text());
  }
  return text + targets;
}

}  // namespace ropejit::bench
