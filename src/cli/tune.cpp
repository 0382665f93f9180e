// Finds the fastest variants of a model's kernel on the device at hand, and keeps them as records.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "ropejit/error.hpp"
#include "service/binary_source.hpp"
#include "service/targets.hpp"
#include "service/tuning.hpp"
#include "spec/lower.hpp"
#include "support/text.hpp"
#include "tune/choice.hpp"
#include "tune/record_file.hpp"
#include "tune/tuner.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kMostTokens = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMostBudgetMs = 86'400'000;

std::string path_of(const Arguments& arguments, const BinaryStore& store) {
  return arguments.text("--records").value_or(records_path(store.directory()));
}

const TriedVariant* find_tried(const TunedSize& size, const Variant& variant) {
  const auto found = llvm::find_if(size.tried, [&](const TriedVariant& tried) { return tried.variant == variant; });
  return found == size.tried.end() ? nullptr : &*found;
}

std::string size_row(const TunedSize& size, const KernelClass& kernel_class, std::uint32_t multiprocessors) {
  if (!size.winner) return fmt::format("{:>8}  {}\n", grouped(size.tokens), size.problem);
  const TriedVariant* const untuned =
      find_tried(size, variant_at(default_variants(kernel_class, multiprocessors), size.tokens));
  return fmt::format("{:>8}  {:<4}  {:<22} {:>9.2f} {:>7.2f} %  {:>7.3f}  {:>7}  {:>5}{}\n", grouped(size.tokens),
                     size.cold ? "cold" : "hot", to_string(*size.winner), size.us,
                     size.us > 0 ? 100 * size.spread_us / size.us : 0, size.copy_us > 0 ? size.us / size.copy_us : 0,
                     untuned == nullptr ? "-" : fmt::format("{:.3f}", untuned->us / size.us), size.tried.size(),
                     size.out_of_time ? "  out of time" : "");
}

std::string table(const TuneResult& result, const KernelClass& kernel_class, const Target& target) {
  std::string text = fmt::format(
      "{} ({})\n{}\n\n  tokens  L2    variant                       us   spread    /copy  "
      "default  tried\n",
      target.name(), target.arch(), kernel_class.text());
  for (const TunedSize& size : result.sizes) text += size_row(size, kernel_class, target.multiprocessors());
  text +=
      fmt::format("\n{} binaries compiled in {:.2f} s, {:.2f} s in all; default: what an untuned launch would take\n",
                  result.compiled, result.compile_s, result.total_s);
  return text;
}

/// Everything that was timed, a line each.
std::string csv(const TuneResult& result) {
  std::string text = "tokens,l2,variant,us,spread_us,samples,copy_us,winner\n";
  for (const TunedSize& size : result.sizes) {
    for (const TriedVariant& tried : size.tried) {
      text += fmt::format("{},{},{},{:.6g},{:.4g},{},{:.6g},{}\n", size.tokens, size.cold ? "cold" : "hot",
                          to_string(tried.variant), tried.us, tried.spread_us, tried.samples, size.copy_us,
                          size.winner == tried.variant ? 1 : 0);
    }
  }
  return text;
}

int run_tune(const Arguments& arguments) {
  const Case given = read_case_of_any_size(arguments);
  std::vector<std::int64_t> sizes = arguments.integers("--tokens", 1, kMostTokens);
  if (sizes.empty()) sizes = usual_sizes();
  const std::int64_t budget_ms = arguments.integer("--budget-ms", kMostBudgetMs, 1, kMostBudgetMs);
  const RotationPlan plan = plan_to_time(given.spec, given.form);
  const auto named = arguments.text("--records");
  if (named) expect_output(*named);

  const ServiceOptions options = read_options(arguments);
  const BinaryStore store(store_options(options.cache_dir));
  Events events(options.warn, {});
  const std::shared_ptr<const Target> target = open_target(options);
  target->make_current();
  const std::string path = path_of(arguments, store);
  if (arguments.has("--keep")) {
    const RecordSet kept = read_records(system_file_ops(), path, store.options().trust).records;
    sizes = sizes_without_record(plan.kernel_class, device_key_of(*target), kept, sizes);
  }
  if (sizes.empty()) {
    print("every size has a record\n");
    return 0;
  }

  TuneOptions how;
  how.tokens = sizes;
  how.budget_s = static_cast<double>(budget_ms) / 1e3;
  if (arguments.has("--all")) how.variants = variant_space(plan.kernel_class);
  const bool keeps_binaries = !lower(given.spec, given.form).needs_length;
  const TuneResult result = tune(*target, plan, how, [&](const Variant& variant, const CompiledBinary& binary) {
    if (keeps_binaries) BinarySource(plan, variant, *target, store, events).keep(binary);
  });

  const std::string report = arguments.has("--csv") ? csv(result) : table(result, plan.kernel_class, *target);
  const bool aside = named && OutputFile(system_file_ops(), *named).is_standard_output();
  aside ? print_error_text(report) : print(report);
  for (const std::string& problem : result.problems) print_error_line("ropejit: " + problem);
  const std::vector<TuningRecord> records = records_of(*target, plan.kernel_class, result);
  const auto keep = [&](RecordSet& set) {
    for (const TuningRecord& record : records) set.replace(record);
  };
  const RecordsUpdate update = update_records(system_file_ops(), path, keep, store.options().trust);
  for (const std::string& problem : update.problems) print_error_line("ropejit: " + problem);
  if (!update.written) print_error_line("ropejit: the records are not kept");
  return records.size() == sizes.size() && update.written ? 0 : 1;
}

}  // namespace

Command tune_command() {
  std::vector<Flag> flags = case_flags();
  for (Flag& flag : flags) {
    if (flag.name == "--tokens") flag = {"--tokens", "LIST", "sizes to tune for (1,4,16,64,256,1024,4096,16384,65536)"};
  }
  const std::vector<Flag> own = {
      {"--budget-ms", "N", "wall time for all sizes together (no limit)"},
      {"--all", "", "time every legal variant, not the candidates alone"},
      {"--records", "FILE", "where records go (the cache directory's own file)"},
      {"--keep", "", "leave out sizes that the file has a record of: goes on where a run was cut off"},
      {"--csv", "", "every variant that was timed, as CSV"}};
  return {"tune",
          "finds the fastest variants on this device and keeps them as records",
          joined({flags, service_flags(), own}),
          {},
          run_tune};
}

}  // namespace ropejit::internal
