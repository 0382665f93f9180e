// Everything that differs between the GPU and the host target: memory accesses and conversions. The device side is
// PTX; each has a host twin that gives the same bits. No other file names an instruction.
#pragma once

#include "config.cuh"

namespace ropejit {

// Raw bits of one memory access, kept packed in registers until they are needed as floats.
template <u32 bytes>
struct alignas(bytes) Word {
  u32 bits[bytes / 4];
};
template <>
struct Word<2> {
  u32 bits[1];  // the low half
};

__device__ __forceinline__ u32 bits_of(float value) { return __builtin_bit_cast(u32, value); }

#ifdef ROPEJIT_HOST_TARGET

// A CPU reads at any address, where a GPU faults: this has the host target find what a GPU would.
template <u32 bytes>
inline void require_aligned(const void* at) {
  if (reinterpret_cast<u64>(at) % bytes != 0) host_self->services->misaligned_access(host_self);
}

template <u32 bytes>
inline Word<bytes> load_word(const void* at) {
  require_aligned<bytes>(at);
  Word<bytes> word{};
  __builtin_memcpy(word.bits, at, bytes);
  return word;
}

template <u32 bytes>
inline void store_word(void* at, const Word<bytes>& word) {
  require_aligned<bytes>(at);
  __builtin_memcpy(at, word.bits, bytes);
}

inline u64 load_readonly(const u64* at) { return *at; }
inline void load_readonly_pair(const u64* at, u64& first, u64& second) {
  require_aligned<16>(at);
  first = at[0];
  second = at[1];
}
inline u32 load_readonly_byte(const u8* at) { return *at; }
inline i64 load_position32(const void* ids, i64 index) { return static_cast<const i32*>(ids)[index]; }
inline i64 load_position64(const void* ids, i64 index) { return static_cast<const i64*>(ids)[index]; }

inline u32 multiply_high(u32 a, u32 b) { return static_cast<u32>((static_cast<u64>(a) * b) >> 32); }
inline u64 multiply_high(u64 a, u64 b) { return static_cast<u64>((static_cast<unsigned __int128>(a) * b) >> 64); }
inline float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float multiply(float a, float b) { return a * b; }  // compiled with -ffp-contract=off
inline float add(float a, float b) { return a + b; }
inline float divide(float a, float b) { return a / b; }
inline float square_root(float a) { return __builtin_sqrtf(a); }
inline float float_from_bits(u32 bits) { return __builtin_bit_cast(float, bits); }
inline float float_from_int(i32 value) { return static_cast<float>(value); }
inline float float_from_long(i64 value) { return static_cast<float>(value); }
inline void set_bits(u32* word, u32 bits) { __atomic_fetch_or(word, bits, __ATOMIC_RELAXED); }

inline u32 bf16_from_float(float value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

inline u32 fp16_from_float(float value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  const u32 sign = (bits >> 16) & 0x8000u;
  const u32 magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fffu;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // 65,520 and above round to infinity
  if (magnitude < 0x38800000u) {                        // below 2^-14: count in units of 2^-24
    const float units = __builtin_bit_cast(float, magnitude) * 16777216.0f;
    return sign | static_cast<u32>(__builtin_rintf(units));
  }
  const u32 rebased = magnitude - 0x38000000u;
  return sign | ((rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13);
}

inline float float_from_fp16(u32 half) {
  const u32 sign = (half & 0x8000u) << 16;
  const u32 magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  if (magnitude >= 0x400u) return float_from_bits(sign | ((magnitude << 13) + 0x38000000u));
  const float value = static_cast<float>(magnitude) * 5.9604644775390625e-8f;  // 2^-24
  return float_from_bits(sign | __builtin_bit_cast(u32, value));
}

inline u32 pack_bf16(float low, float high) { return bf16_from_float(low) | (bf16_from_float(high) << 16); }
inline u32 pack_fp16(float low, float high) { return fp16_from_float(low) | (fp16_from_float(high) << 16); }

inline void stay_a_branch() {}

// On the host a launch is over before the next begins.
inline void let_next_kernel_start() {}
inline void wait_for_last_kernel() {}

// A CPU has no such instructions: the host target's hardware sine is the polynomial.
constexpr bool has_hardware_sine = false;
template <u32 bytes>
inline void store_shared(void* at, const Word<bytes>& word) {
  store_word(at, word);
}
template <u32 bytes>
inline Word<bytes> load_shared(const void* at) {
  return load_word<bytes>(at);
}
inline float hardware_sin(float) { return 0; }
inline float hardware_cos(float) { return 0; }

#else  // CUDA

// A word of 32 bytes is one access since sm_100, and two before.
__device__ __forceinline__ void load_wide(u64 address, u32 (&bits)[8]) {
#if __CUDA_ARCH__ >= 1000
  asm volatile("ld.global.v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];"
               : "=r"(bits[0]), "=r"(bits[1]), "=r"(bits[2]), "=r"(bits[3]), "=r"(bits[4]), "=r"(bits[5]),
                 "=r"(bits[6]), "=r"(bits[7])
               : "l"(address));
#else
#pragma unroll
  for (u32 i = 0; i < 8; i += 4) {
    asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(bits[i]), "=r"(bits[i + 1]), "=r"(bits[i + 2]), "=r"(bits[i + 3])
                 : "l"(address + 4 * i));
  }
#endif
}

__device__ __forceinline__ void store_wide(u64 address, const u32 (&bits)[8]) {
#if __CUDA_ARCH__ >= 1000
  asm volatile("st.global.v8.b32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8};" ::"l"(address), "r"(bits[0]), "r"(bits[1]),
               "r"(bits[2]), "r"(bits[3]), "r"(bits[4]), "r"(bits[5]), "r"(bits[6]), "r"(bits[7])
               : "memory");
#else
#pragma unroll
  for (u32 i = 0; i < 8; i += 4) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address + 4 * i), "r"(bits[i]), "r"(bits[i + 1]),
                 "r"(bits[i + 2]), "r"(bits[i + 3])
                 : "memory");
  }
