// k and v appended to pages of a cache by slots: which places change, which tokens are read, and what is reported.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"
#include "support/child.hpp"
#include "support/direct_launch.hpp"

namespace {

using namespace ropejit;
using test::NumericCase;
using test::Pages;

constexpr Pages kPages[] = {Pages::nhd,          Pages::hnd,    Pages::beside,
                            Pages::lanes_beside, Pages::padded, Pages::misaligned};
constexpr DType kTypes[] = {DType::bf16, DType::fp16, DType::fp32};

/// q in place, and k and v of eight tokens in two pages of eight places.
NumericCase two_pages() {
  NumericCase given;
  given.spec.rotary_dim = 32;
  given.spec.q = {6, 48, 16};
  given.spec.k = Operand{2, 40, 0};
  given.spec.v = Operand{2, 40, 0};
  given.form = LaunchForm::in_place_ids();
  given.form.k_rows = given.form.v_rows = CacheRows::slots64;
  given.batch = 2;
  given.tokens = 4;
  given.positions = {5, 6, 1000, 7, 131071, 0, 9, 3};
  given.k_block_size = given.v_block_size = 8;
  given.k_cache_rows = given.v_cache_rows = 16;
  given.k_rows = given.v_rows = {15, 0, 7, 8, 3, 12, 1, 9};
  return given;
}

internal::PreparedKernel kernel_of_case(const test::TargetPtr& target, const NumericCase& given) {
  return test::prepare(target, internal::lower(given.spec, given.form));
}

/// Some elements before memory that nobody may touch.
template <class T>
class BeforeAbyss {
 public:
  explicit BeforeAbyss(const std::vector<T>& values) : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    memory_ = mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::runtime_error("mmap failed");
    char* const abyss = static_cast<char*>(memory_) + page_;
    if (mprotect(abyss, page_, PROT_NONE) != 0) throw std::runtime_error("mprotect failed");
    data_ = abyss - values.size() * sizeof(T);
    std::memcpy(data_, values.data(), values.size() * sizeof(T));
  }
  ~BeforeAbyss() { munmap(memory_, 2 * page_); }
  BeforeAbyss(const BeforeAbyss&) = delete;
  BeforeAbyss& operator=(const BeforeAbyss&) = delete;
  void* data() const { return data_; }

 private:
  std::size_t page_;
  void* memory_ = nullptr;
  void* data_ = nullptr;
};

constexpr std::int64_t kLanes = 64;

/// Appends four of six tokens to pages of two places. Whether those places alone have changed that have a token.
bool appends_before_abyss(const internal::PreparedKernel& kernel, bool normed) {
  constexpr std::uint16_t kOne = 0x3f80;
  constexpr std::int64_t kRow = 2 * kLanes;
  std::vector<std::uint16_t> q(6 * kRow, kOne);
  const std::vector<std::uint16_t> k(6 * kRow, kOne);
  const BeforeAbyss<std::int64_t> slots({2, -1, 0, 9});
  std::vector<std::uint16_t> cache(4 * kRow, 0);
  const std::vector<std::uint16_t> weights(kLanes, kOne);
  RopeArgs args;
  args.tokens = 6;
  args.positions = Positions::start(0);
  args.q.data = q.data();
  args.k = TensorView::input(k.data());
  args.k_out.data = cache.data();
  args.k_rows = slots.data();
  args.k_cache_rows = 4;
  args.k_block_size = 2;
  args.k_slot_count = 4;
  if (normed) args.k_norm_weight = weights.data();
  if (!internal::launch_prepared(kernel, args, nullptr)) return false;
  kernel.target->synchronize();
  const auto is_written = [&](std::int64_t place) {
    return std::any_of(cache.begin() + place * kRow, cache.begin() + (place + 1) * kRow,
                       [](std::uint16_t bits) { return bits != 0; });
  };
  return is_written(0) && !is_written(1) && is_written(2) && !is_written(3);
}

}  // namespace

