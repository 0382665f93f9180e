/* The C API of ropejit, and its one stable ABI: functions and struct members are added, never changed or removed,
 * while the major version stays. C99 or later, or C++.
 *
 *     ropejit_service* service = NULL;
 *     ropejit_kernel* rope = NULL;
 *     if (ropejit_service_create(NULL, &service) != ROPEJIT_OK) puts(ropejit_last_error());
 *     if (ropejit_get(service, spec_json, NULL, &rope) != ROPEJIT_OK) puts(ropejit_last_error());
 *     ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, q, NULL), ropejit_operand_of(ROPEJIT_K, k, NULL)};
 *     ropejit_args args = ropejit_args_default();
 *     args.operands = operands;
 *     args.operand_count = 2;
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
 * Text in is JSON, UTF-8, ended by a zero byte, and is not kept.
 *
 * Versions: a struct that begins with its `size` grows, by members at its end that default to 0: with 0 there, a call
 * means what it meant before the member was added. The library reads a struct as far as its size says; members that
 * are not in it have their defaults. Members that only a later header has must be 0, or the call is refused: so a
 * program works with a library older than its header while it asks for nothing that the library does not have. A
 * struct without a size (ropejit_tensor) never changes: what there is to add goes into the structs that hold it. In an
 * array of structs (ropejit_operand) each begins where the one before it ends by its size. Values of constants never
 * change their meaning; one that the library does not know is refused, like a key of JSON. */
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
  ROPEJIT_INTERNAL = 10,          /* out of memory, or a defect of this library */
  ROPEJIT_NOT_CACHED = 11         /* a binary is in no cache, and compiling is not allowed ("on_miss": "error") */
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
 *   "tuning"         "off"; "on_demand": ropejit_get finds the fastest variants first, once, in seconds; "background":
 *                    a thread does, beside the work of others, and puts the better kernel in place
 *   "on_miss"        where no cache has a binary: "compile"; "background": the generic kernel serves at once, and a
 *                    thread compiles; "generic": never compile; "error": never compile, ROPEJIT_NOT_CACHED
 *   "frozen"         true: nothing is ever compiled, tuned or written; what is stored serves. "on_miss" is then "error"
 *                    (its default) or "generic", "tuning" "off"
 *   "most_kernels"   kernels that are kept in memory, some 55 kB each; default 1000; 0: no bound. Those beyond it go
 *                    that were asked for longest ago, as by ropejit_forget, but none that a ropejit_kernel holds
 * A key that is absent is taken from the environment (ROPEJIT_DEVICE, ROPEJIT_CACHE_DIR, ROPEJIT_NVRTC,
 * ROPEJIT_HOST_CXX, ROPEJIT_TUNING, ROPEJIT_ON_MISS, ROPEJIT_FROZEN), else from the default. Touches no device.
 * *service is set to NULL on failure, else to a service that the caller releases. */
ROPEJIT_API ropejit_status ropejit_service_create(const char* options_json, ropejit_service** service);

/* Gives the service back; NULL is fine. Its kernels stay usable. */
ROPEJIT_API void ropejit_service_release(ropejit_service* service);

/* With "on_miss": "background": waits until every kernel has its own binaries, or none can be had, or for so many
 * seconds. Call it before a capture into a CUDA graph, which keeps the kernel that it was captured with. *finished is
 * set to 1 where nothing is left, else to 0. */
ROPEJIT_API ropejit_status ropejit_wait_for_compiles(ropejit_service* service, double seconds, int* finished);

/* Tells what was found, compiled, waited for and refused so far, in Prometheus' text format ("ropejit_compiles_total
 * 5"). `labels`, e.g. "device=\"0\"", go to every sample as they are; NULL: none. Writes up to `size` bytes to `text`,
 * the last of them 0, and to *length, where that is not NULL, how long the whole text is without its 0: more than was
 * written where it is `size` or above. `text` may be NULL where `size` is 0. */
ROPEJIT_API ropejit_status ropejit_metrics(ropejit_service* service, const char* labels, char* text, size_t size,
                                           size_t* length);

/* ---- models ---- */

