#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "launch/launch_arguments.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit;

// Addresses that nothing reads: checks come before any access.
void* address(std::uintptr_t value) { return reinterpret_cast<void*>(value); }

RopeSpec small_spec() {
  RopeSpec spec;
  spec.rotary_dim = 8;
  spec.q = {4, 16, 0};
  spec.k = Operand{2, 16, 0};
  return spec;
}

constexpr std::int64_t kQBytes = 3 * 4 * 16 * 2;

/// Good arguments for the form, three tokens.
RopeArgs good_args(const LaunchForm& form) {
  RopeArgs args;
  args.tokens = 3;
  args.q.data = address(0x10000);
  args.k.data = address(0x20000);
  if (form.placement == Placement::out_of_place) {
    args.q_out.data = address(0x30000);
    args.k_out.data = address(0x40000);
  }
  args.positions = form.positions == PositionSource::start
                       ? Positions::start(0)
                       : Positions::ids64(static_cast<const std::int64_t*>(address(0x50000)));
  return args;
}

LaunchStatus check(const LaunchForm& form, const std::function<void(RopeArgs&)>& change) {
  RopeArgs args = good_args(form);
  change(args);
  internal::LaunchArguments out;
  return internal::check_arguments(internal::lower(small_spec(), form).kernel_class, args, out);
}

}  // namespace

TEST_CASE("A launch with wrong arguments is refused, and the reason names the field", "[launch]") {
  struct Row {
    const char* what;
    LaunchForm form;
    std::function<void(RopeArgs&)> change;
    const char* field;
  };
  const LaunchForm in_place = LaunchForm::in_place_ids();
  const LaunchForm out_of_place = LaunchForm::out_of_place_ids();
  const std::vector<Row> rows = {
      {"q null", in_place, [](RopeArgs& a) { a.q.data = nullptr; }, "q.data"},
      {"q_out null", out_of_place, [](RopeArgs& a) { a.q_out.data = nullptr; }, "q_out"},
      {"k_out null", out_of_place, [](RopeArgs& a) { a.k_out.data = nullptr; }, "k_out"},
      {"k_out without k", out_of_place, [](RopeArgs& a) { a.k.data = nullptr; }, "k_out"},
      {"q_out in place", in_place, [](RopeArgs& a) { a.q_out.data = address(0x30000); }, "q_out"},
      {"k_out in place", in_place, [](RopeArgs& a) { a.k_out.data = address(0x30000); }, "k_out"},
      {"negative tokens", in_place, [](RopeArgs& a) { a.tokens = -1; }, "tokens"},
      {"negative batch", in_place, [](RopeArgs& a) { a.batch = -1; }, "batch"},
      {"too many tokens", in_place, [](RopeArgs& a) { a.tokens = 1LL << 31; }, "tokens"},
      {"too many in all", in_place, [](RopeArgs& a) { a.tokens = a.batch = 1 << 16; }, "tokens"},
      {"tokens that overflow", in_place, [](RopeArgs& a) { a.tokens = a.batch = INT64_MAX; }, "tokens"},
      {"wrong kind of positions", in_place, [](RopeArgs& a) { a.positions = Positions::start(0); }, "positions"},
      {"ids null", in_place, [](RopeArgs& a) { a.positions.ids = nullptr; }, "positions.ids"},
      {"ids unaligned", in_place, [](RopeArgs& a) { a.positions.ids = address(0x50004); }, "positions.ids"},
      {"id stride beyond memory", in_place, [](RopeArgs& a) { a.positions.token_stride = INT64_MAX; }, "positions"},
      {"q unaligned", in_place, [](RopeArgs& a) { a.q.data = address(0x10001); }, "q or q_out"},
      {"k_out unaligned", out_of_place, [](RopeArgs& a) { a.k_out.data = address(0x40001); }, "k or k_out"},
      {"stride beyond memory", in_place, [](RopeArgs& a) { a.q.token_stride = INT64_MAX; }, "q or q_out"},
      {"stride beyond memory, negative", in_place, [](RopeArgs& a) { a.k.head_stride = -(1LL << 60); }, "k or k_out"},
      {"heads on each other", in_place, [](RopeArgs& a) { a.q.head_stride = 0; }, "q_out (q in place)"},
      {"tokens on each other", in_place, [](RopeArgs& a) { a.k.token_stride = 0; }, "k_out (k in place)"},
      {"output tokens on each other", out_of_place, [](RopeArgs& a) { a.q_out.token_stride = 16; }, "q_out"},
      {"output lanes on each other", out_of_place, [](RopeArgs& a) { a.k_out.lane_stride = 0; }, "k_out"},
      {"q and k the same", in_place, [](RopeArgs& a) { a.k.data = a.q.data; }, "q and k"},
      {"q and k by one lane", in_place, [](RopeArgs& a) { a.k.data = address(0x10000 + kQBytes - 2 * 16); }, "q and k"},
      {"outputs the same", out_of_place, [](RopeArgs& a) { a.k_out.data = a.q_out.data; }, "q_out and k_out"},
      {"output is the input", out_of_place, [](RopeArgs& a) { a.q_out.data = a.q.data; }, "q_out"},
      {"k's output is q", out_of_place, [](RopeArgs& a) { a.k_out.data = a.q.data; }, "k_out"},
      {"output half on the input", out_of_place, [](RopeArgs& a) { a.q_out.data = address(0x10000 + kQBytes / 2); },
       "q_out"},
  };
  for (const Row& row : rows) {
    const LaunchStatus status = check(row.form, row.change);
    INFO(row.what << ": " << status.message());
    CHECK_FALSE(status);
    CHECK(status.code == ErrorCode::invalid_argument);
    REQUIRE(status.reason != nullptr);
    CHECK(std::strstr(status.reason, row.field) != nullptr);
    CHECK(status.message().find('\n') == std::string::npos);
  }
}