TEST_CASE("k and v go to the places that slots name, in pages of any kind, and nothing else of the cache changes",
          "[numeric]") {
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : {CacheRows::slots32, CacheRows::slots64}) {
      for (const Strides strides : {Strides::contiguous, Strides::free}) {
        for (const DType dtype : kTypes) {
          NumericCase given = two_pages();
          given.form.k_rows = given.form.v_rows = kind;
          given.form.strides = strides;
          given.spec.dtype = dtype;
          if (number % 2 == 0) given.form.placement = Placement::out_of_place;
          if (number % 3 == 0) given.spec.layout = Layout::interleaved;
          if (number % 4 == 1) given.spec.k->dtype_out = given.spec.v->dtype_out = DType::fp32;
          if (number % 4 == 3) given.spec.layout_out = Layout::split_half;
          const internal::PreparedKernel kernel = kernel_of_case(target, given);
          for (const Pages pages : kPages) {
            given.pages = pages;
            given.in = test::Arrangement::bshd;
            test::check_case(kernel, given, 71);
            given.in = test::Arrangement::packed_qkv;
            test::check_case(kernel, given, 72);
          }
          ++number;
        }
      }
    }
  }
}

TEST_CASE("Pages have any number of places, the caches of k and v each their own", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    NumericCase given = two_pages();
    given.spec.v = Operand{3, 24, 0};
    const internal::PreparedKernel kernel = kernel_of_case(target, given);
    for (const std::int64_t block : {1, 2, 3, 5, 7, 16, 64, 100}) {
      for (const Pages pages : {Pages::nhd, Pages::hnd, Pages::padded}) {
        given.pages = pages;
        given.k_block_size = block;
        given.k_cache_rows = block * ((20 + block - 1) / block);
        given.k_rows = {given.k_cache_rows - 1, 0, 16, 17, 3, 15, 1, 2};
        given.v_block_size = 1 + block % 7;
        given.v_cache_rows = 9 * given.v_block_size;
        given.v_rows = {8, 7, 6, 5, 4, 3, 0, given.v_cache_rows - (given.v_block_size == 1 ? 8 : 1)};
        test::check_case(kernel, given, 73);
      }
    }
  }
}

TEST_CASE("A negative slot is none in silence, and one from the capacity on is none and reported", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : {CacheRows::slots32, CacheRows::slots64}) {
      NumericCase given = two_pages();
      given.form.k_rows = given.form.v_rows = kind;
      const internal::PreparedKernel kernel = kernel_of_case(target, given);
      const bool narrow = kind == CacheRows::slots32;
      const std::int64_t least = narrow ? INT32_MIN : INT64_MIN;
      const std::int64_t most = narrow ? INT32_MAX : INT64_MAX;
      for (const std::int64_t slot : {std::int64_t{-1}, std::int64_t{-2}, std::int64_t{-9}, std::int64_t{16},
                                      std::int64_t{17}, std::int64_t{24}, least, most}) {
        for (const bool of_k : {false, true}) {
          given = two_pages();
          given.form.k_rows = given.form.v_rows = kind;
          (of_k ? given.k_rows : given.v_rows)[5] = slot;
          for (const bool pass_flags : {false, true}) {
            given.pass_flags = pass_flags;
            test::check_case(kernel, given, 74);
          }
        }
      }
    }
  }
}

TEST_CASE("Tokens from the count of slots on have q alone, whatever their k, v and slots hold", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
      NumericCase given = two_pages();
      given.form.placement = placement;
      const internal::PreparedKernel kernel = kernel_of_case(target, given);
      for (const std::int64_t k_count :
           {std::int64_t{0}, std::int64_t{1}, std::int64_t{5}, std::int64_t{8}, kEveryToken}) {
        for (const std::int64_t v_count : {std::int64_t{3}, kEveryToken}) {
          given.k_slot_count = k_count;
          given.v_slot_count = v_count;
          // Beyond the count: one that another token has, and one that would be reported.
          given.k_rows = {15, 0, 7, 8, 3, 12, 1, 9};
          if (k_count == 5) given.k_rows = {15, 0, 7, 8, 3, 15, INT64_MAX, 99};
          test::check_case(kernel, given, 75);
        }
      }
    }
  }
}

