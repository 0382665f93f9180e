// What launches of norms and slots are refused for, and in which words.
#include <string>
#include <vector>

#include "support/refusals.hpp"

namespace {

using namespace ropejit;

using test::address;
using test::check_rows;
using test::good_args;
using test::three_operands;
using Row = test::RefusalRow;

constexpr std::int64_t kRow = 2 * 16;           // elements of a token's k
constexpr std::int64_t kPlaces = 4;             // of a page
constexpr std::int64_t kPage = kPlaces * kRow;  // elements
constexpr std::int64_t kElement = 2;            // bytes

LaunchForm slots_form(CacheRows kind = CacheRows::slots64) {
  LaunchForm form = LaunchForm::in_place_ids();
  form.k_rows = form.v_rows = kind;
  return form;
}

/// Caches of three pages each.
RopeArgs good_slots() {
  RopeArgs args = good_args();
  args.k_out.data = address(0x60000);
  args.k_rows = args.v_rows = address(0x80000);
  args.k_cache_rows = args.v_cache_rows = 3 * kPlaces;
  args.k_block_size = args.v_block_size = kPlaces;
  return args;
}

/// The members of RopeArgs that are k's, or v's.
struct Slots {
  std::string name;
  TensorView RopeArgs::*in;
  TensorView RopeArgs::*out;
  const void* RopeArgs::*rows;
  std::int64_t RopeArgs::*cache_rows;
  std::int64_t RopeArgs::*block_size;
  std::int64_t RopeArgs::*slot_count;
  std::int64_t RopeArgs::*slot_stride;
};
const Slots kOf[] = {{"k", &RopeArgs::k, &RopeArgs::k_out, &RopeArgs::k_rows, &RopeArgs::k_cache_rows,
                      &RopeArgs::k_block_size, &RopeArgs::k_slot_count, &RopeArgs::k_slot_stride},
                     {"v", &RopeArgs::v, &RopeArgs::v_out, &RopeArgs::v_rows, &RopeArgs::v_cache_rows,
                      &RopeArgs::v_block_size, &RopeArgs::v_slot_count, &RopeArgs::v_slot_stride}};

}  // namespace

TEST_CASE("A launch is refused without a norm's weights, or with weights that no norm has", "[launch]") {
  RopeSpec normed = three_operands();
  normed.q.norm = Norm{};
  normed.k->norm = Norm{1e-6, DType::fp32};
  normed.v->norm = Norm{};
  RopeArgs good = good_args();
  good.q_norm_weight = address(0x90002);
  good.k_norm_weight = address(0x91004);
  good.v_norm_weight = address(0x92006);
  check_rows(
      normed, LaunchForm::in_place_ids(), good,
      {
          {"no weights of q", [](RopeArgs& a) { a.q_norm_weight = nullptr; }, "q_norm_weight: found null"},
          {"no weights of k", [](RopeArgs& a) { a.k_norm_weight = nullptr; }, "k_norm_weight: found null"},
          {"no weights of v", [](RopeArgs& a) { a.v_norm_weight = nullptr; }, "v_norm_weight: found null"},
          {"q's between elements", [](RopeArgs& a) { a.q_norm_weight = address(0x90001); },
           "q_norm_weight: found a pointer that is not aligned to its element"},
          {"k's between elements of its own type", [](RopeArgs& a) { a.k_norm_weight = address(0x91002); },
           "k_norm_weight: found a pointer that is not aligned to its element"},
          {"v's between elements", [](RopeArgs& a) { a.v_norm_weight = address(0x92005); },
           "v_norm_weight: found a pointer that is not aligned to its element"},
          {"k's without k", [](RopeArgs& a) { a.k.data = nullptr; }, "k_norm_weight: found a pointer"},
          {"v's without v", [](RopeArgs& a) { a.v.data = a.v_out.data = nullptr; }, "v_norm_weight: found a pointer"},
          {"k without a thing of its own", [](RopeArgs& a) { a.k.data = nullptr, a.k_norm_weight = nullptr; }, ""},
          {"one list for two", [](RopeArgs& a) { a.v_norm_weight = a.q_norm_weight; }, ""},
          {"no tokens, no weights",
           [](RopeArgs& a) {
             a.tokens = 0;
             a.q_norm_weight = nullptr;
           },
           ""},
      });
  check_rows(three_operands(), LaunchForm::in_place_ids(), good_args(),
             {
                 {"q's", [](RopeArgs& a) { a.q_norm_weight = address(0x90000); }, "q_norm_weight: found a pointer"},
                 {"k's", [](RopeArgs& a) { a.k_norm_weight = address(0x90000); }, "k_norm_weight: found a pointer"},
                 {"v's", [](RopeArgs& a) { a.v_norm_weight = address(0x90000); }, "v_norm_weight: found a pointer"},
             });
  RopeSpec alone = three_operands();
  alone.k.reset();
  alone.v.reset();
  RopeArgs q_alone = good_args();
  q_alone.k.data = q_alone.v.data = q_alone.v_out.data = nullptr;
  check_rows(
      alone, LaunchForm::in_place_ids(), q_alone,
      {{"k's, of no k", [](RopeArgs& a) { a.k_norm_weight = address(0x90000); }, "k_norm_weight: found a pointer"}});
}