/* Tells the rotations of a model, out of the text (not a path) of its Hugging Face config.json.
 * options_json: NULL, or an object with any of the keys
 *   "as"             a model type that is known ("llama"), which the config is read as whatever its own is: for a type
 *                    that is not known and is known to rotate like that one; warns
 *   "tp"             ranks that share the heads (1)
 *   "dtype"          "bf16", "fp16" or "fp32", instead of the config's
 *   "max_model_len"  tokens: "max_length" of the specs whose scaling depends on one
 *   "parity"         true: the specs round as the model's own code does (false)
 *   "round_as"       the specs round as the kernels of an engine do: "exact", "vllm_fused", "vllm", "flashinfer",
 *                    "tensorrt_llm" or "aiter" (presets.hpp); not with "parity"
 *   "prologue"       true: the specs also have the norms that q and k get before they rotate, and v (false); models
 *                    whose attention has other things there are refused (ModelOptions in model.hpp)
 * The answer is an object in JSON: "layers", an array of objects with "layer", "kind", "spec" (what ropejit_get takes;
 * null where the layer does not rotate) and, in models that have them, "indexer", likewise; "vision_layers", where a
 * vision tower rotates; "warnings", an array of lines, which a person should see: what of the config nothing reads. It
 * is written as ropejit_metrics writes its text. */
ROPEJIT_API ropejit_status ropejit_model_ropes(const char* config_json, const char* options_json, char* text,
                                               size_t size, size_t* length);

/* ---- kernels ---- */

/* A kernel prepared for one spec and one form of launch. */
typedef struct ropejit_kernel ropejit_kernel;

/* spec_json: the model's RoPE, with "schema": 1 (docs/spec-json.md).
 * form_json: NULL for the defaults, or an object whose keys are the members of LaunchForm (form.hpp, which says what
 * each means; docs/spec-json.md, "The launch form as JSON"): how tensors are placed and strided, which of
 * ROPEJIT_POSITIONS_... positions are, whether cos and sin are the caller's, which rows or slots of a cache k and v go
 * to. May compile, which takes some hundred milliseconds; a second call with an equal spec and form does not. *kernel
 * is set to NULL on failure, else to a kernel that the caller releases. */
ROPEJIT_API ropejit_status ropejit_get(ropejit_service* service, const char* spec_json, const char* form_json,
                                       ropejit_kernel** kernel);

/* Has the service let a kernel go; with spec_json NULL (and form_json NULL) every one that no ropejit_kernel holds.
 * Kernels that were handed out stay as they are, and the memory is given back with the last of them. On a GPU the code
 * and the numbers of a kernel that was launched stay loaded, as a captured graph may hold them: once, however often it
 * is forgotten and asked for again. *forgotten is set, where it is not NULL, to how many the service let go. */
ROPEJIT_API ropejit_status ropejit_forget(ropejit_service* service, const char* spec_json, const char* form_json,
                                          int64_t* forgotten);

/* For scaling that depends on the length ("dynamic" and "longrope"), of a spec without "max_length": the same kernel
 * resolved for sequences of up to `length` tokens. Compiles nothing, but copies a few numbers to the device and waits
 * for it: call it outside launches and captures. `kernel` is not changed and stays the caller's. Other kernels come
 * back as they are, in a handle of their own. Before it, a kernel with ROPEJIT_POSITIONS_START takes the length of each
 * launch where it can ("longrope" always, "dynamic" up to its max_position_embeddings, "counted" forms where `tokens`
 * settles it); other launches are ROPEJIT_NOT_PREPARED. *at_length is set to NULL on failure, else to a kernel
 * that the caller releases. */
ROPEJIT_API ropejit_status ropejit_kernel_at_length(const ropejit_kernel* kernel, int64_t length,
                                                    ropejit_kernel** at_length);

/* Gives the kernel back; NULL is fine. Launches that were queued are not affected. */
ROPEJIT_API void ropejit_kernel_release(ropejit_kernel* kernel);

/* ---- launches ---- */

/* A stride computed from the sizes, as if the tensor were [batch, token, head, lane] without gaps. */
#define ROPEJIT_CONTIGUOUS INT64_MIN

