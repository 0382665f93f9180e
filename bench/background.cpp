// ropejit_bench background: what tuning in the background costs a stream of launches beside it.
#include <chrono>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

#include "bench/cells.hpp"
#include "bench/commands.hpp"
#include "cli/arguments.hpp"
#include "ropejit/error.hpp"
#include "ropejit/service.hpp"
#include "service/targets.hpp"
#include "tune/statistics.hpp"

namespace ropejit::bench {
namespace {

using Clock = std::chrono::steady_clock;
using internal::Target;

constexpr std::int64_t kTokens = 4096;
constexpr int kBatch = 50;  // launches between two looks at the clock

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Launches a second, of a stream that always has work, for about so many seconds or while `go_on` says so.
template <class GoOn>
double throughput(const RopeKernel& rope, const RopeArgs& args, const Target& target, double least_s,
                  const GoOn& go_on) {
  const auto start = Clock::now();
  std::int64_t launches = 0;
  while (seconds_since(start) < least_s || go_on()) {
    for (int i = 0; i < kBatch; ++i) {
      const LaunchStatus status = rope.launch(args);
      if (!status) throw Error(status.code, "launch", status.message());
    }
    target.synchronize();
    launches += kBatch;
  }
  return static_cast<double>(launches) / seconds_since(start);
}

}  // namespace

void background_command(const Words& words) {
  const internal::Arguments arguments(
      "background", {{"--device", "NAME", ""}, {"--seconds", "N", ""}, {"--percent", "N", ""}}, words);
  const auto least_s = static_cast<double>(arguments.integer("--seconds", 2, 1, 60));
  ServiceOptions options;
  options.device = arguments.text("--device");
  options.cache_dir = "";
  options.tuning_share = static_cast<double>(arguments.integer("--percent", 5, 1, 100)) / 100;
  const RopeService quiet(options);
  options.tuning = Tuning::background;
  options.warn = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };

  const auto target = internal::open_target(options);
  target->make_current();
  const RopeKernel rope = quiet.get(llama_case().spec(), LaunchForm::in_place_start());
  const std::size_t bytes = static_cast<std::size_t>(kTokens) * 40 * 128 * 2;
  const internal::DeviceBuffer memory = target->allocate(bytes);
  target->upload(memory.data(), std::vector<char>(bytes).data(), bytes);
  RopeArgs args;
  args.q.data = memory.data();
  args.k.data = static_cast<char*>(memory.data()) + static_cast<std::size_t>(kTokens) * 32 * 128 * 2;
  args.tokens = kTokens;
  args.positions = Positions::start(0);
  const auto never = [] { return false; };
  throughput(rope, args, *target, 0.5, never);

  std::vector<double> alone;
  std::vector<double> beside;
  double tuning_s = 0;
  constexpr int kTurns = 3;
  for (int turn = 0; turn < kTurns; ++turn) {
    alone.push_back(throughput(rope, args, *target, least_s, never));
    const RopeService tuning(options);
    // Another class each time: nothing is known of it.
    RopeSpec spec = llama_case().spec();
    spec.q.heads = 16 + 2 * turn;
    const RopeKernel other = tuning.get(spec, LaunchForm::in_place_ids());
    const auto start = Clock::now();
    double ended_s = 0;
    beside.push_back(throughput(rope, args, *target, 0, [&] {
      ended_s = seconds_since(start);
      return !tuning.wait_for_tuning(0) && ended_s < 60;
    }));
    tuning_s += ended_s / kTurns;
    fmt::print("turn {}: {:.0f} launches a second alone, {:.0f} beside tuning for {:.1f} s\n", turn + 1, alone.back(),
               beside.back(), ended_s);
    std::fflush(stdout);
  }
  const double before = internal::summarize(alone).median;
  const double during = internal::summarize(beside).median;
  fmt::print("{}: {:.1f} % fewer launches beside a tuner that may take {:.0f} % of the GPU; tuned in {:.1f} s\n",
             target->name(), 100 * (1 - during / before), 100 * options.tuning_share, tuning_s);
}

}  // namespace ropejit::bench
