// k and v appended to pages of a cache that tables name: which places change, which tokens are read, what is reported,
// and that nothing outside the lists is read.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/child.hpp"

namespace {

using namespace ropejit;
using test::NumericCase;
using test::Pages;
using test::TableLists;

constexpr CacheRows kKinds[] = {CacheRows::page_lists, CacheRows::block_table};
constexpr TokenPlaces kPlaces[] = {TokenPlaces::positions, TokenPlaces::ids32, TokenPlaces::ids64};

/// Three requests of two, three and one pages of a cache of six.
TableLists three_requests(CacheRows kind) {
  TableLists table;
  table.requests = 3;
  if (kind == CacheRows::page_lists) {
    table.pages = {3, 0, 5, 1, 4, 2};
    table.first_entries = {0, 2, 5, 6};
    table.last_page_lengths = {4, 4, 4};
    table.entries = 6;
  } else {
    table.pages = {3, 0, -1, 5, 1, 4, 2, -1, -1};
    table.entries = 3;
  }
  return table;
}

/// q in place, and k and v of eight tokens of three requests in pages of four places.
NumericCase in_tables(CacheRows kind, TokenPlaces places = TokenPlaces::ids32) {
  NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {6, 48, 16};
  given.spec.k = Operand{2, 40, 0};
  given.spec.v = Operand{2, 40, 0};
  given.form = LaunchForm::in_place_ids();
  given.form.k_rows = given.form.v_rows = kind;
  given.form.token_requests = TokenRequests::ids32;
  given.form.token_places = places;
  given.batch = 2;
  given.tokens = 4;
  given.k_block_size = given.v_block_size = 4;
  given.k_cache_rows = given.v_cache_rows = 24;
  given.k_table = given.v_table = three_requests(kind);
  given.token_requests = {0, 2, 1, 0, 2, 1, 1, 0};
  given.token_places = {0, 3, 11, 7, 0, 4, 8, 5};
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  if (places == TokenPlaces::positions) given.positions = given.token_places;
  return given;
}

internal::PreparedKernel kernel_of_case(const test::TargetPtr& target, const NumericCase& given) {
  return test::prepare(target, internal::lower(given.spec, given.form));
}

void set_norms(NumericCase& given) { given.spec.q.norm = given.spec.k->norm = Norm{}; }

}  // namespace

TEST_CASE("k and v go to the pages that their tables name, wherever tokens stand and whatever the pages' strides",
          "[numeric]") {
  constexpr Pages kPages[] = {Pages::nhd,    Pages::hnd,        Pages::beside,
                              Pages::padded, Pages::misaligned, Pages::lanes_apart};
  constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const TokenPlaces places : kPlaces) {
        for (const Strides strides : {Strides::contiguous, Strides::free}) {
          NumericCase given = in_tables(kind, places);
          given.form.strides = strides;
          given.spec.dtype = kTypes[number % 3];
          if (number % 2 == 0) given.form.placement = Placement::out_of_place;
          if (number % 4 == 1) given.spec.layout = Layout::interleaved;
          if (number % 4 == 2) given.spec.k->dtype_out = given.spec.v->dtype_out = DType::fp32;
          if (number % 3 == 2) set_norms(given);
          const internal::PreparedKernel kernel = kernel_of_case(target, given);
          for (const Pages pages : kPages) {
            given.pages = pages;
            given.in = pages == Pages::hnd ? test::Arrangement::packed_qkv : test::Arrangement::bshd;
            test::check_case(kernel, given, 171);
          }
          ++number;
        }
      }
    }
  }
}

