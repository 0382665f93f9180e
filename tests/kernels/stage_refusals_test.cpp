// What launches are refused for whose operands go through more than a norm and the rotation: memory of stages, tensors
// that are only read, and tensors that nothing is done to.
#include <cstdint>
#include <string>
#include <vector>

#include "support/refusals.hpp"

namespace {

using namespace ropejit;
using test::address;
using test::check_rows;
using test::good_args;
using test::RefusalRow;
using test::three_operands;

/// One kind of memory that stages read, of one operand.
struct Memory {
  std::string field;
  std::string what;     // is expected there, where every operand has all stages
  std::string without;  // why it is not wanted, where none has
  std::uintptr_t at;    // a good address
  std::uintptr_t off;   // one between two elements
  void (*set)(RopeArgs&, void*);
};

template <auto Member>
void set_member(RopeArgs& args, void* to) {
  args.*Member = static_cast<std::remove_reference_t<decltype(args.*Member)>>(to);
}

/// In every spec below q's norm has weights of a head, k's of all heads in fp32, and v's of a head.
const std::vector<Memory>& all_memory() {
  static const std::vector<Memory> all = {
      {"q_norm_weight", "head_dim weights", "no norm with weights", 0x90002, 0x90001,
       set_member<&RopeArgs::q_norm_weight>},
      {"q_norm_bias", "head_dim biases", "no norm with biases", 0x91002, 0x91001, set_member<&RopeArgs::q_norm_bias>},
      {"q_bias", "heads * head_dim biases", "no bias", 0x92002, 0x92001, set_member<&RopeArgs::q_bias>},
      {"q_head_scales", "a factor for each head", "no head_scales", 0x93004, 0x93002,
       set_member<&RopeArgs::q_head_scales>},
      {"k_norm_weight", "heads * head_dim weights", "no norm with weights", 0x94004, 0x94002,
       set_member<&RopeArgs::k_norm_weight>},
      {"k_norm_bias", "heads * head_dim biases", "no norm with biases", 0x95004, 0x95002,
       set_member<&RopeArgs::k_norm_bias>},
      {"k_bias", "heads * head_dim biases", "no bias", 0x96002, 0x96003, set_member<&RopeArgs::k_bias>},
      {"k_head_scales", "a factor for each head", "no head_scales", 0x97004, 0x97001,
       set_member<&RopeArgs::k_head_scales>},
      {"v_norm_weight", "head_dim weights", "no norm with weights", 0x98002, 0x98001,
       set_member<&RopeArgs::v_norm_weight>},
      {"v_norm_bias", "head_dim biases", "no norm with biases", 0x99002, 0x99001, set_member<&RopeArgs::v_norm_bias>},
      {"v_bias", "heads * head_dim biases", "no bias", 0x9a002, 0x9a001, set_member<&RopeArgs::v_bias>},
      {"v_head_scales", "a factor for each head", "no head_scales", 0x9b004, 0x9b003,
       set_member<&RopeArgs::v_head_scales>},
  };
  return all;
}

void give_all_stages(Operand& operand) {
  operand.norm = Norm{};
  operand.norm->bias = true;
  operand.bias = true;
  operand.head_scales = true;
}

RopeSpec all_stages() {
  RopeSpec spec = three_operands();
  give_all_stages(spec.q);
  give_all_stages(*spec.k);
  give_all_stages(*spec.v);
  spec.k->norm->weight = NormWeight::heads;
  spec.k->norm->weight_dtype = DType::fp32;
  return spec;
}

RopeArgs with_memory() {
  RopeArgs args = good_args();
  for (const Memory& one : all_memory()) one.set(args, address(one.at));
  return args;
}

/// Nothing but statistics is written: r of a token's heads, three operands side by side.
LaunchForm statistics_form() {
  LaunchForm form = LaunchForm::in_place_ids();
  form.norm_statistics = form.statistics_only = true;
  return form;
}

float* statistic(std::uintptr_t at) { return static_cast<float*>(address(at)); }

}  // namespace

