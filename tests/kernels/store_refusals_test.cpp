// What launches with page tables, groups of lanes and stores beside caches are refused for, and in which words.
#include <string>
#include <vector>

#include "support/refusals.hpp"

namespace {

using namespace ropejit;

using test::address;
using test::check_rows;
using test::good_args;
using test::three_operands;

constexpr std::int64_t kPlaces = 4;  // of a page

LaunchForm tables_form(CacheRows kind) {
  LaunchForm form = LaunchForm::in_place_ids();
  form.k_rows = form.v_rows = kind;
  form.token_requests = TokenRequests::ids32;
  form.token_places = TokenPlaces::ids64;
  return form;
}

const std::int32_t* list(std::uintptr_t at) { return static_cast<const std::int32_t*>(address(at)); }

/// Caches of three pages each, of two requests.
RopeArgs good_tables(CacheRows kind) {
  RopeArgs args = good_args();
  args.k_out.data = address(0x60000);
  args.k_cache_rows = args.v_cache_rows = 3 * kPlaces;
  args.k_block_size = args.v_block_size = kPlaces;
  const bool is_lists = kind == CacheRows::page_lists;
  args.k_page_table = {list(0x80000), is_lists ? list(0x81000) : nullptr, nullptr, 2, 3};
  args.v_page_table = args.k_page_table;
  args.token_requests = list(0x82000);
  args.token_places = list(0x83000);
  return args;
}

}  // namespace

TEST_CASE("A launch with page tables is refused where its lists cannot be", "[launch]") {
  for (const CacheRows kind : {CacheRows::page_lists, CacheRows::block_table}) {
    for (const bool of_k : {true, false}) {
      const std::string name = of_k ? "k" : "v";
      const auto table = of_k ? &RopeArgs::k_page_table : &RopeArgs::v_page_table;
      const auto rows = of_k ? &RopeArgs::k_rows : &RopeArgs::v_rows;
      const auto block_size = of_k ? &RopeArgs::k_block_size : &RopeArgs::v_block_size;
      const auto cache_rows = of_k ? &RopeArgs::k_cache_rows : &RopeArgs::v_cache_rows;
      const auto slot_stride = of_k ? &RopeArgs::k_slot_stride : &RopeArgs::v_slot_stride;
      const auto slot_count = of_k ? &RopeArgs::k_slot_count : &RopeArgs::v_slot_count;
      const std::string of_table = name + "_page_table";
      INFO(name << " " << to_string(kind));
      check_rows(
          three_operands(), tables_form(kind), good_tables(kind),
          {
              {"what is right", [](RopeArgs&) {}, ""},
              {"no pages", [=](RopeArgs& a) { (a.*table).pages = nullptr; }, of_table + ".pages: found null"},
              {"pages between elements", [=](RopeArgs& a) { (a.*table).pages = list(0x80002); },
               of_table + ": found a pointer that is not aligned to its element"},
              {"no requests", [=](RopeArgs& a) { (a.*table).requests = 0; }, of_table + ".requests or entries"},
              {"more requests than int32 has", [=](RopeArgs& a) { (a.*table).requests = 1LL << 31; },
               of_table + ".requests or entries"},
              {"no entries", [=](RopeArgs& a) { (a.*table).entries = -1; }, of_table + ".requests or entries"},
              {"entries beyond memory", [=](RopeArgs& a) { (a.*table).entries = INT64_MAX; },
               of_table + ".row_stride: found a stride that reaches beyond any address space"},
              {"a list of rows beside it", [=](RopeArgs& a) { a.*rows = address(0x84000); },
               name + "_rows: found a pointer, allowed with page_lists or block_table: null"},
              {"a stride of slots", [=](RopeArgs& a) { a.*slot_stride = 2; },
               name + "_slot_stride: found other than 1, allowed with " + name + "_rows of page_lists or block_table"},
              {"a count of more tokens than there are", [=](RopeArgs& a) { a.*slot_count = 1 << 20; },
               name + "_slot_count: found less than 0 or more than batch * tokens"},
              {"no places of a page", [=](RopeArgs& a) { a.*block_size = 0; }, name + "_block_size: found less than 1"},
              {"a page beyond int32",
               [=](RopeArgs& a) {
                 a.*block_size = 1LL << 31;
                 a.*cache_rows = 1LL << 31;
                 (of_k ? a.k_out : a.v_out).data = address(std::uintptr_t{1} << 45);
               },
               name + "_block_size: found more than 2147483647, allowed with a page table: up to that"},
          });
      if (kind == CacheRows::page_lists) {
        check_rows(three_operands(), tables_form(kind), good_tables(kind),
                   {
                       {"nowhere to begin", [=](RopeArgs& a) { (a.*table).first_entries = nullptr; },
                        of_table + ".first_entries: found null, allowed with page_lists: a device pointer"},
                       {"beginnings between elements", [=](RopeArgs& a) { (a.*table).first_entries = list(0x81001); },
                        of_table + ": found a pointer that is not aligned"},
                       {"lengths between elements", [=](RopeArgs& a) { (a.*table).last_page_lengths = list(0x81003); },
                        of_table + ": found a pointer that is not aligned"},
                       {"lengths", [=](RopeArgs& a) { (a.*table).last_page_lengths = list(0x81100); }, ""},
                       {"a row's stride", [=](RopeArgs& a) { (a.*table).row_stride = 3; },
                        of_table + ".row_stride: found a number, allowed with page_lists: kContiguous"},
                   });
      } else {
        const std::string lists = of_table + ".first_entries or last_page_lengths: found a pointer";
        check_rows(three_operands(), tables_form(kind), good_tables(kind),
                   {
                       {"beginnings", [=](RopeArgs& a) { (a.*table).first_entries = list(0x81000); }, lists},
                       {"lengths", [=](RopeArgs& a) { (a.*table).last_page_lengths = list(0x81000); }, lists},
                       {"any stride", [=](RopeArgs& a) { (a.*table).row_stride = -5; }, ""},
                       {"one beyond memory", [=](RopeArgs& a) { (a.*table).row_stride = INT64_MAX; },
                        of_table + ".row_stride: found a stride that reaches beyond any address space"},
                   });
      }
    }
  }
}