TEST_CASE("The tables of k and v are apart, of any kind, and one of them may have slots or no cache", "[numeric]") {
  struct Row {
    CacheRows k;
    CacheRows v;
  };
  const Row rows[] = {{CacheRows::page_lists, CacheRows::block_table}, {CacheRows::block_table, CacheRows::page_lists},
                      {CacheRows::page_lists, CacheRows::slots64},     {CacheRows::rows32, CacheRows::block_table},
                      {CacheRows::block_table, CacheRows::none},       {CacheRows::none, CacheRows::page_lists}};
  for (const test::TargetPtr& target : test::targets()) {
    for (const Row& row : rows) {
      NumericCase given = in_tables(row.k);
      given.form.k_rows = row.k;
      given.form.v_rows = row.v;
      given.spec.v = Operand{3, 24, 0};
      given.v_block_size = 3;
      given.v_cache_rows = 30;
      given.v_table = three_requests(row.v);
      // Requests of v have more pages: none of k's places is beyond them.
      given.v_table.last_page_lengths.clear();
      if (row.v == CacheRows::page_lists) {
        given.v_table.pages = {9, 8, 7, 0, 1, 2, 3, 5, 4};
        given.v_table.first_entries = {0, 3, 7, 9};
        given.v_table.entries = 9;
      } else {
        given.v_table.pages = {9, 8, 7, -1, 0, 1, 2, 3, 5, 4, -1, 6};
        given.v_table.entries = 4;
      }
      given.k_rows = given.v_rows = {15, 0, 7, 8, 3, 12, 1, 9};
      if (row.k == CacheRows::rows32) given.k_block_size = 0;
      const internal::PreparedKernel kernel = kernel_of_case(target, given);
      test::check_case(kernel, given, 172);
      given.pass_k = false;
      test::check_case(kernel, given, 172);
      given.pass_k = true;
      given.pass_v = false;
      test::check_case(kernel, given, 172);
    }
  }
}

TEST_CASE("A token belongs to the sequence of the launch where no list says another request", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const bool normed : {false, true}) {
        NumericCase batch = in_tables(kind, normed ? TokenPlaces::ids64 : TokenPlaces::positions);
        batch.form.token_requests = TokenRequests::sequences;
        if (normed) set_norms(batch);
        batch.token_places = {0, 7, 3, 5, 11, 4, 8, 0};
        if (!normed) batch.positions = batch.token_places;
        test::check_case(target, batch, 173);

        NumericCase ragged = in_tables(kind, TokenPlaces::positions);
        ragged.form.token_requests = TokenRequests::sequences;
        ragged.form.positions = PositionSource::ragged;
        if (normed) set_norms(ragged);
        ragged.batch = 1;
        ragged.tokens = 8;
        ragged.cu_seqlens = {0, 3, 7, 8};
        ragged.positions = {5, 8, 2};
        test::check_case(target, ragged, 173);
        ragged.positions.clear();
        test::check_case(target, ragged, 173);
        ragged.form.token_places = TokenPlaces::ids32;
        ragged.token_places = {0, 7, 3, 5, 11, 4, 8, 0};
        test::check_case(target, ragged, 173);
      }
    }
  }
}

TEST_CASE("A token stands in its request apart from where it rotates: on several axes, and where nothing rotates",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      NumericCase axes = in_tables(kind);
      axes.spec.axes.sections = {4, 6, 6};
      axes.positions.clear();
      for (std::int64_t i = 0; i < 24; ++i) axes.positions.push_back(1000 - 37 * i);
      test::check_case(target, axes, 174);
      axes.form.token_places = TokenPlaces::positions;
      for (std::size_t i = 0; i < 8; ++i) axes.positions[i] = axes.token_places[i];
      test::check_case(target, axes, 174);

      NumericCase still = in_tables(kind, TokenPlaces::positions);
      still.form.placement = Placement::out_of_place;
      still.spec.q.rotates = still.spec.k->rotates = false;
      still.spec.q.first_lane = 0;
      test::check_case(target, still, 174);
    }
  }
}

