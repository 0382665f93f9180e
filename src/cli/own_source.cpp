#include "cli/own_source.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <memory>

#include "cli/copy_trial.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "cli/trial.hpp"
#include "codegen/generate.hpp"
#include "launch/prepared_kernel.hpp"
#include "ropejit/error.hpp"
#include "service/targets.hpp"
#include "support/parallel.hpp"
#include "support/text.hpp"
#include "tune/statistics.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kSourceLimit = std::size_t{4} << 20;
// A sample is a replay of about so long: the ends of a graph are then little of it.
constexpr double kSampleUs = 2000;
constexpr double kMostLaunches = 200;
constexpr double kSeconds = 1;  // of timing
constexpr int kLeastTurns = 5;
constexpr int kMostTurns = 41;

// One of the two kernels: what it was made of, and how fast it is.
struct Contender {
  KernelSource source;
  CompiledBinary binary;
  PreparedKernel kernel;
  std::vector<ResolvedSteps> lengths;  ///< the steps of a variant that reads them from a buffer
  Summary us;
};

struct Outcome {
  Case given;
  std::int64_t first = 0;
  std::string path;
  Variant variant;
  std::shared_ptr<const Target> target;
  Contender mine;
  Contender generated;
  std::size_t copied_bytes = 0;
  Summary copy_us;
  TrialResult check;
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string read_entry(const Arguments& arguments, const KernelSource& generated) {
  std::string entry = arguments.text("--entry").value_or(generated.entry);
  const bool digit = !entry.empty() && std::isdigit(static_cast<unsigned char>(entry.front())) != 0;
  if (entry.empty() || digit || !llvm::all_of(entry, is_word)) {
    throw bad_argument("--entry: found {}, allowed: the name of an extern \"C\" kernel", quoted(entry));
  }
  return entry;
}

// The entry is the fast and the universal one: the trial's tensors are as the form says.
void prepare(const RotationPlan& plan, const Variant& variant, const std::shared_ptr<const Target>& target,
             Contender& contender) {
  PreparedKernel& kernel = contender.kernel;
  kernel = kernel_of_one(plan, variant, target->load(contender.binary.image, contender.source));
  kernel.target = target;
  if (variant.buffered_steps) {
    kernel.needs_length = true;
    kernel.step_buffers = std::make_shared<StepBuffers>(target);
    contender.lengths.push_back(kernel.step_buffers->of(plan));
  }
}

void launch(const Contender& contender, const RopeArgs& args, void* stream) {
  const LaunchStatus status = launch_prepared(contender.kernel, contender.lengths, args, stream);
  if (!status) throw Error(status.code, "launch", status.message());
}

// Each as one graph, replayed in turns on the same tensors.
void time_all(Outcome& outcome, const Trial& trial) {
  const Target& target = *outcome.target;
  const RopeArgs args = trial.args();
  const CopyTrial copy(target, trial.moved_bytes());
  outcome.copied_bytes = copy.bytes();

  const double once_us = target.time_us([&] { launch(outcome.mine, args, nullptr); }, 1);
  const int launches = static_cast<int>(std::clamp(kSampleUs / std::max(once_us, 1.0), 1.0, kMostLaunches));
  const std::array<std::unique_ptr<Replay>, 3> replays = {
      target.capture([&](void* stream, int) { launch(outcome.mine, args, stream); }, launches),
      target.capture([&](void* stream, int) { launch(outcome.generated, args, stream); }, launches),
      target.capture([&](void* stream, int) { copy.copy(stream); }, launches),
  };
  std::vector<std::function<double()>> work;
  for (const std::unique_ptr<Replay>& replay : replays) work.emplace_back([&replay] { return replay->us(); });
  const double turn_us = once_us * launches * static_cast<double>(work.size());
  const std::vector<std::vector<double>> samples =
      time_in_turns(work, repetitions(turn_us, kSeconds, kLeastTurns, kMostTurns));
  outcome.mine.us = summarize(samples[0]);
  outcome.generated.us = summarize(samples[1]);
  outcome.copy_us = summarize(samples[2]);
}

void attribute_us(llvm::json::OStream& out, const Summary& us) {
  attribute(out, "us", us.median);
  attribute(out, "us_first_quartile", us.lower);
  attribute(out, "us_third_quartile", us.upper);
}

void attribute_contender(llvm::json::OStream& out, std::string_view key, const Contender& contender) {
  out.attributeObject(key, [&] {
    attribute_us(out, contender.us);
    attribute(out, "registers", contender.binary.registers);
    attribute(out, "spill_bytes", contender.binary.spill_bytes);
    attribute(out, "compile_ms", contender.binary.compile_ms);
  });
}

std::string outcome_json(const Outcome& outcome) {
  const Comparison all = outcome.check.all();
  return json_object([&](llvm::json::OStream& out) {
    attribute_known(out, outcome.given.known);
    attribute(out, "device", outcome.target->name());
    attribute(out, "arch", outcome.target->arch());
    attribute(out, "source", outcome.path);
    attribute(out, "entry", outcome.mine.source.entry);
    attribute(out, "variant", to_string(outcome.variant));
    attribute(out, "tokens", outcome.given.tokens);
    attribute(out, "positions_first", outcome.first);
    attribute(out, "verified", outcome.check.passed());
    if (!outcome.check.passed()) attribute(out, "problem", outcome.check.problem());
    attribute(out, "max_abs_error", all.worst_error());
    attribute(out, "bound", all.bound_at_worst());
    attribute(out, "elements", all.count());
    attribute(out, "wrong", all.failures());
    attribute_contender(out, "mine", outcome.mine);
    attribute_contender(out, "generated", outcome.generated);
    out.attributeObject("copy", [&] {
      attribute_us(out, outcome.copy_us);
      attribute(out, "bytes", outcome.copied_bytes);
    });
  });
}

std::string outcome_table(const Outcome& outcome) {
  std::string text = fmt::format("{}\n{}, {} tokens from position {}\n\n", outcome.given.spec.to_string(),
                                 outcome.given.form.to_json(), grouped(outcome.given.tokens), outcome.first);
  text += fmt::format("device   {} ({})\nsource   {}, entry {}\nvariant  {}\n\n", outcome.target->name(),
                      outcome.target->arch(), excerpt(outcome.path, 4096), outcome.mine.source.entry,
                      to_string(outcome.variant));
  text += fmt::format("{:<10}{:>10}{:>22}{:>11}{:>11}{:>13}\n", "", "a launch", "half of them within", "over copy",
                      "registers", "spill bytes");
  const auto row = [&](const char* name, const Summary& us, const CompiledBinary* binary) {
    const auto known = [&](int number) { return number < 0 ? std::string("-") : fmt::format("{}", number); };
    const std::string half = fmt::format("{} to {}", duration(us.lower), duration(us.upper));
    const double ratio = us.median / std::max(outcome.copy_us.median, 1e-3);
    text += fmt::format("{:<10}{:>10}{:>22}{:>11.2f}", name, duration(us.median), half, ratio);
    if (binary != nullptr) text += fmt::format("{:>11}{:>13}", known(binary->registers), known(binary->spill_bytes));
    text += '\n';
  };
  row("mine", outcome.mine.us, &outcome.mine.binary);
  row("generated", outcome.generated.us, &outcome.generated.binary);
  row("copy", outcome.copy_us, nullptr);
  return text + '\n' + outcome.check.verdict();
}

}  // namespace