TEST_CASE("A launch with slots is refused where its pages, list or count cannot be", "[launch]") {
  for (const Slots& of : kOf) {
    INFO(of.name);
    const auto set = [](auto member, auto value) { return [member, value](RopeArgs& args) { args.*member = value; }; };
    const auto of_name = [&of](const char* words) { return of.name + words; };
    const std::string size = of_name("_block_size: found less than 1");
    const std::string count = of_name("_slot_count: found less than 0 or more than batch * tokens");
    const std::string stride = of_name("_slot_stride: found less than 0");
    const std::string rows = of_name("_cache_rows: found less than 1 or more than any memory holds");
    check_rows(
        three_operands(), slots_form(), good_slots(),
        {
            {"pages of no place", set(of.block_size, 0), size},
            {"pages of fewer", set(of.block_size, -1), size},
            {"of fewest", set(of.block_size, INT64_MIN), size},
            {"fewer slots than none", set(of.slot_count, kEveryToken - 1), count},
            {"fewest", set(of.slot_count, INT64_MIN), count},
            {"more than tokens", set(of.slot_count, 4), count},
            {"most", set(of.slot_count, INT64_MAX), count},
            {"slots backwards", set(of.slot_stride, -1), stride},
            {"slots beyond memory", set(of.slot_stride, INT64_MAX), stride},
            {"no place", set(of.cache_rows, 0), rows},
            {"fewer", set(of.cache_rows, INT64_MIN), rows},
            {"more than 2^62", set(of.cache_rows, (std::int64_t{1} << 62) + 1), rows},
            {"most", set(of.cache_rows, INT64_MAX), rows},
            {"no list", set(of.rows, nullptr), of_name("_rows: found null")},
            {"list between elements", set(of.rows, address(0x80004)), of_name("_rows: found a pointer that is not")},
            {"no cache", [&of](RopeArgs& a) { (a.*of.out).data = nullptr; }, of_name("_out: found null")},
            {"a cache between elements", [&of](RopeArgs& a) { (a.*of.out).data = address(0x60001); },
             of_name(" or ") + of.name + "_out: found a pointer that is not aligned"},
            {"pages beyond memory", [&of](RopeArgs& a) { (a.*of.out).batch_stride = INT64_MAX / 4; },
             of_name(" or ") + of.name + "_out: found a stride"},
        });
    check_rows(three_operands(), slots_form(CacheRows::slots32), good_slots(),
               {
                   {"list of int32", set(of.rows, address(0x80004)), ""},
                   {"between them", set(of.rows, address(0x80002)), of_name("_rows: found a pointer that is not")},
               });
  }
}

