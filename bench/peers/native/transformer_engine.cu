// TransformerEngine's forward kernel for [batch, tokens, heads, lanes], launched as its host code launches it: a block
// a token, 4 warps below 16 heads and 8 from there on. The kernel itself is cut out of its source by get_peers.py.
#include <cassert>
#include <cstddef>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "transformer_engine_kernel.cuh"

namespace {

template <typename T>
void rotate(const T* x, T* out, const float* radians, int batch, int tokens, int heads, int rotary, int head_dim,
            bool interleaved, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(tokens), static_cast<unsigned>(batch)), threads(32, heads < 16 ? 4 : 8);
  const std::size_t shared = 2 * sizeof(float) * static_cast<std::size_t>(rotary);
  const int row = heads * head_dim;
  fused_rope_forward_kernel<T><<<blocks, threads, shared, stream>>>(
      x, nullptr, radians, nullptr, out, interleaved, 1, 0, tokens, heads, head_dim, rotary, row, tokens * row,
      head_dim, 1, row, tokens * row, head_dim, 1);
}

}  // namespace

// One tensor, out of place. dtype: 0 fp16, 1 bf16, 2 fp32.
extern "C" int peer_transformer_engine(int dtype, const void* x, void* out, const float* radians, int batch, int tokens,
                                       int heads, int rotary, int head_dim, int interleaved, void* stream) {
  const auto as = [&]<typename T>(T) {
    rotate(static_cast<const T*>(x), static_cast<T*>(out), radians, batch, tokens, heads, rotary, head_dim,
           interleaved != 0, static_cast<cudaStream_t>(stream));
  };
  if (dtype == 0) as(__half{});
  if (dtype == 1) as(__nv_bfloat16{});
  if (dtype == 2) as(float{});
  return static_cast<int>(cudaGetLastError());
}