std::vector<Flag> own_source_flags() {
  return {
      {"--source", "FILE", "run this kernel instead, an edited `ropejit source`, beside the generated one"},
      {"--variant", "ID", "with --source: whose blocks and entry name it has (as in `ropejit source`)"},
      {"--entry", "NAME", "with --source: the name of its kernel (the generated one's)"},
  };
}

bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word(text[at - 1]);
    const std::size_t end = at + word.size();
    if (begins && (end == text.size() || !is_word(text[end]))) return true;
  }
  return false;
}

KernelSource read_own_source(const Arguments& arguments, const KernelSource& generated) {
  const std::string path = arguments.required("--source", "mine.cu");
  KernelSource source = generated;  // it takes the same parameters
  source.entry = read_entry(arguments, generated);
  source.text = read_file("--source", path, kSourceLimit);
  if (source.text.find('\0') != std::string::npos) {
    throw bad_argument("--source: {}: found a NUL byte, allowed: text", excerpt(path, 4096));
  }
  if (!has_word(source.text, source.entry)) {
    throw bad_argument(
        "--source: {}: found no {}, allowed: a text with that kernel (--variant and --entry "
        "decide its name; `ropejit source` prints one)",
        excerpt(path, 4096), source.entry);
  }
  source.has_steps = generated.has_steps && has_word(source.text, kStepsSymbol);
  return source;
}

int run_own_source(const Arguments& arguments, const Case& given, std::int64_t first_position) {
  const RotationPlan plan = plan_of(given);
  Outcome outcome;
  outcome.given = given;
  outcome.first = first_position;
  outcome.path = arguments.required("--source", "mine.cu");
  outcome.variant = read_variant(arguments, plan.kernel_class, given.tokens);
  outcome.generated.source = generate(plan, outcome.variant);
  outcome.mine.source = read_own_source(arguments, outcome.generated.source);

  outcome.target = open_target(read_options(arguments));
  outcome.target->make_current();
  const Compiler& compiler = outcome.target->compiler();
  const std::array<Contender*, 2> both = {&outcome.mine, &outcome.generated};
  parallel_for(2, [&](std::int64_t i) {
    Contender& one = *both[static_cast<std::size_t>(i)];
    one.binary = compiler.compile(one.source);
  });
  for (Contender* one : both) prepare(plan, outcome.variant, outcome.target, *one);

  const Trial trial(*outcome.target, given, first_position);
  launch(outcome.mine, trial.args(), nullptr);
  outcome.target->synchronize();
  outcome.check = trial.check();
  time_all(outcome, trial);
  print(arguments.has("--json") ? outcome_json(outcome) : outcome_table(outcome));
  return outcome.check.passed() ? 0 : 1;
}

}  // namespace ropejit::internal