TEST_CASE("Pages whose elements lie on each other are refused", "[launch]") {
  for (const Slots& of : kOf) {
    const std::string repeats = of.name == "k" ? "k_out (k in place): elements overlap" : "v_out: elements overlap";
    const auto set_out = [&of](std::int64_t TensorView::*stride, std::int64_t value) {
      return [&of, stride, value](RopeArgs& args) { args.*of.out.*stride = value; };
    };
    INFO(of.name);
    check_rows(three_operands(), slots_form(), good_slots(),
               {
                   {"pages in one place", set_out(&TensorView::batch_stride, 0), repeats},
                   {"half of each on the next", set_out(&TensorView::batch_stride, kPage / 2), repeats},
                   {"one element on the next", set_out(&TensorView::batch_stride, kPage - 1), repeats},
                   {"places in one place", set_out(&TensorView::token_stride, 0), repeats},
                   {"places on the next", set_out(&TensorView::token_stride, 16), repeats},
                   {"heads in one place", set_out(&TensorView::head_stride, 0), repeats},
                   {"heads that begin at the next place", set_out(&TensorView::head_stride, kRow), repeats},
                   {"pages apart", set_out(&TensorView::batch_stride, kPage + 8), ""},
                   {"pages backwards",
                    [&of](RopeArgs& a) {
                      (a.*of.out).data = address(0x60000 + 0x8000 + 2 * kPage * kElement);
                      (a.*of.out).batch_stride = -kPage;
                    },
                    ""},
                   {"heads outside places",
                    [&of](RopeArgs& a) {
                      (a.*of.out).token_stride = 16;
                      (a.*of.out).head_stride = kPlaces * 16;
                    },
                    ""},
                   {"one page: the stride does not matter",
                    [&of](RopeArgs& a) {
                      a.*of.cache_rows = kPlaces;
                      (a.*of.out).batch_stride = 0;
                    },
                    ""},
                   {"one place a page: likewise",
                    [&of](RopeArgs& a) {
                      a.*of.block_size = 1;
                      (a.*of.out).token_stride = 0;
                      (a.*of.out).batch_stride = kRow;
                    },
                    ""},
               });
  }
}

TEST_CASE("A cache of pages may be no input and no other output, but k's and v's may lie in each other's gaps",
          "[launch]") {
  const auto beside = [](RopeArgs& a, std::int64_t batch, std::int64_t token, std::int64_t head, std::int64_t between) {
    a.v_out.data = address(0x60000 + static_cast<std::uintptr_t>(between * kElement));
    for (TensorView* const view : {&a.k_out, &a.v_out}) {
      view->batch_stride = batch;
      view->token_stride = token;
      view->head_stride = head;
    }
  };
  check_rows(
      three_operands(), slots_form(), good_slots(),
      {
          {"k's cache is k", [](RopeArgs& a) { a.k_out.data = a.k.data; }, "k_out: overlaps an input"},
          {"k's cache is v", [](RopeArgs& a) { a.k_out.data = a.v.data; }, "k_out: overlaps an input"},
          {"v's cache is v", [](RopeArgs& a) { a.v_out.data = a.v.data; }, "v_out: overlaps an input"},
          {"v's cache is k", [](RopeArgs& a) { a.v_out.data = a.k.data; }, "v_out: overlaps an input"},
          {"k's cache is q, in place", [](RopeArgs& a) { a.k_out.data = a.q.data; }, "q and k_out: overlap"},
          {"v's cache is q, in place", [](RopeArgs& a) { a.v_out.data = a.q.data; }, "q and v_out: overlap"},
          {"the last page is k", [](RopeArgs& a) { a.k_out.data = address(0x20000 - 2 * kPage * kElement); },
           "k_out: overlaps an input"},
          {"the end of the last page is k, by one lane",
           [](RopeArgs& a) { a.k_out.data = address(0x20000 - (3 * kPage - 1) * kElement); },
           "k_out: overlaps an input"},
          {"it ends where k begins", [](RopeArgs& a) { a.k_out.data = address(0x20000 - 3 * kPage * kElement); }, ""},
          {"one cache for both", [](RopeArgs& a) { a.v_out.data = a.k_out.data; }, "k_out and v_out: overlap"},
          {"v's last page is k's first", [](RopeArgs& a) { a.v_out.data = address(0x60000 - 2 * kPage * kElement); },
           "k_out and v_out: overlap"},
          {"v's on k's by one lane", [](RopeArgs& a) { a.v_out.data = address(0x60000 + (3 * kPage - 1) * kElement); },
           "k_out and v_out: overlap"},
          {"other rows of one pool, in pages of several places",
           [](RopeArgs& a) { a.v_out.data = address(0x60000 + kRow * kElement); }, "k_out and v_out: overlap"},
          {"other rows of one pool, by rows",
           [](RopeArgs& a) {
             a.k_block_size = a.v_block_size = 1;
             a.v_out.data = address(0x60000 + kRow * kElement);
           },
           ""},
          {"the same rows of one pool, by rows",
           [](RopeArgs& a) {
             a.k_block_size = a.v_block_size = 1;
             a.v_out.data = a.k_out.data;
           },
           "k_out and v_out: overlap"},
          {"half a row further, by rows",
           [](RopeArgs& a) {
             a.k_block_size = a.v_block_size = 1;
             a.v_out.data = address(0x60000 + kRow / 2 * kElement);
           },
           "k_out and v_out: overlap"},
          {"[pages, 2, places, heads, lanes]", [&](RopeArgs& a) { beside(a, 2 * kPage, kRow, 16, kPage); }, ""},
          {"[pages, places, 2, heads, lanes]", [&](RopeArgs& a) { beside(a, 2 * kPage, 2 * kRow, 16, kRow); }, ""},
          {"[pages, heads, places, 2, lanes]", [&](RopeArgs& a) { beside(a, 2 * kPage, 2 * 16, kPlaces * 2 * 16, 16); },
           ""},
          {"[2, pages, places, heads, lanes]", [&](RopeArgs& a) { beside(a, kPage, kRow, 16, 3 * kPage); }, ""},
          {"beside, but half a page on", [&](RopeArgs& a) { beside(a, 2 * kPage, kRow, 16, kPage / 2); },
           "k_out and v_out: overlap"},
      });
}

