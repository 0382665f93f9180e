#include "bench/floors.hpp"

#include <array>

#include <fmt/format.h>

#include "launch_params.cuh"
#include "ropejit/error.hpp"

namespace ropejit::bench {

std::string CopyKernel::name() const {
  return fmt::format("{}_v{}_w{}_t{}{}", row_bytes == 0 ? "linear" : "rows", width, words, threads, far ? "_far" : "");
}

internal::KernelSource CopyKernel::source() const {
  const std::string entry =
      row_bytes == 0 ? "copy_" + name() : fmt::format("copy_{}_{}of{}", name(), row_moved, row_bytes);
  const std::string offset =
      row_bytes == 0 ? fmt::format("word * {}ull", width)
                     : fmt::format("word / {0}u * {1}ull + word % {0}u * {2}u", row_moved / width, row_bytes, width);
  return {entry, fmt::format(R"(#include "launch_params.cuh"
#include "primitives.cuh"
static __device__ inline ropejit::u64 offset_of(ropejit::u32 word) {{ return {offset}; }}
extern "C" __global__ void __launch_bounds__({threads})
{entry}(const __grid_constant__ ropejit::LaunchParams params) {{
  const ropejit::u32 first = blockIdx.x * {per_block}u + threadIdx.x;
  const ropejit::u32 step = {step};
  ropejit::Word<{width}> word[{words}];
#pragma unroll
  for (ropejit::u32 i = 0; i < {words}; ++i)
    if (first + i * step < params.tokens)
      word[i] = ropejit::load_word<{width}>(static_cast<const char*>(params.k_out) + offset_of(first + i * step));
#pragma unroll
  for (ropejit::u32 i = 0; i < {words}; ++i)
    if (first + i * step < params.tokens)
      ropejit::store_word(static_cast<char*>(params.q_out) + offset_of(first + i * step), word[i]);
}}
)",
                             fmt::arg("offset", offset), fmt::arg("threads", threads), fmt::arg("entry", entry),
                             fmt::arg("per_block", far ? threads : threads * words),
                             fmt::arg("step", far ? fmt::format("params.q_blocks * {}u", threads)
                                                  : fmt::format("{}u", threads)),
                             fmt::arg("width", width), fmt::arg("words", words))};
}

std::vector<CopyKernel> copy_kernels(std::uint32_t row_bytes, std::uint32_t row_moved, bool few) {
  std::vector<CopyKernel> copies = {{16, 1, 256}, {16, 4, 256}};
  if (!few) {
    for (const CopyKernel& more : std::to_array<CopyKernel>({{16, 2, 256},
                                                             {16, 8, 256},
                                                             {16, 1, 128},
                                                             {16, 1, 512},
                                                             {16, 1, 1024},
                                                             {16, 2, 1024},
                                                             {16, 4, 128},
                                                             {8, 1, 256},
                                                             {8, 2, 256},
                                                             {8, 4, 256},
                                                             {4, 1, 128},
                                                             {4, 1, 256},
                                                             {4, 2, 256},
                                                             {16, 4, 256, true},
                                                             {8, 8, 128, true}})) {
      copies.push_back(more);
    }
  }
  if (row_moved == row_bytes) return copies;
  const std::size_t linear = copies.size();
  for (std::size_t i = 0; i < linear; ++i) {
    CopyKernel rows = copies[i];
    rows.row_bytes = row_bytes;
    rows.row_moved = row_moved;
    if (row_moved % rows.width == 0 && row_bytes % rows.width == 0) copies.push_back(rows);
  }
  return copies;
}

void launch_copy(const CopyKernel& copy, const internal::LoadedKernel& kernel, void* to, const void* from,
                 std::uint64_t bytes, void* stream) {
  const std::uint64_t words = (bytes + copy.width - 1) / copy.width;
  const std::uint64_t per_block = std::uint64_t{copy.threads} * copy.words;
  // The far step and a last block's words stay within 32 bits.
  if (words > (1ULL << 31)) throw Error(ErrorCode::unsupported, "bench", "a copy of more than 2^31 words");
  LaunchParams params{};
  // Where a kernel's first line of parameters is, so that a copy waits for no second one.
  params.k_out = const_cast<void*>(from);
  params.q_out = to;
  params.tokens = static_cast<unsigned>(words);
  const auto blocks = static_cast<std::uint32_t>((words + per_block - 1) / per_block);
  params.q_blocks = blocks;
  if (const int result = kernel.launch({blocks, copy.threads}, params, stream); result != 0) {
    throw Error(ErrorCode::launch_failed, "bench", fmt::format("{}: driver error {}", copy.name(), result));
  }
}

}  // namespace ropejit::bench
