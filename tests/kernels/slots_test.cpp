// k and v appended to pages of a cache by slots: which places change, which tokens are read, and what is reported.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "launch/generic_variant.hpp"
#include "support/check_case.hpp"

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
      for (std::size_t i = 0; i < space.size(); i += 1 + space.size() / 8) variants.push_back(space[i]);
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

// On the host what may not be read can be made unreadable.
TEST_CASE("k of tokens without a slot, and the list beyond the count, may be memory that cannot be read", "[numeric]") {
  constexpr std::int64_t kHeads = 2;
  constexpr std::int64_t kDim = 64;
  constexpr std::int64_t kTokens = 6;
  constexpr std::int64_t kCount = 4;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  /// Some bytes before a page that nobody may touch.
  class BeforeAbyss {
   public:
    explicit BeforeAbyss(std::size_t page, std::size_t bytes) : page_(page), bytes_(bytes) {
      memory_ = static_cast<char*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      REQUIRE(memory_ != MAP_FAILED);
      REQUIRE(mprotect(memory_ + page, page, PROT_NONE) == 0);
    }
    ~BeforeAbyss() { munmap(memory_, 2 * page_); }
    BeforeAbyss(const BeforeAbyss&) = delete;
    BeforeAbyss& operator=(const BeforeAbyss&) = delete;
    char* data() const { return memory_ + page_ - bytes_; }

   private:
    char* memory_ = nullptr;
    std::size_t page_;
    std::size_t bytes_;
  };
  for (const test::TargetPtr& target : test::targets()) {
    if (target->name() != "host") continue;
    for (const bool normed : {false, true}) {
      RopeSpec spec;
      spec.rotary_dim = kDim;
      spec.q = {2, kDim, 0};
      spec.k = Operand{kHeads, kDim, 0};
      if (normed) spec.k->norm = Norm{};
      LaunchForm form = LaunchForm::in_place_start();
      form.k_rows = CacheRows::slots64;
      const internal::RotationPlan plan = internal::lower(spec, form);
      const BeforeAbyss k(page, kCount * kHeads * kDim * 2);
      const BeforeAbyss slots(page, kCount * 8);
      const std::int64_t numbers[kCount] = {2, -1, 0, 9};
      std::memcpy(slots.data(), numbers, sizeof numbers);
      std::vector<unsigned short> q(kTokens * 2 * kDim, 0x3f80);
      std::vector<unsigned short> cache(4 * kHeads * kDim, 0);
      const std::vector<unsigned short> ones(kDim, 0x3f80);
      for (std::int64_t i = 0; i < kCount * kHeads * kDim; ++i) {
        const unsigned short one = 0x3f80;
        std::memcpy(k.data() + 2 * i, &one, 2);
      }
      RopeArgs args;
      args.tokens = kTokens;
      args.positions = Positions::start(0);
      args.q.data = q.data();
      args.k.data = k.data();
      args.k_out.data = cache.data();
      args.k_rows = slots.data();
      args.k_cache_rows = 4;
      args.k_block_size = 2;
      args.k_slot_count = kCount;
      if (normed) args.k_norm_weight = ones.data();
      for (const bool universal : {false, true}) {
        const internal::PreparedKernel kernel = test::prepare_one(target, plan, universal);
        REQUIRE(internal::launch_prepared(kernel, args, nullptr));
        target->synchronize();
      }
      const auto row_changed = [&](std::int64_t row) {
        for (std::int64_t i = row * kHeads * kDim; i < (row + 1) * kHeads * kDim; ++i) {
          if (cache[static_cast<std::size_t>(i)] != 0) return true;
        }
        return false;
      };
      CHECK(row_changed(0));
      CHECK_FALSE(row_changed(1));
      CHECK(row_changed(2));
      CHECK_FALSE(row_changed(3));
    }
  }
}