/* Element (b, s, h, l) is at data + b*batch_stride + s*token_stride + h*head_stride + l*lane_stride, strides in
 * elements of the tensor's dtype. `data` is lane 0 of head 0. Memory is the caller's: device memory (host memory on the
 * host target) that stays valid until the stream has run the launch. A stride of 0 repeats a row, which only an input
 * of an out-of-place form may do: start from ropejit_contiguous(), not from zeroes. */
typedef struct ropejit_tensor {
  void* data;           /* lane 0 of head 0 of token 0 */
  int64_t batch_stride; /* from a sequence to the next */
  int64_t token_stride; /* from a token to the next */
  int64_t head_stride;  /* from a head to the next */
  int64_t lane_stride;  /* from a lane to the next */
} ropejit_tensor;

enum {
  ROPEJIT_POSITIONS_START = 0,     /* token s of every sequence stands at first_position + s */
  ROPEJIT_POSITIONS_IDS32 = 1,     /* token s of sequence b stands at ids[b*batch_stride + s*token_stride], int32_t */
  ROPEJIT_POSITIONS_IDS64 = 2,     /* the same, int64_t */
  ROPEJIT_POSITIONS_OFFSETS32 = 3, /* token s of sequence b stands at ids[b*batch_stride] + s, int32_t */
  ROPEJIT_POSITIONS_OFFSETS64 = 4, /* the same, int64_t */
  ROPEJIT_POSITIONS_RAGGED = 5     /* sequences of different lengths one after another: see cu_seqlens */
};

/* Bits that a launch sets in args.flags: what only the device can find. */
enum {
  ROPEJIT_FLAG_NO_TABLE_ROW = 1, /* a position for which the caller's table has no row: the token came out NaN */
  /* In rows neither -1 nor a row, a slot from the capacity on, or what a page table does not have: not written there.
   */
  ROPEJIT_FLAG_NO_CACHE_ROW = 2
};

/* Operands of a launch, as the spec names them. */
enum {
  ROPEJIT_Q = 0, /* the queries, which every launch has */
  ROPEJIT_K = 1, /* the keys */
  ROPEJIT_V = 2, /* the values, which do not rotate: they are copied, out of place always */
  /* The gate of the attention's output, which lies between q's heads: it is copied likewise, and to its own tokens. Of
   * its ropejit_operand `in` and `out` alone have a meaning. */
  ROPEJIT_GATE = 3
};

/* A slot_count of no tokens, since 0 stands for all of them. */
#define ROPEJIT_NO_SLOTS ((int64_t)-1)

/* The statistic of an operand's norm, r or a sum of squares of each head: that of head h of token s of sequence b is at
 * data + (b*tokens + s)*token_stride + h*head_stride. Of a norm with "span" "token" each token has one, that of head 0.
 * A stride of 0 is here what ROPEJIT_CONTIGUOUS is. */
typedef struct ropejit_statistic {
  float* data;          /* device memory */
  int64_t token_stride; /* in elements; ROPEJIT_CONTIGUOUS or 0: as many as a token has statistics */
  int64_t head_stride;  /* in elements; ROPEJIT_CONTIGUOUS or 0: 1 */
} ropejit_statistic;

/* The pages that each request has in a cache, in device memory that the launch does not write. Whatever is in it,
 * nothing outside these lists and the cache is read or written. */
typedef struct ropejit_page_table {
  /* Numbers of pages. "page_lists": `entries` of them, all requests' one after another (indices); "block_table":
   * [requests, entries]. A negative one is none in silence; one that the cache does not have is flagged. */
  const int32_t* pages;
  const int32_t* first_entries;     /* "page_lists": requests + 1 numbers (indptr); "block_table": NULL */
  const int32_t* last_page_lengths; /* "page_lists": places of each request's last page, NULL: all; else NULL */
  int64_t requests;                 /* 1 or more */
  int64_t entries;                  /* 1 or more: of `pages`; "block_table": of a request */
  int64_t row_stride;               /* "block_table": from a request to the next, in elements; 0: `entries`. Else 0 */
} ropejit_page_table;

