// Workloads bring what every class's launches read, and say what they write.
#include "tune/workload.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "codegen/default_variant.hpp"
#include "host/host_target.hpp"
#include "launch/launch_arguments.hpp"
#include "support/check_case.hpp"
#include "support/refusals.hpp"

namespace {

using namespace ropejit;
using internal::Extent;
using internal::Workload;

struct Row {
  const char* what;
  RopeSpec spec;
  LaunchForm form;
  std::size_t written;  // tensors and statistics
};

LaunchForm slots_form() {
  LaunchForm form = LaunchForm::in_place_ids();
  form.k_rows = form.v_rows = CacheRows::slots64;
  return form;
}

LaunchForm tables_form() {
  LaunchForm form = LaunchForm::out_of_place_ids();
  form.positions = PositionSource::ragged;
  form.k_rows = CacheRows::page_lists;
  form.v_rows = CacheRows::block_table;
  form.k_beside = form.v_beside = form.k_split = true;
  return form;
}

RopeSpec with(void (*change)(RopeSpec&)) {
  RopeSpec spec = test::three_operands();
  change(spec);
  return spec;
}

std::vector<Row> all_rows() {
  LaunchForm handing = slots_form();
  handing.norm_statistics = handing.norm_sums = true;
  LaunchForm statistics = LaunchForm::in_place_ids();
  statistics.norm_statistics = statistics.statistics_only = true;
  const RopeSpec token_norms = with([](RopeSpec& spec) {
    spec.q.norm = spec.k->norm = Norm{};
    spec.q.norm->span = spec.k->norm->span = NormSpan::token;
    spec.q.norm->weight = NormWeight::heads;
    spec.q.norm->bias = true;
  });
  return {
      {"a rotation", test::three_operands(), LaunchForm::in_place_ids(), 3},
      {"norms of heads, one without weights, to pages", with([](RopeSpec& spec) {
         spec.q.norm = spec.k->norm = spec.v->norm = Norm{};
         spec.k->norm->weight_dtype = DType::fp32;
         spec.v->norm->weight = NormWeight::none;
       }),
       slots_form(), 3},
      {"norms over the token whose sums are handed out", token_norms, handing, 5},
      {"those alone", token_norms, statistics, 2},
      {"sums that are given", with([](RopeSpec& spec) {
         spec.q.norm = spec.k->norm = Norm{};
         spec.q.norm->span = NormSpan::token;
         spec.q.norm->statistic = spec.k->norm->statistic = Statistic::given_sum;
       }),
       slots_form(), 3},
      {"every other stage", with([](RopeSpec& spec) {
         spec.q.temperature = Temperature{0.1, 8192, true, 1};
         spec.q.scale = 0.5;
         spec.k->clamp = 8;
         spec.k->bias = true;
         spec.v->bias = spec.v->head_scales = true;
       }),
       LaunchForm::in_place_ids(), 3},
      {"pages of ragged sequences, and what is beside them", test::three_operands(), tables_form(), 5},
      {"q that is left alone", with([](RopeSpec& spec) { spec.q.rotates = spec.k->rotates = false; }), slots_form(), 2},
  };
}

}  // namespace

TEST_CASE("A workload's launches are taken, by the fast kernels, and write where it says", "[tune]") {
  const std::shared_ptr<const internal::Target> target = internal::host_target(std::nullopt);
  for (const Row& row : all_rows()) {
    const internal::KernelClass kernel_class = internal::lower(row.spec, row.form).kernel_class;
    const Workload workload(*target, kernel_class, 5, 256);
    const internal::DeviceBuffer memory = target->allocate(workload.set_bytes());
    const RopeArgs args = workload.args(static_cast<char*>(memory.data()));
    internal::LaunchArguments out;
    const LaunchStatus status = internal::check_arguments(kernel_class, args, out);
    INFO(row.what << ": " << status.message());
    REQUIRE(status);
    for (const internal::VariantChoice& choice : internal::default_variants(kernel_class, 132)) {
      CHECK(out.allow(internal::work_of(kernel_class, choice.variant).widths));
    }
    CHECK(workload.written().size() == row.written);
    std::size_t end = 0;
    for (const Extent& extent : workload.written()) {
      CHECK(extent.begin >= end + 256);
      end = extent.end;
    }
    CHECK(workload.set_bytes() >= end + 256);
    if (kernel_class.operands[0].is_given_statistic()) {
      for (int token = 0; token < 5; ++token) CHECK(args.q_norm_statistic.data[token] > 0);
      for (int sum = 0; sum < 5 * 2; ++sum) CHECK(args.k_norm_statistic.data[sum] > 0);
    }
  }
}

TEST_CASE("Tokens of a workload have places of their own, whatever says which pages are theirs", "[tune]") {
  struct Tables {
    CacheRows rows;
    PositionSource positions;
    TokenRequests requests;
    TokenPlaces places;
  };
  constexpr std::int64_t kTokens = 37;
  const Tables rows[] = {
      {CacheRows::page_lists, PositionSource::ragged, TokenRequests::sequences, TokenPlaces::positions},
      {CacheRows::block_table, PositionSource::ragged, TokenRequests::ids32, TokenPlaces::positions},
      {CacheRows::block_table, PositionSource::ragged, TokenRequests::sequences, TokenPlaces::ids64},
      {CacheRows::page_lists, PositionSource::ids64, TokenRequests::ids32, TokenPlaces::ids32},
      {CacheRows::block_table, PositionSource::start, TokenRequests::sequences, TokenPlaces::positions}};
  const test::TargetPtr target = internal::host_target(std::nullopt);
  for (const Tables& row : rows) {
    LaunchForm form = LaunchForm::in_place_ids(row.positions);
    form.k_rows = form.v_rows = row.rows;
    form.token_requests = row.requests;
    form.token_places = row.places;
    INFO(form.to_json());
    const internal::RotationPlan plan = internal::lower(test::three_operands(), form);
    const Workload workload(*target, plan.kernel_class, kTokens);
    std::vector<std::uint16_t> memory(workload.set_bytes() / 2 + 256, 0);
    const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(memory.data()) + 255) / 256 * 256;
    RopeArgs args = workload.args(reinterpret_cast<char*>(begin));
    std::uint32_t flags = 0;
    args.flags = &flags;
    constexpr std::int64_t kRow = 2 * 16;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      auto* const v = static_cast<std::uint16_t*>(args.v.data) + token * kRow;
      std::fill(v, v + kRow, static_cast<std::uint16_t>(1000 + token));
    }
    const internal::PreparedKernel kernel = test::prepare_one(target, plan, true);
    REQUIRE(internal::launch_prepared(kernel, args, nullptr));
    CHECK(flags == 0);
    std::vector<int> found(kTokens, 0);
    for (std::int64_t place = 0; place < args.v_cache_rows; ++place) {
      const std::uint16_t bits = static_cast<const std::uint16_t*>(args.v_out.data)[place * kRow];
      if (bits >= 1000) ++found[bits - 1000];
    }
    CHECK(found == std::vector<int>(kTokens, 1));
  }
}