// SGLang's memory: rows are slots of one place, and row 0 is where all padding goes.
TEST_CASE("A row that many tokens have holds of each lane what one of them wrote, and all other rows are theirs",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    test::DirectCase given;
    given.spec.rotary_dim = kLanes;
    given.spec.q = {2, kLanes, 0};
    given.spec.k = Operand{1, kLanes, 0};
    given.spec.v = Operand{1, kLanes, 0};
    given.form = LaunchForm::in_place_ids();
    given.form.k_rows = given.form.v_rows = CacheRows::slots64;
    given.positions = {7, 0, 3, 100, 5, 6};
    given.slots = {0, 3, 0, 5, 0, 1};
    given.block_size = 1;
    given.k_cache = given.v_cache = test::Bits(6 * kLanes, 0x3c00);
    std::mt19937_64 random(84);
    test::fill_direct(random, given);
    const internal::PreparedKernel kernel = test::prepare(target, internal::lower(given.spec, given.form));
    const test::DirectResult got = test::launch_direct(kernel, given);
    // Each token in a row of its own.
    test::DirectCase apart = given;
    apart.slots = {0, 1, 2, 3, 4, 5};
    const test::DirectResult rows = test::launch_direct(kernel, apart);
    CHECK(got.q == rows.q);
    const auto is_of = [](const test::Bits& cache, std::size_t place, const test::Bits& from,
                          const std::vector<std::size_t>& tokens) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const bool any = std::any_of(tokens.begin(), tokens.end(), [&](std::size_t token) {
          return cache[place * kLanes + lane] == from[token * kLanes + lane];
        });
        if (!any) return false;
      }
      return true;
    };
    for (std::size_t token = 0; token < 6; ++token) {
      const auto place = static_cast<std::size_t>(given.slots[token]);
      const std::vector<std::size_t> owners = place == 0 ? std::vector<std::size_t>{0, 2, 4} : std::vector{token};
      CHECK(is_of(got.k, place, rows.k, owners));
      CHECK(is_of(got.v, place, given.v, owners));
    }
    for (const std::size_t place : {2, 4}) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) CHECK(got.k[place * kLanes + lane] == 0x3c00);
    }
  }
}

TEST_CASE("Slots may lie apart in their list, and one may be all tokens'", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const CacheRows kind : {CacheRows::slots32, CacheRows::slots64}) {
      NumericCase given = two_pages();
      given.form.k_rows = given.form.v_rows = kind;
      const internal::PreparedKernel kernel = kernel_of_case(target, given);
      for (const std::int64_t stride : {1, 2, 3, 17}) {
        given.k_slot_stride = stride;
        given.v_slot_stride = 4 - stride % 4;
        test::check_case(kernel, given, 76);
      }
      // With stride 0 every token has the first slot: the only one that counts, or one that is none.
      given.k_slot_stride = given.v_slot_stride = 0;
      given.k_slot_count = given.v_slot_count = 1;
      test::check_case(kernel, given, 77);
      given.k_slot_count = given.v_slot_count = kEveryToken;
      given.k_rows = given.v_rows = std::vector<std::int64_t>(8, -4);
      test::check_case(kernel, given, 77);
      given.k_rows = given.v_rows = std::vector<std::int64_t>(8, 16);
      test::check_case(kernel, given, 77);
    }
  }
}

TEST_CASE("k has slots and v its own tokens or rows, or the other way round, or one of them is left out", "[numeric]") {
  struct Row {
    CacheRows k;
    CacheRows v;
  };
  const Row rows[] = {{CacheRows::slots32, CacheRows::none},
                      {CacheRows::none, CacheRows::slots64},
                      {CacheRows::slots64, CacheRows::rows32},
                      {CacheRows::rows64, CacheRows::slots32},
                      {CacheRows::slots32, CacheRows::slots64}};
  for (const test::TargetPtr& target : test::targets()) {
    for (const Row& row : rows) {
      NumericCase given = two_pages();
      given.form.k_rows = row.k;
      given.form.v_rows = row.v;
      const internal::PreparedKernel kernel = kernel_of_case(target, given);
      test::check_case(kernel, given, 78);
      given.pass_k = false;
      test::check_case(kernel, given, 78);
      given.pass_k = true;
      given.pass_v = false;
      test::check_case(kernel, given, 78);
    }
  }
}