TEST_CASE("A launch is refused without the memory that its stages read, or with memory between elements", "[launch]") {
  std::vector<RefusalRow> rows;
  for (const Memory& one : all_memory()) {
    rows.push_back({one.field + " null", [&](RopeArgs& args) { one.set(args, nullptr); },
                    one.field + ": found null, allowed: a device pointer to " + one.what});
    rows.push_back({one.field + " between elements", [&](RopeArgs& args) { one.set(args, address(one.off)); },
                    one.field + ": found a pointer that is not aligned to its element"});
  }
  rows.push_back({"nothing of what has no tokens",
                  [](RopeArgs& args) {
                    args.tokens = 0;
                    for (const Memory& one : all_memory()) one.set(args, nullptr);
                  },
                  ""});
  rows.push_back(
      {"one list for all that are alike", [](RopeArgs& args) { args.q_bias = args.k_bias = args.v_bias; }, ""});
  check_rows(all_stages(), LaunchForm::in_place_ids(), with_memory(), rows);
}

TEST_CASE("A launch is refused with memory that no stage reads, whatever else its class does", "[launch]") {
  RopeSpec scaled = three_operands();
  scaled.q.scale = 0.5;
  RopeSpec bare_norm = three_operands();
  bare_norm.q.norm = Norm{};
  bare_norm.q.norm->weight = NormWeight::none;
  for (const RopeSpec& spec : {three_operands(), scaled, bare_norm}) {
    std::vector<RefusalRow> rows;
    for (const Memory& one : all_memory()) {
      rows.push_back(
          {one.field, [&](RopeArgs& args) { one.set(args, address(one.at)); },
           one.field + ": found a pointer, allowed: null (the spec's " + one.field[0] + " has " + one.without});
    }
    check_rows(spec, LaunchForm::in_place_ids(), good_args(), rows);
  }
}

TEST_CASE("What is left out of a launch brings none of its stages' memory", "[launch]") {
  std::vector<RefusalRow> rows;
  for (const char name : {'k', 'v'}) {
    const auto without = [name](RopeArgs& args) {
      (name == 'k' ? args.k : args.v).data = nullptr;
      if (name == 'v') args.v_out.data = nullptr;
      for (const Memory& one : all_memory()) {
        if (one.field[0] == name) one.set(args, nullptr);
      }
    };
    rows.push_back({std::string("nothing of ") + name, without, ""});
    for (const Memory& one : all_memory()) {
      if (one.field[0] != name) continue;
      rows.push_back({one.field + " alone",
                      [without, &one](RopeArgs& args) {
                        without(args);
                        one.set(args, address(one.at));
                      },
                      one.field + ": found a pointer, allowed: null (the spec's " + name + " has " + one.without +
                          ", or " + name + " is left out)"});
    }
  }
  check_rows(all_stages(), LaunchForm::in_place_ids(), with_memory(), rows);
}

TEST_CASE("Weights, norm biases and biases that are not aligned get narrower accesses, factors of heads do not",
          "[launch]") {
  struct Row {
    const char* what;
    std::uint32_t weight_bytes;
    std::uintptr_t off;
    void (*set)(RopeArgs&, void*);
  };
  RopeArgs aligned = good_args();
  for (const Memory& one : all_memory()) one.set(aligned, address(one.at & ~std::uintptr_t{0xff}));
  const Row rows[] = {
      {"all aligned", 32, 0x90000, set_member<&RopeArgs::q_norm_weight>},
      {"weights to 16", 16, 0x90010, set_member<&RopeArgs::q_norm_weight>},
      {"weights of heads to 4", 4, 0x94004, set_member<&RopeArgs::k_norm_weight>},
      {"norm biases to 8", 8, 0x91008, set_member<&RopeArgs::q_norm_bias>},
      {"biases to 2", 2, 0x9a002, set_member<&RopeArgs::v_bias>},
      {"factors to 4", 32, 0x93004, set_member<&RopeArgs::q_head_scales>},
  };
  const internal::KernelClass kernel_class = internal::lower(all_stages(), LaunchForm::in_place_ids()).kernel_class;
  for (const Row& row : rows) {
    RopeArgs args = aligned;
    row.set(args, address(row.off));
    internal::LaunchArguments out;
    INFO(row.what);
    REQUIRE(internal::check_arguments(kernel_class, args, out));
    CHECK(out.aligned.weight == row.weight_bytes);
  }
}

