// q's heads in groups that have a stride of their own, as projections give [q .. q k v] for each head of k.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "codegen/default_variant.hpp"
#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/refusals.hpp"
#include "tune/workload.hpp"

namespace {

using namespace ropejit;
using test::address;
using test::Arrangement;
using test::NumericCase;

/// Three heads of k, each behind four of q.
NumericCase grouped() {
  NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {12, 32, 0};
  given.spec.k = Operand{3, 32, 0};
  given.spec.v = Operand{3, 32, 0};
  given.form = LaunchForm::in_place_ids().with_free_strides();
  given.form.grouped_q = true;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  given.in = Arrangement::grouped;
  return given;
}

void add_slots(NumericCase& given) {
  given.form.k_rows = given.form.v_rows = CacheRows::slots64;
  given.k_rows = given.v_rows = {15, 0, 7, 8, 3, 12, 1, 9};
  given.k_block_size = given.v_block_size = 8;
  given.k_cache_rows = given.v_cache_rows = 16;
}

void set_norms(NumericCase& given) { given.spec.q.norm = given.spec.k->norm = Norm{}; }

void set_out_of_place(NumericCase& given, Arrangement out = Arrangement::bshd) {
  given.form.placement = Placement::out_of_place;
  given.out = out;
}

struct Way {
  std::string what;
  std::function<void(NumericCase&)> change;
};

const Way kWays[] = {
    {"over itself", [](NumericCase&) {}},
    {"to heads without gaps", [](NumericCase& c) { set_out_of_place(c); }},
    {"to heads outside tokens", [](NumericCase& c) { set_out_of_place(c, Arrangement::bhsd); }},
    {"to groups", [](NumericCase& c) { set_out_of_place(c, Arrangement::grouped); }},
    {"from heads without gaps", [](NumericCase& c) { c.in = Arrangement::bshd; }},
    {"from heads outside tokens to groups",
     [](NumericCase& c) {
       set_out_of_place(c, Arrangement::grouped);
       c.in = Arrangement::bhsd;
     }},
    {"another dtype",
     [](NumericCase& c) {
       set_out_of_place(c);
       c.spec.q.dtype_out = DType::fp32;
     }},
    {"fp32", [](NumericCase& c) { c.spec.dtype = DType::fp32; }},
    {"lanes that stay, over itself", [](NumericCase& c) { c.spec.rotary_dim = 16; }},
    {"lanes that stay, to groups",
     [](NumericCase& c) {
       c.spec.rotary_dim = 16;
       c.spec.q.first_lane = c.spec.k->first_lane = 8;
       set_out_of_place(c, Arrangement::grouped);
     }},
    {"interleaved", [](NumericCase& c) { c.spec.layout = Layout::interleaved; }},
    {"another layout written over itself", [](NumericCase& c) { c.spec.layout_out = Layout::interleaved; }},
    {"norms", set_norms},
    {"norms and pages",
     [](NumericCase& c) {
       set_norms(c);
       add_slots(c);
     }},
    {"norms to groups",
     [](NumericCase& c) {
       set_norms(c);
       c.spec.rotary_dim = 16;
       set_out_of_place(c, Arrangement::grouped);
     }},
    {"a norm over the token, its statistic handed out",
     [](NumericCase& c) {
       set_norms(c);
       c.spec.q.norm->span = NormSpan::token;
       c.spec.q.norm->weight = NormWeight::heads;
       c.form.norm_statistics = true;
     }},
    {"norms behind the rotation",
     [](NumericCase& c) {
       set_norms(c);
       c.spec.q.order = {StageName::rotate, StageName::norm};
     }},
    {"biases and scales of heads", [](NumericCase& c) { c.spec.q.bias = c.spec.q.head_scales = true; }},
    {"statistics alone",
     [](NumericCase& c) {
       set_norms(c);
       c.form.norm_statistics = c.form.statistics_only = true;
     }},
    {"q copied to heads without gaps",
     [](NumericCase& c) {
       c.spec.q.rotates = c.spec.k->rotates = false;
       set_out_of_place(c);
     }},
    {"padded tokens kept",
     [](NumericCase& c) {
       c.form.padding = Padding::keep;
       c.positions[2] = c.positions[5] = -1;
     }},
    {"groups of one", [](NumericCase& c) { c.spec.q.heads = 3; }},
    {"one group", [](NumericCase& c) { c.spec.k->heads = c.spec.v->heads = 1; }},
    {"k left out", [](NumericCase& c) { c.pass_k = false; }},
    {"five tokens of eight", [](NumericCase& c) { c.form.counted = true, c.token_count = 5; }},
};

}  // namespace

TEST_CASE("q's heads are read and written in groups, over themselves or elsewhere", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Way& way : kWays) {
      INFO(way.what);
      NumericCase given = grouped();
      way.change(given);
      test::check_case(target, given, 81);
    }
  }
}

