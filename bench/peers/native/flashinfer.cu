// FlashInfer's launchers behind a C interface. Built by get_peers.py against FlashInfer's headers.
#include <cstdint>

#include <flashinfer/pos_enc.cuh>

namespace {

template <typename T>
cudaError_t rotate(T* q, T* k, T* q_out, T* k_out, float* table, std::int64_t* ids, unsigned tokens, unsigned q_heads,
                   unsigned k_heads, unsigned rotary, unsigned head_dim, bool interleaved, float theta,
                   cudaStream_t stream) {
  const std::size_t q_row = std::size_t{q_heads} * head_dim, k_row = std::size_t{k_heads} * head_dim, head = head_dim;
  if (table != nullptr) {
    return flashinfer::BatchQKApplyRotaryPosIdsCosSinCache<T, std::int64_t>(
        q, k, q_out, k_out, table, ids, tokens, q_heads, k_heads, rotary, head_dim, q_row, head, k_row, head, q_row,
        head, k_row, head, interleaved, stream);
  }
  return flashinfer::BatchQKApplyRotaryPosIds<T, std::int64_t>(q, k, q_out, k_out, ids, tokens, q_heads, k_heads,
                                                               rotary, head_dim, q_row, head, k_row, head, q_row, head,
                                                               k_row, head, interleaved, 1.0f, theta, stream);
}

}  // namespace

// table NULL: angles are worked out in the kernel. dtype: 0 fp16, 1 bf16. Gives cudaError_t, or -1 for an exception.
extern "C" int peer_flashinfer(int dtype, void* q, void* k, void* q_out, void* k_out, float* table, std::int64_t* ids,
                               unsigned tokens, unsigned q_heads, unsigned k_heads, unsigned rotary, unsigned head_dim,
                               int interleaved, float theta, void* stream) {
  const auto as = [&]<typename T>(T) {
    return static_cast<int>(rotate(static_cast<T*>(q), static_cast<T*>(k), static_cast<T*>(q_out),
                                   static_cast<T*>(k_out), table, ids, tokens, q_heads, k_heads, rotary, head_dim,
                                   interleaved != 0, theta, static_cast<cudaStream_t>(stream)));
  };
  try {
    return dtype == 1 ? as(__nv_bfloat16{}) : as(__half{});
  } catch (...) {
    return -1;
  }
}
