#include <fmt/format.h>
#include <llvm/ADT/ScopeExit.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/copy_trial.hpp"
#include "cli/output.hpp"
#include "cli/own_source.hpp"
#include "cli/trial.hpp"
#include "codegen/generate.hpp"
#include "ropejit/error.hpp"
#include "ropejit/service.hpp"
#include "service/targets.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kMostBlockSize = std::int64_t{1} << 20;
// Positions stay exact up to here.
constexpr std::int64_t kFarthest = std::int64_t{1} << 40;

// What each stage took, in the order they ran.
class Stages {
 public:
  template <typename Work>
  auto time(const std::string& name, const Work& work) {
    const auto begin = std::chrono::steady_clock::now();
    const auto end = llvm::make_scope_exit([&] {
      const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
      all_.emplace_back(name, took.count());
    });
    return work();
  }
  const std::vector<std::pair<std::string, double>>& all() const { return all_; }
  double last_us() const { return all_.back().second; }

 private:
  std::vector<std::pair<std::string, double>> all_;
};

struct Outcome {
  Case given;
  std::int64_t first = 0;
  KernelInfo kernel;
  VariantInfo variant;
  Stages stages;
  TrialResult check;
  double launch_us = 0;
  double gb_per_s = 0;
  std::optional<double> copy_us;  // of as many bytes; nothing where memory does not allow it

  double over_copy() const { return launch_us / std::max(*copy_us, 1e-3); }
};

std::int64_t read_first_position(const Arguments& arguments, const Case& given) {
  const std::int64_t last_token = given.tokens - 1;
  if (given.form.positions != PositionSource::ids32) {
    return arguments.integer("--first", 0, -kFarthest, kFarthest - last_token);
  }
  return arguments.integer("--first", 0, std::numeric_limits<std::int32_t>::min(),
                           std::numeric_limits<std::int32_t>::max() - last_token);
}

void launch(const RopeKernel& kernel, const RopeArgs& args) {
  const LaunchStatus status = kernel.launch(args);
  if (!status) throw Error(status.code, "launch", status.message());
}

// Enough repeats for a steady median, within about half a second: the host target is slow.
int repeats_for(double launch_us) { return static_cast<int>(std::clamp(5e5 / std::max(launch_us, 1.0), 1.0, 100.0)); }

Outcome run_case(const Case& given, std::int64_t first, const ServiceOptions& options) {
  Outcome outcome;
  outcome.given = given;
  outcome.first = first;
  Stages& stages = outcome.stages;
  const RotationPlan plan = stages.time("lower", [&] { return plan_of(given); });
  const auto target = stages.time("open_device", [&] {
    std::shared_ptr<const Target> opened = open_target(options);
    opened->make_current();
    return opened;
  });
  const RopeService service(options);
  const RopeKernel kernel = stages.time("get", [&] { return service.get(given.spec, given.form); });
  outcome.kernel = kernel.info();
  outcome.variant = kernel.variant_for(given.tokens);
  // get generated and forgot the source of what it compiled; a hit generates for the key alone. Shown by itself.
  if (const auto variant = parse_variant(outcome.variant.variant)) {
    stages.time("generate", [&] { return generate(plan, *variant); });
  }
  const auto trial = stages.time("fill_tensors", [&] { return std::make_unique<Trial>(*target, given, first); });
  const RopeArgs args = trial->args();
  stages.time("first_launch", [&] {
    launch(kernel, args);
    target->synchronize();
  });
  const int repeats = repeats_for(stages.last_us());
  outcome.check = stages.time("verify", [&] { return trial->check(); });
  stages.time("time_launches", [&] {
    LaunchStatus failed;
    outcome.launch_us = target->time_us(
        [&] {
          const LaunchStatus status = kernel.launch(args);
          if (!status) failed = status;
        },
        repeats);
    if (!failed) throw Error(failed.code, "launch", failed.message());
  });
  outcome.gb_per_s = trial->moved_bytes() / std::max(outcome.launch_us, 1e-3) / 1e3;
  stages.time("time_copy", [&] { outcome.copy_us = time_copy(*target, trial->moved_bytes(), repeats); });
  return outcome;
}

