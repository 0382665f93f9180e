#include "tune/tuner.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include "codegen/candidates.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "launch/prepared_kernel.hpp"
#include "ropejit/error.hpp"
#include "support/made_once.hpp"
#include "support/usual_arithmetic.hpp"
#include "tune/compile_queue.hpp"
#include "tune/search.hpp"
#include "tune/timed_size.hpp"
#include "tune/validation.hpp"

namespace ropejit::internal {
namespace {

constexpr double kWarmUpUs = 20'000;
/// So many of the fastest of their first samples are timed in earnest.
constexpr std::size_t kMostEntries = 16;
/// And whoever is within this part of the fastest.
constexpr double kMayTie = 1.03;

/// Thrown through the search when TuneOptions::may_go_on says no.
struct Stopped {};

class Tuner {
 public:
  Tuner(const Target& target, const RotationPlan& plan, const TuneOptions& options, const KeepBinary& keep)
      : target_(target),
        plan_(plan),
        options_(options),
        keep_(keep),
        defaults_(default_variants(plan.kernel_class, target.multiprocessors())) {
    if (!options_.seconds) {
      options_.seconds = [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
      };
    }
    last_s_ = options_.seconds();
  }

  TuneResult run() {
    for (const std::int64_t tokens : options_.tokens) {
      result_.sizes.push_back({});
      result_.sizes.back().tokens = tokens;
    }
    lay_out();
    try {
      try_candidates();
      for (std::size_t i = 0; i < sizes_.size(); ++i) {
        if (sizes_[i]) settle(i);
      }
    } catch (const Stopped&) {
      result_.stopped = true;
      for (TunedSize& size : result_.sizes) {
        if (!size.winner && size.problem.empty()) size.problem = "stopped before it was done";
      }
    }
    result_.total_s = spent_s();
    return std::move(result_);
  }

 private:
  struct Candidate {
    Variant variant;
    CompiledBinary binary;
    std::unique_ptr<PreparedKernel> kernel;    ///< null: it did not compile or load
    std::vector<std::vector<double>> samples;  ///< by size
  };

  char* memory() const { return static_cast<char*>(memory_.data()); }

  double spent_s() {
    const double now = options_.seconds();
    spent_s_ += std::max(now - last_s_, 0.0);
    last_s_ = now;
    return spent_s_;
  }

  void lay_out() {
    const std::size_t most = target_.free_bytes() / 4;
    std::size_t bytes = 0;
    for (TunedSize& size : result_.sizes) {
      sizes_.push_back(nullptr);
      try {
        sizes_.back() = std::make_unique<TimedSize>(target_, plan_.kernel_class, size.tokens, most);
        size.cold = sizes_.back()->cold();
        bytes = std::max(bytes, sizes_.back()->bytes());
      } catch (const Error& error) {
        size.problem = error.what();
      }
    }
    // Once: results of one run are of one allocation.
    if (bytes > 0) memory_ = memory_to_time_on(target_, bytes);
  }

  void try_candidates() {
    // The universal entry first: winners are compared with it.
    std::vector<Variant> variants = {universal_variant(plan_.kernel_class)};
    const std::vector<Variant> given =
        options_.variants.empty() ? candidate_variants(plan_.kernel_class) : options_.variants;
    llvm::append_range(variants, given);
    // What serves untuned is to be beaten.
    for (const VariantChoice& choice : defaults_) {
      if (!llvm::is_contained(variants, choice.variant)) variants.push_back(choice.variant);
    }
    std::vector<KernelSource> sources;
    for (const Variant& variant : variants) {
      sources.push_back(generate(plan_, variant));
      candidates_.push_back({variant, {}, nullptr, std::vector<std::vector<double>>(sizes_.size())});
    }
    const unsigned threads =
        options_.compile_threads != 0 ? options_.compile_threads : std::max(std::thread::hardware_concurrency(), 1U);
    CompileQueue queue(target_.compiler(), sources, threads);
    bool warm = false;
    while (auto done = queue.next()) {
      Candidate& candidate = candidates_[done->source];
      if (!done->problem.empty()) {
        result_.problems.push_back(fmt::format("{}: {}", to_string(candidate.variant), done->problem));
        continue;
      }
      ++result_.compiled;
      candidate.binary = std::move(done->binary);
      result_.compiler = candidate.binary.compiler;
      try {
        candidate.kernel = std::make_unique<PreparedKernel>(kernel_of_one(
            plan_, candidate.variant,
            std::make_shared<RecordedKernel>(target_.load(candidate.binary.image, sources[done->source]))));
        if (!warm) warm_up(*candidate.kernel);
        warm = true;
        // The universal entry wins nothing.
        if (done->source != 0) time_first(candidate);
      } catch (const Error& error) {
        drop(candidate, error.what());
      }
      // Not before there is something to choose from, and to check it with.
      if (spent_s() > options_.budget_s && any_sample_ && candidates_.front().kernel) break;
    }
    result_.compile_s = spent_s();
  }