TEST_CASE("A tensor that nothing is done to is not looked at, but for a place that is written nowhere", "[launch]") {
  auto [spec, form, good] = test::StillLayer();
  check_rows(spec, form, good,
             {
                 {"heads on each other", [](RopeArgs& a) { a.q.head_stride = 0; }, ""},
                 {"between elements", [](RopeArgs& a) { a.q.data = address(0x10001); }, ""},
                 {"beyond memory", [](RopeArgs& a) { a.q.token_stride = INT64_MAX; }, ""},
                 {"it is k", [](RopeArgs& a) { a.q.data = a.k.data; }, ""},
                 {"it is k's cache", [](RopeArgs& a) { a.q.data = a.k_out.data; }, ""},
                 {"lanes apart, with k's too", [](RopeArgs& a) { a.q.lane_stride = a.k.lane_stride = 3; }, ""},
                 {"none", [](RopeArgs& a) { a.q.data = nullptr; }, "q.data: found null"},
                 {"a place for it", [](RopeArgs& a) { a.q_out.data = address(0x70000); },
                  "q_out: found a pointer, allowed: none (nothing of q is stored)"},
                 {"a place for it, of an unusual tensor",
                  [](RopeArgs& a) { a.q_out.data = address(0x70000), a.k.lane_stride = 3; },
                  "q_out: found a pointer, allowed: none (nothing of q is stored)"},
                 {"k is its cache", [](RopeArgs& a) { a.k_out.data = a.k.data; }, "k_out: overlaps an input"},
             });
  const internal::KernelClass kernel_class = internal::lower(spec, form).kernel_class;
  for (const std::int64_t lane_stride : {std::int64_t{1}, std::int64_t{2}}) {
    RopeArgs args = good;
    args.q.data = address(0x10002);
    args.q.lane_stride = lane_stride;
    internal::LaunchArguments out;
    REQUIRE(internal::check_arguments(kernel_class, args, out));
    CHECK(out.aligned.in == 32);
    CHECK(out.has_work == std::array<bool, 4>{false, true, true, false});
  }
}

TEST_CASE("One source for k and v is taken where both go elsewhere", "[launch]") {
  LaunchForm form = LaunchForm::in_place_ids();
  form.k_rows = form.v_rows = CacheRows::rows64;
  RopeSpec spec = three_operands();
  spec.k->norm = Norm{};
  spec.v->norm = Norm{};
  spec.v->norm->weight = NormWeight::none;
  RopeArgs good = good_args();
  good.v.data = good.k.data;
  good.k_out.data = address(0x60000);
  good.k_rows = good.v_rows = address(0x80000);
  good.k_cache_rows = good.v_cache_rows = 9;
  good.k_norm_weight = address(0x90000);
  check_rows(spec, form, good,
             {
                 {"one cache for both", [](RopeArgs& a) { a.v_out.data = a.k_out.data; }, "k_out and v_out: overlap"},
                 {"v's cache is it", [](RopeArgs& a) { a.v_out.data = a.k.data; }, "v_out: overlaps an input"},
                 {"heads apart", [](RopeArgs& a) { a.k.token_stride = a.v.token_stride = 100; }, ""},
             });
  form.k_rows = form.v_rows = CacheRows::none;
  RopeArgs in_place = good_args();
  in_place.k_norm_weight = address(0x90000);
  check_rows(spec, form, in_place,
             {{"k is written over v", [](RopeArgs& a) { a.v.data = a.k.data; }, "k and v: overlap"}});
}