TEST_CASE("What is negative is none in silence, and what a table does not have is none and reported", "[numeric]") {
  struct Row {
    const char* what;
    void (*change)(NumericCase&);
  };
  const Row rows[] = {
      {"a negative request", [](NumericCase& given) { given.token_requests[2] = -1; }},
      {"the least request", [](NumericCase& given) { given.token_requests[2] = INT32_MIN; }},
      {"a request beyond the last", [](NumericCase& given) { given.token_requests[2] = 3; }},
      {"the largest request", [](NumericCase& given) { given.token_requests[2] = INT32_MAX; }},
      {"a negative place", [](NumericCase& given) { given.token_places[3] = -4; }},
      {"the least place",
       [](NumericCase& given) {
         given.token_places[3] = given.form.token_places == TokenPlaces::ids64 ? INT64_MIN : INT32_MIN;
       }},
      {"a place behind the request's pages", [](NumericCase& given) { given.token_places[1] = 4; }},
      {"a place behind all pages", [](NumericCase& given) { given.token_places[1] = 40; }},
      {"the largest place",
       [](NumericCase& given) {
         given.token_places[1] = given.form.token_places == TokenPlaces::ids64 ? INT64_MAX : INT32_MAX;
       }},
      {"a negative page", [](NumericCase& given) { given.k_table.pages[0] = -7; }},
      {"a page that the cache does not have", [](NumericCase& given) { given.k_table.pages[0] = 6; }},
      {"the largest page of v", [](NumericCase& given) { given.v_table.pages[0] = INT32_MAX; }},
      {"a last page that is not full",
       [](NumericCase& given) {
         if (given.form.k_rows == CacheRows::page_lists) given.k_table.last_page_lengths = {2, 3, 4};
       }},
      {"a last page of nothing",
       [](NumericCase& given) {
         if (given.form.k_rows == CacheRows::page_lists) given.k_table.last_page_lengths = {0, -1, INT32_MIN};
       }},
      {"no lengths of last pages", [](NumericCase& given) { given.k_table.last_page_lengths.clear(); }},
      {"a request that begins below 0",
       [](NumericCase& given) {
         if (given.form.k_rows == CacheRows::page_lists) given.k_table.first_entries = {-2, 2, 5, 6};
       }},
      {"requests that end where they begin, or before",
       [](NumericCase& given) {
         if (given.form.k_rows == CacheRows::page_lists) given.k_table.first_entries = {2, 2, 5, 1};
       }},
      {"a request that ends beyond the list",
       [](NumericCase& given) {
         if (given.form.k_rows == CacheRows::page_lists) given.k_table.first_entries = {0, 2, 4, INT32_MAX};
       }},
  };
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const TokenPlaces places : {TokenPlaces::ids32, TokenPlaces::ids64}) {
        NumericCase usual = in_tables(kind, places);
        if (places == TokenPlaces::ids64) set_norms(usual);
        const internal::PreparedKernel kernel = kernel_of_case(target, usual);
        for (const Row& row : rows) {
          for (const bool pass_flags : {false, true}) {
            NumericCase given = usual;
            given.pass_flags = pass_flags;
            row.change(given);
            INFO(row.what);
            test::check_case(kernel, given, 175);
          }
        }
        // What tokens of the count have is all that is asked for.
        for (const std::int64_t count : {0, 5, 8}) {
          NumericCase given = usual;
          given.k_slot_count = count;
          given.v_slot_count = 8 - count;
          test::check_case(kernel, given, 175);
        }
      }
    }
  }
}

TEST_CASE("Pages of tables have any number of places, and rows of a block table any stride", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      NumericCase given = in_tables(kind);
      const internal::PreparedKernel kernel = kernel_of_case(target, given);
      for (const std::int64_t block : {1, 2, 3, 5, 7, 16, 100}) {
        given.k_block_size = block;
        given.v_block_size = 1 + block % 7;
        given.k_cache_rows = 40 * given.k_block_size;
        given.v_cache_rows = 40 * given.v_block_size;
        for (TableLists* table : {&given.k_table, &given.v_table}) {
          table->pages.clear();
          table->last_page_lengths.clear();
          for (std::int32_t i = 0; i < 39; ++i) table->pages.push_back((7 * i + 3) % 40);
          table->entries = kind == CacheRows::page_lists ? 39 : 13;
          if (kind == CacheRows::page_lists) table->first_entries = {0, 13, 26, 39};
        }
        test::check_case(kernel, given, 176);
        if (kind == CacheRows::page_lists) continue;
        // The last entries of a row are nobody's; with a stride of 0 all requests have one row.
        NumericCase one_row = given;
        one_row.k_table.entries = 12;
        one_row.k_table.row_stride = 13;
        one_row.v_table.row_stride = 0;
        one_row.token_places = {0, 1, 11, 7, 6, 4, 8, 5};
        test::check_case(kernel, one_row, 176);
      }
    }
  }
}

