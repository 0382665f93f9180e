/* The part of the DLPack C ABI (version 1) that is used here: how a framework hands out what a tensor is, without a
 * Python object made for each number. PyTorch has it from 2.10 on, as torch.Tensor.__dlpack_c_exchange_api__. */
#pragma once

#include <stdint.h>

enum { EXCHANGE_CPU = 1, EXCHANGE_CUDA = 2 };                                             /* device_type */
enum { EXCHANGE_INT = 0, EXCHANGE_FLOAT = 2, EXCHANGE_BFLOAT = 4, EXCHANGE_COMPLEX = 5 }; /* dtype_code */

/* A tensor, as its framework sees it: nothing here is owned, all of it is valid while the Python object lives and is
 * not changed. */
typedef struct ExchangeTensor {
  void* data;
  int32_t device_type;
  int32_t device_id;
  int32_t ndim;
  uint8_t dtype_code;
  uint8_t dtype_bits;
  uint16_t dtype_lanes;
  int64_t* shape;
  int64_t* strides; /* in elements */
  uint64_t byte_offset;
} ExchangeTensor;

typedef struct ExchangeApi {
  uint32_t major;
  uint32_t minor;
  void* previous;
  void* allocate;                                                            /* not used */
  void* from_object;                                                         /* not used */
  void* to_object;                                                           /* not used */
  int (*view)(void* object, ExchangeTensor* out);                            /* 0, or -1 and a Python exception */
  int (*current_stream)(int32_t device_type, int32_t device_id, void** out); /* likewise */
} ExchangeApi;

#define EXCHANGE_CAPSULE "dlpack_exchange_api"
#define EXCHANGE_MAJOR 1
