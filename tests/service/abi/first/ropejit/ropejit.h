/* The C API of ropejit, and its one stable ABI: functions and struct members are added, never changed or removed,
 * while the major version stays. C99 or later, or C++.
 *
 *     ropejit_service* service = NULL;
 *     ropejit_kernel* rope = NULL;
 *     if (ropejit_service_create(NULL, &service) != ROPEJIT_OK) puts(ropejit_last_error());
 *     if (ropejit_get(service, spec_json, NULL, &rope) != ROPEJIT_OK) puts(ropejit_last_error());
 *     ropejit_args args = ropejit_args_default();
 *     args.q = ropejit_contiguous(q);
 *     args.k = ropejit_contiguous(k);
 *     args.position_ids = ids;
 *     args.tokens = tokens;
 *     if (ropejit_launch(rope, &args, stream) != ROPEJIT_OK) puts(ropejit_last_error());
 *
 * Errors: every function that can fail returns a code, and leaves one line that names the field, what was found and
 * what is allowed in ropejit_last_error() of the calling thread. No function throws, prints, aborts or crashes on a
 * null pointer.
 *
 * Threads: any function may be called from any thread, also at the same time on the same service or kernel, save that
 * a service or kernel must not be in use while it is released.
 *
 * Text in is JSON, UTF-8, ended by a zero byte, and is not kept. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ROPEJIT_API __attribute__((visibility("default")))
#else
#define ROPEJIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What kind of thing went wrong. */
typedef int ropejit_status;
enum {
  ROPEJIT_OK = 0,
  ROPEJIT_INVALID_ARGUMENT = 1,   /* a value of the spec, the form, the options or the launch is not allowed */
  ROPEJIT_PARSE_ERROR = 2,        /* text that is not JSON, or not of the form asked for */
  ROPEJIT_UNSUPPORTED = 3,        /* valid, but not built by this version */
  ROPEJIT_DEVICE_UNAVAILABLE = 4, /* no driver, no such device, or one that cannot be served */
  ROPEJIT_COMPILE_FAILED = 5,     /* see ropejit_last_log() */
  ROPEJIT_LOAD_FAILED = 6,        /* the driver (or dlopen) refused a binary */
  ROPEJIT_LAUNCH_FAILED = 7,      /* the driver refused a launch */
  ROPEJIT_IO_ERROR = 8,           /* a file could not be read or written */
  ROPEJIT_NOT_PREPARED = 9,       /* a launch of a form that the kernel was not made for */
  ROPEJIT_INTERNAL = 10           /* out of memory, or a defect of this library */
};

/* "0.1.0": the library's, at run time. Static storage. */
ROPEJIT_API const char* ropejit_version(void);

/* The failure of this thread's last call that failed: one line, "" before the first. Success leaves it alone. Valid
 * until the next failure in this thread. */
ROPEJIT_API const char* ropejit_last_error(void);

/* The compiler's own words about that failure, several lines; "" where no compiler was involved. Valid as above. */
ROPEJIT_API const char* ropejit_last_log(void);

/* ---- services ---- */

/* Makes kernels for one device and keeps them: in memory, in a cache directory, else by compiling. */
typedef struct ropejit_service ropejit_service;

/* options_json: NULL, or an object with any of the keys
 *   "device"         "auto" (the first CUDA device, else the CPU), "cuda", "cuda:N" or "host"
 *   "cache_dir"      where binaries are kept; "": memory only
 *   "nvrtc"          the libnvrtc to load, a file or a directory
 *   "host_compiler"  the C++20 compiler of the host target
 * A key that is absent is taken from the environment (ROPEJIT_DEVICE, ROPEJIT_CACHE_DIR, ROPEJIT_NVRTC,
 * ROPEJIT_HOST_CXX), else from the default. Touches no device. *service is set to NULL on failure, else to a service
 * that the caller releases. */
ROPEJIT_API ropejit_status ropejit_service_create(const char* options_json, ropejit_service** service);

/* Gives the service back; NULL is fine. Its kernels stay usable. */
ROPEJIT_API void ropejit_service_release(ropejit_service* service);

/* ---- kernels ---- */

/* A kernel prepared for one spec and one form of launch. */
typedef struct ropejit_kernel ropejit_kernel;

/* spec_json: the model's RoPE, with "schema": 1 (README, "The spec as JSON").
 * form_json: NULL, or an object with any of the keys
 *   "placement"  "in_place" (default) or "out_of_place"
 *   "strides"    "contiguous" (default: a promise of gapless, 16-byte aligned tensors) or "free"
 *   "positions"  "start", "ids32" or "ids64" (default)
 * May compile, which takes some hundred milliseconds; a second call with an equal spec and form does not.
 * *kernel is set to NULL on failure, else to a kernel that the caller releases. */