TEST_CASE("Every kind of kernel goes from group to group", "[numeric]") {
  struct Kind {
    bool normed;
    Placement placement;
    std::vector<std::string> variants;
  };
  const Kind kinds[] = {
      {false,
       Placement::in_place,
       {"flat_v4_h1_t128", "flat_v8_h3_t64", "lanes_v16_h1_t128", "shared_v8_h3_t64", "universal_v2_h1_t128"}},
      {false, Placement::out_of_place, {"flat_v4_h3_t128", "flat_v8_h1_t256", "universal_v2_h3_t128"}},
      {true, Placement::in_place, {"flat_v4_h1_t128", "flat_v4_h3_t64", "universal_v2_h1_t128"}},
  };
  for (const test::TargetPtr& target : test::targets()) {
    for (const Kind& kind : kinds) {
      NumericCase given = grouped();
      given.spec.q.heads = 24;  // groups of eight
      given.form.placement = kind.placement;
      if (kind.placement == Placement::out_of_place) given.spec.rotary_dim = 16;
      if (kind.normed) set_norms(given);
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      for (const std::string& name : kind.variants) {
        INFO(name);
        const internal::Variant variant = internal::parse_variant(name).value();
        REQUIRE(internal::why_illegal(plan.kernel_class, variant) == "");
        const internal::PreparedVariant one = test::prepare_variant(target, plan, variant);
        test::check_case(test::kernel_of(target, plan, one, one), given, 82);
      }
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      test::check_case(test::kernel_of(target, plan, *generic, *generic), given, 83);
    }
  }
}

TEST_CASE("A variant is legal where a thread's heads are whole groups apart") {
  struct Row {
    std::int64_t q_heads;
    std::int64_t k_heads;
    std::uint32_t heads_per_thread;
    bool legal;
  };
  // A thread's heads are heads / heads_per_thread apart, rounded up.
  const Row rows[] = {{32, 8, 1, true},  {32, 8, 2, true},  {32, 8, 4, true}, {32, 8, 8, true}, {32, 8, 16, false},
                      {32, 8, 5, false}, {12, 3, 2, false}, {12, 3, 3, true}, {71, 1, 1, true}, {71, 1, 2, false}};
  for (const Row& row : rows) {
    RopeSpec spec;
    spec.rotary_dim = 64;
    spec.q = {row.q_heads, 64, 0};
    spec.k = Operand{row.k_heads, 64, 0};
    LaunchForm form = LaunchForm::in_place_ids().with_free_strides();
    form.grouped_q = true;
    INFO(row.q_heads << " " << row.k_heads << " " << row.heads_per_thread);
    const internal::KernelClass kernel_class = internal::lower(spec, form).kernel_class;
    const internal::Variant variant{internal::Family::flat, 4, row.heads_per_thread, 128};
    const std::string why = internal::why_illegal(kernel_class, variant);
    CHECK(why.empty() == row.legal);
    if (!row.legal) CHECK(why.find("heads lie in groups of") != std::string::npos);
    CHECK(internal::why_illegal(kernel_class, internal::universal_variant(kernel_class)) == "");
    for (const internal::VariantChoice& choice : internal::default_variants(kernel_class, 132)) {
      CHECK(internal::why_illegal(kernel_class, choice.variant) == "");
    }
    form.grouped_q = false;
    CHECK(internal::why_illegal(internal::lower(spec, form).kernel_class, variant) == "");
  }
}

TEST_CASE("Groups of q's heads need a k, heads of which divide q's, and strides that nobody promises") {
  struct Row {
    const char* allowed;
    std::function<void(RopeSpec&, LaunchForm&)> change;
  };
  const Row rows[] = {
      {"false for a spec without k", [](RopeSpec& s, LaunchForm&) { s.k.reset(); }},
      {"heads of k that divide those of q", [](RopeSpec& s, LaunchForm&) { s.k->heads = 5; }},
      {"heads of k that divide those of q", [](RopeSpec& s, LaunchForm&) { s.k->heads = 24; }},
      {"strides free", [](RopeSpec&, LaunchForm& f) { f.strides = Strides::contiguous; }},
  };
  for (const Row& row : rows) {
    NumericCase given = grouped();
    row.change(given.spec, given.form);
    try {
      internal::lower(given.spec, given.form);
      FAIL("taken");
    } catch (const Error& error) {
      INFO(error.what());
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(std::string(error.what()).find("grouped_q: found true") != std::string::npos);
      CHECK(std::string(error.what()).find(row.allowed) != std::string::npos);
    }
  }
}

