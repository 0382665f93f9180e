// What spec and form cannot be together, and what of them is one plan.
#include "spec/lower.hpp"

#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using ropejit::test::contains;
using ropejit::test::error_of;

namespace {

RopeSpec small() {
  RopeSpec spec;
  spec.rotary_dim = 16;
  spec.q = {4, 32, 0};
  spec.k = Operand{2, 32, 0};
  return spec;
}

LaunchForm with(LaunchForm form, ContextParallel order) {
  form.context_parallel = order;
  return form;
}

LaunchForm with(LaunchForm form, CacheRows rows) {
  form.k_rows = rows;
  return form;
}

LaunchForm with_statistics(LaunchForm form) {
  form.norm_statistics = true;
  return form;
}

LaunchForm with_k_beside(LaunchForm form) {
  form.k_beside = true;
  return form;
}

}  // namespace

TEST_CASE("a spec and a form that do not go together are refused, naming the field") {
  RopeSpec q_widened = small();
  q_widened.q.dtype_out = DType::fp32;
  RopeSpec k_widened = small();
  k_widened.k->dtype_out = DType::fp32;
  RopeSpec still_k = small();
  still_k.k->rotates = false;
  RopeSpec without_k = small();
  without_k.k.reset();
  RopeSpec given = small();
  given.q.norm = given.k->norm = Norm{1e-6, std::nullopt, Statistic::given};
  const LaunchForm in_place = LaunchForm::in_place_ids();
  const struct {
    RopeSpec spec;
    LaunchForm form;
    const char* says;
  } rows[] = {
      {q_widened, in_place, "q.dtype_out: found fp32, allowed: bf16 in place"},
      {k_widened, in_place, "k.dtype_out: found fp32, allowed: bf16 in place"},
      {q_widened, with(in_place, CacheRows::rows32), "q.dtype_out: found fp32"},
      {still_k, in_place, "k.rotates: found false, allowed: true in place"},
      {without_k, with(in_place, CacheRows::rows64), "k_rows: found rows64, allowed: none for a spec without k"},
      {small(), with(in_place, ContextParallel::zigzag),
       "context_parallel: found zigzag, allowed: none with positions"},
      {small(), in_place.with_table(AngleSource::radians, DType::bf16), "table_dtype: found bf16, allowed: fp32"},
      {small(), with(in_place, static_cast<CacheRows>(7)), "k_rows: found 7, allowed: none, rows32, rows64"},
      {small(), with(in_place, static_cast<ContextParallel>(-1)), "context_parallel: found -1"},
      {small(), with_k_beside(in_place), "k_beside: found true, allowed: false without k_rows"},
      {k_widened, with_k_beside(with(in_place, CacheRows::slots64)), "k.dtype_out: found fp32, allowed: bf16 in place"},
      {still_k, with_k_beside(with(in_place, CacheRows::rows32)),
       "k.rotates: found false, allowed: true with k_beside in place"},
      {small(), with_statistics(in_place),
       "norm_statistics: found true, allowed: false for a spec none of whose norms computes its statistic"},
      {given, with_statistics(in_place),
       "norm_statistics: found true, allowed: false for a spec none of whose norms computes its statistic"},
  };
  for (const auto& row : rows) {
    const auto error = error_of([&] { return lower(row.spec, row.form); });
    INFO(row.says);
    REQUIRE(error);
    INFO(error->what());
    CHECK(contains(error->what(), row.says));
    CHECK(error->code() == ErrorCode::invalid_argument);
  }
}

TEST_CASE("k goes to a cache out of place, with a dtype of its own, whatever becomes of q") {
  RopeSpec spec = small();
  spec.k->dtype_out = DType::fp32;
  const KernelClass kernel_class = lower(spec, with(LaunchForm::in_place_ids(), CacheRows::rows32)).kernel_class;
  CHECK(kernel_class.find(internal::OperandName::q)->in_place());
  CHECK_FALSE(kernel_class.find(internal::OperandName::k)->in_place());
  CHECK(kernel_class.find(internal::OperandName::k)->dtype_out == DType::fp32);
}

TEST_CASE("k beside its cache is written as q is, and other classes' texts do not speak of it") {
  const LaunchForm forms[] = {with(LaunchForm::in_place_ids(), CacheRows::slots64),
                              with(LaunchForm::out_of_place_ids(), CacheRows::rows32)};
  for (const LaunchForm& form : forms) {
    const KernelClass without = lower(small(), form).kernel_class;
    CHECK(without.find(internal::OperandName::k)->beside == Beside::none);
    CHECK_FALSE(contains(without.text(), "beside"));
    const KernelClass with_beside = lower(small(), with_k_beside(form)).kernel_class;
    const bool in_place = form.placement == Placement::in_place;
    CHECK(with_beside.find(internal::OperandName::k)->beside == (in_place ? Beside::in_place : Beside::apart));
    CHECK(with_beside.text() == without.text() + " k_beside");
  }
}

