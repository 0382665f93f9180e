#include "spec/plan.hpp"

#include <functional>
#include <set>
#include <string>

#include "spec/errors.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

RopeSpec llama() {
  RopeSpec spec;
  spec.theta = 500000.0;
  spec.rotary_dim = 128;
  spec.q = Operand{32, 128, 0};
  spec.k = Operand{8, 128, 0};
  spec.scaling = Llama3Scaling{8, 1, 4, 8192};
  return spec;
}

RopeSpec changed(const std::function<void(RopeSpec&)>& change) {
  RopeSpec spec = llama();
  change(spec);
  return spec;
}

}  // namespace

TEST_CASE("a class is one canonical line, and its hash and a plan's are pinned: they are cache keys") {
  const RotationPlan plan = lower(llama(), LaunchForm::in_place_ids());
  CHECK(plan.kernel_class.text() ==
        "class/2 layout=split_half dtype=bf16 sigma=+1 scaled=0 rotary=128 q=32x128+0:in_place:bf16 "
        "k=8x128+0:in_place:bf16 strides=contiguous positions=ids64");
  CHECK(plan.kernel_class.hash() == "920865d5be48a79b055223bb80a7cde0");
  CHECK(plan.hash() == "d3c59b49ca235aa211225ca0d25e33c7");

  RopeSpec mla;
  mla.layout = Layout::interleaved;
  mla.direction = Direction::adjoint;
  mla.dtype = DType::fp16;
  mla.rotary_dim = 64;
  mla.q = Operand{16, 192, 128};
  const LaunchForm form = LaunchForm::out_of_place_start().with_free_strides();
  CHECK(lower(mla, form).kernel_class.text() ==
        "class/2 layout=interleaved dtype=fp16 sigma=-1 scaled=0 rotary=64 q=16x192+128:out_of_place:fp16 k=none "
        "strides=free positions=start");
}

TEST_CASE("two specs with one plan have one hash") {
  struct Row {
    const char* what;
    RopeSpec a;
    RopeSpec b;
  };
  const Row rows[] = {
      {"linear by 1 is no scaling", changed([](RopeSpec& s) { s.scaling = LinearScaling{1.0}; }),
       changed([](RopeSpec& s) { s.scaling = NoScaling{}; })},
      {"llama3 by 1 is no scaling", changed([](RopeSpec& s) {
         s.scaling = Llama3Scaling{1, 2, 2, 8192};
       }),
       changed([](RopeSpec& s) { s.scaling = NoScaling{}; })},
      {"llama3 that divides every pair is linear", changed([](RopeSpec& s) {
         s.scaling = Llama3Scaling{4, 1e9, 1e9, 1};
       }),
       changed([](RopeSpec& s) { s.scaling = LinearScaling{4.0}; })},
      {"one pair has no use for theta", changed([](RopeSpec& s) {
         s.rotary_dim = 2, s.theta = 7;
         s.scaling = NoScaling{};
       }),
       changed([](RopeSpec& s) {
         s.rotary_dim = 2, s.theta = 9;
         s.scaling = NoScaling{};
       })},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    REQUIRE(row.a != row.b);
    const RotationPlan a = lower(row.a, LaunchForm{});
    const RotationPlan b = lower(row.b, LaunchForm{});
    CHECK(a.kernel_class.hash() == b.kernel_class.hash());
    CHECK(a.hash() == b.hash());
  }
}