TEST_CASE("A launch is refused where its groups of heads meet, or where there are none", "[launch]") {
  const NumericCase given = grouped();
  constexpr std::int64_t kLanes = 32;
  constexpr std::int64_t kGroup = 6 * kLanes;
  constexpr std::int64_t kRow = 3 * kGroup;
  constexpr std::int64_t kElement = 2;  // bytes
  const auto at = [](std::int64_t element) {
    return address(0x10000 + static_cast<std::uintptr_t>(element * kElement));
  };
  RopeArgs good;
  good.tokens = 3;
  good.positions = Positions::ids64(static_cast<const std::int64_t*>(address(0x50000)));
  good.q = {at(0), kContiguous, kRow, kLanes, 1};
  good.k = {at(4 * kLanes), kContiguous, kRow, kGroup, 1};
  good.v = {at(5 * kLanes), kContiguous, kRow, kGroup, 1};
  good.v_out.data = address(0x40000);
  good.q_group_stride = kGroup;
  test::check_rows(
      given.spec, given.form, good,
      {
          {"groups into k", [](RopeArgs& a) { a.q_group_stride = 5 * kLanes; }, "q and k: overlap"},
          {"groups into each other", [](RopeArgs& a) { a.q_group_stride = 3 * kLanes; },
           "q_out (q in place): elements"},
          {"one place for all groups", [](RopeArgs& a) { a.q_group_stride = 0; },
           "q_out (q in place): elements overlap"},
          {"heads without gaps, over k", [](RopeArgs& a) { a.q_group_stride = kContiguous; }, "q and k: overlap"},
          {"heads without gaps, k elsewhere",
           [](RopeArgs& a) {
             a.q = TensorView{a.q.data, kContiguous, kContiguous, kContiguous, kContiguous};
             a.q_group_stride = kContiguous;
             a.k = a.v = TensorView{address(0x20000), kContiguous, kContiguous, kContiguous, kContiguous};
             a.v.data = address(0x30000);
           },
           ""},
          {"groups backwards",
           [&](RopeArgs& a) {
             a.q.data = at(2 * kGroup);
             a.q_group_stride = -kGroup;
           },
           ""},
          {"endless", [](RopeArgs& a) { a.q_group_stride = INT64_MAX / 2; }, "q or q_out: found a stride"},
          {"heads endless", [](RopeArgs& a) { a.q.head_stride = INT64_MAX / 2; }, "q or q_out: found a stride"},
          {"an output's in place", [](RopeArgs& a) { a.q_out_group_stride = kGroup; },
           "q_out_group_stride: found a number"},
          {"k into q's groups", [&](RopeArgs& a) { a.k.data = at(3 * kLanes); }, "q and k: overlap"},
          {"v's output between groups", [&](RopeArgs& a) { a.v_out = a.v; }, "v_out: overlaps an input"},
      });
  LaunchForm plain = given.form;
  plain.grouped_q = false;
  RopeArgs apart = test::good_args();
  test::check_rows(
      test::three_operands(), plain, apart,
      {
          {"of q", [](RopeArgs& a) { a.q_group_stride = 64; }, "q_group_stride: found a number"},
          {"of q_out", [](RopeArgs& a) { a.q_out_group_stride = 64; }, "q_out_group_stride: found a number"},
      });
}

TEST_CASE("A statistic that is handed out may lie between no groups of heads that are written", "[launch]") {
  NumericCase given = grouped();
  given.spec.dtype = DType::fp32;
  set_norms(given);
  given.form.norm_statistics = true;
  constexpr std::int64_t kGroup = 6 * 32;
  float* const memory = static_cast<float*>(address(0x100000));
  RopeArgs good;
  good.tokens = 3;
  good.positions = Positions::ids64(static_cast<const std::int64_t*>(address(0x50000)));
  good.q = {memory, kContiguous, 3 * kGroup, 32, 1};
  good.k = {memory + 4 * 32, kContiguous, 3 * kGroup, kGroup, 1};
  good.q_group_stride = kGroup;
  good.q_norm_weight = good.k_norm_weight = address(0x90000);
  good.q_norm_statistic_out = {memory + 5 * 32, 3 * kGroup, 1};  // where v would be
  good.k_norm_statistic_out = {memory + 5 * 32 + 12, 3 * kGroup, 1};
  test::check_rows(
      given.spec, given.form, good,
      {{"in a head of the second group", [&](RopeArgs& a) { a.q_norm_statistic_out.data = memory + kGroup + 3 * 32; },
        "q_norm_statistic_out: overlaps an input"}});
}

TEST_CASE("Workloads have q's heads in groups, which the fast kernels take", "[launch]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
      NumericCase given = grouped();
      given.form.placement = placement;
      const internal::KernelClass kernel_class = internal::lower(given.spec, given.form).kernel_class;
      const internal::Workload workload(*target, kernel_class, 5);
      const internal::DeviceBuffer memory = target->allocate(workload.set_bytes());
      const RopeArgs args = workload.args(static_cast<char*>(memory.data()));
      CHECK(args.q_group_stride == 6 * 32);
      internal::LaunchArguments arguments;
      const LaunchStatus status = internal::check_arguments(kernel_class, args, arguments);
      INFO(status.message());
      CHECK(status);
      CHECK(arguments.aligned.in >= 16);
      CHECK(arguments.aligned.out[0] >= 16);
    }
  }
}
