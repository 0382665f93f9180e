#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "launch/launch_arguments.hpp"
#include "launch/tensor_arguments.hpp"
#include "launch/token_rows.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using internal::LaunchArguments;

namespace {

struct Choice {
  std::mt19937& random;
  template <class T>
  T of(std::initializer_list<T> from) const {
    return *(from.begin() + random() % from.size());
  }
};

/// Tensors that are often usual, often nearly so, and often in each other's way.
TensorView random_view(const Choice& choose, std::int64_t heads, std::int64_t head_dim, std::int64_t tokens) {
  TensorView view;
  view.data = reinterpret_cast<void*>(std::uintptr_t{0x10000} +
                                      static_cast<std::uintptr_t>(choose.of({0, 1, 2, 16, 32, 64, 128, 200, 4096})) *
                                          2 * static_cast<std::uintptr_t>(choose.of({1, 1, 8, 16})));
  const std::int64_t row = heads * head_dim;
  view.token_stride = choose.of({kContiguous, kContiguous, row, row + 8, 2 * row, 6 * head_dim, row - 1,
                                 std::int64_t{0}, std::int64_t{1} << 40, -row});
  view.head_stride = choose.of({kContiguous, kContiguous, head_dim, head_dim, head_dim + 8});
  view.lane_stride = choose.of({kContiguous, std::int64_t{1}, std::int64_t{1}, std::int64_t{1}, std::int64_t{2}});
  view.batch_stride = choose.of({kContiguous, kContiguous, tokens * row, tokens * (row + 8), 12 * tokens * head_dim});
  return view;
}

/// The strides of pages as engines lay them out, and of such as nearly are.
void make_pages(const Choice& choose, std::int64_t heads, std::int64_t head_dim, std::int64_t block_size,
                TensorView& view) {
  const std::int64_t row = heads * head_dim;
  const bool heads_outside = choose.of({false, false, true});
  if (heads_outside) {
    view.token_stride = choose.of({head_dim, head_dim, 2 * head_dim, head_dim - 8});
    view.head_stride = choose.of({block_size * head_dim, 2 * block_size * head_dim, block_size * head_dim - 8});
  }
  view.batch_stride = choose.of({kContiguous, block_size * row, 2 * block_size * row, block_size * row - 8,
                                 std::int64_t{1} << 39, std::int64_t{1} << 41, INT64_MAX / 4, -block_size * row});
}

bool same(const TensorStrides& a, const TensorStrides& b) { return std::memcmp(&a, &b, sizeof a) == 0; }
bool same(const BesideStore& a, const BesideStore& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// Field by field: there is a gap at the end.
bool same(const OperandParams& a, const OperandParams& b) {
  return a.out == b.out && a.in == b.in && a.rows == b.rows && a.cache_rows == b.cache_rows &&
         same(a.strides, b.strides) && a.first_block == b.first_block;
}

}  // namespace

TEST_CASE("What the quick checks take the general ones take too, and make the same of it", "[launch]") {
  std::mt19937 random(29);
  const Choice choose{random};
  int taken = 0;
  int read_alone = 0;
  int idle = 0;
  int left = 0;
  for (int i = 0; i < 400000; ++i) {
    RopeSpec spec;
    spec.dtype = choose.of({DType::bf16, DType::fp32});
    spec.rotary_dim = choose.of({8, 16});
    spec.q = {choose.of<std::int64_t>({1, 3}), 16, 0};
    if (random() % 3 != 0) spec.k = Operand{choose.of<std::int64_t>({1, 2}), 16, 0};
    LaunchForm form = random() % 2 == 0 ? LaunchForm::in_place_start() : LaunchForm::out_of_place_start();
    if (random() % 2 == 0) form = form.with_free_strides();
    if (random() % 3 == 0) spec.v = Operand{choose.of<std::int64_t>({1, 2}), 16, 0};
    if (spec.k && random() % 3 == 0) form.k_rows = choose.of({CacheRows::rows32, CacheRows::slots64});
    form.k_beside = form.k_rows != CacheRows::none && random() % 2 == 0;
    if (spec.v && random() % 2 == 0) form.v_rows = choose.of({CacheRows::rows64, CacheRows::slots32});
    // Tensors that are read alone, and such that nothing is done to.
    const int kind = choose.of({0, 0, 0, 1, 2});
    if (kind == 1 && !form.k_beside && form.k_rows == CacheRows::none && form.v_rows == CacheRows::none) {
      form.norm_statistics = form.statistics_only = true;
      (spec.k && random() % 2 == 0 ? *spec.k : spec.q).norm = Norm{};
    } else if (kind == 2 && spec.k && !form.k_beside && form.k_rows != CacheRows::none) {
      spec.q.rotates = spec.k->rotates = false;
    }
    static std::vector<std::pair<std::string, internal::KernelClass>> classes;
    const std::string text = spec.to_json() + form.to_json();
    auto at = std::find_if(classes.begin(), classes.end(), [&](const auto& one) { return one.first == text; });
    if (at == classes.end()) at = classes.insert(at, {text, internal::lower(spec, form).kernel_class});
    const internal::KernelClass& kernel_class = at->second;

    RopeArgs args;
    args.batch = choose.of<std::int64_t>({1, 1, 2});
    args.tokens = choose.of<std::int64_t>({1, 2, 5});
    args.q = random_view(choose, spec.q.heads, 16, args.tokens);
    if (random() % 8 != 0) args.k = random_view(choose, spec.k ? spec.k->heads : 1, 16, args.tokens);
    const bool out_of_place = (form.placement == Placement::out_of_place) != (random() % 16 == 0);
    if (out_of_place) args.q_out = random_view(choose, spec.q.heads, 16, args.tokens);
    const bool k_beside = form.k_beside && out_of_place;
    if (k_beside != (random() % 16 == 0)) {
      args.k_beside = random_view(choose, spec.k ? spec.k->heads : 1, 16, args.tokens);
    }
    const bool k_apart = out_of_place || form.k_rows != CacheRows::none;
    if (k_apart && random() % 8 != 0) args.k_out = random_view(choose, spec.k ? spec.k->heads : 1, 16, args.tokens);
    if (spec.v && random() % 8 != 0) args.v = random_view(choose, spec.v->heads, 16, args.tokens);
    if (spec.v && random() % 8 != 0) args.v_out = random_view(choose, spec.v->heads, 16, args.tokens);
    // Caches that no memory holds among them: their strides wrap around 64 bits.
    for (std::int64_t* const rows : {&args.k_cache_rows, &args.v_cache_rows}) {
      *rows = choose.of<std::int64_t>({1, 5, 64, 64, 0, -1, std::int64_t{1} << 31, (std::int64_t{1} << 34) + 1,
                                       (std::int64_t{1} << 39) + 1, std::int64_t{1} << 40, INT64_MAX});
    }
    if (random() % 64 == 0) args.k_out.token_stride = std::int64_t{1} << 28;
    if (random() % 64 == 0) args.v_out.token_stride = std::int64_t{1} << 28;
    if (random() % 16 == 0) args.q.data = nullptr;
    for (std::int64_t* const size : {&args.k_block_size, &args.v_block_size}) {
      *size = choose.of<std::int64_t>({1, 3, 16, 16, 64, 0, -1, std::int64_t{1} << 40});
    }
    if (form.k_rows == CacheRows::slots64 && random() % 2 == 0) {
      make_pages(choose, spec.k->heads, 16, args.k_block_size, args.k_out);
    }
    if (form.v_rows == CacheRows::slots32 && random() % 2 == 0) {
      make_pages(choose, spec.v->heads, 16, args.v_block_size, args.v_out);
    }

    LaunchArguments quick;
    LaunchArguments general;
    quick.tokens = general.tokens = static_cast<std::uint32_t>(args.batch * args.tokens);
    if (!internal::fill_token_rows(kernel_class, args, quick)) {
      ++left;
      continue;
    }
    ++taken;
    read_alone += form.statistics_only ? 1 : 0;
    idle += quick.has_work[0] ? 0 : 1;
    INFO("case " << i << " " << text);
    const char* const why = internal::fill_tensors(kernel_class, args, general);
    if (why != nullptr) FAIL(why);
    const bool as_general = quick.has_work == general.has_work && quick.params.q_in == general.params.q_in &&
                            quick.params.q_out == general.params.q_out && quick.params.k_in == general.params.k_in &&
                            quick.params.k_out == general.params.k_out &&
                            same(quick.params.q_strides, general.params.q_strides) &&
                            same(quick.params.k_strides, general.params.k_strides) &&
                            (args.k_beside.data == nullptr || same(quick.params.beside, general.params.beside)) &&
                            (!quick.has_work[kernel_class.operands.size() - 1] || kernel_class.operands.size() < 3 ||
                             same(quick.params.more[0], general.params.more[0]));
    if (!as_general) FAIL("the two differ");
    // Where there is one token or one head its stride does not matter; the quick checks look at it all the same.
    if (!general.allow(quick.aligned)) FAIL("the quick checks allow wider accesses");
  }
  CHECK(taken > 3000);
  CHECK(read_alone > 300);
  CHECK(idle > 100);
  CHECK(left > 50000);
}
