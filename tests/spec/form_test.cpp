// LaunchForm as JSON.
#include "ropejit/form.hpp"

#include <set>
#include <string>
#include <vector>

#include "spec/bad_input.hpp"
#include "spec/names.hpp"
#include "spec/read_spec.hpp"

using namespace ropejit;
using namespace ropejit::internal;
using namespace ropejit::test;

TEST_CASE("a form survives JSON, whatever its fields, and equality looks at every one") {
  std::vector<LaunchForm> forms{LaunchForm{}};
  const auto add = [&](auto LaunchForm::*field, auto value) {
    forms.emplace_back();
    forms.back().*field = value;
  };
  add(&LaunchForm::placement, Placement::out_of_place);
  add(&LaunchForm::strides, Strides::free);
  for (const auto& [source, name] : kNames<PositionSource>) {
    if (source != PositionSource::ids64) add(&LaunchForm::positions, source);
  }
  for (const auto& [source, name] : kNames<AngleSource>) {
    if (source != AngleSource::computed) add(&LaunchForm::angles, source);
  }
  add(&LaunchForm::table_dtype, DType::bf16);
  add(&LaunchForm::table_dtype, DType::fp16);
  add(&LaunchForm::padding, Padding::zero);
  add(&LaunchForm::padding, Padding::keep);
  add(&LaunchForm::context_parallel, ContextParallel::contiguous);
  add(&LaunchForm::context_parallel, ContextParallel::zigzag);
  add(&LaunchForm::k_rows, CacheRows::rows32);
  add(&LaunchForm::k_rows, CacheRows::rows64);
  add(&LaunchForm::counted, true);
  add(&LaunchForm::overlaps_previous, true);
  add(&LaunchForm::v_rows, CacheRows::slots64);
  add(&LaunchForm::ready_lists, true);
  add(&LaunchForm::k_beside, true);
  add(&LaunchForm::norm_statistics, true);
  add(&LaunchForm::norm_sums, true);
  add(&LaunchForm::statistics_only, true);
  add(&LaunchForm::grouped_q, true);
  add(&LaunchForm::k_rows, CacheRows::page_lists);
  add(&LaunchForm::v_rows, CacheRows::block_table);
  add(&LaunchForm::token_requests, TokenRequests::ids32);
  add(&LaunchForm::token_places, TokenPlaces::ids32);
  add(&LaunchForm::token_places, TokenPlaces::ids64);
  add(&LaunchForm::v_beside, true);
  add(&LaunchForm::k_split, true);
  std::set<std::string> texts;
  for (const LaunchForm& form : forms) {
    INFO(form.to_json());
    CHECK(LaunchForm::from_json(form.to_json()) == form);
    texts.insert(form.to_json());
    for (const LaunchForm& other : forms) CHECK((form == other) == (&form == &other));
  }
  CHECK(texts.size() == forms.size());
}

TEST_CASE("a form's JSON has the fields that are not the defaults, in a fixed order") {
  LaunchForm form = LaunchForm::out_of_place_start().with_table(AngleSource::full);
  CHECK(form.to_json() == R"({"placement":"out_of_place","strides":"contiguous","positions":"start","angles":"full",)"
                          R"("table_dtype":"fp32"})");
  form = LaunchForm::in_place_start().with_free_strides();
  form.padding = Padding::zero;
  form.context_parallel = ContextParallel::zigzag;
  form.k_rows = CacheRows::rows32;
  form.counted = true;
  CHECK(form.to_json() == R"({"placement":"in_place","strides":"free","positions":"start","padding":"zero",)"
                          R"("context_parallel":"zigzag","k_rows":"rows32","counted":true})");
  CHECK(LaunchForm::from_json(R"({"padding": "rotate", "context_parallel": "none", "k_rows": "none", "counted": false,)"
                              R"("angles": "computed", "table_dtype": null})") == LaunchForm{});
}

TEST_CASE("lists are promised to be ready only where a launch overlaps the one before it") {
  LaunchForm form;
  form.ready_lists = true;
  CHECK_THROWS_WITH(internal::validate_form(form), "ready_lists: found true, allowed: false without overlaps_previous");
  form.overlaps_previous = true;
  CHECK_NOTHROW(internal::validate_form(form));
}