/* One operand of a launch, [batch, tokens, heads, head_dim]. Fill it from ropejit_operand_of(): the members behind
 * cache_rows are 0 there, which stands for what launches were before these members came. Refusals call its `in`, `out`
 * and the members from `rows` on by its name: v, v_out, v_rows, v_cache_rows and so on. */
typedef struct ropejit_operand {
  size_t size;       /* sizeof(ropejit_operand) where the caller was compiled */
  int32_t name;      /* ROPEJIT_Q, ROPEJIT_K, ROPEJIT_V or ROPEJIT_GATE: one that the spec has */
  int32_t reserved;  /* 0 */
  ropejit_tensor in; /* what is read, in place written over; data NULL: the operand is left out of this launch */
  /* Out of place: like `in`, written in full. In place: data NULL. With rows: the cache, [cache_rows, heads, head_dim],
   * whose token_stride is between rows; its batch_stride is not used. */
  ropejit_tensor out;
  /* For forms with "k_rows" and "v_rows": device memory, at [b*tokens + s] the row of `out` (int32_t or int64_t, as the
   * form says) that token s of sequence b is written to; -1: none. Rows must be distinct. Operands may share a list.
   * For forms with slots: see block_size. */
  const void* rows;
  int64_t cache_rows; /* 1 or more; of pages all their places, which is the cache's capacity */
  /* For operands with a "norm": device memory, head_dim weights of the norm's weight_dtype ("weight" "heads": heads *
   * head_dim), which the launch does not write. NULL: the operand has no norm, or one with "weight" "none", or is left
   * out of this launch. */
  const void* norm_weight;
  /* For forms whose "k_rows" and "v_rows" are "slots32" or "slots64": the tokens of a page, 1 or more. 0: other forms.
   * `rows` then has a slot for a token, and slot s is place s % block_size of page s / block_size. `out` is [pages,
   * block_size, heads, head_dim]: its batch_stride is between pages, its token_stride between places of a page, its
   * head_stride between heads, in any order; its lanes lie side by side. A token with a slot below 0 is not written
   * there, in silence; nor is one with a slot from cache_rows on, which ROPEJIT_FLAG_NO_CACHE_ROW tells. Slots must be
   * distinct. */
  int64_t block_size;
  /* How many tokens of the launch have a slot: from there on this operand is not written to the cache. 0: every token;
   * ROPEJIT_NO_SLOTS: none. */
  int64_t slot_count;
  /* In `rows`, from a token's slot to the next, in elements. 0: 1. There is no stride of 0 in C, as it would give all
   * tokens one slot. */
  int64_t slot_stride;
  /* For out-of-place forms with "k_beside", of ROPEJIT_K, and with "v_beside", of ROPEJIT_V: where it is written beside
   * its cache, like `in`, in full. A stride of 0 is here what ROPEJIT_CONTIGUOUS is. In place, where `in` itself is
   * written, and for all other forms and operands: data NULL. Refusals call it k_beside or v_beside. */
  ropejit_tensor beside;
  /* For operands whose "norm" has "statistic" "given": r of all tokens and heads, which the launch does not write;
   * "given_sum": their sums of squares. All others, and operands that are left out of this launch: data NULL. */
  ropejit_statistic norm_statistic;
  /* For forms with "norm_statistics", of operands whose "norm" computes its statistic: where r is written, in full;
   * with "norm_sums" too the sum of squares. All others: data NULL. */
  ropejit_statistic norm_statistic_out;
  /* For operands whose "norm" has "bias": device memory, as many as weights, of the norm's weight_dtype. All others,
   * and operands that are left out of this launch: NULL. */
  const void* norm_bias;
  /* For operands with "bias": device memory, [heads, head_dim] without gaps, of the spec's dtype. Else NULL. */
  const void* bias;
  /* For operands with "head_scales": device memory, a factor for each head. Else NULL. */
  const float* head_scales;
  /* For forms with "grouped_q", of ROPEJIT_Q: in `in`, from a group of heads to the next, in elements, where the
   * tensor's head_stride is from a head to the next of its group. 0 or ROPEJIT_CONTIGUOUS: groups follow one another as
   * their heads do, as for all other forms and operands. */
  int64_t group_stride;
  int64_t out_group_stride; /* the same of `out`; in place 0 */
  /* For forms whose "k_rows" and "v_rows" are "page_lists" or "block_table": where the pages are that `out` has as
   * those of slots. `rows` is then NULL and slot_stride 0; cache_rows, block_size and slot_count are as with slots.
   * Token p of request r goes to place p % block_size of the page that entry p / block_size of r names;
   * "token_requests" and "token_places" of the form say which r and p are a token's. Refusals call it k_page_table or
   * v_page_table. */
  ropejit_page_table page_table;
  /* For forms with "k_split", of ROPEJIT_K, in elements of `out`: from a group of 16 bytes of a head's lanes to the
   * next. 0 or ROPEJIT_CONTIGUOUS: block_size times the lanes x of a group; strides of `out` that are
   * ROPEJIT_CONTIGUOUS are then those of [pages, heads, head_dim / x, block_size, x]. All others: 0. */
  int64_t split_stride;
} ropejit_operand;