  void drop(Candidate& candidate, const std::string& why) {
    result_.problems.push_back(fmt::format("{}: {}", to_string(candidate.variant), why));
    // Graphs that it is in may live a little longer.
    dropped_.push_back(std::move(candidate.kernel));
  }

  /// Clocks rise with work.
  void warm_up(const PreparedKernel& kernel) {
    for (const auto& size : sizes_) {
      if (!size) continue;
      const TimedReplay replay = size->trial(kernel, memory());
      double worked_us = 0;
      while (worked_us < kWarmUpUs) {
        sample(replay);
        worked_us += owed_us_ + 1;
      }
      return;
    }
  }

  void time_first(Candidate& candidate) {
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      if (!sizes_[i]) continue;
      const TimedReplay replay = sizes_[i]->trial(*candidate.kernel, memory());
      for (int n = 0; n < 2; ++n) candidate.samples[i].push_back(sample(replay, n == 0));
      any_sample_ = true;
    }
  }

  /// `made_now`: the replay has run once before, when it was made.
  double sample(const TimedReplay& replay, bool made_now = false) {
    if (options_.may_go_on && !options_.may_go_on(owed_us_)) throw Stopped{};
    const double us = replay.replay->us();
    owed_us_ = us * replay.launches * (made_now ? 2 : 1);
    return us;
  }

  void settle(std::size_t i) {
    TunedSize& size = result_.sizes[i];
    std::vector<Candidate*> entered = entries(i);
    SearchOptions search_options;
    search_options.seconds = options_.seconds;
    search_options.budget_s = (options_.budget_s - spent_s()) / static_cast<double>(sizes_.size() - i);
    while (!entered.empty()) {
      // Graphs are made when they are first wanted.
      std::vector<std::optional<TimedReplay>> replays(entered.size());
      std::vector<Contestant> contestants;
      // First samples are of shorter replays: they count where there is no time for better ones.
      std::vector<std::vector<double>> samples(entered.size());
      for (std::size_t c = 0; c < entered.size(); ++c) {
        if (search_options.budget_s <= 0) samples[c] = entered[c]->samples[i];
        contestants.push_back({to_string(entered[c]->variant), [this, i, c, &replays, &entered] {
                                 const bool made_now = !replays[c];
                                 if (made_now) {
                                   replays[c] = sizes_[i]->in_earnest(*entered[c]->kernel, memory());
                                 }
                                 return sample(*replays[c], made_now);
                               }});
      }
      const SearchResult found = search(contestants, search_options, std::move(samples));
      llvm::append_range(result_.problems, found.problems);
      if (found.rated.empty()) break;
      Candidate& winner = *entered[found.best().contestant];
      if (is_right(winner, size.tokens)) return note(i, entered, found);
      std::erase(entered, &winner);
    }
    size.problem = "no variant compiled, loaded, launched and was right";
  }

