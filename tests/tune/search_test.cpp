#include "tune/search.hpp"

#include <cmath>
#include <map>
#include <random>

#include "ropejit/error.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using internal::Contestant;
using internal::SearchOptions;
using internal::SearchResult;

namespace {

/// Contestants of known speed under seeded noise, and a clock that their samples move on.
class Race {
 public:
  Race(std::vector<double> us, double noise, unsigned seed = 1) : us_(std::move(us)), noise_(noise), random_(seed) {
    for (std::size_t i = 0; i < us_.size(); ++i) {
      contestants_.push_back({"c" + std::to_string(i), [this, i] { return sample(i); }});
    }
    options_.seconds = [this] { return now_; };
  }

  SearchResult run() { return internal::search(contestants_, options_); }
  SearchOptions& options() { return options_; }
  void fails(std::size_t i, int after_samples = 0) { fails_[i] = after_samples; }
  void outlier_at(int sample) { outlier_ = sample; }
  void step_clock_back_at(int sample, double by_s) {
    back_ = sample;
    back_s_ = by_s;
  }
  int samples() const { return count_; }
  int samples_of(std::size_t i) const { return each_.count(i) == 0 ? 0 : each_.at(i); }

 private:
  double sample(std::size_t i) {
    if (fails_.count(i) != 0 && each_[i] >= fails_[i]) throw Error(ErrorCode::launch_failed, "launch", "refused");
    ++each_[i];
    if (++count_ == back_) now_ -= back_s_;
    now_ += 1e-3;
    const double noise = std::normal_distribution<double>(0, noise_)(random_);
    return us_[i] * (1 + std::abs(noise)) * (count_ == outlier_ ? 50 : 1);
  }

  std::vector<double> us_;
  double noise_;
  std::mt19937 random_;
  std::vector<Contestant> contestants_;
  SearchOptions options_;
  std::map<std::size_t, int> fails_;
  std::map<std::size_t, int> each_;
  int count_ = 0;
  int outlier_ = -1;
  int back_ = -1;
  double back_s_ = 0;
  double now_ = 100;
};

std::vector<double> spread_out(std::size_t count, std::size_t best) {
  std::vector<double> us;
  for (std::size_t i = 0; i < count; ++i) us.push_back(10 + 0.4 * std::abs(double(i) - double(best)));
  return us;
}

}  // namespace

TEST_CASE("The fastest of many is found, whoever it is and whatever the noise") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    const std::size_t best = seed * 7 % 120;
    Race race(spread_out(120, best), 0.01, seed);
    const SearchResult result = race.run();
    INFO("seed " << seed << ", best " << best);
    REQUIRE_FALSE(result.rated.empty());
    CHECK(result.best().contestant == best);
    CHECK(result.rated.size() == 120);
    CHECK(result.problems.empty());
    CHECK_FALSE(result.out_of_time);
  }
}

TEST_CASE("Most samples go to those that may win") {
  Race race(spread_out(128, 40), 0.005);
  race.run();
  CHECK(race.samples_of(127) <= 3);
  CHECK(race.samples_of(40) >= 7);
  CHECK(race.samples() < 128 * 6);
}

TEST_CASE("Equals are settled in favour of the simplest, in every run") {
  // 0.3 % apart: no measurement tells them apart, so the first of them must win each time.
  std::vector<double> us(60, 20.0);
  us[17] = 10.03;
  us[33] = 10.00;
  us[48] = 10.02;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    Race race(us, 0.002, seed);
    const SearchResult result = race.run();
    INFO("seed " << seed);
    CHECK(result.best().contestant == 17);
  }
}

TEST_CASE("Where all are equal the simplest wins") {
  Race race(std::vector<double>(40, 5.0), 0);
  CHECK(race.run().best().contestant == 0);
}

TEST_CASE("A simpler one that is slower than a tie does not win") {
  std::vector<double> us(30, 20.0);
  us[3] = 10.3;
  us[20] = 10.0;
  Race race(us, 0.002);
  CHECK(race.run().best().contestant == 20);
}

TEST_CASE("One wild sample does not throw out the fastest once it has others") {
  for (const int when : {45, 60, 70, 80, 90}) {
    Race race(spread_out(20, 8), 0.002);
    race.outlier_at(when);
    INFO("sample " << when);
    CHECK(race.run().best().contestant == 8);
  }
}

TEST_CASE("A contestant that fails is out, and named; the others go on") {
  Race race(spread_out(30, 12), 0.002);
  race.fails(12);
  race.fails(13, 4);
  const SearchResult result = race.run();
  CHECK(result.best().contestant == 11);
  REQUIRE(result.problems.size() == 2);
  CHECK(result.problems[0].find("c12: ") == 0);
  CHECK(result.problems[1].find("c13: ") == 0);
  for (const auto& rated : result.rated) CHECK((rated.contestant != 12 && rated.contestant != 13));
}

TEST_CASE("Where all fail there is no winner") {
  Race race({1, 2, 3}, 0);
  for (std::size_t i = 0; i < 3; ++i) race.fails(i);
  const SearchResult result = race.run();
  CHECK(result.rated.empty());
  CHECK(result.problems.size() == 3);
}

TEST_CASE("Nobody to choose from is no winner either") { CHECK(internal::search({}, {}).rated.empty()); }

TEST_CASE("A budget ends the search with whoever leads by then") {
  Race race(spread_out(100, 5), 0);
  race.options().budget_s = 0.05;  // fifty samples: half of the first turn
  const SearchResult result = race.run();
  CHECK(result.out_of_time);
  CHECK(race.samples() <= 51);
  CHECK(result.best().contestant == 5);
}

TEST_CASE("A budget of nothing still gives one sample and a winner") {
  Race race(spread_out(10, 5), 0);
  race.options().budget_s = 0;
  const SearchResult result = race.run();
  CHECK(result.out_of_time);
  CHECK(race.samples() == 1);
  CHECK(result.rated.size() == 1);
}

TEST_CASE("A clock that steps back neither ends the search nor keeps it from ending") {
  Race race(spread_out(100, 5), 0.001);
  race.options().budget_s = 0.3;
  race.step_clock_back_at(100, 1000);
  const SearchResult result = race.run();
  CHECK(race.samples() >= 290);
  CHECK(race.samples() <= 302);
  CHECK(result.best().contestant <= 6);
}

TEST_CASE("Samples that were taken before count") {
  std::vector<std::vector<double>> before(4, {10.0, 10.0});
  before[2] = {1.0, 1.0};
  int calls = 0;
  std::vector<Contestant> contestants;
  for (int i = 0; i < 4; ++i) {
    contestants.push_back({"c", [&calls, i] {
                             ++calls;
                             return i == 2 ? 1.0 : 10.0;
                           }});
  }
  SearchOptions options;
  options.finalists = 2;
  const SearchResult result = internal::search(contestants, options, before);
  CHECK(result.best().contestant == 2);
  CHECK(calls <= 2 * 10);
}

TEST_CASE("Where there is no time at all, samples that were taken before decide") {
  std::vector<Contestant> contestants;
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    contestants.push_back({"c", [&calls] {
                             ++calls;
                             return 1.0;
                           }});
  }
  SearchOptions options;
  options.budget_s = 0;
  options.seconds = [] { return 0.0; };
  const SearchResult result = internal::search(contestants, options, {{9, 9}, {5, 5}, {7, 7}});
  CHECK(result.out_of_time);
  CHECK(calls == 0);
  REQUIRE(result.rated.size() == 3);
  CHECK(result.best().contestant == 1);
}
