#include "tune/choice.hpp"

#include <set>

#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using internal::DeviceKey;
using internal::RecordSet;
using internal::RotationPlan;
using internal::ServingChoice;
using internal::TuningRecord;

namespace {

const DeviceKey kDevice{"sm_90", 132, 2619, 5120, 52428800};
constexpr std::uint32_t kMultiprocessors = 132;

RotationPlan plan_of(std::int64_t q_heads = 32, std::int64_t k_heads = 8) {
  RopeSpec spec;
  spec.dtype = DType::bf16;
  spec.rotary_dim = 128;
  spec.q = {q_heads, 128, 0};
  spec.k = Operand{k_heads, 128, 0};
  return internal::lower(spec, LaunchForm::in_place_ids());
}

TuningRecord record(const RotationPlan& plan, std::int64_t tokens, const char* variant) {
  TuningRecord made;
  made.device = kDevice;
  made.kernel_class = plan.kernel_class.hash();
  made.kin = internal::kin_of(plan.kernel_class);
  made.what = plan.kernel_class.text();
  made.bytes_per_token = static_cast<std::int64_t>(internal::bytes_per_token(plan.kernel_class));
  made.tokens = tokens;
  made.variant = variant;
  made.us = 1;
  made.version = "0.1.0";
  return made;
}

std::vector<ServingChoice> choices(const RotationPlan& plan, const std::vector<TuningRecord>& records,
                                   const DeviceKey& device = kDevice) {
  return internal::serving_choices(plan, device, kMultiprocessors, RecordSet(records));
}

/// The row that serves `tokens`; the universal entry is none.
ServingChoice row_for(const std::vector<ServingChoice>& rows, std::int64_t tokens) {
  ServingChoice found = rows.front();
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    if (rows[i].min_tokens <= tokens) found = rows[i];
  }
  return found;
}

}  // namespace

TEST_CASE("Without records the table is that of the defaults") {
  const RotationPlan plan = plan_of();
  const auto defaults = internal::serving_variants(plan, kMultiprocessors);
  const auto rows = choices(plan, {});
  REQUIRE(rows.size() == defaults.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i].min_tokens == defaults[i].min_tokens);
    CHECK(rows[i].variant == defaults[i].variant);
    CHECK(rows[i].by == ChosenBy::untuned);
  }
}

TEST_CASE("A record serves its size exactly, its neighbourhood nearly, and nothing beyond") {
  const RotationPlan plan = plan_of();
  const auto rows = choices(plan, {record(plan, 256, "shared_v8_h1_t256")});
  struct Row {
    std::int64_t tokens;
    ChosenBy by;
  };
  for (const Row& row : {Row{1, ChosenBy::untuned}, Row{32, ChosenBy::untuned}, Row{64, ChosenBy::near},
                         Row{128, ChosenBy::exact}, Row{256, ChosenBy::exact}, Row{512, ChosenBy::exact},
                         Row{1024, ChosenBy::near}, Row{2048, ChosenBy::untuned}, Row{65536, ChosenBy::untuned}}) {
    INFO(row.tokens);
    const ServingChoice choice = row_for(rows, row.tokens);
    CHECK(choice.by == row.by);
    CHECK((to_string(choice.variant) == "shared_v8_h1_t256") == (row.by != ChosenBy::untuned));
    CHECK(choice.octaves <= (row.by == ChosenBy::exact ? 1 : 2));
    CHECK(choice.tuned_tokens == (row.by == ChosenBy::untuned ? 0 : 256));
  }
}

TEST_CASE("Rows begin at no tokens, ascend, differ from their neighbours, and end with the universal entry") {
  const RotationPlan plan = plan_of();
  std::vector<TuningRecord> records;
  const char* const variants[] = {"flat_v4_h1_t128", "flat_v4_h4_t128", "shared_v8_h1_t256", "flat_v8_h1_t256"};
  for (int octave = 0; octave <= 16; octave += 2) {
    records.push_back(record(plan, std::int64_t{1} << octave, variants[octave / 2 % 4]));
  }
  const auto rows = choices(plan, records);
  CHECK(rows.front().min_tokens == 0);
  CHECK(rows.back().variant == internal::universal_variant(plan.kernel_class));
  for (std::size_t i = 1; i + 1 < rows.size(); ++i) {
    CHECK(rows[i].min_tokens > rows[i - 1].min_tokens);
    CHECK((rows[i].variant != rows[i - 1].variant || rows[i].by != rows[i - 1].by));
  }
  for (const TuningRecord& each : records) {
    INFO(each.tokens);
    CHECK(to_string(row_for(rows, each.tokens).variant) == each.variant);
    CHECK(row_for(rows, each.tokens).by == ChosenBy::exact);
  }
}

TEST_CASE("A class that nobody tuned follows its kin where that moves about as much") {
  const RotationPlan tuned = plan_of(32, 8);
  const RotationPlan other = plan_of(28, 4);
  const auto rows = choices(other, {record(tuned, 256, "shared_v8_h1_t256")});
  const ServingChoice choice = row_for(rows, 256);
  CHECK(to_string(choice.variant) == "shared_v8_h1_t256");
  CHECK(choice.by == ChosenBy::near);
  CHECK(row_for(rows, 4096).by == ChosenBy::untuned);
}

TEST_CASE("Records of another device, and variants that are illegal here, are not followed") {
  const RotationPlan plan = plan_of();
  DeviceKey other = kDevice;
  other.multiprocessors = 114;
  for (const auto& rows : {choices(plan, {record(plan, 256, "shared_v8_h1_t256")}, other),
                           choices(plan, {record(plan, 256, "flat_v32_h32_t256")})}) {
    for (const ServingChoice& choice : rows) CHECK(choice.by == ChosenBy::untuned);
  }
}

TEST_CASE("A plan without numbers takes the tuned variants with steps in a buffer") {
  RotationPlan plan = plan_of();
  const std::vector<TuningRecord> records = {record(plan, 256, "shared_v8_h1_t256")};
  plan.needs_length = true;
  for (const ServingChoice& choice : choices(plan, records)) CHECK(choice.variant.buffered_steps);
}

TEST_CASE("Sizes are left to tune where no record is exact") {
  const RotationPlan plan = plan_of();
  const RecordSet records({record(plan, 256, "flat_v4_h4_t128")});
  CHECK(internal::untuned_sizes(plan.kernel_class, kDevice, records, {1, 128, 256, 512, 1024}) ==
        std::vector<std::int64_t>{1, 1024});
}