TEST_CASE("k is written beside a cache only where it goes to one") {
  LaunchForm form;
  form.k_beside = true;
  CHECK_THROWS_WITH(internal::validate_form(form), "k_beside: found true, allowed: false without k_rows");
  for (const CacheRows rows : {CacheRows::rows32, CacheRows::rows64, CacheRows::slots32, CacheRows::slots64}) {
    form.k_rows = rows;
    CHECK_NOTHROW(internal::validate_form(form));
  }
}

TEST_CASE("what is said of a store is said of one that is there") {
  struct Row {
    void (*change)(LaunchForm&);
    const char* words;
  };
  const Row rows[] = {
      {[](LaunchForm& form) { form.v_beside = true; }, "v_beside: found true, allowed: false without v_rows"},
      {[](LaunchForm& form) { form.k_split = true; },
       "k_split: found true, allowed: false, or k_rows of slots32, slots64, page_lists or block_table"},
      {[](LaunchForm& form) {
         form.k_split = true;
         form.k_rows = CacheRows::rows64;
       },
       "k_split: found true, allowed: false, or k_rows of slots32, slots64, page_lists or block_table"},
      {[](LaunchForm& form) {
         form.token_requests = TokenRequests::ids32;
         form.k_rows = form.v_rows = CacheRows::slots32;
       },
       "token_requests: found ids32, allowed: sequences, or k_rows or v_rows of page_lists or block_table"},
      {[](LaunchForm& form) { form.token_places = TokenPlaces::ids64; },
       "token_places: found ids64, allowed: positions, or k_rows or v_rows of page_lists or block_table"},
  };
  for (const Row& row : rows) {
    LaunchForm form;
    row.change(form);
    CHECK_THROWS_WITH(internal::validate_form(form), row.words);
  }
  for (const CacheRows rows_of_one : {CacheRows::page_lists, CacheRows::block_table}) {
    LaunchForm form;
    form.token_requests = TokenRequests::ids32;
    form.token_places = TokenPlaces::ids64;
    form.v_rows = rows_of_one;
    form.v_beside = true;
    CHECK_NOTHROW(internal::validate_form(form));
    form.v_beside = false;
    form.v_rows = CacheRows::none;
    form.k_rows = rows_of_one;
    form.k_split = true;
    CHECK_NOTHROW(internal::validate_form(form));
  }
}

TEST_CASE("the forms that have names are what they say, and absent keys take the defaults") {
  CHECK(LaunchForm::from_json("{}") == LaunchForm{});
  CHECK(LaunchForm::in_place_ids().to_json() ==
        R"({"placement":"in_place","strides":"contiguous","positions":"ids64"})");
  CHECK(LaunchForm::in_place_start() == LaunchForm{Placement::in_place, Strides::contiguous, PositionSource::start});
  CHECK(LaunchForm::out_of_place_start().placement == Placement::out_of_place);
  CHECK(LaunchForm::out_of_place_ids(PositionSource::ids32).with_free_strides() ==
        LaunchForm{Placement::out_of_place, Strides::free, PositionSource::ids32});
}

TEST_CASE("a form with an unknown key or value is refused by name") {
  const BadText rows[] = {
      {R"({"place": "in_place"})", "place", kParse},
      {R"({"placement": "inplace"})", "placement", kRange},
      {R"({"strides": 3})", "strides", kParse},
      {R"({"angles": "degrees"})", "angles", kRange},
      {R"({"table_dtype": "fp64"})", "table_dtype", kRange},
      {R"({"padding": "left"})", "padding", kRange},
      {R"({"padding": false})", "padding", kParse},
      {R"({"context_parallel": "ring"})", "context_parallel", kRange},
      {R"({"context_parallel": 2})", "context_parallel", kParse},
      {R"({"k_rows": "rows16"})", "k_rows", kRange},
      {R"({"k_rows": [0, 1]})", "k_rows", kParse},
      {R"({"v_rows": "pages"})", "v_rows", kRange},
      {R"({"token_requests": "ids64"})", "token_requests", kRange},
      {R"({"token_places": true})", "token_places", kParse},
      {R"({"k_split": 16})", "k_split", kParse},
      {R"({"counted": 1})", "counted", kParse},
      {R"({"counted": "true"})", "counted", kParse},
      {R"({"token_count": 7})", "token_count", kParse},
      {R"({"positions": "ids16"})", "positions", kRange},
      {R"({"positions": "start", "positions": "start"})", "positions", kParse},
      {"", "JSON", kParse},
      {"[]", "JSON", kParse},
  };
  for (const BadText& row : rows) check_refused(row, LaunchForm::from_json);
}