/* One launch. Fill it from ropejit_args_default(): not all defaults of the members up to `flags` are 0, as those of all
 * later members are. `size` may also end behind the last member that the caller sets, in steps of 8 bytes, and must
 * cover all up to `tokens`. */
typedef struct ropejit_args {
  size_t size;                   /* sizeof(ropejit_args) where the caller was compiled */
  ropejit_tensor q;              /* old, as the three below and k_rows: read where `operands` is NULL; else data NULL */
  ropejit_tensor k;              /* ROPEJIT_K's `in`; data NULL: k is left out of this launch */
  ropejit_tensor q_out;          /* ROPEJIT_Q's `out` */
  ropejit_tensor k_out;          /* ROPEJIT_K's `out` */
  int32_t position_source;       /* ROPEJIT_POSITIONS_...: must be the form's */
  int32_t reserved;              /* 0 */
  const void* position_ids;      /* device memory; read only with the ids sources */
  int64_t first_position;        /* with ROPEJIT_POSITIONS_START; may be negative */
  int64_t position_batch_stride; /* in ids; ROPEJIT_CONTIGUOUS: `tokens`; 0: all sequences share one row */
  int64_t position_token_stride; /* in ids; ROPEJIT_CONTIGUOUS: 1 */
  int64_t batch;                 /* sequences; 0 launches nothing */
  int64_t tokens;                /* tokens of each sequence; batch * tokens below 2^31; 0 launches nothing */
  /* The caller's cos and sin, read by forms whose "angles" are not "computed" and ignored by the others. Row p belongs
   * to position p; a table gathered for the tokens beforehand goes with ROPEJIT_POSITIONS_START and first_position 0.
   * A token whose position has no row comes out NaN; nothing outside the table is read. */
  const void* table_cos;      /* device memory; forms complex, cos_sin and radians: the one tensor */
  const void* table_sin;      /* forms half, full and repeated; else NULL */
  int64_t table_rows;         /* positions 0 to table_rows - 1 have a row */
  int64_t table_row_stride;   /* in elements; ROPEJIT_CONTIGUOUS: rows without gaps */
  int64_t table_batch_stride; /* in elements; 0: one table for all sequences */
  /* With ROPEJIT_POSITIONS_RAGGED: batch is 1, token t belongs to sequence i with cu_seqlens[i] <= t <
   * cu_seqlens[i + 1] and is at t - cu_seqlens[i], plus position_ids[i] (int32_t) where position_ids is not NULL. */
  const int32_t* cu_seqlens; /* device memory, sequences + 1 numbers */
  int64_t sequences;         /* 1 or more */
  /* For specs with "axes", in ids: from a token's position on one axis to that on the next. ROPEJIT_CONTIGUOUS: batch *
   * tokens, as if ids were [axes, batch, tokens]; 0: the same on every axis. */
  int64_t position_axis_stride;
  /* For forms with "context_parallel": how many ranks share each sequence (1 to 65,536; 0 counts as 1) and which of
   * them this is, from 0. `tokens` is what this rank holds of each sequence, and even for zigzag. cu_seqlens are of the
   * whole sequences, whose lengths must be multiples of ranks (zigzag: 2 * ranks); this rank's tokens of sequence i
   * begin at cu_seqlens[i] / ranks. */
  int64_t ranks;
  int64_t rank;         /* 0 to ranks - 1 */
  const void* k_rows;   /* old: ROPEJIT_K's `rows`, read where `operands` is NULL; else NULL */
  int64_t k_cache_rows; /* old: ROPEJIT_K's `cache_rows`, likewise */
  /* For forms with "counted": device memory; tokens b*tokens + s from *token_count on are left alone. */
  const int32_t* token_count;
  uint32_t* flags; /* device memory, ROPEJIT_FLAG_... are set in it, never cleared; NULL: not wanted */
  /* The tensors of this launch, in any order, none twice; those of the spec that are not among them are left out. NULL:
   * the old members q, k, q_out, k_out, k_rows and k_cache_rows have them, as before there was such a list; they go
   * with the next major version. */
  const ropejit_operand* operands;
  int64_t operand_count; /* 1 to 4 */
  /* For forms with "token_requests": "ids32": device memory, at [b*tokens + s] the request of token s of sequence b, in
   * k's page table and in v's; negative: none. Else NULL. */
  const int32_t* token_requests;
  /* For forms with "token_places": device memory, at [b*tokens + s] where that token stands in its request, from 0
   * (int32_t or int64_t, as the form says); negative: nowhere. Else NULL. */
  const void* token_places;
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

/* An operand of tensors without gaps, `out` NULL: in place; no rows of a cache, and nothing for a norm or another
 * stage. */
static inline ropejit_operand ropejit_operand_of(int32_t name, void* in, void* out) {
  ropejit_operand operand;
  operand.size = sizeof operand;
  operand.name = name;
  operand.reserved = 0;
  operand.in = ropejit_contiguous(in);
  operand.out = ropejit_contiguous(out);
  operand.rows = NULL;
  operand.cache_rows = 0;
  operand.norm_weight = NULL;
  operand.block_size = 0;
  operand.slot_count = 0;
  operand.slot_stride = 0;
  operand.beside.data = NULL;
  operand.beside.batch_stride = 0;
  operand.beside.token_stride = 0;
  operand.beside.head_stride = 0;
  operand.beside.lane_stride = 0;
  operand.norm_statistic.data = NULL;
  operand.norm_statistic.token_stride = 0;
  operand.norm_statistic.head_stride = 0;
  operand.norm_statistic_out = operand.norm_statistic;
  operand.norm_bias = NULL;
  operand.bias = NULL;
  operand.head_scales = NULL;
  operand.group_stride = 0;
  operand.out_group_stride = 0;
  operand.page_table.pages = NULL;
  operand.page_table.first_entries = NULL;
  operand.page_table.last_page_lengths = NULL;
  operand.page_table.requests = 0;
  operand.page_table.entries = 0;
  operand.page_table.row_stride = 0;
  operand.split_stride = 0;
  return operand;
}

/* The arguments of a launch with no tensors, one sequence of no tokens, int64_t ids without gaps. */
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
  args.table_cos = NULL;
  args.table_sin = NULL;
  args.table_rows = 0;
  args.table_row_stride = ROPEJIT_CONTIGUOUS;
  args.table_batch_stride = 0;
  args.cu_seqlens = NULL;
  args.sequences = 0;
  args.position_axis_stride = ROPEJIT_CONTIGUOUS;
  args.ranks = 0;
  args.rank = 0;
  args.k_rows = NULL;
  args.k_cache_rows = 0;
  args.token_count = NULL;
  args.flags = NULL;
  args.operands = NULL;
  args.operand_count = 0;
  args.token_requests = NULL;
  args.token_places = NULL;
  return args;
}

/* Queues the rotation, and the norms before it, on `stream`: a CUstream or cudaStream_t of the current context, NULL
 * for its default stream, ignored on the host target, which runs at once. Never compiles, allocates, locks or waits,
 * failures included; may be captured into a CUDA graph. What is wrong is refused before anything is queued. */
ROPEJIT_API ropejit_status ropejit_launch(const ropejit_kernel* kernel, const ropejit_args* args, void* stream);

#ifdef __cplusplus
} /* extern "C" */
#endif