TEST_CASE("Lists of requests and places are what the form says, and tables are of forms that have some", "[launch]") {
  const CacheRows kind = CacheRows::page_lists;
  check_rows(three_operands(), tables_form(kind), good_tables(kind),
             {
                 {"no requests", [](RopeArgs& a) { a.token_requests = nullptr; }, "token_requests: found null"},
                 {"no places", [](RopeArgs& a) { a.token_places = nullptr; }, "token_places: found null"},
                 {"requests between elements", [](RopeArgs& a) { a.token_requests = list(0x82002); },
                  "token_requests: found a pointer that is not aligned"},
                 {"places of 64 bits between elements", [](RopeArgs& a) { a.token_places = list(0x83004); },
                  "token_places: found a pointer that is not aligned"},
             });
  LaunchForm counted = tables_form(kind);
  counted.token_requests = TokenRequests::sequences;
  counted.token_places = TokenPlaces::positions;
  RopeArgs without = good_tables(kind);
  without.token_requests = nullptr;
  without.token_places = nullptr;
  check_rows(three_operands(), counted, without,
             {
                 {"what is right", [](RopeArgs&) {}, ""},
                 {"requests", [](RopeArgs& a) { a.token_requests = list(0x82000); }, "token_requests: found a pointer"},
                 {"places", [](RopeArgs& a) { a.token_places = list(0x82000); }, "token_places: found a pointer"},
             });
  check_rows(three_operands(), LaunchForm::in_place_ids(), good_args(),
             {
                 {"k's table", [](RopeArgs& a) { a.k_page_table.pages = list(0x80000); }, "k_page_table: found pages"},
                 {"v's table", [](RopeArgs& a) { a.v_page_table.pages = list(0x80000); }, "v_page_table: found pages"},
                 {"requests", [](RopeArgs& a) { a.token_requests = list(0x82000); }, "token_requests: found a pointer"},
                 {"places", [](RopeArgs& a) { a.token_places = list(0x82000); }, "token_places: found a pointer"},
                 {"groups of lanes", [](RopeArgs& a) { a.k_split_stride = 64; }, "k_split_stride: found a number"},
             });
}