TEST_CASE("whatever changes the code changes the class; whatever changes the numbers alone changes the plan") {
  const std::function<void(RopeSpec&)> class_changes[] = {
      [](RopeSpec& s) { s.layout = Layout::interleaved; },
      [](RopeSpec& s) { s.direction = Direction::adjoint; },
      [](RopeSpec& s) { s.dtype = DType::fp16; },
      [](RopeSpec& s) { s.dtype = DType::fp32; },
      [](RopeSpec& s) { s.rotary_dim = 64; },
      [](RopeSpec& s) { s.q.heads = 31; },
      [](RopeSpec& s) { s.q.head_dim = 192; },
      [](RopeSpec& s) {
        s.q = Operand{32, 192, 64};
      },
      [](RopeSpec& s) { s.k->heads = 7; },
      [](RopeSpec& s) { s.k->head_dim = 130; },
      [](RopeSpec& s) { s.k.reset(); },
      [](RopeSpec& s) {
        s.gate = Operand{32, 128};
      },
      [](RopeSpec& s) {
        s.gate = Operand{16, 128};
      },
      [](RopeSpec& s) {
        s.v = Operand{16, 128};
      },
  };
  std::set<std::string> classes{lower(llama(), LaunchForm{}).kernel_class.hash()};
  std::set<std::string> plans{lower(llama(), LaunchForm{}).hash()};
  std::size_t distinct = 1;
  for (const auto& change : class_changes) {
    const RotationPlan plan = lower(changed(change), LaunchForm{});
    ++distinct;
    classes.insert(plan.kernel_class.hash());
    plans.insert(plan.hash());
    CHECK(classes.size() == distinct);
    CHECK(plans.size() == distinct);
  }
  for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
    for (const Strides strides : {Strides::contiguous, Strides::free}) {
      for (const PositionSource positions : {PositionSource::start, PositionSource::ids32, PositionSource::ids64}) {
        const LaunchForm form{placement, strides, positions};
        if (form == LaunchForm{}) continue;
        const RotationPlan plan = lower(llama(), form);
        ++distinct;
        classes.insert(plan.kernel_class.hash());
        plans.insert(plan.hash());
        CHECK(classes.size() == distinct);
        CHECK(plans.size() == distinct);
      }
    }
  }

  const std::function<void(RopeSpec&)> number_changes[] = {
      [](RopeSpec& s) { s.theta = 500001.0; },
      [](RopeSpec& s) { s.scaling = NoScaling{}; },
      [](RopeSpec& s) { s.scaling = LinearScaling{8}; },
      [](RopeSpec& s) {
        s.scaling = Llama3Scaling{8, 1, 4, 8191};
      },
  };
  for (const auto& change : number_changes) {
    const RotationPlan plan = lower(changed(change), LaunchForm{});
    ++distinct;
    plans.insert(plan.hash());
    CHECK(plan.kernel_class.hash() == lower(llama(), LaunchForm{}).kernel_class.hash());
    CHECK(plans.size() == distinct);
  }

  RotationPlan scaled = lower(llama(), LaunchForm{});
  scaled.attention_scale = 1.5;
  CHECK(plans.count(scaled.hash()) == 0);
  RotationPlan last_step = lower(llama(), LaunchForm{});
  last_step.steps.back() ^= std::uint64_t{1} << 63;
  CHECK(plans.count(last_step.hash()) == 0);
}

TEST_CASE("lowering carries every field of the spec and the form into the plan") {
  RopeSpec spec = llama();
  spec.layout = Layout::interleaved;
  spec.direction = Direction::adjoint;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 64;
  spec.q = Operand{71, 192, 128};
  spec.k = Operand{1, 576, 512};
  const RotationPlan plan = lower(spec, LaunchForm::out_of_place_ids(PositionSource::ids32));
  const KernelClass& c = plan.kernel_class;
  CHECK(c.layout == Layout::interleaved);
  CHECK(c.negate_sin);
  CHECK_FALSE(c.scaled);
  CHECK(c.dtype == DType::fp32);
  CHECK(c.rotary_dim == 64);
  CHECK(c.pairs() == 32);
  CHECK(c.find(OperandName::q)->heads == 71);
  CHECK(c.find(OperandName::q)->head_dim == 192);
  CHECK(c.find(OperandName::q)->first_lane == 128);
  CHECK(c.find(OperandName::k)->heads == 1);
  CHECK(c.find(OperandName::k)->head_dim == 576);
  CHECK(c.find(OperandName::k)->first_lane == 512);
  CHECK(c.find(OperandName::q)->placement == Placement::out_of_place);
  CHECK(c.form.strides == Strides::contiguous);
  CHECK(c.form.positions == PositionSource::ids32);
  CHECK(plan.steps.size() == 32);
  CHECK(plan.inv_freq.size() == 32);
  CHECK(plan.attention_scale == 1.0);

  spec.k.reset();
  CHECK(lower(spec, LaunchForm{}).kernel_class.find(OperandName::k) == nullptr);
}

TEST_CASE("lowering refuses a spec or a form that is out of range") {
  const auto bad_spec =
      ropejit::test::error_of([] { return lower(changed([](RopeSpec& s) { s.rotary_dim = 127; }), LaunchForm{}); });
  REQUIRE(bad_spec);
  CHECK(bad_spec->code() == ErrorCode::invalid_argument);
  CHECK(ropejit::test::contains(bad_spec->what(), "rotary_dim"));
  LaunchForm form;
  form.positions = static_cast<PositionSource>(9);
  const auto bad_form = ropejit::test::error_of([&] { return lower(llama(), form); });
  REQUIRE(bad_form);
  CHECK(bad_form->code() == ErrorCode::invalid_argument);
  CHECK(ropejit::test::contains(bad_form->what(), "positions"));
}