TEST_CASE("What is written beside a cache is refused where it has no place, or lies on another tensor", "[launch]") {
  LaunchForm form = slots_form();
  form.k_beside = true;
  const auto to = [](std::uintptr_t at) { return [at](RopeArgs& a) { a.k_beside.data = address(at); }; };
  // In place: k itself is written.
  check_rows(
      three_operands(), form, good_slots(),
      {
          {"a tensor of its own", to(0xa0000), "k_beside: found a pointer, allowed in place: none"},
          {"without k", [](RopeArgs& a) { a.k.data = a.k_out.data = nullptr, a.k_rows = nullptr; }, ""},
          {"k twice in one place", [](RopeArgs& a) { a.k.token_stride = 0; }, "k_out (k in place): elements overlap"},
          {"k is q", [](RopeArgs& a) { a.k.data = a.q.data; }, "q and k: overlap"},
          {"k is v", [](RopeArgs& a) { a.v.data = a.k.data; }, "k and v: overlap"},
          {"k is its cache", [](RopeArgs& a) { a.k_out.data = a.k.data; }, "k_out: overlaps an input"},
          {"k is v's cache", [](RopeArgs& a) { a.v_out.data = a.k.data; }, "v_out: overlaps an input"},
          {"v in the lanes of k that stay",
           [](RopeArgs& a) {
             a.v.data = address(0x20000 + 8 * kElement);
             a.v.lane_stride = kContiguous;
           },
           "k and v: overlap"},
      });
  // Apart.
  form.placement = Placement::out_of_place;
  RopeArgs good = good_slots();
  good.q_out.data = address(0x90000);
  good.k_beside.data = address(0xa0000);
  const auto beside = [](std::int64_t TensorView::*stride, std::int64_t value) {
    return [stride, value](RopeArgs& a) { a.k_beside.*stride = value; };
  };
  check_rows(
      three_operands(), form, good,
      {
          {"none", to(0), "k_beside: found null"},
          {"between elements", to(0xa0001), "k_beside: found a pointer that is not aligned"},
          {"beyond memory", beside(&TensorView::token_stride, INT64_MAX / 4), "k_beside: found a stride"},
          {"tokens in one place", beside(&TensorView::token_stride, 0), "k_beside: elements overlap"},
          {"heads in one place", beside(&TensorView::head_stride, 0), "k_beside: elements overlap"},
          {"tokens with gaps", beside(&TensorView::token_stride, 3 * kRow), ""},
          {"it is q", to(0x10000), "k_beside: overlaps an input"},
          {"it is k", to(0x20000), "k_beside: overlaps an input"},
          {"it is v", to(0x30000), "k_beside: overlaps an input"},
          {"it is q_out", to(0x90000), "q_out and k_beside: overlap"},
          {"it is the cache", to(0x60000), "k_out and k_beside: overlap"},
          {"it is the cache's last lane", to(0x60000 + (3 * kPage - 1) * kElement), "k_out and k_beside: overlap"},
          {"it is v's cache", to(0x40000), "k_beside and v_out: overlap"},
          {"without k", [](RopeArgs& a) { a.k.data = a.k_out.data = nullptr, a.k_rows = nullptr; },
           "k_beside: found a pointer without k.data"},
          {"k expanded", [](RopeArgs& a) { a.k.token_stride = 0; }, ""},
      });
  // Other forms.
  form.k_beside = false;
  good.k_beside.data = nullptr;
  check_rows(three_operands(), form, good,
             {{"a tensor of no use", to(0xa0000), "k_beside: found a pointer, allowed: null (the form has no"}});
  RopeSpec alone = three_operands();
  alone.k.reset();
  alone.v.reset();
  RopeArgs q_alone = good_args();
  q_alone.k.data = q_alone.v.data = q_alone.v_out.data = nullptr;
  check_rows(alone, LaunchForm::in_place_ids(), q_alone,
             {{"of no k", to(0xa0000), "k_beside: found a pointer without k.data"}});
}

