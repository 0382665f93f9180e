#include "cli/warm/selection.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "cli/files.hpp"
#include "cli/model_case.hpp"
#include "cli/output.hpp"
#include "cli/warm/models.hpp"
#include "deploy/warm_manifest.hpp"
#include "deploy/warm_model.hpp"
#include "deploy/warm_plan.hpp"
#include "ropejit/error.hpp"
#include "support/json_guard.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kInputLimit = kMaxJsonBytes;
constexpr std::size_t kRecordedLimit = std::size_t{1} << 28;
constexpr const char* kSources[] = {"--manifest", "--hf", "--recorded"};
constexpr const char* kChoices[] = {"--dtype", "--form", "--tensor-parallel"};

// A name of a shipped one, else a path.
std::string manifest_text(const std::string& name) {
  if (const auto shipped = shipped_manifest(name)) return std::string(*shipped);
  const bool is_path = name.find('/') != std::string::npos || name.ends_with(".json");
  if (is_path) return read_file("--manifest", name, kInputLimit);
  throw bad_argument("--manifest: found {}, allowed: {}, or a path with a slash or .json", quoted(name),
                     fmt::join(shipped_manifest_names(), ", "));
}

WarmManifest read_manifest(const Arguments& arguments, Problems& problems) {
  const std::string name = *arguments.text("--manifest");
  WarmManifest manifest;
  std::string text;
  if (!problems.attempt("", [&] { text = manifest_text(name); })) return manifest;
  Problems of_manifest;
  manifest = read_warm_manifest(text, shipped_models(), of_manifest);
  for (const std::string& line : of_manifest.lines()) problems.add(fmt::format("{}: {}", excerpt(name), line));
  return manifest;
}

// What the command line says instead of the manifest.
void take_choices(const Arguments& arguments, WarmManifest& manifest, Problems& problems) {
  if (const auto text = arguments.text("--dtype")) manifest.dtypes = read_dtypes("--dtype", *text, problems);
  if (const auto text = arguments.text("--form")) manifest.forms = read_forms("--form", *text, problems);
  if (const auto text = arguments.text("--tensor-parallel")) {
    manifest.tensor_parallel = read_degrees("--tensor-parallel", *text, problems);
  }
}

void warn_of(const WarmManifest& manifest, Selection& selection) {
  for (const WarmModel& model : manifest.models) {
    for (const std::string& line : model.warnings)
      selection.warnings.push_back(fmt::format("{}: {}", model.name, line));
  }
}

WarmPlans plans_of_manifest(const Arguments& arguments, WarmManifest manifest, Selection& selection,
                            std::vector<std::string>& archs, Problems& problems) {
  take_choices(arguments, manifest, problems);
  archs = manifest.archs;
  selection.models = manifest.models.size();
  warn_of(manifest, selection);
  if (!problems.empty()) return {};
  return expand(manifest, problems);
}

WarmPlans plans_of_models(const Arguments& arguments, Selection& selection, Problems& problems) {
  WarmManifest manifest;
  manifest.models = read_models(arguments, problems);
  warn_of(manifest, selection);
  take_choices(arguments, manifest, problems);
  selection.models = manifest.models.size();
  if (manifest.forms.empty() && !arguments.has("--form")) manifest.forms = read_forms("--form", "vllm", problems);
  if (!problems.empty()) return {};
  if (!manifest.dtypes.empty()) return expand(manifest, problems);
  // Each in its own.
  WarmPlans all;
  for (const WarmModel& model : manifest.models) {
    WarmManifest one = manifest;
    one.models = {model};
    one.dtypes = {model.ropes.front().spec.dtype};
    WarmPlans plans = expand(one, problems);
    all.asked += plans.asked;
    all.left_out.insert(all.left_out.end(), plans.left_out.begin(), plans.left_out.end());
    std::move(plans.plans.begin(), plans.plans.end(), std::back_inserter(all.plans));
  }
  return all;
}

WarmPlans plans_of_recorded(const Arguments& arguments, std::vector<std::string>& archs,
                            std::vector<DeviceKey>& devices, Problems& problems) {
  const std::string path = *arguments.text("--recorded");
  for (const char* flag : kChoices) {
    if (arguments.has(flag)) problems.add(fmt::format("{}: found with --recorded, allowed: without", flag));
  }
  std::string text;
  if (!problems.attempt("", [&] { text = read_file("--recorded", path, kRecordedLimit); })) return {};
  Problems of_file;
  Recorded recorded = read_recorded(text, of_file);
  for (const std::string& line : of_file.lines()) problems.add(fmt::format("{}: {}", excerpt(path), line));
  archs = recorded.archs;
  devices = recorded.devices;
  return std::move(recorded.plans);
}