ROPEJIT_API ropejit_status ropejit_get(ropejit_service* service, const char* spec_json, const char* form_json,
                                       ropejit_kernel** kernel);

/* Gives the kernel back; NULL is fine. Launches that were queued are not affected. */
ROPEJIT_API void ropejit_kernel_release(ropejit_kernel* kernel);

/* ---- launches ---- */

/* A stride computed from the sizes, as if the tensor were [batch, token, head, lane] without gaps. */
#define ROPEJIT_CONTIGUOUS INT64_MIN

/* Element (b, s, h, l) is at data + b*batch_stride + s*token_stride + h*head_stride + l*lane_stride, strides in
 * elements of the spec's dtype. `data` is lane 0 of head 0. Memory is the caller's: device memory (host memory on the
 * host target) that stays valid until the stream has run the launch. A stride of 0 repeats a row, which only an input
 * of an out-of-place form may do: start from ropejit_contiguous(), not from zeroes. */
typedef struct ropejit_tensor {
  void* data;
  int64_t batch_stride;
  int64_t token_stride;
  int64_t head_stride;
  int64_t lane_stride;
} ropejit_tensor;

enum {
  ROPEJIT_POSITIONS_START = 0, /* token s of every sequence stands at first_position + s */
  ROPEJIT_POSITIONS_IDS32 = 1, /* token s of sequence b stands at ids[b*batch_stride + s*token_stride], int32_t */
  ROPEJIT_POSITIONS_IDS64 = 2  /* the same, int64_t */
};

/* One launch. Fill it from ropejit_args_default(): later versions add members at the end, whose defaults keep today's
 * meaning. */
typedef struct ropejit_args {
  size_t size;          /* sizeof(ropejit_args) where the caller was compiled */
  ropejit_tensor q;     /* [batch, tokens, q heads, q head_dim] */
  ropejit_tensor k;     /* the same of k; data NULL: k is left out of this launch */
  ropejit_tensor q_out; /* out of place: like q, written in full. In place: data NULL. */
  ropejit_tensor k_out;
  int32_t position_source;       /* ROPEJIT_POSITIONS_...: must be the form's */
  int32_t reserved;              /* 0 */
  const void* position_ids;      /* device memory; read only with the ids sources */
  int64_t first_position;        /* with ROPEJIT_POSITIONS_START; may be negative */
  int64_t position_batch_stride; /* in ids; ROPEJIT_CONTIGUOUS: tokens; 0: all sequences share one row */
  int64_t position_token_stride; /* in ids; ROPEJIT_CONTIGUOUS: 1 */
  int64_t batch;                 /* sequences; 0 launches nothing */
  int64_t tokens;                /* of each sequence; batch * tokens below 2^31; 0 launches nothing */
} ropejit_args;

/* A tensor without gaps at `data`. */
static inline ropejit_tensor ropejit_contiguous(void* data) {
  ropejit_tensor tensor;
  tensor.data = data;
  tensor.batch_stride = ROPEJIT_CONTIGUOUS;
  tensor.token_stride = ROPEJIT_CONTIGUOUS;
  tensor.head_stride = ROPEJIT_CONTIGUOUS;
  tensor.lane_stride = ROPEJIT_CONTIGUOUS;
  return tensor;
}

/* No tensors, one sequence of no tokens, int64_t ids without gaps. */
static inline ropejit_args ropejit_args_default(void) {
  ropejit_args args;
  args.size = sizeof args;
  args.q = ropejit_contiguous(NULL);
  args.k = args.q;
  args.q_out = args.q;
  args.k_out = args.q;
  args.position_source = ROPEJIT_POSITIONS_IDS64;
  args.reserved = 0;
  args.position_ids = NULL;
  args.first_position = 0;
  args.position_batch_stride = ROPEJIT_CONTIGUOUS;
  args.position_token_stride = ROPEJIT_CONTIGUOUS;
  args.batch = 1;
  args.tokens = 0;
  return args;
}

/* Queues the rotation on `stream`: a CUstream or cudaStream_t of the current context, NULL for its default stream,
 * ignored on the host target, which runs at once. Never compiles, allocates, locks or waits, failures included; may be
 * captured into a CUDA graph. What is wrong is refused before anything is queued. */
ROPEJIT_API ropejit_status ropejit_launch(const ropejit_kernel* kernel, const ropejit_args* args, void* stream);

#ifdef __cplusplus
} /* extern "C" */
#endif