TEST_CASE("A launch of ragged sequences is refused without their lengths", "[launch]") {
  struct Row {
    const char* what;
    std::function<void(RopeArgs&)> change;
    const char* field;
  };
  const LaunchForm form{Placement::in_place, Strides::contiguous, PositionSource::ragged};
  const std::vector<Row> rows = {
      {"no cu_seqlens", [](RopeArgs& a) { a.positions.cu_seqlens = nullptr; }, "positions.cu_seqlens"},
      {"unaligned", [](RopeArgs& a) { a.positions.ids = address(0x50002); }, "positions.cu_seqlens"},
      {"no sequences", [](RopeArgs& a) { a.positions.sequences = 0; }, "positions.sequences"},
      {"too many", [](RopeArgs& a) { a.positions.sequences = 1LL << 40; }, "positions.sequences"},
      {"a batch of them", [](RopeArgs& a) { a.batch = 2; }, "batch"},
  };
  for (const Row& row : rows) {
    RopeArgs args = good_args(LaunchForm::in_place_ids());
    args.positions = Positions::ragged(static_cast<const std::int32_t*>(address(0x50000)), 4);
    internal::LaunchArguments out;
    const internal::KernelClass kernel_class = internal::lower(small_spec(), form).kernel_class;
    REQUIRE(internal::check_arguments(kernel_class, args, out));
    row.change(args);
    const LaunchStatus status = internal::check_arguments(kernel_class, args, out);
    INFO(row.what << ": " << status.message());
    CHECK(status.code == ErrorCode::invalid_argument);
    REQUIRE(status.reason != nullptr);
    CHECK(std::strstr(status.reason, row.field) != nullptr);
  }
}

TEST_CASE("A launch that needs a table is refused without a whole one", "[launch]") {
  struct Row {
    const char* what;
    AngleSource source;
    std::function<void(AngleTable&)> change;
    const char* field;
  };
  const std::vector<Row> rows = {
      {"no cos", AngleSource::half, [](AngleTable& t) { t.cos = nullptr; }, "table.cos"},
      {"no sin", AngleSource::full, [](AngleTable& t) { t.sin = nullptr; }, "table.sin"},
      {"sin that is not read", AngleSource::complex, [](AngleTable&) {}, "table.sin"},
      {"no rows", AngleSource::half, [](AngleTable& t) { t.rows = 0; }, "table.rows"},
      {"rows beyond memory", AngleSource::half, [](AngleTable& t) { t.rows = INT64_MAX; }, "table"},
      {"stride beyond memory", AngleSource::half, [](AngleTable& t) { t.row_stride = INT64_MAX / 2; }, "table"},
      {"unaligned", AngleSource::repeated, [](AngleTable& t) { t.sin = address(0x60002); }, "table"},
  };
  for (const Row& row : rows) {
    const LaunchForm form = LaunchForm::in_place_ids().with_table(row.source);
    RopeArgs args = good_args(form);
    args.table.cos = address(0x60000);
    args.table.sin = address(0x70000);
    args.table.rows = 10;
    row.change(args.table);
    internal::LaunchArguments out;
    const LaunchStatus status = internal::check_arguments(internal::lower(small_spec(), form).kernel_class, args, out);
    INFO(row.what << ": " << status.message());
    CHECK(status.code == ErrorCode::invalid_argument);
    REQUIRE(status.reason != nullptr);
    CHECK(std::strstr(status.reason, row.field) != nullptr);
  }
}

