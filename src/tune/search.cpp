#include "tune/search.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

constexpr int kFirstTurns = 2;
/// Few samples are noisy: so many ties from the best, a contestant may still tie with it.
constexpr double kUnsettled = 1.5;
/// The final ends when the leader has led for so many turns.
constexpr int kStableTurns = 5;

class Search {
 public:
  Search(const std::vector<Contestant>& contestants, const SearchOptions& options,
         std::vector<std::vector<double>> samples)
      : contestants_(contestants),
        options_(options),
        samples_(std::move(samples)),
        left_s_(options.budget_s),
        last_s_(options.seconds ? options.seconds() : 0) {
    samples_.resize(contestants.size());
    any_sample_ = llvm::any_of(samples_, [](const std::vector<double>& each) { return !each.empty(); });
    for (std::size_t i = 0; i < contestants.size(); ++i) running_.push_back(i);
  }

  SearchResult run() {
    for (int turn = 0; turn < kFirstTurns; ++turn) {
      take_turn([&](std::size_t i) { return samples_[i].size() < kFirstTurns; });
    }
    while (running_.size() > options_.finalists && !result_.out_of_time) {
      const std::size_t before = running_.size();
      keep_faster(std::max(options_.finalists, (before + 1) / 2));
      if (running_.size() == before) break;
      if (running_.size() > options_.finalists) take_turn();
    }
    play_final();
    settle();
    return std::move(result_);
  }

 private:
  double median(std::size_t i) const { return summarize(samples_[i]).median; }

  bool is_over() {
    if (options_.seconds) {
      const double now = options_.seconds();
      left_s_ -= std::max(now - last_s_, 0.0);
      last_s_ = now;
    }
    // Nobody wins without a sample.
    result_.out_of_time = result_.out_of_time || (left_s_ <= 0 && any_sample_);
    return result_.out_of_time;
  }

  template <class Wanted>
  void take_turn(const Wanted& wanted) {
    std::vector<std::size_t> out;
    for (const std::size_t at : order_of_turn(running_.size(), turn_++)) {
      const std::size_t i = running_[at];
      if (!wanted(i)) continue;
      if (is_over()) break;
      try {
        samples_[i].push_back(contestants_[i].us());
        any_sample_ = true;
      } catch (const Error& error) {
        result_.problems.push_back(fmt::format("{}: {}", contestants_[i].name, error.what()));
        samples_[i].clear();
        out.push_back(i);
      }
    }
    std::erase_if(running_, [&](std::size_t i) { return llvm::is_contained(out, i); });
  }
  void take_turn() {
    take_turn([](std::size_t) { return true; });
  }

  /// Whoever has no sample, as time was over, is slowest.
  void sort_by_speed(std::vector<std::size_t>& places) const {
    llvm::stable_sort(places, [&](std::size_t a, std::size_t b) {
      if (samples_[a].empty() || samples_[b].empty()) return !samples_[a].empty() && samples_[b].empty();
      return median(a) < median(b);
    });
  }

  void keep_faster(std::size_t count) {
    std::vector<std::size_t> sorted = running_;
    sort_by_speed(sorted);
    // No sample says which of many that tie should go, and the simplest is among them.
    const auto ties = [&](std::size_t i) {
      return !samples_[i].empty() && median(i) <= median(sorted.front()) * (1 + kUnsettled * options_.tie);
    };
    while (count < sorted.size() && ties(sorted[count])) ++count;
    if (sorted.size() > count) {
      out_.insert(out_.end(), sorted.begin() + static_cast<std::ptrdiff_t>(count), sorted.end());
      sorted.resize(count);
    }
    // In order of simplicity again: who is timed after whom does not depend on who leads.
    llvm::sort(sorted);
    running_ = std::move(sorted);
  }

  void play_final() {
    std::size_t leader = contestants_.size();
    int led = 0;
    for (int turn = 0; turn < options_.most_turns && !running_.empty() && !result_.out_of_time; ++turn) {
      take_turn();
      std::vector<std::size_t> sorted = running_;
      if (sorted.empty()) return;
      sort_by_speed(sorted);
      const std::size_t chosen = simplest_of_equals(sorted);
      led = chosen == leader ? led + 1 : 0;
      leader = chosen;
      const auto least = static_cast<std::size_t>(options_.least_turns);
      const bool enough = llvm::all_of(running_, [&](std::size_t i) { return samples_[i].size() >= least; });
      if (enough && led >= kStableTurns) return;
    }
  }

  /// The simplest of those that are as fast as sorted.front(), within the tie.
  std::size_t simplest_of_equals(const std::vector<std::size_t>& sorted) const {
    const double limit = median(sorted.front()) * (1 + options_.tie);
    std::size_t chosen = sorted.front();
    for (const std::size_t i : sorted) {
      if (!samples_[i].empty() && median(i) <= limit) chosen = std::min(chosen, i);
    }
    return chosen;
  }

  void settle() {
    std::vector<std::size_t> finalists = running_;
    sort_by_speed(finalists);
    sort_by_speed(out_);
    const auto rate = [&](const std::vector<std::size_t>& places) {
      for (const std::size_t i : places) {
        if (!samples_[i].empty()) result_.rated.push_back({i, summarize(samples_[i])});
      }
    };
    rate(finalists);
    const std::size_t in_final = result_.rated.size();
    rate(out_);
    if (in_final == 0) return;
    const std::size_t chosen = simplest_of_equals(finalists);
    while (result_.rated[result_.winner].contestant != chosen) ++result_.winner;
  }

  const std::vector<Contestant>& contestants_;
  const SearchOptions& options_;
  std::vector<std::vector<double>> samples_;
  std::vector<std::size_t> running_;  ///< in order of simplicity
  std::vector<std::size_t> out_;
  std::size_t turn_ = 0;
  bool any_sample_ = false;
  double left_s_;
  double last_s_;
  SearchResult result_;
};

}  // namespace

SearchResult search(const std::vector<Contestant>& contestants, const SearchOptions& options,
                    std::vector<std::vector<double>> samples) {
  return Search(contestants, options, std::move(samples)).run();
}

}  // namespace ropejit::internal
