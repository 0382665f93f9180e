// vLLM's kernel, launched as its rotary_embedding() launches it: one block a token, at most 512 threads. The kernel
// itself is cut out of vLLM's source by get_peers.py.
#include <algorithm>
#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define VLLM_LDG(pointer) __ldg(pointer)
#include "vllm_kernel.cuh"

namespace {

template <typename T>
void rotate(T* q, T* k, const T* table, const std::int64_t* ids, unsigned tokens, int q_heads, int k_heads, int rotary,
            int head_dim, bool interleaved, cudaStream_t stream) {
  const unsigned threads = static_cast<unsigned>(std::min(q_heads * rotary / 2, 512));
  const std::int64_t q_row = std::int64_t{q_heads} * head_dim, k_row = std::int64_t{k_heads} * head_dim;
  const auto kernel = interleaved ? vllm::rotary_embedding_kernel<T, T, false>  //
                                  : vllm::rotary_embedding_kernel<T, T, true>;
  kernel<<<tokens, threads, 0, stream>>>(ids, q, k, table, rotary, q_row, k_row, head_dim, q_heads,
                                         k == nullptr ? q_heads : k_heads, head_dim, 0, false);
}

}  // namespace

// In place; the table has rows of cosines and then sines in the dtype, as vLLM keeps it. dtype: 0 fp16, 1 bf16, 2 fp32.
extern "C" int peer_vllm(int dtype, void* q, void* k, const void* table, const std::int64_t* ids, unsigned tokens,
                         int q_heads, int k_heads, int rotary, int head_dim, int interleaved, void* stream) {
  const auto as = [&]<typename T>(T) {
    rotate(static_cast<T*>(q), static_cast<T*>(k), static_cast<const T*>(table), ids, tokens, q_heads, k_heads, rotary,
           head_dim, interleaved != 0, static_cast<cudaStream_t>(stream));
  };
  if (dtype == 0) as(__half{});
  if (dtype == 1) as(__nv_bfloat16{});
  if (dtype == 2) as(float{});
  return static_cast<int>(cudaGetLastError());
}