#endif
}

// The accesses are volatile so that none moves across a barrier; a kernel issues its loads in the order it wants.
template <u32 bytes>
__device__ __forceinline__ Word<bytes> load_word(const void* at) {
  Word<bytes> word;
  const u64 address = __cvta_generic_to_global(at);
  if constexpr (bytes == 32) {
    load_wide(address, word.bits);
  } else if constexpr (bytes == 16) {
    asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(word.bits[0]), "=r"(word.bits[1]), "=r"(word.bits[2]), "=r"(word.bits[3])
                 : "l"(address));
  } else if constexpr (bytes == 8) {
    asm volatile("ld.global.v2.b32 {%0, %1}, [%2];" : "=r"(word.bits[0]), "=r"(word.bits[1]) : "l"(address));
  } else if constexpr (bytes == 4) {
    asm volatile("ld.global.b32 %0, [%1];" : "=r"(word.bits[0]) : "l"(address));
  } else {
    u16 half;
    asm volatile("ld.global.b16 %0, [%1];" : "=h"(half) : "l"(address));
    word.bits[0] = half;
  }
  return word;
}

template <u32 bytes>
__device__ __forceinline__ void store_word(void* at, const Word<bytes>& word) {
  const u64 address = __cvta_generic_to_global(at);
  if constexpr (bytes == 32) {
    store_wide(address, word.bits);
  } else if constexpr (bytes == 16) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(word.bits[0]), "r"(word.bits[1]),
                 "r"(word.bits[2]), "r"(word.bits[3])
                 : "memory");
  } else if constexpr (bytes == 8) {
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(address), "r"(word.bits[0]), "r"(word.bits[1]) : "memory");
  } else if constexpr (bytes == 4) {
    asm volatile("st.global.b32 [%0], %1;" ::"l"(address), "r"(word.bits[0]) : "memory");
  } else {
    asm volatile("st.global.b16 [%0], %1;" ::"l"(address), "h"(static_cast<u16>(word.bits[0])) : "memory");
  }
}

// A word of shared memory, at a multiple of its size.
template <u32 bytes>
__device__ __forceinline__ void store_shared(void* at, const Word<bytes>& word) {
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(at));
  if constexpr (bytes >= 16) {
#pragma unroll
    for (u32 i = 0; i < bytes / 4; i += 4) {
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address + 4 * i), "r"(word.bits[i]),
                   "r"(word.bits[i + 1]), "r"(word.bits[i + 2]), "r"(word.bits[i + 3])
                   : "memory");
    }
  } else if constexpr (bytes == 8) {
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(address), "r"(word.bits[0]), "r"(word.bits[1]) : "memory");
  } else if constexpr (bytes == 4) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(word.bits[0]) : "memory");
  } else {
    asm volatile("st.shared.b16 [%0], %1;" ::"r"(address), "h"(static_cast<u16>(word.bits[0])) : "memory");
  }
}
template <u32 bytes>
__device__ __forceinline__ Word<bytes> load_shared(const void* at) {
  Word<bytes> word;
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(at));
  if constexpr (bytes >= 16) {
#pragma unroll
    for (u32 i = 0; i < bytes / 4; i += 4) {
      asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(word.bits[i]), "=r"(word.bits[i + 1]), "=r"(word.bits[i + 2]), "=r"(word.bits[i + 3])
                   : "r"(address + 4 * i)
                   : "memory");
    }
  } else if constexpr (bytes == 8) {
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(word.bits[0]), "=r"(word.bits[1]) : "r"(address) : "memory");
  } else if constexpr (bytes == 4) {
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word.bits[0]) : "r"(address) : "memory");
  } else {
    u16 half;
    asm volatile("ld.shared.b16 %0, [%1];" : "=h"(half) : "r"(address) : "memory");
    word.bits[0] = half;
  }
  return word;
}