std::vector<DeviceKey> read_devices(const Arguments& arguments, const std::vector<std::string>& archs,
                                    Problems& problems) {
  const auto text = arguments.text("--device-key");
  if (!text) return {};
  const std::optional<DeviceKey> key = parse_device_key(*text);
  if (key && llvm::is_contained(archs, key->arch)) return {*key};
  problems.add(
      fmt::format("--device-key: found {}, allowed: ARCH/MULTIPROCESSORS/MEMORY_MHZ/MEMORY_BITS/L2_BYTES of {}",
                  quoted(*text), archs.empty() ? "an arch" : fmt::format("{}", fmt::join(archs, ", "))));
  return {};
}

}  // namespace

std::vector<Flag> selection_flags() {
  return {{"--manifest", "NAME", "models, dtypes, forms: a shipped manifest (all, llama, ...) or a file"},
          {"--hf", "MODEL...",
           "or: config.json files of Hugging Face, folders with one, - (standard input), names of --list"},
          as_flag(),
          {"--recorded", "FILE", "or: what ROPEJIT_RECORD wrote"},
          {"--dtype", "LIST", "bf16,fp16 (the manifest's; of a config.json its own, of a name bf16)"},
          {"--form", "LIST", "plain,vllm,sglang,hf,te,ggml (the manifest's; with --hf vllm)"},
          {"--tensor-parallel", "LIST", "1,2,4,8 (the manifest's; with --hf 1)"},
          {"--arch", "LIST", "9.0,sm_80, or host (the manifest's or the recorded ones)"},
          {"--device-key", "KEY", "for this device alone (`ropejit info`): sm_90/132/2619/5120/52428800"},
          {"--shard", "I/N", "the I-th of N parts, each entry in one of them (all)"}};
}

Selection read_selection(const Arguments& arguments, const BinaryStore& store, Problems& problems) {
  Selection selection;
  std::vector<std::string> archs;
  std::vector<DeviceKey> devices;
  WarmPlans plans;
  const auto sources =
      std::count_if(std::begin(kSources), std::end(kSources), [&](const char* flag) { return arguments.has(flag); });
  if (sources != 1) {
    problems.add(fmt::format("--manifest, --hf, --recorded: found {} of them, allowed: one", sources));
  } else if (arguments.has("--manifest")) {
    plans = plans_of_manifest(arguments, read_manifest(arguments, problems), selection, archs, problems);
  } else if (arguments.has("--hf")) {
    plans = plans_of_models(arguments, selection, problems);
  } else {
    plans = plans_of_recorded(arguments, archs, devices, problems);
  }
  if (!arguments.has("--hf") && arguments.has("--as")) problems.add("--as: found without --hf, allowed: with it");
  if (!arguments.has("--hf") && !arguments.positional().empty()) {
    problems.add(fmt::format("found the word {}, allowed: options", quoted(arguments.positional().front())));
  }
  if (const auto list = arguments.text("--arch")) {
    archs = read_archs("--arch", *list, problems);
  } else if (archs.empty() && problems.empty()) {
    problems.add(fmt::format("--arch: missing, allowed: {}", allowed_archs()));
  }
  if (const auto shard = arguments.text("--shard")) selection.shard = read_shard("--shard", *shard, problems);
  if (arguments.has("--device-key")) devices = read_devices(arguments, archs, problems);
  if (!problems.empty()) return selection;

  const std::vector<DeviceKey> with_records = devices_with_records(store);
  std::vector<WarmTarget> targets;
  for (const std::string& arch : archs) targets.push_back(warm_target(arch, devices, with_records));
  selection.asked = plans.asked;
  const std::vector<std::string> left_out = std::move(plans.left_out);
  Events events([&](std::string_view line) { selection.warnings.emplace_back(line); }, {});
  const RecordShelf records(store, events);
  selection.list = list_warm_items(std::move(plans.plans), std::move(targets), records);
  if (selection.list.items.empty()) {
    for (const std::string& line : left_out) problems.add(line);
    problems.add("found nothing that needs a binary, allowed: at least one kernel");
  } else {
    for (const std::string& line : left_out) selection.warnings.push_back(line + "; left out");
  }
  selection.of_all_shards = selection.list.items.size();
  keep_shard(selection.list, selection.shard);
  return selection;
}

void print_problems(const Problems& problems) {
  for (const std::string& line : problems.lines()) print_error_line("ropejit: " + line);
}

std::string warm_command_of(const Arguments& arguments, const BinaryStore& store) {
  const auto shell_word = [](const std::string& word) {
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789_-+=./,:@%") == std::string::npos;
    if (plain) return word;
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
  };
  std::string command = "ropejit warm";
  for (const Flag& flag : selection_flags()) {
    const auto value = arguments.text(flag.name);
    if (!value) continue;
    command += fmt::format(" {} {}", flag.name, shell_word(*value));
    if (flag.name != "--hf") continue;
    for (const std::string& file : arguments.positional()) command += " " + shell_word(file);
  }
  if (!store.directory().empty()) command += " --out " + shell_word(store.directory());
  return command;
}

}  // namespace ropejit::internal
