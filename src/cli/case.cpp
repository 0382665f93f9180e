#include "cli/case.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/model_source.hpp"
#include "cli/output.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "ropejit/error.hpp"
#include "ropejit/presets.hpp"
#include "spec/attention_scale.hpp"
#include "spec/limits.hpp"
#include "spec/lower.hpp"
#include "spec/names.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

template <typename Enum, std::size_t kCount>
std::optional<Enum> chosen_of(const Arguments& arguments, std::string_view flag, const std::array<Enum, kCount>& all) {
  std::vector<std::string_view> names;
  for (const Enum value : all) names.emplace_back(to_string(value));
  const std::optional<std::size_t> place = arguments.choice(flag, names);
  return place ? std::optional<Enum>(all[*place]) : std::nullopt;
}

template <typename Enum>
std::optional<Enum> chosen(const Arguments& arguments, std::string_view flag) {
  std::vector<std::string_view> names;
  for (const Named<Enum>& one : kNames<Enum>) names.emplace_back(one.name);
  const std::optional<std::size_t> place = arguments.choice(flag, names);
  return place ? std::optional<Enum>(kNames<Enum>[*place].value) : std::nullopt;
}

template <typename T>
void override_with(const std::optional<T>& given, T& field) {
  if (given) field = *given;
}

// What launches write of norms' statistics, and of nothing else.
void read_statistics(const Arguments& arguments, LaunchForm& form) {
  form.norm_sums = arguments.has("--norm-sums");
  form.norm_statistics = form.norm_sums || arguments.has("--norm-statistics");
  form.statistics_only = arguments.has("--statistics-only");
  if (!form.statistics_only) return;
  if (!form.norm_statistics) {
    throw bad_argument("--statistics-only: found by itself, allowed: with --norm-statistics or --norm-sums");
  }
  if (form.k_beside) throw bad_argument("--statistics-only: found with --k-beside, allowed: one of them");
  form.k_rows = form.v_rows = CacheRows::none;
}

}  // namespace

std::vector<Flag> case_flags() {
  const std::vector<Flag> others = {
      {"--tokens", "N", "tokens of a launch (4096)"},
      {"--dtype", "TYPE", "bf16, fp16 or fp32 (the model's; of a name bf16)"},
      {"--layout", "LAYOUT", "split_half, interleaved or split_sections (the model's)"},
      {"--max-length", "N", "tokens that dynamic and longrope scaling are resolved for (the spec's)"},
      {"--direction", "WAY", "forward, adjoint, inverse or shift (forward)"},
      {"--rounding", "POLICY", "where values are rounded: exact, p1, p2 or p3 (the spec's, else exact)"},
      {"--round-as", "ENGINE", "exact, vllm_fused, vllm, flashinfer, tensorrt_llm or aiter: where its kernels round"},
      {"--angle", "KIND", "where the angle is rounded: exact, fp32_inv_freq or fp32 (the spec's, else exact)"},
      {"--sine", "KIND", "polynomial or hardware (the spec's, else polynomial)"},
      {"--out-of-place", "", "write other tensors than those read (in place)"},
      {"--k-beside", "", "with --prologue: k is written beside its cache, too, as q is"},
      {"--grouped-q", "", "q's heads lie in groups, with a k and a v behind each; free strides"},
      {"--norm-statistics", "", "the norms' statistics are written, too"},
      {"--norm-sums", "", "the norms' sums of squares are written, too"},
      {"--statistics-only", "", "with either of these: nothing else is written"},
      {"--strides", "KIND", "contiguous or free (contiguous)"},
      {"--positions", "KIND", "start, ids32 or ids64 (ids64)"},
  };
  return joined({{model_flag()}, layer_flags(), others});
}

Case read_case(const Arguments& arguments) {
  // Options first: a typing error need not wait for a file.
  const std::int64_t tokens = arguments.integer("--tokens", 4096, 1, std::numeric_limits<std::int32_t>::max());
  Case result = read_case_of_any_size(arguments);
  result.tokens = tokens;
  return result;
}