TEST_CASE("Page tables go with counts on the device, padding, tables of angles and what is written beside them",
          "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const bool normed : {false, true}) {
        const auto usual = [&] {
          NumericCase given = in_tables(kind, kPlaces[1 + number++ % 2]);
          if (normed) set_norms(given);
          return given;
        };
        NumericCase counted = usual();
        counted.form.counted = true;
        const internal::PreparedKernel kernel = kernel_of_case(target, counted);
        for (const std::int32_t count : {0, 3, 8, 100}) {
          counted.token_count = count;
          test::check_case(kernel, counted, 177);
        }
        for (const Padding padding : {Padding::zero, Padding::keep}) {
          NumericCase padded = usual();
          padded.form.padding = padding;
          padded.positions[2] = -1;
          padded.positions[5] = -(1LL << 31);
          test::check_case(target, padded, 178);
        }
        NumericCase angles = usual();
        angles.form = angles.form.with_table(AngleSource::cos_sin, DType::bf16);
        angles.form.overlaps_previous = angles.form.ready_lists = true;
        angles.positions = {5, 6, 40, 7, 64, 0, 9, 3};  // the fifth has no row
        test::check_case(target, angles, 179);
        for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
          NumericCase beside = usual();
          beside.form.placement = placement;
          beside.form.k_beside = true;
          beside.form.v_beside = placement == Placement::out_of_place;
          beside.form.norm_statistics = normed;
          beside.token_places[1] = 40;
          beside.token_requests[6] = -1;
          if (placement == Placement::out_of_place && !normed) beside.spec.layout_out = Layout::interleaved;
          test::check_case(target, beside, 180);
        }
        NumericCase turned = usual();
        turned.form.placement = Placement::in_place;
        turned.form.k_beside = true;
        turned.spec.layout_out = Layout::interleaved;
        test::check_case(target, turned, 181);
      }
    }
  }
}

TEST_CASE("Every variant and the generic kernel append the same bits where page tables say", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : kKinds) {
      for (const bool normed : {false, true}) {
        NumericCase given = in_tables(kind, normed ? TokenPlaces::positions : TokenPlaces::ids64);
        given.spec.q = {9, 64, 0};
        given.spec.k = Operand{2, 64, 0};
        given.spec.v = Operand{2, 64, 0};
        if (normed) set_norms(given);
        given.pages = Pages::beside;
        given.token_places[5] = given.positions[5] = 12;
        given.token_requests[0] = -1;
        const internal::RotationPlan plan = internal::lower(given.spec, given.form);
        const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class, true);
        std::vector<internal::Variant> variants = {internal::universal_variant(plan.kernel_class)};
        const std::size_t few = test::short_run() ? 2 : 6;
        for (std::size_t i = 0; i < space.size(); i += 1 + space.size() / few) variants.push_back(space[i]);
        std::vector<internal::PreparedVariant> prepared = test::prepare_variants(target, plan, variants);
        const auto generic = internal::generic_variant(*target, plan);
        REQUIRE(generic);
        prepared.push_back(*generic);
        std::vector<unsigned char> bits;
        for (const internal::PreparedVariant& variant : prepared) {
          const test::NumericResult result =
              test::run_case(test::kernel_of(target, plan, variant, variant), given, 182);
          INFO(target->name() << " " << to_string(variant.variant) << " " << result.to_string());
          CHECK(result.passed());
          if (bits.empty()) bits = result.out_bytes;
          CHECK(result.out_bytes == bits);
        }
      }
    }
  }
}

