// The gate of the attention's output, which a projection of q gives between q's heads: copied out in the launch that
// rotates these.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "codegen/default_variant.hpp"
#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/refusals.hpp"

namespace {

using namespace ropejit;
using test::address;
using test::Arrangement;
using test::NumericCase;

/// Qwen3-Next's, smaller: a quarter of 64 lanes rotates, and each head of q has a gate behind it.
NumericCase gated() {
  NumericCase given;
  given.spec.rotary_dim = 16;
  given.spec.q = {6, 64, 0};
  given.spec.k = Operand{2, 64, 0};
  given.spec.gate = Operand{6, 64, 0};
  given.form = LaunchForm::in_place_ids().with_free_strides();
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  given.in = Arrangement::gated;
  return given;
}

void add_slots(NumericCase& given) {
  given.spec.v = Operand{2, 64, 0};
  given.form.k_rows = given.form.v_rows = CacheRows::slots64;
  given.k_rows = given.v_rows = {15, 0, 7, 8, 3, 12, 1, 9};
  given.k_block_size = given.v_block_size = 8;
  given.k_cache_rows = given.v_cache_rows = 16;
}

struct Way {
  std::string what;
  std::function<void(NumericCase&)> change;
};

const Way kWays[] = {
    {"rotation alone", [](NumericCase&) {}},
    {"out of place", [](NumericCase& c) { c.form.placement = Placement::out_of_place; }},
    {"out of place, apart",
     [](NumericCase& c) { c.form.placement = Placement::out_of_place, c.out = Arrangement::bhsd; }},
    {"all of it",
     [](NumericCase& c) {
       add_slots(c);
       c.spec.q.norm = c.spec.k->norm = Norm{};
       c.spec.q.norm->plus_one = c.spec.k->norm->plus_one = true;
     }},
    {"all of it, out of place",
     [](NumericCase& c) {
       add_slots(c);
       c.spec.q.norm = c.spec.k->norm = Norm{};
       c.form.placement = Placement::out_of_place;
     }},
    {"pages and no norm", [](NumericCase& c) { add_slots(c); }},
    {"biases, whose numbers stand behind the gate's",
     [](NumericCase& c) {
       add_slots(c);
       c.spec.q.bias = c.spec.k->bias = c.spec.v->bias = true;
     }},
    {"statistics handed out",
     [](NumericCase& c) {
       c.spec.q.norm = Norm{};
       c.form.norm_statistics = true;
     }},
    {"without k", [](NumericCase& c) { c.spec.k.reset(); }},
    {"interleaved", [](NumericCase& c) { c.spec.layout = Layout::interleaved; }},
    {"another layout written in place", [](NumericCase& c) { c.spec.layout_out = Layout::interleaved; }},
    {"gate to fp32", [](NumericCase& c) { c.spec.gate->dtype_out = DType::fp32; }},
    {"fp32 to a gate of fp16",
     [](NumericCase& c) { c.spec.dtype = DType::fp32, c.spec.gate->dtype_out = DType::fp16; }},
    {"no gaps", [](NumericCase& c) { c.in = Arrangement::bshd, c.form.strides = Strides::contiguous; }},
    {"a shape of its own",
     [](NumericCase& c) {
       c.in = Arrangement::padded;
       c.spec.gate = Operand{3, 40, 0};
     }},
    {"lanes apart", [](NumericCase& c) { c.in = c.out = Arrangement::lane_strided; }},
    {"between elements of words", [](NumericCase& c) { c.in = c.out = Arrangement::misaligned; }},
    {"k packed with q", [](NumericCase& c) { c.in = Arrangement::packed_qkv; }},
    {"padded tokens, whose gates are copied all the same",
     [](NumericCase& c) {
       c.form.padding = Padding::zero;
       c.positions[2] = c.positions[5] = -1;
     }},
    {"five tokens of eight", [](NumericCase& c) { c.form.counted = true, c.token_count = 5; }},
    {"q left alone", [](NumericCase& c) { c.spec.q.rotates = c.spec.k->rotates = false, add_slots(c); }},
    {"gate left out", [](NumericCase& c) { c.in = Arrangement::bshd, c.pass_gate = false; }},
    {"v left out", [](NumericCase& c) { add_slots(c), c.pass_v = false; }},
};

}  // namespace

TEST_CASE("The gate is copied out from between q's heads, which rotate over themselves or elsewhere", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Way& way : kWays) {
      INFO(way.what);
      NumericCase given = gated();
      way.change(given);
      test::check_case(target, given, 71);
    }
  }
}