TEST_CASE("Groups of lanes are refused where lanes lie apart or elements meet", "[launch]") {
  LaunchForm form = tables_form(CacheRows::block_table);
  form.k_split = true;
  // Two heads of 16 lanes in groups of 8.
  check_rows(
      three_operands(), form, good_tables(CacheRows::block_table),
      {
          {"what is right", [](RopeArgs&) {}, ""},
          {"the same in numbers",
           [](RopeArgs& a) {
             a.k_out.batch_stride = 2 * 16 * kPlaces;
             a.k_out.head_stride = 16 * kPlaces;
             a.k_out.token_stride = 8;
             a.k_out.lane_stride = 1;
             a.k_split_stride = 8 * kPlaces;
           },
           ""},
          {"lanes apart", [](RopeArgs& a) { a.k_out.lane_stride = 2; },
           "k_out.lane_stride: found other than 1, allowed with k_split"},
          {"groups that meet", [](RopeArgs& a) { a.k_split_stride = 4; }, "k_out (k in place): elements overlap"},
          {"places within a group", [](RopeArgs& a) { a.k_out.token_stride = 4; },
           "k_out (k in place): elements overlap"},
          {"groups beyond memory", [](RopeArgs& a) { a.k_split_stride = 1LL << 60; },
           "k_split_stride: found a stride that reaches beyond any address space"},
          {"a cache that is an input", [](RopeArgs& a) { a.k_out.data = a.v.data; },
           "k_out: overlaps an input, allowed: a cache in separate memory"},
      });
}

TEST_CASE("v beside its cache is apart from all that is read and written", "[launch]") {
  LaunchForm form = LaunchForm::out_of_place_ids();
  form.k_rows = form.v_rows = CacheRows::slots64;
  form.k_beside = form.v_beside = true;
  RopeArgs good = good_args();
  good.q_out.data = address(0x50000);
  good.k_out.data = address(0x60000);
  good.k_rows = good.v_rows = address(0x80000);
  good.k_cache_rows = good.v_cache_rows = 3 * kPlaces;
  good.k_block_size = good.v_block_size = kPlaces;
  good.k_beside.data = address(0x90000);
  good.v_beside.data = address(0xa0000);
  check_rows(
      three_operands(), form, good,
      {
          {"what is right", [](RopeArgs&) {}, ""},
          {"none", [](RopeArgs& a) { a.v_beside.data = nullptr; }, "v_beside: found null"},
          {"between elements", [](RopeArgs& a) { a.v_beside.data = address(0xa0001); },
           "v_beside: found a pointer that is not aligned"},
          {"elements that meet", [](RopeArgs& a) { a.v_beside.token_stride = 0; }, "v_beside: elements overlap"},
          {"over its input", [](RopeArgs& a) { a.v_beside.data = a.v.data; }, "v_beside: overlaps an input"},
          {"over k's cache", [](RopeArgs& a) { a.v_beside.data = a.k_out.data; }, "k_out and v_beside: overlap"},
          {"over its own cache", [](RopeArgs& a) { a.v_beside.data = a.v_out.data; }, "v_beside and v_out: overlap"},
          {"over what k has beside its own", [](RopeArgs& a) { a.v_beside.data = a.k_beside.data; },
           "k_beside and v_beside: overlap"},
          {"without v", [](RopeArgs& a) { a.v.data = a.v_out.data = nullptr; }, "v_beside: found a pointer without v"},
      });
  form.v_beside = false;
  good.v_beside.data = nullptr;
  check_rows(three_operands(), form, good,
             {{"of a form without it", [](RopeArgs& a) { a.v_beside.data = address(0xa0000); },
               "v_beside: found a pointer, allowed: null (the form has no v_beside)"}});

  RopeSpec normed = three_operands();
  normed.v->norm = Norm{1e-6, std::nullopt, Statistic::computed, NormKind::rms, NormSpan::head, NormWeight::none};
  LaunchForm in_place = LaunchForm::in_place_ids();
  in_place.v_rows = CacheRows::slots64;
  in_place.v_beside = true;
  RopeArgs over = good_args();
  over.v_rows = address(0x80000);
  over.v_cache_rows = 3 * kPlaces;
  over.v_block_size = kPlaces;
  check_rows(normed, in_place, over,
             {
                 {"v over itself", [](RopeArgs&) {}, ""},
                 {"v elsewhere", [](RopeArgs& a) { a.v_beside.data = address(0xa0000); },
                  "v_beside: found a pointer, allowed in place: none (v itself is written)"},
                 {"v that is k", [](RopeArgs& a) { a.v.data = a.k.data; }, "k and v: overlap"},
             });
}
