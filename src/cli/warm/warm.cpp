// Makes the binaries of models ahead of time, for any architecture, without a device.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <unistd.h>

#include <chrono>
#include <limits>
#include <map>

#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "cli/warm/selection.hpp"
#include "deploy/job_count.hpp"
#include "deploy/warm_model.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kFailuresShown = 20;
constexpr int kBarCells = 30;

// One line that is drawn anew on a terminal; elsewhere a line now and then.
class ProgressLine {
 public:
  ProgressLine() : terminal_(::isatty(2) == 1), start_(Clock::now()), said_(start_) {}

  void show(const WarmProgress& progress) {
    const auto now = Clock::now();
    const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10'000);
    const bool last = progress.done() == progress.total;
    if (now - said_ < pause && !(last && terminal_)) return;
    said_ = now;
    const std::string line = text(progress, std::chrono::duration<double>(now - start_).count());
    if (!terminal_) return print_error_line("ropejit: " + line);
    const auto cells = static_cast<int>(progress.done() * kBarCells / std::max<std::size_t>(progress.total, 1));
    const std::string bar = std::string(static_cast<std::size_t>(cells), '#') +
                            std::string(static_cast<std::size_t>(kBarCells - cells), '.');
    print_error_text(fmt::format("\r[{}] {}\x1b[K", bar, line));
    drawn_ = true;
  }

  void end() {
    if (drawn_) print_error_text("\n");
  }

 private:
  // What was there takes no time: the rest is judged by what was compiled.
  static std::string text(const WarmProgress& progress, double seconds) {
    std::string line = fmt::format("{} of {}", grouped(progress.done()), grouped(progress.total));
    if (!progress.failures.empty()) line += fmt::format(", {} failed", grouped(progress.failures.size()));
    if (progress.compiled > 0 && progress.done() < progress.total) {
      const double left =
          seconds / static_cast<double>(progress.compiled) * static_cast<double>(progress.total - progress.done());
      line += fmt::format(", {:.0f} min {:.0f} s left at most", std::floor(left / 60), std::fmod(left, 60.0));
    }
    return line;
  }

  const bool terminal_;
  const Clock::time_point start_;
  Clock::time_point said_;
  bool drawn_ = false;
};

void print_list() {
  std::string text = "manifests:\n";
  for (const std::string& name : shipped_manifest_names()) text += fmt::format("  {}\n", name);
  text += "\nforms:\n";
  for (const FormPreset& preset : form_presets()) text += fmt::format("  {:<8} {}\n", preset.name, preset.about);
  text += "\nmodels, by family:\n";
  std::map<std::string, std::vector<std::string>> families;
  for (const WarmModel& model : shipped_models()) families[model.family].push_back(model.name);
  for (const auto& [family, names] : families) {
    text += fmt::format("  {}\n", family);
    for (const std::string& name : names) text += fmt::format("    {}\n", name);
  }
  print(text);
}

// `warm --out` means that directory alone, without limits; else this is what a service uses.
BinaryStore open_store(const Arguments& arguments) {
  StoreOptions options = store_options(arguments.text("--out"));
  if (arguments.has("--out")) {
    options.read_only.clear();
    options.limits.max_bytes = std::numeric_limits<std::uint64_t>::max();
    options.limits.max_age.reset();
  }
  if (options.directory.empty()) {
    throw bad_argument("--out: missing, and there is no cache directory");
  }
  return BinaryStore(options);
}

// Whether anything can be kept there at all, before anything is compiled.
void expect_usable(const Arguments& arguments, const BinaryStore& store) {
  if (const auto out = arguments.text("--out")) is_folder("--out", *out);
  for (const TierFault& fault : store.faults()) {
    if (fault.is_written) throw Error(ErrorCode::io_error, "output", fault.text());
  }
  if (store.tiers().front()->state().kind != TierState::Kind::bundle) return;
  throw Error(ErrorCode::invalid_argument, "output",
              fmt::format("{}: found a bundle, allowed: a directory", store.directory()));
}

void selection_attributes(llvm::json::OStream& out, const Selection& selection) {
  attribute(out, "models", selection.models);
  attribute(out, "asked", selection.asked);
  attribute(out, "plans", selection.list.plans.size());
  attribute(out, "classes", selection.list.classes);
  out.attributeObject("entries_by_arch", [&] {
    for (std::size_t i = 0; i < selection.list.targets.size(); ++i) {
      const auto count = llvm::count_if(selection.list.items, [&](const WarmItem& item) { return item.target == i; });
      attribute(out, selection.list.targets[i].build->arch(), count);
    }
  });
  attribute(out, "entries", selection.list.items.size());
}

std::string selection_text(const Selection& selection) {
  const std::string of = selection.models == 0 ? "" : fmt::format("{} models, ", grouped(selection.models));
  const std::string shard =
      selection.shard.count == 1 ? "" : fmt::format(" in part {} of {}", selection.shard.index, selection.shard.count);
  return fmt::format("{}{} plans of {} classes, {} archs: {} binaries{}", of, grouped(selection.list.plans.size()),
                     grouped(selection.list.classes), selection.list.targets.size(),
                     grouped(selection.list.items.size()), shard);
}