TEST_CASE("Every kind of kernel copies the gate", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const bool normed : {false, true}) {
      NumericCase given = gated();
      if (normed) {
        add_slots(given);
        given.spec.q.norm = given.spec.k->norm = Norm{};
      }
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const std::vector<std::string> names =
          normed ? std::vector<std::string>{"flat_v4_h1_t128", "flat_v8_h2_t64", "flat_v16_h1_t256"}
                 : std::vector<std::string>{"flat_v16_h4_t128", "lanes_v8_h2_t64", "shared_v8_h1_t128"};
      for (const std::string& name : names) {
        INFO(name);
        const internal::Variant variant = internal::parse_variant(name).value();
        REQUIRE(internal::why_illegal(plan.kernel_class, variant) == "");
        const internal::PreparedVariant one = test::prepare_variant(target, plan, variant);
        test::check_case(test::kernel_of(target, plan, one, one), given, 72);
      }
      test::check_case(test::prepare_one(target, plan, true), given, 73);
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      test::check_case(test::kernel_of(target, plan, *generic, *generic), given, 74);
    }
  }
}

TEST_CASE("A launch is refused where its gate cannot be", "[launch]") {
  RopeSpec spec = test::three_operands();
  spec.gate = Operand{4, 16, 0};
  RopeArgs good = test::good_args();
  good.gate.data = address(0x60000);
  good.gate_out.data = address(0x70000);
  const LaunchForm form = LaunchForm::in_place_ids().with_free_strides();
  test::check_rows(
      spec, form, good,
      {
          {"no output", [](RopeArgs& a) { a.gate_out.data = nullptr; }, "gate_out: found null"},
          {"no gate", [](RopeArgs& a) { a.gate.data = nullptr; }, "gate_out.data: found a pointer without gate.data"},
          {"left out", [](RopeArgs& a) { a.gate.data = a.gate_out.data = nullptr; }, ""},
          {"between elements", [](RopeArgs& a) { a.gate.data = address(0x60001); },
           "gate or gate_out: found a pointer"},
          {"endless", [](RopeArgs& a) { a.gate.token_stride = INT64_MAX; }, "gate or gate_out: found a stride"},
          {"written twice", [](RopeArgs& a) { a.gate_out.token_stride = 0; }, "gate_out: elements overlap"},
          {"over itself", [](RopeArgs& a) { a.gate_out.data = a.gate.data; }, "gate_out: overlaps an input"},
          {"over q", [](RopeArgs& a) { a.gate_out.data = a.q.data; }, "q and gate_out: overlap"},
          {"over k", [](RopeArgs& a) { a.gate_out.data = a.k.data; }, "k and gate_out: overlap"},
          {"over v's output", [](RopeArgs& a) { a.gate_out.data = a.v_out.data; }, "v_out and gate_out: overlap"},
          {"over v", [](RopeArgs& a) { a.gate_out.data = a.v.data; }, "gate_out: overlaps an input"},
          {"q itself", [](RopeArgs& a) { a.gate.data = a.q.data; }, "q and gate: overlap"},
          {"behind the lanes of q that rotate",
           [](RopeArgs& a) {
             a.q.head_stride = a.gate.head_stride = 32;
             a.q.token_stride = a.gate.token_stride = 128;
             a.gate.data = static_cast<char*>(a.q.data) + 16 * 2;
           },
           ""},
          {"v's input as well", [](RopeArgs& a) { a.gate.data = a.v.data; }, ""},
      });
  LaunchForm out_of_place = form;
  out_of_place.placement = Placement::out_of_place;
  RopeArgs apart = good;
  apart.q_out.data = address(0x80000);
  apart.k_out.data = address(0x90000);
  test::check_rows(
      spec, out_of_place, apart,
      {
          {"q's input as well", [](RopeArgs& a) { a.gate.data = a.q.data; }, ""},
          {"q's output", [](RopeArgs& a) { a.gate_out.data = a.q_out.data; }, "q_out and gate_out: overlap"},
          {"k's output", [](RopeArgs& a) { a.gate_out.data = a.k_out.data; }, "k_out and gate_out: overlap"},
      });
  test::check_rows(
      test::three_operands(), form, test::good_args(),
      {{"of no spec's", [](RopeArgs& a) { a.gate.data = address(0x60000); },
        "gate.data: found a pointer, allowed: null"},
       {"an output", [](RopeArgs& a) { a.gate_out.data = address(0x60000); }, "gate_out.data: found a pointer"}});
}