TEST_CASE(
    "stores by page tables, to groups of lanes and of v beside its cache are in the class, and in no other's text") {
  RopeSpec spec = small();
  spec.v = Operand{2, 64, 0};
  LaunchForm form = LaunchForm::out_of_place_ids();
  form.k_rows = form.v_rows = CacheRows::slots64;
  const std::string without = lower(spec, form).kernel_class.text();
  for (const char* word : {"token_", "v_beside", "k_split"}) CHECK_FALSE(contains(without, word));
  form.k_split = form.v_beside = true;
  KernelClass kernel_class = lower(spec, form).kernel_class;
  CHECK(kernel_class.text() == without + " v_beside k_split");
  CHECK(kernel_class.find(internal::OperandName::k)->split_lanes == 8);
  CHECK(kernel_class.find(internal::OperandName::v)->split_lanes == 0);
  CHECK(kernel_class.find(internal::OperandName::v)->beside == Beside::apart);
  spec.k->dtype_out = DType::fp32;
  CHECK(lower(spec, form).kernel_class.find(internal::OperandName::k)->split_lanes == 4);

  form = LaunchForm::in_place_ids();
  form.k_rows = CacheRows::page_lists;
  form.v_rows = CacheRows::slots32;
  form.token_requests = TokenRequests::ids32;
  form.token_places = TokenPlaces::ids64;
  kernel_class = lower(spec, form).kernel_class;
  CHECK(contains(kernel_class.text(), " k_rows=page_lists v_rows=slots32 token_requests=ids32 token_places=ids64"));
  CHECK(kernel_class.find(internal::OperandName::k)->places == TokenPlaces::ids64);
  CHECK(kernel_class.find(internal::OperandName::v)->places == TokenPlaces::positions);
  CHECK(kernel_class.has_page_table());

  form.v_beside = true;
  auto error = error_of([&] { return lower(spec, form); });
  REQUIRE(error);
  CHECK(
      contains(error->what(), "v_beside: found true, allowed: false in place, where a v without stages is as it was"));
  spec.v->norm = Norm{};
  CHECK(lower(spec, form).kernel_class.find(internal::OperandName::v)->beside == Beside::in_place);
  form.k_split = true;
  spec.k = Operand{2, 68, 0};
  error = error_of([&] { return lower(spec, form); });
  REQUIRE(error);
  CHECK(contains(error->what(), "k_split: found true, allowed: false, or a head_dim of k that is a multiple of 8"));
}

TEST_CASE("a norm's statistic is computed, handed out or given, and classes that compute it alone do not speak of it") {
  RopeSpec spec = small();
  spec.q.norm = spec.k->norm = Norm{};
  const LaunchForm form = LaunchForm::in_place_ids();
  const internal::RotationPlan computing = lower(spec, form);
  CHECK(contains(computing.kernel_class.text(), ":norm_bf16_rotate k="));
  CHECK_FALSE(computing.kernel_class.has_statistic_in_memory());
  const internal::RotationPlan handing = lower(spec, with_statistics(form));
  CHECK(contains(handing.kernel_class.text(), ":norm_bf16_r_handed_out_rotate k="));
  CHECK(contains(handing.kernel_class.text(), " norm_statistics"));
  CHECK(handing.kernel_class.has_statistic_in_memory());
  spec.k->norm->statistic = Statistic::given;
  const KernelClass both = lower(spec, with_statistics(form)).kernel_class;
  CHECK(both.operands[0].hands_out_statistic());
  CHECK(both.operands[1].is_given_statistic());
  CHECK_FALSE(both.operands[1].hands_out_statistic());
  CHECK(contains(both.text(), "norm_bf16_r_given_rotate"));
  // eps of a norm that does not use it makes no other plan.
  spec.q.norm->statistic = Statistic::given;
  const std::string hash = lower(spec, form).hash();
  spec.q.norm->eps = 0.5;
  CHECK(lower(spec, form).hash() == hash);
  spec.q.norm->statistic = Statistic::computed;
  const std::string computed = lower(spec, form).hash();
  CHECK(computed != hash);
  spec.q.norm->eps = 0.25;
  CHECK(lower(spec, form).hash() != computed);
}