TEST_CASE("What is said of slots is refused where a form has none", "[launch]") {
  for (const CacheRows kind : {CacheRows::none, CacheRows::rows32, CacheRows::rows64}) {
    LaunchForm form = slots_form(kind);
    RopeArgs good = good_args();
    if (kind != CacheRows::none) {
      good = good_slots();
      good.k_block_size = good.v_block_size = 0;
    }
    for (const Slots& of : kOf) {
      INFO(of.name << " " << to_string(kind));
      const std::string words =
          of.name + "_block_size, " + of.name + "_slot_count or " + of.name + "_slot_stride: found";
      check_rows(three_operands(), form, good,
                 {
                     {"the size of a page", [&of](RopeArgs& a) { a.*of.block_size = 16; }, words},
                     {"less than none", [&of](RopeArgs& a) { a.*of.block_size = -1; }, words},
                     {"a count", [&of](RopeArgs& a) { a.*of.slot_count = 3; }, words},
                     {"a count of none", [&of](RopeArgs& a) { a.*of.slot_count = 0; }, words},
                     {"slots apart", [&of](RopeArgs& a) { a.*of.slot_stride = 2; }, words},
                     {"slots on each other", [&of](RopeArgs& a) { a.*of.slot_stride = 0; }, words},
                 });
    }
  }
}

TEST_CASE("A launch with slots that only looks wrong is taken", "[launch]") {
  check_rows(three_operands(), slots_form(), good_slots(),
             {
                 {"no slots at all", [](RopeArgs& a) { a.k_slot_count = a.v_slot_count = 0; }, ""},
                 {"no list, as no token has a slot",
                  [](RopeArgs& a) {
                    a.k_slot_count = a.v_slot_count = 0;
                    a.k_rows = a.v_rows = nullptr;
                  },
                  ""},
                 {"as many as tokens", [](RopeArgs& a) { a.k_slot_count = a.v_slot_count = 3; }, ""},
                 {"one slot for all", [](RopeArgs& a) { a.k_slot_stride = a.v_slot_stride = 0; }, ""},
                 {"slots apart", [](RopeArgs& a) { a.k_slot_stride = 9; }, ""},
                 {"fewer places than tokens", [](RopeArgs& a) { a.k_cache_rows = a.k_block_size = 1; }, ""},
                 {"k left out", [](RopeArgs& a) { a.k.data = a.k_out.data = nullptr; }, ""},
                 {"v left out", [](RopeArgs& a) { a.v.data = a.v_out.data = nullptr; }, ""},
                 {"inputs expanded", [](RopeArgs& a) { a.k.head_stride = a.k.token_stride = 0; }, ""},
             });
}

