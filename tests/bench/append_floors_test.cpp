// The floor of a prologue must move what the prologue does: less would flatter nobody, more would flatter us.
#include "bench/append_floors.hpp"

#include <cstring>
#include <vector>

#include "bench/tensors.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "support/catch.hpp"
#include "support/targets.hpp"

using namespace ropejit;
using namespace ropejit::bench;
using namespace ropejit::test;

namespace {

constexpr std::int64_t kTokens = 37;  // no multiple of a page

Case prologue_case(Placement placement) {
  return {{5, 3, 64, 64}, Arrangement::split_half, DType::bf16, placement, false, true, true};
}

std::vector<unsigned char> pattern(std::size_t bytes) {
  std::vector<unsigned char> all(bytes);
  unsigned state = 1;
  for (unsigned char& byte : all) byte = static_cast<unsigned char>(1 + (state = state * 1664525U + 1013904223U) % 255);
  return all;
}

/// The set at `args` as it must be after a copy, where it held `before`.
std::vector<unsigned char> expected(const Cell& cell, const RopeArgs& args, const std::vector<unsigned char>& before,
                                    const std::vector<std::int64_t>& slots) {
  const auto* base = static_cast<const char*>(args.q.data);
  const auto at = [&](const TensorView& view) {
    return static_cast<std::size_t>(static_cast<const char*>(view.data) - base);
  };
  std::vector<unsigned char> after = before;
  const std::size_t lane = size_of(cell.what.dtype);
  const auto row = static_cast<std::size_t>(args.q.token_stride) * lane;
  const std::size_t k_bytes = static_cast<std::size_t>(cell.what.shape.k_heads * cell.what.shape.head_dim) * lane;
  const std::size_t q_bytes = row - 2 * k_bytes;
  for (std::size_t t = 0; t < slots.size(); ++t) {
    const unsigned char* from = before.data() + t * row;
    const std::size_t place = static_cast<std::size_t>(slots[t]) * k_bytes;
    if (args.q_out.data != nullptr) std::memcpy(after.data() + at(args.q_out) + t * q_bytes, from, q_bytes);
    std::memcpy(after.data() + at(args.k_out) + place, from + q_bytes, k_bytes);
    std::memcpy(after.data() + at(args.v_out) + place, from + q_bytes + k_bytes, k_bytes);
  }
  return after;
}

}  // namespace

TEST_CASE("Every copy of a prologue's bytes writes them to its rows, and nothing else", "[numeric]") {
  for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
    const Cell cell{prologue_case(placement), kTokens};
    for (const TargetPtr& target : targets()) {
      const SetLayout layout = SetLayout::of(cell, L2::hot, CacheSizes::of(*target));
      const internal::DeviceBuffer memory = target->allocate(layout.bytes());
      const Tensors tensors(*target, memory, cell, layout);
      const RopeArgs args = tensors.args(0);
      std::vector<std::int64_t> slots(static_cast<std::size_t>(kTokens));
      target->download(slots.data(), args.k_rows, slots.size() * sizeof slots[0]);
      const std::vector<unsigned char> before = pattern(layout.set_bytes);
      for (const AppendCopy& copy : append_copies(cell.what, target->arch().starts_with("host"))) {
        CAPTURE(target->name(), copy.name());
        const internal::KernelSource source = copy.source(cell.what);
        const auto kernel = target->load(target->compiler().compile(source).image, source);
        target->upload(memory.data(), before.data(), before.size());
        launch_append(copy, *kernel, cell.what, args, nullptr);
        target->synchronize();
        std::vector<unsigned char> after(before.size());
        target->download(after.data(), memory.data(), after.size());
        CHECK((after == expected(cell, args, before, slots)));
      }
    }
  }
}

TEST_CASE("Every copy of a prologue's bytes compiles for an H100 without spills", "[nvrtc]") {
  const auto compiler = internal::nvrtc_compiler("sm_90", std::nullopt);
  const Case what = prologue_case(Placement::out_of_place);
  for (const AppendCopy& copy : append_copies(what, false)) {
    const internal::CompiledBinary binary = compiler->compile(copy.source(what));
    CAPTURE(copy.name(), binary.registers);
    CHECK(binary.registers > 0);
    CHECK(binary.spill_bytes == 0);
    CHECK(binary.stack_bytes == 0);
  }
}
