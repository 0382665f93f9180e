#include <cstdint>
#include <string>
#include <vector>

#include "host/host_target.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit;

/// Compiles `body` as the kernel `entry` for the host and runs it on `out`, an array of u32s.
int run(const std::string& body, const internal::LaunchGeometry& geometry, std::vector<std::uint32_t>& out) {
  const auto target = internal::host_target(std::nullopt);
  const std::string text =
      "#include \"primitives.cuh\"\n#include \"launch_params.cuh\"\nusing ropejit::u32;\n"
      "extern \"C\" __global__ void probe(const __grid_constant__ ropejit::LaunchParams params) {\n"
      "u32* out = static_cast<u32*>(params.q_out);\n" +
      body + "\n}\n";
  const internal::CompiledBinary binary = target->compiler().compile({"probe", text});
  const auto kernel = target->load(binary.image, {"probe", {}});
  LaunchParams params{};
  params.q_out = out.data();
  return kernel->launch(geometry, params, nullptr);
}

}  // namespace

TEST_CASE("A block's threads on the host meet at barriers and share memory", "[host]") {
  // A tree reduction: wrong if any barrier lets a thread through early.
  const std::string body = R"(
    __shared__ u32 sum[256];
    const u32 i = threadIdx.x;
    sum[i] = blockIdx.x * 1000 + i;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
      if (i < half) sum[i] += sum[i + half];
      __syncthreads();
    }
    if (i == 0) out[gridDim.x - 1 - blockIdx.x] = sum[0];)";
  std::vector<std::uint32_t> out(3);
  REQUIRE(run(body, {3, 256}, out) == 0);
  for (std::uint32_t block = 0; block < 3; ++block) CHECK(out[2 - block] == block * 256000 + 255 * 128);
}

TEST_CASE("Lanes of a warp on the host exchange values by shuffles, warps on their own", "[host]") {
  const std::string body = R"(
    u32 value = threadIdx.x + 1;
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    const u32 first = __shfl_sync(0xffffffffu, threadIdx.x, 0);
    const unsigned long long wide = __shfl_sync(0xffffffffu, (1ull << 40) + threadIdx.x, 5);
    out[threadIdx.x] = value * 1000 + first + static_cast<u32>(wide >> 40) + static_cast<u32>(wide);)";
  std::vector<std::uint32_t> out(64);
  REQUIRE(run(body, {1, 64}, out) == 0);
  for (std::uint32_t i = 0; i < 64; ++i) {
    const std::uint32_t warp = i / 32 * 32;
    const std::uint32_t sum = 32 * warp + 33 * 16;
    CHECK(out[i] == sum * 1000 + warp + 1 + warp + 5);
  }
}

TEST_CASE("Threads that return early do not hold up the others at a barrier", "[host]") {
  const std::string body = R"(
    __shared__ u32 seen;
    if (threadIdx.x == 0) seen = 0;
    __syncthreads();
    if (threadIdx.x >= 10) return;
    seen += 1;
    __syncthreads();
    out[threadIdx.x] = seen;)";
  std::vector<std::uint32_t> out(32);
  REQUIRE(run(body, {1, 32}, out) == 0);
  for (std::uint32_t i = 0; i < 32; ++i) CHECK(out[i] == (i < 10 ? 10U : 0U));
}

TEST_CASE("A barrier that not all threads reach is an error on the host, not a hang", "[host]") {
  std::vector<std::uint32_t> out(32);
  CHECK(run("if (threadIdx.x % 2) __syncthreads(); else __syncwarp(); out[threadIdx.x] = 1;", {1, 32}, out) != 0);
}