TEST_CASE("A statistic that is given is refused where it is missing, of no use, or on an output", "[launch]") {
  RopeSpec spec = three_operands();
  spec.q.norm = spec.k->norm = Norm{1e-6, std::nullopt, Statistic::given};
  spec.v->norm = Norm{};
  RopeArgs good = good_slots();
  good.q_norm_weight = good.k_norm_weight = good.v_norm_weight = address(0xb0000);
  const auto number = [](std::uintptr_t at) { return static_cast<const float*>(address(at)); };
  good.q_norm_statistic.data = number(0xc0000);
  good.k_norm_statistic.data = number(0xd0000);
  const auto q = [&](std::uintptr_t at) { return [&, at](RopeArgs& a) { a.q_norm_statistic.data = number(at); }; };
  const auto k = [&](std::uintptr_t at) { return [&, at](RopeArgs& a) { a.k_norm_statistic.data = number(at); }; };
  const std::string overlaps = "k_norm_statistic: overlaps an output, allowed: separate memory";
  check_rows(
      spec, slots_form(), good,
      {
          {"none of q", q(0), "q_norm_statistic: found null, allowed: a device pointer to r of every token and head"},
          {"none of k", k(0), "k_norm_statistic: found null"},
          {"between elements", q(0xc0002), "q_norm_statistic: found a pointer that is not aligned to its element"},
          {"of a norm that computes its own", [&](RopeArgs& a) { a.v_norm_statistic.data = number(0xe0000); },
           "v_norm_statistic: found a pointer, allowed: null (the spec's v has no norm of a given statistic, or v is "
           "left out)"},
          {"a place for one that is given",
           [&](RopeArgs& a) { a.q_norm_statistic_out.data = static_cast<float*>(address(0xe0000)); },
           "q_norm_statistic_out: found a pointer, allowed: null (no norm of q hands its statistic out)"},
          {"of k, which is left out",
           [](RopeArgs& a) {
             a.k.data = a.k_out.data = nullptr;
             a.k_rows = a.k_norm_weight = nullptr;
           },
           "k_norm_statistic: found a pointer, allowed: null"},
          {"k left out",
           [](RopeArgs& a) {
             a.k.data = a.k_out.data = nullptr;
             a.k_rows = a.k_norm_weight = nullptr;
             a.k_norm_statistic.data = nullptr;
           },
           ""},
          {"tokens beyond memory", [](RopeArgs& a) { a.q_norm_statistic.token_stride = INT64_MAX / 2; },
           "q_norm_statistic: found a stride that reaches beyond any address space"},
          {"heads beyond memory", [](RopeArgs& a) { a.k_norm_statistic.head_stride = INT64_MIN / 2; },
           "k_norm_statistic: found a stride"},
          {"one for all heads", [](RopeArgs& a) { a.q_norm_statistic.head_stride = 0; }, ""},
          {"one for all", [](RopeArgs& a) { a.q_norm_statistic.head_stride = a.q_norm_statistic.token_stride = 0; },
           ""},
          {"backwards", [](RopeArgs& a) { a.q_norm_statistic.token_stride = -4; }, ""},
          {"one for q and k", k(0xc0000), ""},
          {"v's input", k(0x30000), ""},
          {"q, which is written", k(0x10000), overlaps},
          {"the last of q", k(0x10000 + 3 * 4 * 16 * kElement - 4), overlaps},
          {"behind q", k(0x10000 + 3 * 4 * 16 * kElement), ""},
          {"k's cache", k(0x60000 + kPage * kElement), overlaps},
          {"v's cache", k(0x40000), overlaps},
          {"before q, but its last token is not",
           [&](RopeArgs& a) {
             a.k_norm_statistic.data = number(0x10000 - 64);
             a.k_norm_statistic.token_stride = 16;
           },
           overlaps},
      });
}