TEST_CASE("A launch for its statistics alone reads its tensors: they may repeat and overlap, and have no outputs",
          "[launch]") {
  RopeSpec spec = three_operands();
  spec.q.norm = spec.k->norm = Norm{};
  spec.q.norm->span = NormSpan::token;
  RopeArgs good = good_args();
  good.v_out.data = nullptr;
  good.q_norm_weight = good.k_norm_weight = address(0x90000);
  good.q_norm_statistic_out.data = statistic(0xa0000);
  good.k_norm_statistic_out.data = statistic(0xb0000);
  const LaunchForm form = statistics_form();
  check_rows(spec, form, good,
             {
                 {"q is k", [](RopeArgs& a) { a.q.data = a.k.data; }, ""},
                 {"heads on each other", [](RopeArgs& a) { a.q.head_stride = 0; }, ""},
                 {"tokens on each other", [](RopeArgs& a) { a.k.token_stride = 0; }, ""},
                 {"backwards", [](RopeArgs& a) { a.k.token_stride = -32; }, ""},
                 {"v left out", [](RopeArgs& a) { a.v.data = nullptr; }, ""},
                 {"k left out",
                  [](RopeArgs& a) { a.k.data = nullptr, a.k_norm_weight = a.k_norm_statistic_out.data = nullptr; }, ""},
                 {"no q", [](RopeArgs& a) { a.q.data = nullptr; }, "q.data: found null"},
                 {"q between elements", [](RopeArgs& a) { a.q.data = address(0x10001); },
                  "q or q_out: found a pointer that is"},
                 {"q beyond memory", [](RopeArgs& a) { a.q.head_stride = INT64_MAX; }, "q or q_out: found a stride"},
                 {"a place for q", [](RopeArgs& a) { a.q_out.data = address(0x60000); },
                  "q_out: found a pointer, allowed: none (nothing of q is stored)"},
                 {"a place for k", [](RopeArgs& a) { a.k_out.data = address(0x60000); },
                  "k_out: found a pointer, allowed: none (nothing of k is stored)"},
                 {"a place for v", [](RopeArgs& a) { a.v_out.data = address(0x60000); },
                  "v_out: found a pointer, allowed: none (nothing of v is stored)"},
                 {"no place for q's", [](RopeArgs& a) { a.q_norm_statistic_out.data = nullptr; },
                  "q_norm_statistic_out: found null, allowed: a device pointer to r of every token"},
                 {"no place for k's", [](RopeArgs& a) { a.k_norm_statistic_out.data = nullptr; },
                  "k_norm_statistic_out: found null, allowed: a device pointer to r of every token and head"},
                 {"a place for v's", [](RopeArgs& a) { a.v_norm_statistic_out.data = statistic(0xc0000); },
                  "v_norm_statistic_out: found a pointer, allowed: null (no norm of v"},
                 {"q's in q", [](RopeArgs& a) { a.q_norm_statistic_out.data = statistic(0x10000); },
                  "q_norm_statistic_out: overlaps an input"},
                 {"q's in k", [](RopeArgs& a) { a.q_norm_statistic_out.data = statistic(0x20000); },
                  "q_norm_statistic_out: overlaps an input"},
                 {"q's in k's", [](RopeArgs& a) { a.q_norm_statistic_out.data = statistic(0xb0008); },
                  "q_norm_statistic_out: overlaps an input or another output"},
             });
  LaunchForm sums = form;
  sums.norm_sums = true;
  check_rows(spec, sums, good,
             {
                 {"no place for q's", [](RopeArgs& a) { a.q_norm_statistic_out.data = nullptr; },
                  "q_norm_statistic_out: found null, allowed: a device pointer to the sum of squares of every token"},
                 {"no place for k's", [](RopeArgs& a) { a.k_norm_statistic_out.data = nullptr; },
                  "k_norm_statistic_out: found null, allowed: a device pointer to the sum of squares of every token "
                  "and head"},
             });
  // What the spec's other stages would read may be there or not.
  RopeSpec more = all_stages();
  more.v->norm.reset();
  RopeArgs all = with_memory();
  all.v_out.data = nullptr;
  all.q_norm_statistic_out = good.q_norm_statistic_out;
  all.k_norm_statistic_out = good.k_norm_statistic_out;
  check_rows(more, form, all,
             {
                 {"no scales", [](RopeArgs& a) { a.q_head_scales = a.k_head_scales = nullptr; }, ""},
                 {"no bias of v", [](RopeArgs& a) { a.v_bias = nullptr; }, ""},
                 {"no bias of q, of which the sum is", [](RopeArgs& a) { a.q_bias = nullptr; }, "q_bias: found null"},
             });
}

