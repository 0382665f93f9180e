// Says whether a cache has every binary that models need: 0 if so, 1 if not; and serves them from it, if wanted.
#include <fmt/format.h>

#include <map>
#include <optional>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/warm/selection.hpp"
#include "ropejit/service.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kShown = 10;

const std::string& arch_of(const WarmList& list, const MissingItem& missing) {
  return list.targets[list.items[missing.item].target].build->arch();
}

// What a frozen service on a device of this machine gave, asked for each plan's kernel.
struct Served {
  std::string device;
  std::size_t plans = 0;
  std::vector<std::string> failures;  ///< a line for each plan that is not served
};

Served serve(const WarmList& list, const std::string& device, const std::optional<std::string>& cache_dir) {
  ServiceOptions options;
  options.device = device;
  options.cache_dir = cache_dir;
  options.frozen = true;
  options.on_miss = OnMiss::error;
  const RopeService service(options);
  Served served;
  for (const WarmPlan& plan : list.plans) {
    try {
      const RopeKernel kernel = service.get(plan.spec, plan.form);
      served.device = fmt::format("{} ({})", kernel.info().device, kernel.info().arch);
      ++served.plans;
    } catch (const Error& error) {
      served.failures.push_back(fmt::format("{}: {}", plan.what, error.what()));
      // Not of this plan: it would be said of each.
      if (error.code() == ErrorCode::device_unavailable) break;
    }
  }
  return served;
}

std::string served_text(const Served& served) {
  std::string text = fmt::format("{} plans served on {}, {} not\n", grouped(served.plans),
                                 served.device.empty() ? "no device" : served.device, grouped(served.failures.size()));
  for (std::size_t i = 0; i < std::min(kShown, served.failures.size()); ++i) text += served.failures[i] + "\n";
  return text;
}

std::string report_json(const Selection& selection, const std::vector<MissingItem>& missing, const std::string& command,
                        const std::optional<Served>& served) {
  const WarmList& list = selection.list;
  return json_object([&](llvm::json::OStream& out) {
    attribute(out, "complete", missing.empty());
    attribute(out, "plans", list.plans.size());
    attribute(out, "entries", list.items.size());
    attribute(out, "present", list.items.size() - missing.size());
    attribute_objects(out, "missing", missing, [&](const MissingItem& one) {
      const WarmItem& item = list.items[one.item];
      attribute(out, "key", item.key);
      attribute(out, "arch", arch_of(list, one));
      attribute(out, "variant", to_string(item.variant));
      attribute(out, "for", list.plans[item.plan].what);
      attribute(out, "reason", one.reason);
    });
    if (!missing.empty()) attribute(out, "command", command);
    if (!served) return;
    out.attributeObject("serve", [&] {
      attribute(out, "device", served->device);
      attribute(out, "served", served->plans);
      attribute_list(out, "failures", served->failures);
    });
  });
}

std::string report_text(const Selection& selection, const std::vector<MissingItem>& missing,
                        const std::string& command) {
  const WarmList& list = selection.list;
  std::map<std::string, std::size_t> by_arch;
  for (const MissingItem& one : missing) ++by_arch[arch_of(list, one)];
  std::string text =
      fmt::format("{} of {} binaries are missing\n", grouped(missing.size()), grouped(list.items.size()));
  for (const auto& [arch, count] : by_arch) text += fmt::format("  {:<12} {}\n", arch, grouped(count));
  for (std::size_t i = 0; i < std::min(kShown, missing.size()); ++i) {
    const WarmItem& item = list.items[missing[i].item];
    text += fmt::format("{} {} for {}: {}\n", arch_of(list, missing[i]), to_string(item.variant),
                        list.plans[item.plan].what, missing[i].reason);
  }
  if (missing.size() > kShown) text += fmt::format("and {} more\n", grouped(missing.size() - kShown));
  return text + fmt::format("to add them: {}\n", command);
}

int run_check(const Arguments& arguments) {
  const BinaryStore store(store_options(arguments.text("--cache-dir")));
  Problems problems;
  const Selection selection = read_selection(arguments, store, problems);
  if (!problems.empty()) {
    print_problems(problems);
    return kBadSelection;
  }
  for (const std::string& line : selection.warnings) print_error_line("ropejit: warning: " + line);
  const std::vector<MissingItem> missing = missing_items(selection.list, store);
  const std::string command = warm_command_of(arguments, store);
  std::optional<Served> served;
  if (const auto device = arguments.text("--serve")) {
    served = serve(selection.list, *device, arguments.text("--cache-dir"));
  }
  if (arguments.has("--json")) {
    print(report_json(selection, missing, command, served));
  } else if (selection.list.items.empty()) {
    print(fmt::format("part {} of {} has none of the {} binaries\n", selection.shard.index, selection.shard.count,
                      grouped(selection.of_all_shards)));
  } else if (missing.empty()) {
    print(fmt::format("all {} binaries of {} plans are there\n", grouped(selection.list.items.size()),
                      grouped(selection.list.plans.size())));
  } else {
    print(report_text(selection, missing, command));
  }
  if (served && !arguments.has("--json")) print(served_text(*served));
  return missing.empty() && (!served || served->failures.empty()) ? 0 : 1;
}

}  // namespace

Command check_command() {
  const std::vector<Flag> own = {
      {"--cache-dir", "DIR",
       "the directory ($ROPEJIT_CACHE_DIR, else ~/.cache/ropejit); those of ROPEJIT_CACHE_PATH count too"},
      {"--serve", "DEVICE", "and has a frozen service on this device (auto, cuda:N, host) get every kernel"},
      {"--json", "", "one JSON object on stdout"}};
  return {
      "check",      "says whether a cache has all that models need", joined({selection_flags(), own}), {}, run_check,
      {"[FILE...]"}};
}

}  // namespace ropejit::internal