TEST_CASE("A place for a statistic is refused where it is missing, of no use, or on another tensor", "[launch]") {
  RopeSpec spec = three_operands();
  spec.q.norm = spec.k->norm = Norm{};
  LaunchForm form = slots_form();
  form.norm_statistics = true;
  RopeArgs good = good_slots();
  good.q_norm_weight = good.k_norm_weight = address(0xb0000);
  const auto number = [](std::uintptr_t at) { return static_cast<float*>(address(at)); };
  good.q_norm_statistic_out.data = number(0xc0000);
  good.k_norm_statistic_out.data = number(0xd0000);
  const auto q = [&](std::uintptr_t at) { return [&, at](RopeArgs& a) { a.q_norm_statistic_out.data = number(at); }; };
  const std::string overlaps = "q_norm_statistic_out: overlaps an input or another output, allowed: separate memory";
  const std::string repeats = "q_norm_statistic_out: elements overlap, allowed: strides under which every element is";
  check_rows(
      spec, form, good,
      {
          {"none", q(0), "q_norm_statistic_out: found null, allowed: a device pointer to r of every token and head"},
          {"between elements", q(0xc0001), "q_norm_statistic_out: found a pointer that is not aligned to its element"},
          {"of v, which has no norm", [&](RopeArgs& a) { a.v_norm_statistic_out.data = number(0xe0000); },
           "v_norm_statistic_out: found a pointer, allowed: null (no norm of v hands its statistic out, or v is left "
           "out)"},
          {"one that is given", [&](RopeArgs& a) { a.q_norm_statistic.data = number(0xe0000); },
           "q_norm_statistic: found a pointer, allowed: null (the spec's q has no norm of a given statistic)"},
          {"beyond memory", [](RopeArgs& a) { a.q_norm_statistic_out.token_stride = INT64_MAX / 2; },
           "q_norm_statistic_out: found a stride that reaches beyond any address space"},
          {"heads in one place", [](RopeArgs& a) { a.q_norm_statistic_out.head_stride = 0; }, repeats},
          {"tokens in one place", [](RopeArgs& a) { a.q_norm_statistic_out.token_stride = 0; }, repeats},
          {"tokens on the next", [](RopeArgs& a) { a.q_norm_statistic_out.token_stride = 3; }, repeats},
          {"heads outside tokens",
           [](RopeArgs& a) {
             a.q_norm_statistic_out.token_stride = 1;
             a.q_norm_statistic_out.head_stride = 3;
           },
           ""},
          {"it is q", q(0x10000), overlaps},
          {"it is k", q(0x20000), overlaps},
          {"it is v", q(0x30000), overlaps},
          {"it is k's cache", q(0x60000), overlaps},
          {"it is v's cache", q(0x40000), overlaps},
          {"it is k's", q(0xd0000), overlaps},
          {"the last of k's", q(0xd0000 + 3 * 2 * 4 - 4), overlaps},
          {"behind k's", q(0xd0000 + 3 * 2 * 4), ""},
          {"in k's gaps",
           [&](RopeArgs& a) {
             a.q_norm_statistic_out = {number(0xd0000 + 2 * 4), 6, kContiguous};
             a.k_norm_statistic_out.token_stride = 6;
           },
           ""},
      });
  // Beside a cache, in place and apart.
  form.k_beside = true;
  check_rows(spec, form, good, {{"it is k, which is written", q(0x20000), overlaps}});
  form.placement = Placement::out_of_place;
  good.q_out.data = address(0x90000);
  good.k_beside.data = address(0xa0000);
  check_rows(spec, form, good,
             {{"it is what is beside the cache", q(0xa0000), overlaps}, {"it is q_out", q(0x90000), overlaps}});
}

TEST_CASE("Statistics are refused where no norm has to do with memory", "[launch]") {
  for (const bool normed : {false, true}) {
    RopeSpec spec = three_operands();
    RopeArgs good = good_args();
    if (normed) {
      spec.q.norm = Norm{};
      good.q_norm_weight = address(0xb0000);
    }
    float* const number = static_cast<float*>(address(0xc0000));
    check_rows(
        spec, LaunchForm::in_place_ids(), good,
        {
            {"of q", [=](RopeArgs& a) { a.q_norm_statistic.data = number; },
             "q_norm_statistic: found a pointer, allowed: null (the spec's q has no norm of a given statistic)"},
            {"of k", [=](RopeArgs& a) { a.k_norm_statistic.data = number; }, "k_norm_statistic: found a pointer"},
            {"of v", [=](RopeArgs& a) { a.v_norm_statistic.data = number; }, "v_norm_statistic: found a pointer"},
            {"a place for q's", [=](RopeArgs& a) { a.q_norm_statistic_out.data = number; },
             "q_norm_statistic_out: found a pointer, allowed: null (no norm of q hands its statistic out)"},
            {"a place for k's", [=](RopeArgs& a) { a.k_norm_statistic_out.data = number; },
             "k_norm_statistic_out: found a pointer"},
            {"a place for v's", [=](RopeArgs& a) { a.v_norm_statistic_out.data = number; },
             "v_norm_statistic_out: found a pointer"},
        });
  }
}