TEST_CASE("A norm over the token has one statistic for each, side by side or apart", "[launch]") {
  RopeSpec spec = three_operands();
  spec.q.norm = spec.k->norm = Norm{};
  spec.q.norm->span = spec.k->norm->span = NormSpan::token;
  const auto set = [](Statistic statistic, RopeSpec& of) { of.q.norm->statistic = of.k->norm->statistic = statistic; };
  RopeArgs handing = good_args();
  handing.q_norm_weight = handing.k_norm_weight = address(0x90000);
  handing.q_norm_statistic_out = {statistic(0xa0000), 2, INT64_MAX};
  handing.k_norm_statistic_out = {statistic(0xa0004), 2};
  LaunchForm form = LaunchForm::in_place_ids();
  form.norm_statistics = form.norm_sums = true;
  check_rows(spec, form, handing,
             {
                 {"both in one place", [](RopeArgs& a) { a.k_norm_statistic_out.data = a.q_norm_statistic_out.data; },
                  "q_norm_statistic_out: overlaps"},
                 {"tokens in one place", [](RopeArgs& a) { a.q_norm_statistic_out.token_stride = 0; },
                  "q_norm_statistic_out: elements overlap"},
                 {"without gaps, so one in the other", [](RopeArgs& a) { a.q_norm_statistic_out.token_stride = 1; },
                  "q_norm_statistic_out: overlaps"},
                 {"without gaps, one behind the other",
                  [](RopeArgs& a) {
                    a.q_norm_statistic_out = {statistic(0xa0000)};
                    a.k_norm_statistic_out = {statistic(0xa000c)};
                  },
                  ""},
                 {"beyond memory", [](RopeArgs& a) { a.q_norm_statistic_out.token_stride = INT64_MAX; },
                  "q_norm_statistic_out: found a stride"},
             });
  form.norm_statistics = form.norm_sums = false;
  set(Statistic::given_sum, spec);
  RopeArgs taking = handing;
  taking.q_norm_statistic_out = taking.k_norm_statistic_out = {};
  taking.q_norm_statistic = {statistic(0xa0000), 2};
  taking.k_norm_statistic = {statistic(0xa0004), 2};
  check_rows(spec, form, taking,
             {
                 {"none", [](RopeArgs& a) { a.q_norm_statistic.data = nullptr; },
                  "q_norm_statistic: found null, allowed: a device pointer to the sum of squares of every token"},
                 {"one for all tokens", [](RopeArgs& a) { a.q_norm_statistic.token_stride = 0; }, ""},
                 {"one for both", [](RopeArgs& a) { a.k_norm_statistic = a.q_norm_statistic; }, ""},
                 {"in what is written", [](RopeArgs& a) { a.q_norm_statistic.data = statistic(0x10000); },
                  "q_norm_statistic: overlaps an output"},
             });
  internal::LaunchArguments out;
  REQUIRE(internal::check_arguments(internal::lower(spec, form).kernel_class, taking, out));
  CHECK(out.params.statistic[0].token == 2);
  CHECK(out.params.statistic[0].head == 0);
  taking.q_norm_statistic.token_stride = kContiguous;
  REQUIRE(internal::check_arguments(internal::lower(spec, form).kernel_class, taking, out));
  CHECK(out.params.statistic[0].token == 1);
}