TEST_CASE("A launch is refused without what its form reads on the device, or with ranks that cannot be", "[launch]") {
  struct Row {
    const char* what;
    std::function<void(RopeArgs&)> change;
    const char* field;
  };
  LaunchForm cache = LaunchForm::in_place_ids();
  cache.k_rows = CacheRows::rows64;
  cache.counted = true;
  LaunchForm shared = LaunchForm::in_place_start();
  shared.context_parallel = ContextParallel::zigzag;
  const auto good_cache = [](RopeArgs& a) {
    a.k_out.data = address(0x40000);
    a.k_rows = address(0x60000);
    a.k_cache_rows = 9;
    a.token_count = static_cast<const std::int32_t*>(address(0x70000));
    a.flags = static_cast<std::uint32_t*>(address(0x80000));
  };
  const auto good_shared = [](RopeArgs& a) {
    a.tokens = 4;
    a.positions.ranks = 4;
    a.positions.rank = 3;
  };
  const std::vector<Row> cache_rows = {
      {"no list of rows", [](RopeArgs& a) { a.k_rows = nullptr; }, "k_rows"},
      {"list unaligned", [](RopeArgs& a) { a.k_rows = address(0x60004); }, "k_rows"},
      {"no cache", [](RopeArgs& a) { a.k_out.data = nullptr; }, "k_out"},
      {"a cache of no rows", [](RopeArgs& a) { a.k_cache_rows = 0; }, "k_cache_rows"},
      {"of less than none", [](RopeArgs& a) { a.k_cache_rows = INT64_MIN; }, "k_cache_rows"},
      {"of more than there is memory", [](RopeArgs& a) { a.k_cache_rows = INT64_MAX; }, "k_cache_rows"},
      {"rows on each other", [](RopeArgs& a) { a.k_out.token_stride = 16; }, "k_out"},
      {"the cache is q", [](RopeArgs& a) { a.k_out.data = a.q.data; }, "q and k_out"},
      {"q is written over k", [](RopeArgs& a) { a.k.data = a.q.data; }, "q and k"},
      {"the cache is k", [](RopeArgs& a) { a.k_out.data = a.k.data; }, "k_out"},
      {"no count", [](RopeArgs& a) { a.token_count = nullptr; }, "token_count"},
      {"count unaligned", [](RopeArgs& a) { a.token_count = static_cast<const std::int32_t*>(address(0x70002)); },
       "token_count"},
      {"flags unaligned", [](RopeArgs& a) { a.flags = static_cast<std::uint32_t*>(address(0x80002)); }, "flags"},
  };
  const std::vector<Row> shared_rows = {
      {"no ranks", [](RopeArgs& a) { a.positions.ranks = 0; }, "positions.rank"},
      {"too many ranks", [](RopeArgs& a) { a.positions.ranks = 65537; }, "positions.rank"},
      {"rank below 0", [](RopeArgs& a) { a.positions.rank = -1; }, "positions.rank"},
      {"rank beyond the last", [](RopeArgs& a) { a.positions.rank = 4; }, "positions.rank"},
      {"chunks of no equal length", [](RopeArgs& a) { a.tokens = 5; }, "tokens"},
  };
  const auto check_rows = [](const LaunchForm& form, const std::function<void(RopeArgs&)>& complete,
                             const std::vector<Row>& rows) {
    REQUIRE(check(form, complete));
    for (const Row& row : rows) {
      const LaunchStatus status = check(form, [&](RopeArgs& args) {
        complete(args);
        row.change(args);
      });
      INFO(row.what << ": " << status.message());
      CHECK(status.code == ErrorCode::invalid_argument);
      REQUIRE(status.reason != nullptr);
      CHECK(std::string(status.reason).rfind(row.field, 0) == 0);
      CHECK(std::strstr(status.reason, "in_place form") == nullptr);
    }
  };
  check_rows(cache, good_cache, cache_rows);
  check_rows(shared, good_shared, shared_rows);
}