TEST_CASE("what makes no difference makes no other plan") {
  const LaunchForm ids = LaunchForm::in_place_ids();
  const std::string plain = lower(small(), ids).hash();
  RopeSpec same = small();
  same.layout_out = Layout::split_half;
  CHECK(lower(same, ids).hash() == plain);
  same = small();
  same.q.dtype_out = DType::bf16;
  CHECK(lower(same, ids).hash() == plain);

  // Counted positions are the same on every axis.
  RopeSpec axes = small();
  axes.axes.sections = {4, 2, 2};
  CHECK(lower(axes, LaunchForm::in_place_start()).hash() == lower(small(), LaunchForm::in_place_start()).hash());
  CHECK(lower(axes, ids).hash() != plain);

  // In fp32 the three policies round alike, and a table knows neither theta nor how angles are made.
  RopeSpec p1 = small();
  p1.dtype = DType::fp32;
  p1.rounding = Rounding::p1;
  RopeSpec p3 = p1;
  p3.rounding = Rounding::p3;
  CHECK(lower(p1, ids).hash() == lower(p3, ids).hash());
  p1.dtype = p3.dtype = DType::bf16;
  CHECK(lower(p1, ids).hash() != lower(p3, ids).hash());
  RopeSpec angle = small();
  angle.angle = AngleRounding::fp32;
  angle.sine = Sine::hardware;
  angle.theta = 5e5;
  const LaunchForm table = ids.with_table(AngleSource::half);
  CHECK(lower(angle, table).hash() == lower(small(), table).hash());
  CHECK(lower(angle, ids).hash() != plain);
}

TEST_CASE("a layout that changes in place is lowered, to kernels that read a row before they write it") {
  RopeSpec converting = small();
  converting.layout = Layout::interleaved;
  converting.layout_out = Layout::split_half;
  CHECK(lower(converting, LaunchForm::in_place_ids()).kernel_class.by_rows());
  CHECK_FALSE(lower(converting, LaunchForm::out_of_place_ids()).kernel_class.by_rows());
  CHECK_FALSE(lower(small(), LaunchForm::in_place_ids()).kernel_class.by_rows());
}

TEST_CASE("the gate is the last operand, copied out of place to its own tokens, and makes no other what it is not") {
  RopeSpec spec = small();
  const std::string without = lower(spec, LaunchForm::in_place_ids()).kernel_class.text();
  spec.gate = Operand{4, 24};
  spec.gate->dtype_out = DType::fp32;
  for (const bool in_place : {true, false}) {
    const LaunchForm form = in_place ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
    const KernelClass kernel_class = lower(spec, form).kernel_class;
    const PlanOperand& gate = kernel_class.operands.back();
    CHECK(gate.name == OperandName::gate);
    CHECK(gate.stages.empty());
    CHECK_FALSE(gate.in_place());
    CHECK(gate.rows == CacheRows::none);
    CHECK(gate.dtype_out == DType::fp32);
    CHECK_FALSE(kernel_class.is_prologue());
    CHECK(kernel_class.operands.front().in_place() == in_place);
  }
  LaunchForm to_cache = LaunchForm::in_place_ids();
  to_cache.k_rows = CacheRows::slots64;
  CHECK(lower(spec, to_cache).kernel_class.find(OperandName::gate)->rows == CacheRows::none);
  spec.gate.reset();
  CHECK(lower(spec, LaunchForm::in_place_ids()).kernel_class.text() == without);
}

TEST_CASE("operands go through the stages that the spec gives them: q and k rotate, v does not, and k need not") {
  RopeSpec spec = small();
  spec.v = Operand{2, 24};
  const LaunchForm form = LaunchForm::out_of_place_ids();
  const auto stages_of = [&](OperandName name) {
    const PlanOperand* const operand = lower(spec, form).kernel_class.find(name);
    REQUIRE(operand != nullptr);
    return std::vector<Stage>(operand->stages.begin(), operand->stages.end());
  };
  CHECK(stages_of(OperandName::q) == std::vector{Stage::rotate});
  CHECK(stages_of(OperandName::k) == std::vector{Stage::rotate});
  CHECK(stages_of(OperandName::v).empty());
  const std::string rotating = lower(spec, form).kernel_class.text();
  spec.q.rotates = spec.k->rotates = true;
  spec.v->rotates = false;
  CHECK(lower(spec, form).kernel_class.text() == rotating);
  spec.k->rotates = false;
  CHECK(stages_of(OperandName::k).empty());
  CHECK(lower(spec, form).kernel_class.text() != rotating);
}