  /// Those with a chance, simplest first: what serves this size untuned, then the order of the space. The others' first
  /// samples are noted.
  std::vector<Candidate*> entries(std::size_t i) {
    std::vector<Candidate*> entered;
    for (Candidate& candidate : candidates_) {
      if (candidate.kernel && !candidate.samples[i].empty()) entered.push_back(&candidate);
    }
    if (entered.empty()) return entered;
    const auto median = [i](const Candidate* candidate) { return summarize(candidate->samples[i]).median; };
    llvm::stable_sort(entered, [&](const Candidate* a, const Candidate* b) { return median(a) < median(b); });
    std::size_t count = std::min(entered.size(), kMostEntries);
    while (count < entered.size() && median(entered[count]) <= median(entered.front()) * kMayTie) ++count;
    const Variant& untuned = variant_at(defaults_, result_.sizes[i].tokens);
    const auto is_untuned = [&](const Candidate* candidate) { return candidate->variant == untuned; };
    for (std::size_t c = count; c < entered.size(); ++c) {
      if (is_untuned(entered[c])) std::swap(entered[count++], entered[c]);
    }
    for (std::size_t c = count; c < entered.size(); ++c) {
      result_.sizes[i].tried.push_back(tried(*entered[c], summarize(entered[c]->samples[i])));
    }
    entered.resize(count);
    llvm::sort(entered);  // the order of candidates_
    std::stable_partition(entered.begin(), entered.end(), is_untuned);
    return entered;
  }

  static TriedVariant tried(const Candidate& candidate, const Summary& us) {
    return {candidate.variant, us.median, us.spread, static_cast<int>(us.count)};
  }

  bool is_right(Candidate& candidate, std::int64_t tokens) {
    if (checked_.count({candidate.variant, tokens}) != 0) return true;
    std::string why = "there is no universal entry to compare with";
    try {
      const PreparedKernel* const reference = candidates_.front().kernel.get();
      if (reference != nullptr) why = why_wrong(target_, *candidate.kernel, *reference, tokens);
    } catch (const Error& error) {
      why = error.what();
    }
    if (!why.empty()) {
      drop(candidate, why);
      return false;
    }
    checked_.insert({candidate.variant, tokens});
    return true;
  }

  void note(std::size_t i, const std::vector<Candidate*>& entered, const SearchResult& found) {
    TunedSize& size = result_.sizes[i];
    const Rated& best = found.best();
    Candidate& winner = *entered[best.contestant];
    size.winner = winner.variant;
    size.us = best.us.median;
    size.spread_us = best.us.spread;
    size.out_of_time = found.out_of_time;
    std::vector<TriedVariant> in_search;
    for (const Rated& rated : found.rated) in_search.push_back(tried(*entered[rated.contestant], rated.us));
    llvm::sort(size.tried, [](const auto& a, const auto& b) { return a.us < b.us; });
    size.tried.insert(size.tried.begin(), in_search.begin(), in_search.end());
    const TimedReplay copy = sizes_[i]->copy(memory());
    std::vector<double> copies;
    for (int n = 0; n < 5; ++n) copies.push_back(sample(copy));
    size.copy_us = summarize(copies).median;
    if (keep_ && kept_.insert(winner.variant).second) keep_(winner.variant, winner.binary);
  }

  const Target& target_;
  const RotationPlan& plan_;
  TuneOptions options_;
  const KeepBinary& keep_;
  const std::vector<VariantChoice> defaults_;
  DeviceBuffer memory_;
  std::vector<std::unique_ptr<TimedSize>> sizes_;  ///< null: see its problem
  std::vector<Candidate> candidates_;              ///< the universal entry, then in order of simplicity
  std::vector<std::unique_ptr<PreparedKernel>> dropped_;
  std::set<std::pair<Variant, std::int64_t>> checked_;
  std::set<Variant> kept_;
  TuneResult result_;
  bool any_sample_ = false;
  double owed_us_ = 0;
  double last_s_ = 0;
  double spent_s_ = 0;
};

}  // namespace

TuneResult tune(const Target& target, const RotationPlan& plan, const TuneOptions& options, const KeepBinary& keep) {
  const UsualArithmetic arithmetic;
  return Tuner(target, plan, options, keep).run();
}

const std::vector<std::int64_t>& usual_sizes() {
  static constinit MadeOnce<std::vector<std::int64_t>> sizes;
  return sizes.get([] { return std::vector<std::int64_t>{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536}; });
}

}  // namespace ropejit::internal