TEST_CASE("A shuffle from a lane that has ended, or that the block does not have, is an error on the host", "[host]") {
  struct Row {
    const char* body;
    unsigned threads;
    bool is_right;
  };
  const Row row = GENERATE(values<Row>({
      {"if (threadIdx.x >= 16) return; out[threadIdx.x] = __shfl_xor_sync(0xffffu, threadIdx.x, 8);", 32, true},
      {"if (threadIdx.x >= 16) return; out[threadIdx.x] = __shfl_xor_sync(0xffffu, threadIdx.x, 16);", 32, false},
      {"if (threadIdx.x == 3) return; out[threadIdx.x] = __shfl_sync(~8u, threadIdx.x, 3);", 32, false},
      {"if (threadIdx.x == 3) return; out[threadIdx.x] = __shfl_sync(~8u, threadIdx.x, 4);", 32, true},
      // The second warp has 16 lanes.
      {"out[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 15);", 48, true},
      {"out[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 16);", 48, false},
      // A lane that ends between two shuffles is there for the first.
      {"u32 x = __shfl_xor_sync(~0u, threadIdx.x, 1); if (x == 0) return; out[threadIdx.x] = x;", 32, true},
      {"u32 x = __shfl_xor_sync(~0u, threadIdx.x, 1); if (x == 0) return;"
       "out[threadIdx.x] = __shfl_xor_sync(~0u, x, 1);",
       32, false},
  }));
  CAPTURE(row.body);
  std::vector<std::uint32_t> out(64);
  CHECK((run(row.body, {1, row.threads}, out) == 0) == row.is_right);
}

TEST_CASE("A shuffle while another lane of the warp waits elsewhere is an error on the host", "[host]") {
  const char* const body = GENERATE(
      "if (threadIdx.x == 5) __syncwarp(); else out[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 0);",
      "if (threadIdx.x == 5) __syncthreads(); else out[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 0);",
      // As many waits on both sides, of different kinds.
      "if (threadIdx.x == 5) { __syncwarp(); __syncwarp(); } else out[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 0);",
      "if (threadIdx.x == 5) __syncwarp(); out[threadIdx.x] = __shfl_sync(~0u, threadIdx.x, 0);"
      "if (threadIdx.x != 5) __syncwarp();");
  CAPTURE(body);
  std::vector<std::uint32_t> out(32);
  CHECK(run(body, {1, 32}, out) != 0);
}

TEST_CASE("An access that a GPU would fault on fails a launch on the host too", "[host]") {
  std::vector<std::uint32_t> out(8);
  const char* const good = "ropejit::store_word(out, ropejit::load_word<8>(out + 2));";
  const char* const bad_load = "ropejit::store_word(out, ropejit::load_word<8>(out + 1));";
  const char* const bad_store = "ropejit::store_word(out + 1, ropejit::load_word<8>(out));";
  CHECK(run(good, {1, 32}, out) == 0);
  CHECK(run(bad_load, {1, 32}, out) != 0);
  CHECK(run(bad_store, {1, 32}, out) != 0);
}

TEST_CASE("A host binary that is none is refused, and so is an entry that it lacks", "[host]") {
  const auto target = internal::host_target(std::nullopt);
  CHECK_THROWS_AS(target->load("not a shared object", {"probe", {}}), Error);
  CHECK_THROWS_AS(target->load("", {"probe", {}}), Error);
  const internal::CompiledBinary binary =
      target->compiler().compile({"probe", "extern \"C\" __global__ void probe() {}"});
  CHECK_NOTHROW(target->load(binary.image, {"probe", {}}));
  CHECK_THROWS_AS(target->load(binary.image, {"another", {}}), Error);
}

TEST_CASE("A host compiler that is missing or fails is an error that says so", "[host]") {
  const auto nowhere = internal::host_target("no-such-compiler");
  CHECK_THROWS_AS(nowhere->compiler(), Error);
  const auto failing = internal::host_target("false");
  CHECK_THROWS_AS(failing->compiler(), Error);
  const auto target = internal::host_target(std::nullopt);
  try {
    target->compiler().compile({"broken", "this is no program"});
    FAIL("compiled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::compile_failed);
    CHECK_FALSE(error.log().empty());
  }
}