namespace {

/// Numbers between memory that nobody may touch: before them where `below`, else behind them.
class AtAbyss {
 public:
  AtAbyss(const std::vector<std::int32_t>& values, bool below)
      : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    memory_ = mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::runtime_error("mmap failed");
    char* const second = static_cast<char*>(memory_) + page_;
    if (mprotect(below ? memory_ : second, page_, PROT_NONE) != 0) throw std::runtime_error("mprotect failed");
    data_ = reinterpret_cast<std::int32_t*>(below ? second : second - values.size() * sizeof(std::int32_t));
    std::copy(values.begin(), values.end(), data_);
  }
  ~AtAbyss() { munmap(memory_, 2 * page_); }
  AtAbyss(const AtAbyss&) = delete;
  AtAbyss& operator=(const AtAbyss&) = delete;
  const std::int32_t* data() const { return data_; }

 private:
  std::size_t page_;
  void* memory_ = nullptr;
  std::int32_t* data_ = nullptr;
};

constexpr std::int64_t kLanes = 32;

/// Whether the token of request 1 at place 0 alone was written, to page 1, whatever other lists hold.
bool appends_at_abyss(const internal::PreparedKernel& kernel, CacheRows kind, bool below) {
  constexpr std::uint16_t kOne = 0x3f80;
  constexpr std::int64_t kTokens = 6;
  std::vector<std::uint16_t> q(kTokens * kLanes, kOne);
  const std::vector<std::uint16_t> k(kTokens * kLanes, kOne);
  const AtAbyss requests({0, 1, -1, INT32_MAX, INT32_MIN, 2}, below);
  const AtAbyss places({1 << 30, 0, 0, 0, 3, INT32_MAX}, below);
  const AtAbyss pages(
      kind == CacheRows::page_lists ? std::vector<std::int32_t>{0, 1} : std::vector<std::int32_t>{0, 1, 5}, below);
  const AtAbyss first({-1000000, 1, 2, INT32_MAX}, below);
  const AtAbyss last({1, 1, 1}, below);
  std::vector<std::uint16_t> cache(4 * kLanes, 0);
  RopeArgs args;
  args.tokens = kTokens;
  args.positions = Positions::start(0);
  args.q.data = q.data();
  args.k = TensorView::input(k.data());
  args.k_out.data = cache.data();
  args.k_cache_rows = 4;
  args.k_block_size = 2;
  args.token_requests = requests.data();
  args.token_places = places.data();
  args.k_page_table.pages = pages.data();
  args.k_page_table.requests = 3;
  args.k_page_table.entries = kind == CacheRows::page_lists ? 2 : 1;
  if (kind == CacheRows::page_lists) {
    args.k_page_table.first_entries = first.data();
    args.k_page_table.last_page_lengths = last.data();
  }
  if (!internal::launch_prepared(kernel, args, nullptr)) return false;
  kernel.target->synchronize();
  const auto is_written = [&](std::int64_t place) {
    return std::any_of(cache.begin() + place * kLanes, cache.begin() + (place + 1) * kLanes,
                       [](std::uint16_t bits) { return bits != 0; });
  };
  return !is_written(0) && !is_written(1) && is_written(2) && !is_written(3);
}

}  // namespace

// On the host what may not be read can be made unreadable. A child, for what becomes of those who read it.
TEST_CASE("Nothing outside the lists of a page table is read, whatever is in them", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    if (target->name() != "host") continue;
    for (const CacheRows kind : kKinds) {
      RopeSpec spec;
      spec.rotary_dim = kLanes;
      spec.q = {1, kLanes, 0};
      spec.k = Operand{1, kLanes, 0};
      LaunchForm form = LaunchForm::in_place_start();
      form.k_rows = kind;
      form.token_requests = TokenRequests::ids32;
      form.token_places = TokenPlaces::ids32;
      const internal::RotationPlan plan = internal::lower(spec, form);
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      const internal::PreparedKernel kernels[] = {test::prepare_one(target, plan, false),
                                                  test::prepare_one(target, plan, true),
                                                  test::kernel_of(target, plan, *generic, *generic)};
      for (const internal::PreparedKernel& kernel : kernels) {
        for (const bool below : {false, true}) {
          INFO(to_string(kind) << (below ? ", before" : ", behind"));
          CHECK(test::in_child([&] {
                  std::signal(SIGSEGV, SIG_DFL);  // not Catch2's
                  return appends_at_abyss(kernel, kind, below);
                }) == "");
        }
      }
    }
  }
}