// Data that no kernel writes is loaded through the read-only path, and such loads are free to be scheduled; but for
// positions, which are asked for in the order that is written, before the elements.
__device__ __forceinline__ u64 load_readonly(const u64* at) {
  u64 value;
  asm("ld.global.nc.b64 %0, [%1];" : "=l"(value) : "l"(__cvta_generic_to_global(at)));
  return value;
}
__device__ __forceinline__ void load_readonly_pair(const u64* at, u64& first, u64& second) {
  asm("ld.global.nc.v2.b64 {%0, %1}, [%2];" : "=l"(first), "=l"(second) : "l"(__cvta_generic_to_global(at)));
}
__device__ __forceinline__ u32 load_readonly_byte(const u8* at) {
  u16 value;
  asm("ld.global.nc.u8 %0, [%1];" : "=h"(value) : "l"(__cvta_generic_to_global(at)));
  return value;
}
__device__ __forceinline__ i64 load_position32(const void* ids, i64 index) {
  i32 value;
  asm volatile("ld.global.nc.b32 %0, [%1];"
               : "=r"(value)
               : "l"(__cvta_generic_to_global(static_cast<const i32*>(ids) + index)));
  return value;
}
__device__ __forceinline__ i64 load_position64(const void* ids, i64 index) {
  i64 value;
  asm volatile("ld.global.nc.b64 %0, [%1];"
               : "=l"(value)
               : "l"(__cvta_generic_to_global(static_cast<const i64*>(ids) + index)));
  return value;
}

__device__ __forceinline__ u32 multiply_high(u32 a, u32 b) { return __umulhi(a, b); }
__device__ __forceinline__ u64 multiply_high(u64 a, u64 b) { return __umul64hi(a, b); }
__device__ __forceinline__ float multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ float multiply(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float divide(float a, float b) { return __fdiv_rn(a, b); }
__device__ __forceinline__ float square_root(float a) { return __fsqrt_rn(a); }
__device__ __forceinline__ float float_from_bits(u32 bits) { return __uint_as_float(bits); }
__device__ __forceinline__ float float_from_int(i32 value) { return __int2float_rn(value); }
__device__ __forceinline__ float float_from_long(i64 value) { return __ll2float_rn(value); }
__device__ __forceinline__ void set_bits(u32* word, u32 bits) {
  asm volatile("red.global.or.b32 [%0], %1;" ::"l"(__cvta_generic_to_global(word)), "r"(bits) : "memory");
}

// Keeps the compiler from working out both sides and choosing afterwards.
__device__ __forceinline__ void stay_a_branch() { asm volatile(""); }

// Programmatic dependent launch: a launch that asks for it may be dealt to multiprocessors as soon as all blocks of the
// one before it run; here it waits until that one's memory is seen. Without it both are free.
__device__ __forceinline__ void let_next_kernel_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
__device__ __forceinline__ void wait_for_last_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

constexpr bool has_hardware_sine = true;
__device__ __forceinline__ float hardware_sin(float radians) {
  float value;
  asm("sin.approx.f32 %0, %1;" : "=f"(value) : "f"(radians));
  return value;
}
__device__ __forceinline__ float hardware_cos(float radians) {
  float value;
  asm("cos.approx.f32 %0, %1;" : "=f"(value) : "f"(radians));
  return value;
}

#if __CUDA_ARCH__ >= 800
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
  u32 packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ u32 pack_fp16(float low, float high) {
  u32 packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
#else  // sm_75 has no packed conversions and no bf16 at all
__device__ __forceinline__ u32 bf16_from_float(float value) {
  const u32 bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}
__device__ __forceinline__ u32 fp16_from_float(float value) {
  u16 half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
  return bf16_from_float(low) | (bf16_from_float(high) << 16);
}
__device__ __forceinline__ u32 pack_fp16(float low, float high) {
  return fp16_from_float(low) | (fp16_from_float(high) << 16);
}
#endif

__device__ __forceinline__ float float_from_fp16(u32 half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<u16>(half)));
  return value;
}

#endif

}  // namespace ropejit