Case read_case_of_any_size(const Arguments& arguments) {
  Case result;
  const std::string value = arguments.required("--model", "config.json");
  const ModelPart part = read_model_part(arguments);
  if (arguments.has("--out-of-place")) result.form.placement = Placement::out_of_place;
  override_with(chosen<Strides>(arguments, "--strides"), result.form.strides);
  override_with(chosen_of(arguments, "--positions",
                          std::array{PositionSource::start, PositionSource::ids32, PositionSource::ids64}),
                result.form.positions);
  std::optional<std::int64_t> max_length;
  if (arguments.has("--max-length")) {
    max_length = arguments.integer("--max-length", 1, kContextLength.min, kContextLength.max);
  }
  const auto dtype = chosen<DType>(arguments, "--dtype");
  const auto layout = chosen<Layout>(arguments, "--layout");
  const auto direction = chosen<Direction>(arguments, "--direction");
  const auto rounding = chosen<Rounding>(arguments, "--rounding");
  const auto round_as = chosen<Engine>(arguments, "--round-as");
  const auto angle = chosen<AngleRounding>(arguments, "--angle");
  const auto sine = chosen<Sine>(arguments, "--sine");

  const ModelSource source = find_model("--model", value);
  expect_part_of({&source}, part);
  ModelCase model = read_model_case(source, part);
  if (part.options.prologue) {
    if (model.spec.k) result.form.k_rows = CacheRows::slots64;
    if (model.spec.v) result.form.v_rows = CacheRows::slots64;
  }
  result.form.k_beside = arguments.has("--k-beside");
  if (result.form.k_beside && !part.options.prologue) {
    throw bad_argument("--k-beside: found without --prologue, allowed: with it");
  }
  read_statistics(arguments, result.form);
  result.form.grouped_q = arguments.has("--grouped-q");
  if (result.form.grouped_q) result.form.strides = Strides::free;
  result.spec = std::move(model.spec);
  result.known = std::move(model.known);
  if (max_length) result.spec.max_length = max_length;
  override_with(dtype, result.spec.dtype);
  override_with(layout, result.spec.layout);
  override_with(direction, result.spec.direction);
  if (round_as) result.spec = rounded_as(result.spec, *round_as);
  override_with(rounding, result.spec.rounding);
  override_with(angle, result.spec.angle);
  override_with(sine, result.spec.sine);
  if (result.known) print_taken(source.what, *result.known);
  return result;
}

RotationPlan plan_of(const Case& given) {
  RotationPlan plan = lower(given.spec, given.form);
  if (plan.needs_length) require_max_length(given.spec);
  return plan;
}

Flag variant_flag() { return {"--variant", "ID", "how, e.g. flat_v16_h8_t128 (what serves --tokens by default)"}; }

Variant default_variant_for(const KernelClass& kernel_class, std::int64_t tokens) {
  return variant_at(default_variants(kernel_class, kAssumedMultiprocessors), tokens);
}

Variant read_variant(const Arguments& arguments, const KernelClass& kernel_class, std::int64_t tokens) {
  const std::optional<std::string> name = arguments.text("--variant");
  if (!name) return default_variant_for(kernel_class, tokens);
  const std::optional<Variant> variant = parse_variant(*name);
  const std::string problem = variant ? why_illegal(kernel_class, *variant) : "not the name of a variant";
  if (problem.empty()) return *variant;
  const std::vector<Variant> space = variant_space(kernel_class);
  throw bad_argument(
      "--variant: found {}: {}; allowed: FAMILY_vBYTES_hHEADS_tTHREADS, of flat, lanes "
      "and shared, {} here such as {}, and {}",
      quoted(*name), problem, space.size(), to_string(space.front()), to_string(universal_variant(kernel_class)));
}

std::vector<Flag> service_flags() {
  return {
      {"--device", "DEVICE", "auto, cuda, cuda:N or host ($ROPEJIT_DEVICE, else auto)"},
      {"--cache-dir", "DIR", "where binaries are kept; empty: nowhere (see `ropejit cache path`)"},
      {"--on-miss", "WAY", "compile, generic or error: where no cache has a binary ($ROPEJIT_ON_MISS, else compile)"},
  };
}

ServiceOptions read_options(const Arguments& arguments) {
  ServiceOptions options;
  options.device = arguments.text("--device");
  options.cache_dir = arguments.text("--cache-dir");
  options.on_miss = chosen<OnMiss>(arguments, "--on-miss");
  options.warn = [](std::string_view line) { print_error_line(fmt::format("ropejit: warning: {}", line)); };
  return options;
}

}  // namespace ropejit::internal