int dry_run(const Selection& selection, const BinaryStore& store, bool json) {
  const std::size_t missing = missing_items(selection.list, store).size();
  if (json) {
    print(json_object([&](llvm::json::OStream& out) {
      selection_attributes(out, selection);
      attribute(out, "present", selection.list.items.size() - missing);
      attribute(out, "missing", missing);
    }));
  } else {
    print(fmt::format("{}; {} of them are in {}, {} are to be compiled\n", selection_text(selection),
                      grouped(selection.list.items.size() - missing), store.directory(), grouped(missing)));
  }
  return 0;
}

std::string report_json(const Selection& selection, const BinaryStore& store, const WarmProgress& done, double seconds,
                        unsigned jobs) {
  return json_object([&](llvm::json::OStream& out) {
    attribute(out, "directory", store.directory());
    selection_attributes(out, selection);
    attribute(out, "present", done.present);
    attribute(out, "compiled", done.compiled);
    attribute(out, "failed", done.failures.size());
    attribute(out, "given_up", done.given_up);
    attribute(out, "compiled_bytes", done.bytes);
    attribute(out, "seconds", seconds, 4);
    attribute(out, "jobs", jobs);
    attribute_objects(out, "failures", done.failures, [&](const WarmFailure& failure) {
      attribute(out, "entry", failure.entry);
      attribute(out, "arch", failure.arch);
      attribute(out, "for", failure.what);
      attribute(out, "reason", failure.reason);
    });
  });
}

void print_failures(const WarmProgress& done) {
  const std::vector<WarmFailure>& all = done.failures;
  for (std::size_t i = 0; i < std::min(all.size(), kFailuresShown); ++i) {
    print_error_line(fmt::format("ropejit: {} for {} ({}): {}", all[i].entry, all[i].arch, all[i].what, all[i].reason));
  }
  if (all.size() > kFailuresShown) {
    print_error_line(fmt::format("ropejit: and {} more failed", grouped(all.size() - kFailuresShown)));
  }
  // The compiler's words once: most failures are one failure.
  for (const WarmFailure& failure : all) {
    if (failure.log.empty()) continue;
    print_error_text(failure.log + (failure.log.back() == '\n' ? "" : "\n"));
    break;
  }
  if (done.given_up) print_error_line("ropejit: given up, and what is left was not begun");
}

int run_warm(const Arguments& arguments) {
  if (arguments.has("--list")) {
    print_list();
    return 0;
  }
  const std::int64_t asked_jobs = arguments.integer("--jobs", 0, 1, 4096);
  const BinaryStore store = open_store(arguments);
  Problems problems;
  Selection selection = read_selection(arguments, store, problems);
  const bool dry = arguments.has("--dry-run");
  Problems absent;
  if (problems.empty() && !dry) require_compilers(selection.list, problems, absent);
  print_problems(problems);
  print_problems(absent);
  if (!problems.empty()) return kBadSelection;
  if (!absent.empty()) return 1;
  if (!dry) expect_usable(arguments, store);
  for (const std::string& line : selection.warnings) print_error_line("ropejit: warning: " + line);
  const bool json = arguments.has("--json");
  if (dry) return dry_run(selection, store, json);

  WarmOptions options;
  options.jobs = asked_jobs > 0 ? static_cast<unsigned>(asked_jobs) : default_jobs();
  const auto start = Clock::now();
  if (!json) {
    print(fmt::format("{}, by {} {}\n", selection_text(selection), options.jobs, options.jobs == 1 ? "job" : "jobs"));
  }
  ProgressLine line;
  options.progress = [&](const WarmProgress& progress) { line.show(progress); };
  const WarmProgress done = warm(selection.list, store, options);
  line.end();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  print_failures(done);
  if (json) {
    print(report_json(selection, store, done, seconds, options.jobs));
  } else {
    print(fmt::format("{}: {} compiled ({} bytes of code), {} were there, {} failed; {}\n", store.directory(),
                      grouped(done.compiled), grouped(done.bytes), grouped(done.present), grouped(done.failures.size()),
                      duration(seconds * 1e6)));
  }
  return done.failures.empty() && !done.given_up ? 0 : 1;
}

}  // namespace

Command warm_command() {
  return {"warm",
          "compiles models' kernels ahead of time, for any GPU, without one",
          joined({selection_flags(),
                  {{"--jobs", "N", "processes that compile (as cores and memory allow)"},
                   {"--out", "DIR", "the cache directory to fill, without its limits (the user's, within them)"},
                   {"--dry-run", "", "says what there is to do, and does nothing"},
                   {"--list", "", "the shipped manifests, forms and models"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_warm,
          {"[FILE...]"}};
}

}  // namespace ropejit::internal