std::string outcome_json(const Outcome& outcome) {
  const Comparison all = outcome.check.all();
  return json_object([&](llvm::json::OStream& out) {
    attribute_known(out, outcome.given.known);
    attribute(out, "device", outcome.kernel.device);
    attribute(out, "arch", outcome.kernel.arch);
    attribute(out, "entry", outcome.variant.entry);
    attribute(out, "variant", outcome.variant.variant);
    attribute(out, "cache", to_string(outcome.variant.cache));
    attribute(out, "compile_ms", outcome.variant.compile_ms);
    attribute(out, "load_us", outcome.variant.load_us);
    attribute(out, "launch_us", outcome.launch_us);
    attribute(out, "gb_per_s", outcome.gb_per_s);
    if (outcome.copy_us) {
      attribute(out, "copy_us", *outcome.copy_us);
      attribute(out, "over_copy", outcome.over_copy());
    } else {
      attribute_null(out, "copy_us");
      attribute_null(out, "over_copy");
    }
    attribute(out, "max_abs_error", all.worst_error());
    attribute(out, "bound", all.bound_at_worst());
    attribute(out, "verified", outcome.check.passed());
    if (!outcome.check.passed()) attribute(out, "problem", outcome.check.problem());
    attribute(out, "error_over_bound", all.worst_ratio());
    attribute(out, "elements", all.count());
    attribute(out, "wrong", all.failures());
    attribute(out, "tokens", outcome.given.tokens);
    attribute(out, "positions_first", outcome.first);
    attribute(out, "registers", outcome.variant.registers);
    attribute(out, "spill_bytes", outcome.variant.spill_bytes);
    attribute(out, "class_hash", outcome.kernel.class_hash);
    attribute(out, "plan_hash", outcome.kernel.plan_hash);
    out.attributeObject("stages_us", [&] {
      for (const auto& [name, took] : outcome.stages.all()) attribute(out, name, took);
    });
  });
}

std::string chosen_by(const VariantInfo& variant) {
  if (variant.by == ChosenBy::untuned) return "default";
  return fmt::format("{} record at {} tokens, {:.1f} octaves", to_string(variant.by), grouped(variant.tuned_tokens),
                     variant.octaves);
}

// What `get` did for each of the binaries behind the kernel; a star marks the one that was launched.
std::string binaries_table(const Outcome& outcome) {
  std::string text = "  binary                       from tokens  cache   compile       load  chosen by\n";
  for (const VariantInfo& variant : outcome.kernel.variants) {
    const bool universal = variant.variant.rfind("universal", 0) == 0;
    const bool is_launched = variant.entry == outcome.variant.entry && variant.min_tokens == outcome.variant.min_tokens;
    text += fmt::format("{} {:<28} {:>11}  {:<6}  {:>9}  {:>9}  {}\n", is_launched ? '*' : ' ', variant.variant,
                        universal ? "any strides" : grouped(variant.min_tokens), to_string(variant.cache),
                        variant.cache == CacheRung::miss ? duration(variant.compile_ms * 1e3) : "-",
                        duration(variant.load_us), universal ? "" : chosen_by(variant));
  }
  return text;
}

std::string outcome_table(const Outcome& outcome) {
  const VariantInfo& variant = outcome.variant;
  std::string text = fmt::format("{}\n{}, {} tokens from position {}\n\n", outcome.given.spec.to_string(),
                                 outcome.given.form.to_json(), grouped(outcome.given.tokens), outcome.first);
  text += fmt::format("device   {} ({})\nentry    {}\nvariant  {}", outcome.kernel.device, outcome.kernel.arch,
                      variant.entry, variant.variant);
  if (variant.registers >= 0) text += fmt::format(", {} registers", variant.registers);
  if (variant.spill_bytes > 0) text += fmt::format(", {} bytes spilled", variant.spill_bytes);
  text += "\n\n";
  for (const auto& [name, took] : outcome.stages.all()) {
    text += fmt::format("{:<17}{:>10}\n", name, duration(took));
  }
  text += '\n';
  text += binaries_table(outcome);
  text += fmt::format("\nlaunch   {}, {:.4g} GB/s\n", duration(outcome.launch_us), outcome.gb_per_s);
  if (outcome.copy_us) {
    text +=
        fmt::format("copy     {}, the launch takes {:.2f} of it\n", duration(*outcome.copy_us), outcome.over_copy());
  }
  return text + outcome.check.verdict();
}

int run_run(const Arguments& arguments) {
  Case given = read_case(arguments);
  if (arguments.has("--block-size") && !arguments.has("--prologue")) {
    throw bad_argument("--block-size: found without --prologue, allowed: with it");
  }
  given.block_size = arguments.integer("--block-size", kUsualBlockSize, 1, kMostBlockSize);
  const std::int64_t first = read_first_position(arguments, given);
  if (arguments.has("--source")) return run_own_source(arguments, given, first);
  for (const char* flag : {"--variant", "--entry"}) {
    if (!arguments.has(flag)) continue;
    throw bad_argument("{}: found without --source, allowed: with it (else the size decides what runs)", flag);
  }
  const Outcome outcome = run_case(given, first, read_options(arguments));
  print(arguments.has("--json") ? outcome_json(outcome) : outcome_table(outcome));
  return outcome.check.passed() ? 0 : 1;
}

}  // namespace

Command run_command() {
  return {"run",
          "builds a model's kernel, launches it, checks every element and times it beside a copy of as many bytes",
          joined({case_flags(),
                  service_flags(),
                  {{"--first", "N", "position of the first token, may be negative (0)"},
                   {"--block-size", "N", "with --prologue: tokens of a page of the cache (16)"}},
                  own_source_flags(),
                  {{"--json", "", "one JSON object on stdout"}}}),
          {},
          run_run};
}

}  // namespace ropejit::internal
