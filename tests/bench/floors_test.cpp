// A floor that moved less than it says would flatter nobody, and one that moved more would flatter us.
#include "bench/floors.hpp"

#include <algorithm>
#include <numeric>

#include "cuda/nvrtc_compiler.hpp"
#include "support/catch.hpp"
#include "support/parallel.hpp"
#include "support/targets.hpp"

using namespace ropejit;
using namespace ropejit::bench;
using namespace ropejit::test;

namespace {

constexpr std::uint32_t kRow = 192;
constexpr std::uint32_t kMoved = 48;
constexpr std::size_t kRows = 1171;  // no multiple of anything
constexpr std::size_t kBytes = kRows * kRow;

std::vector<unsigned char> pattern() {
  std::vector<unsigned char> bytes(kBytes);
  unsigned state = 1;
  for (unsigned char& byte : bytes)
    byte = static_cast<unsigned char>(1 + (state = state * 1664525U + 1013904223U) % 255);
  return bytes;
}

/// What a copy of kRows * kMoved bytes must leave in memory of zeros.
std::vector<unsigned char> expected(const CopyKernel& copy) {
  std::vector<unsigned char> bytes = pattern();
  for (std::size_t i = 0; i < kBytes; ++i) {
    const bool moved = copy.row_bytes == 0 ? i < kRows * kMoved : i % kRow < kMoved;
    if (!moved) bytes[i] = 0;
  }
  return bytes;
}

}  // namespace

TEST_CASE("Every copy moves its bytes and no others", "[numeric]") {
  const std::vector<CopyKernel> copies = copy_kernels(kRow, kMoved, false);
  const std::vector<unsigned char> from = pattern();
  for (const TargetPtr& target : targets()) {
    const internal::DeviceBuffer in = target->allocate(kBytes);
    const internal::DeviceBuffer out = target->allocate(kBytes);
    target->upload(in.data(), from.data(), kBytes);
    std::vector<internal::CompiledBinary> binaries(copies.size());
    const internal::Compiler& compiler = target->compiler();
    internal::parallel_for(static_cast<std::int64_t>(copies.size()), [&](std::int64_t i) {
      const auto at = static_cast<std::size_t>(i);
      binaries[at] = compiler.compile(copies[at].source());
    });
    for (std::size_t i = 0; i < copies.size(); ++i) {
      CAPTURE(target->name(), copies[i].source().entry);
      std::vector<unsigned char> to(kBytes, 0);
      target->upload(out.data(), to.data(), kBytes);
      const auto kernel = target->load(binaries[i].image, copies[i].source());
      launch_copy(copies[i], *kernel, out.data(), in.data(), kRows * kMoved, nullptr);
      target->synchronize();
      target->download(to.data(), out.data(), kBytes);
      CHECK((to == expected(copies[i])));
    }
  }
}

TEST_CASE("What is captured runs once for each launch in every replay", "[numeric]") {
  constexpr int kLaunches = 5;
  std::vector<std::uint32_t> from(kLaunches);
  std::iota(from.begin(), from.end(), 7U);
  for (const TargetPtr& target : targets()) {
    CAPTURE(target->name());
    const std::size_t bytes = from.size() * 4;
    const internal::DeviceBuffer in = target->allocate(bytes);
    const internal::DeviceBuffer out = target->allocate(bytes);
    target->upload(in.data(), from.data(), bytes);
    const auto replay = target->capture(
        [&](void* stream, int i) {
          target->copy(static_cast<std::uint32_t*>(out.data()) + i, static_cast<std::uint32_t*>(in.data()) + i, 4,
                       stream);
        },
        kLaunches);
    for (int round = 0; round < 2; ++round) {
      std::vector<std::uint32_t> to(kLaunches, 0);
      target->upload(out.data(), to.data(), bytes);
      target->synchronize();  // the replay's stream does not wait for uploads
      CHECK(replay->us() > 0);
      target->download(to.data(), out.data(), bytes);
      CHECK(to == from);
    }
  }
}

TEST_CASE("Every copy compiles for an H100 without spills", "[nvrtc]") {
  const auto compiler = internal::nvrtc_compiler("sm_90", std::nullopt);
  for (const CopyKernel& copy : copy_kernels(kRow, kMoved, false)) {
    const internal::CompiledBinary binary = compiler->compile(copy.source());
    CAPTURE(copy.source().entry, binary.registers);
    CHECK(binary.registers > 0);
    CHECK(binary.spill_bytes == 0);
    CHECK(binary.stack_bytes == 0);
  }
}