TEST_CASE("A launch that only looks wrong is taken", "[launch]") {
  struct Row {
    const char* what;
    LaunchForm form;
    std::function<void(RopeArgs&)> change;
  };
  const LaunchForm in_place = LaunchForm::in_place_ids();
  const LaunchForm out_of_place = LaunchForm::out_of_place_ids();
  const std::vector<Row> rows = {
      {"as it is", in_place, [](RopeArgs&) {}},
      {"no tokens, no pointers", in_place,
       [](RopeArgs& a) {
         a = RopeArgs{};
         a.positions = Positions::ids64(nullptr);
       }},
      {"k left out", in_place, [](RopeArgs& a) { a.k.data = nullptr; }},
      {"one token: its stride does not matter", in_place,
       [](RopeArgs& a) {
         a.tokens = 1;
         a.q.token_stride = 0;
       }},
      {"inputs expanded", out_of_place, [](RopeArgs& a) { a.q.head_stride = a.q.token_stride = 0; }},
      {"input backwards", out_of_place,
       [](RopeArgs& a) {
         a.q.data = address(0x10000 + kQBytes);
         a.q.token_stride = -64;
       }},
      {"k right after q", in_place, [](RopeArgs& a) { a.k.data = address(0x10000 + kQBytes); }},
      {"packed rows", in_place,
       [](RopeArgs& a) {
         a.q.token_stride = a.k.token_stride = 4 * 16 + 2 * 2 * 16;
         a.k.data = address(0x10000 + 4 * 16 * 2);
       }},
      {"q and k share lanes that do not rotate", in_place,
       [](RopeArgs& a) {
         a.q.token_stride = a.k.token_stride = 4 * 16;
         a.q.head_stride = a.k.head_stride = 16;
         a.k.data = address(0x10000 + 8 * 2);
       }},
  };
  for (const Row& row : rows) {
    const LaunchStatus status = check(row.form, row.change);
    INFO(row.what << ": " << status.message());
    CHECK(status);
  }
}

TEST_CASE("Tensors that keep the form's promise get vector accesses, others the universal entry", "[launch]") {
  struct Row {
    const char* what;
    LaunchForm form;
    std::function<void(RopeArgs&)> change;
    std::uint32_t vector_bytes;
  };
  const LaunchForm contiguous = LaunchForm::in_place_ids();
  const LaunchForm free = contiguous.with_free_strides();
  const std::vector<Row> rows = {
      {"contiguous", contiguous, [](RopeArgs&) {}, 32},
      {"contiguous by hand", contiguous,
       [](RopeArgs& a) {
         a.q.token_stride = 64;
         a.q.head_stride = 16;
       },
       32},
      {"aligned to 8", contiguous, [](RopeArgs& a) { a.q.data = address(0x10008); }, 8},
      {"aligned to 2", contiguous, [](RopeArgs& a) { a.k.data = address(0x20002); }, 2},
      {"padded rows", contiguous, [](RopeArgs& a) { a.q.token_stride = 80; }, 0},
      {"padded rows, free", free, [](RopeArgs& a) { a.q.token_stride = 80; }, 32},
      {"rows 4 bytes off, free", free, [](RopeArgs& a) { a.q.token_stride = 66; }, 4},
      {"rows 2 bytes off, free", free, [](RopeArgs& a) { a.q.token_stride = 67; }, 2},
      {"lanes apart, free", free,
       [](RopeArgs& a) {
         a.q.lane_stride = 2;
         a.q.head_stride = 32;
         a.q.token_stride = 128;
       },
       0},
  };
  for (const Row& row : rows) {
    RopeArgs args = good_args(row.form);
    row.change(args);
    internal::LaunchArguments out;
    INFO(row.what);
    REQUIRE(internal::check_arguments(internal::lower(small_spec(), row.form).kernel_class, args, out));
    CHECK(out.aligned.in == row.vector_bytes);
  }
}