TEST_CASE("Slots go with counts on the device, padding, tables and every kind of position", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    NumericCase counted = two_pages();
    counted.form.counted = true;
    for (const std::int32_t count : {0, 3, 5, 8, 100}) {
      counted.token_count = count;
      counted.k_slot_count = 4;
      test::check_case(target, counted, 79);
    }
    for (const Padding padding : {Padding::zero, Padding::keep}) {
      NumericCase padded = two_pages();
      padded.form.padding = padding;
      padded.positions[2] = -1;
      padded.positions[5] = -(1LL << 31);
      test::check_case(target, padded, 80);
    }
    NumericCase table = two_pages();
    table.form = table.form.with_table(AngleSource::cos_sin, DType::bf16);
    table.positions = {5, 6, 40, 7, 64, 0, 9, 3};  // the fifth has no row
    test::check_case(target, table, 81);
    NumericCase ragged = two_pages();
    ragged.form.positions = PositionSource::ragged;
    ragged.batch = 1;
    ragged.tokens = 8;
    ragged.cu_seqlens = {0, 3, 7};
    ragged.positions = {100, 7};
    test::check_case(target, ragged, 82);
  }
}

TEST_CASE("Every variant and the generic kernel append the same bits", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    for (const bool normed : {false, true}) {
      NumericCase given = two_pages();
      given.spec.q = {9, 64, 0};
      given.spec.k = Operand{2, 64, 0};
      given.spec.v = Operand{2, 64, 0};
      if (normed) given.spec.q.norm = given.spec.k->norm = Norm{};
      given.pages = Pages::beside;
      given.k_slot_count = 7;
      given.v_rows[4] = -1;
      const internal::RotationPlan plan = internal::lower(given.spec, given.form);
      const std::vector<internal::Variant> space = internal::variant_space(plan.kernel_class, true);
      std::vector<internal::Variant> variants = {internal::universal_variant(plan.kernel_class)};
      const std::size_t few = test::short_run() ? 2 : 8;
      for (std::size_t i = 0; i < space.size(); i += 1 + space.size() / few) variants.push_back(space[i]);
      std::vector<internal::PreparedVariant> prepared = test::prepare_variants(target, plan, variants);
      const auto generic = internal::generic_variant(*target, plan);
      REQUIRE(generic);
      prepared.push_back(*generic);
      std::vector<unsigned char> bits;
      for (const internal::PreparedVariant& variant : prepared) {
        const test::NumericResult result = test::run_case(test::kernel_of(target, plan, variant, variant), given, 83);
        INFO(target->name() << " " << to_string(variant.variant) << " " << result.to_string());
        CHECK(result.passed());
        if (bits.empty()) bits = result.out_bytes;
        CHECK(result.out_bytes == bits);
      }
    }
  }
}

// On the host what may not be read can be made unreadable. A child, for what becomes of those who read it.
TEST_CASE("A list of slots ends where their count does: what lies behind it may be memory that cannot be read",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    if (target->name() != "host") continue;
    for (const bool normed : {false, true}) {
      for (const bool universal : {false, true}) {
        RopeSpec spec;
        spec.rotary_dim = kLanes;
        spec.q = {2, kLanes, 0};
        spec.k = Operand{2, kLanes, 0};
        if (normed) spec.k->norm = Norm{};
        LaunchForm form = LaunchForm::in_place_start();
        form.k_rows = CacheRows::slots64;
        const internal::PreparedKernel kernel = test::prepare_one(target, internal::lower(spec, form), universal);
        INFO((normed ? "normed, " : "") << (universal ? "universal" : "fast"));
        CHECK(test::in_child([&] {
                std::signal(SIGSEGV, SIG_DFL);  // not Catch2's
                return appends_before_abyss(kernel, normed);
              }) == "");
      }
    }
  }
}
