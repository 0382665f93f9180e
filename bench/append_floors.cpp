#include "bench/append_floors.hpp"

#include <fmt/format.h>

#include "launch_params.cuh"
#include "ropejit/error.hpp"

namespace ropejit::bench {
namespace {

std::uint32_t row_bytes(const Case& what, std::int64_t heads) {
  return static_cast<std::uint32_t>(heads * what.shape.head_dim) * static_cast<std::uint32_t>(size_of(what.dtype));
}

}  // namespace

std::string AppendCopy::name() const { return fmt::format("append_v{}_w{}_t{}", width, words, threads); }

// Rows of q, of k and of v follow one another in a token's row; places of a page do as their slots. q is read and
// written in place where q_out is q_in. A position decides what no position is, so that it is waited for.
internal::KernelSource AppendCopy::source(const Case& what) const {
  const std::uint32_t q = row_bytes(what, what.shape.q_heads) / width;
  const std::uint32_t k = row_bytes(what, what.shape.k_heads) / width;
  const std::string entry = fmt::format("{}_{}_{}{}", name(), q, k, what.placement == Placement::in_place ? "_in" : "");
  return {entry, fmt::format(R"(#include "launch_params.cuh"
#include "primitives.cuh"
extern "C" __global__ void __launch_bounds__({threads})
{entry}(const __grid_constant__ ropejit::LaunchParams params) {{
  using ropejit::u32;
  using ropejit::u64;
  using ropejit::i64;
  constexpr u32 q = {q}u, k = {k}u, all = q + 2 * k, width = {width}u;
  const u32 first = blockIdx.x * {per_block}u + threadIdx.x;
  ropejit::Word<width> word[{words}];
  i64 position[{words}];
  i64 slot[{words}];
#pragma unroll
  for (u32 i = 0; i < {words}; ++i) {{
    const u32 n = first + i * {threads}u;
    const u32 token = n / all;
    if (token >= params.tokens) continue;
    position[i] = ropejit::load_position64(params.position_ids, token);
    slot[i] = n % all < q ? 0 : ropejit::load_position64(params.steps, token);
    word[i] = ropejit::load_word<width>(static_cast<const char*>(params.q_in) + static_cast<u64>(n) * width);
  }}
#pragma unroll
  for (u32 i = 0; i < {words}; ++i) {{
    const u32 n = first + i * {threads}u;
    const u32 token = n / all, at = n % all;
    if (token >= params.tokens || position[i] == (1ll << 62) || slot[i] < 0) continue;
    char* to = static_cast<char*>(params.q_out) + (static_cast<u64>(token) * {q_row}u + at) * width;
    if (at >= q) {{
      to = at < q + k ? static_cast<char*>(params.k_out) + (static_cast<u64>(slot[i]) * k + (at - q)) * width
                      : static_cast<char*>(const_cast<void*>(params.k_in)) +
                            (static_cast<u64>(slot[i]) * k + (at - q - k)) * width;
    }}
    ropejit::store_word(to, word[i]);
  }}
}}
)",
                             fmt::arg("threads", threads), fmt::arg("entry", entry), fmt::arg("q", q), fmt::arg("k", k),
                             fmt::arg("width", width), fmt::arg("words", words), fmt::arg("per_block", threads * words),
                             fmt::arg("q_row", what.placement == Placement::in_place ? q + 2 * k : q))};
}

std::vector<AppendCopy> append_copies(const Case& what, bool few) {
  std::vector<AppendCopy> copies;
  const std::uint32_t head = row_bytes(what, 1);
  for (const std::uint32_t width : {4U, 8U, 16U}) {
    for (const std::uint32_t words : {1U, 2U, 4U}) {
      for (const std::uint32_t threads : {64U, 128U, 256U, 512U}) {
        if (head % width != 0 || (few && (words != 1 || threads != 256 || width == 4))) continue;
        copies.push_back({width, words, threads});
      }
    }
  }
  return copies;
}

void launch_append(const AppendCopy& copy, const internal::LoadedKernel& kernel, const Case& what, const RopeArgs& args,
                   void* stream) {
  const std::uint64_t words = static_cast<std::uint64_t>(args.tokens) * (row_bytes(what, what.heads()) / copy.width);
  const std::uint64_t per_block = std::uint64_t{copy.threads} * copy.words;
  // A last block's words stay within 32 bits.
  if (words > (1ULL << 31)) throw Error(ErrorCode::unsupported, "bench", "a copy of more than 2^31 words");
  LaunchParams params{};
  params.q_in = args.q.data;
  params.q_out = what.placement == Placement::in_place ? args.q.data : args.q_out.data;
  params.k_out = args.k_out.data;
  params.k_in = args.v_out.data;
  params.position_ids = args.positions.ids;
  params.steps = static_cast<const unsigned long long*>(args.k_rows);
  params.tokens = static_cast<unsigned>(args.tokens);
  const auto blocks = static_cast<std::uint32_t>((words + per_block - 1) / per_block);
  if (const int result = kernel.launch({blocks, copy.threads}, params, stream); result != 0) {
    throw Error(ErrorCode::launch_failed, "bench", fmt::format("{}: driver error {}", copy.name(), result));
  }
}

}  // namespace ropejit::bench
