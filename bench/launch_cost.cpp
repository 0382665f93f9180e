// What launch adds to the driver's own launch: the checks, the choice of a variant and the arguments, timed around a
// kernel that does nothing. Needs no GPU.
//
//     launch_cost
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "codegen/default_variant.hpp"
#include "service/prepared_kernel.hpp"
#include "spec/lower.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

class Nothing : public LoadedKernel {
 public:
  int launch(const LaunchGeometry&, const LaunchParams&, void*) const noexcept override { return 0; }
};

// Addresses that nothing reads.
void* address(std::uintptr_t value) { return reinterpret_cast<void*>(value); }

struct Row {
  const char* name;
  LaunchForm form;
  bool packed;
};

double nanoseconds(const Row& row) {
  RopeSpec spec;
  spec.rotary_dim = 128;
  spec.q = {32, 128, 0};
  spec.k = Operand{8, 128, 0};
  PreparedKernel kernel;
  kernel.kernel_class = lower(spec, row.form).kernel_class;
  const auto nothing = std::make_shared<const Nothing>();
  for (const VariantChoice& choice : default_variants(kernel.kernel_class, 132)) {
    kernel.table.push_back(prepared_variant(kernel.kernel_class, choice.variant, choice.min_tokens, nothing));
  }
  kernel.universal = kernel.table.front();
  RopeArgs args;
  args.q.data = address(0x10000000);
  args.k.data = address(0x20000000);
  args.tokens = 64;
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(address(0x30000000)));
  if (row.form.placement == Placement::out_of_place) {
    args.q_out.data = address(0x40000000);
    args.k_out.data = address(0x50000000);
  }
  if (row.packed) {
    args.q.token_stride = args.k.token_stride = (32 + 2 * 8) * 128;
    args.k.data = static_cast<char*>(args.q.data) + 32 * 128 * 2;
  }
  constexpr int kLaunches = 1'000'000;
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kLaunches; ++i) {
      if (!launch_prepared(kernel, args, nullptr)) return -1;
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = best < took.count() / kLaunches ? best : took.count() / kLaunches;
  }
  return best;
}

}  // namespace

int main() {
  const Row rows[] = {
      {"in place, contiguous", LaunchForm::in_place_ids(), false},
      {"out of place, contiguous", LaunchForm::out_of_place_ids(), false},
      {"in place, packed QKV", LaunchForm::in_place_ids().with_free_strides(), true},
  };
  for (const Row& row : rows) std::printf("%-26s %6.1f ns\n", row.name, nanoseconds(row));
}
