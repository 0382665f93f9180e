/* ropejit.h as C11 sees it, and a whole session through it. */
#include <assert.h>

#include "ropejit/ropejit.h"

/* The layout is the ABI: a member that moves breaks every program that was compiled before. */
static_assert(offsetof(ropejit_tensor, lane_stride) == 32 && sizeof(ropejit_tensor) == 40, "ropejit_tensor");
static_assert(offsetof(ropejit_args, size) == 0, "args.size");
static_assert(offsetof(ropejit_args, q) == 8, "args.q");
static_assert(offsetof(ropejit_args, k_out) == 128, "args.k_out");
static_assert(offsetof(ropejit_args, position_source) == 168, "args.position_source");
static_assert(offsetof(ropejit_args, position_ids) == 176, "args.position_ids");
static_assert(offsetof(ropejit_args, position_token_stride) == 200, "args.position_token_stride");
static_assert(offsetof(ropejit_args, tokens) == 216, "args.tokens");
/* The first version ended here. */
static_assert(offsetof(ropejit_args, table_cos) == 224, "args.table_cos");
static_assert(offsetof(ropejit_args, cu_seqlens) == 264, "args.cu_seqlens");
static_assert(offsetof(ropejit_args, sequences) + sizeof(int64_t) == 280, "args.sequences");
static_assert(offsetof(ropejit_args, position_axis_stride) == 280, "args.position_axis_stride");
static_assert(offsetof(ropejit_args, k_rows) == 304, "args.k_rows");
static_assert(offsetof(ropejit_args, token_count) == 320, "args.token_count");
static_assert(offsetof(ropejit_args, flags) == 328, "args.flags");
static_assert(offsetof(ropejit_args, operands) == 336, "args.operands");
static_assert(offsetof(ropejit_args, token_requests) == 352, "args.token_requests");
static_assert(offsetof(ropejit_args, token_places) == 360 && sizeof(ropejit_args) == 368, "args.token_places");
static_assert(offsetof(ropejit_operand, size) == 0, "operand.size");
static_assert(offsetof(ropejit_operand, name) == 8, "operand.name");
static_assert(offsetof(ropejit_operand, in) == 16, "operand.in");
static_assert(offsetof(ropejit_operand, out) == 56, "operand.out");
static_assert(offsetof(ropejit_operand, rows) == 96, "operand.rows");
static_assert(offsetof(ropejit_operand, cache_rows) == 104, "operand.cache_rows");
/* The first version with operands ended here. */
static_assert(offsetof(ropejit_operand, norm_weight) == 112, "operand.norm_weight");
static_assert(offsetof(ropejit_operand, block_size) == 120, "operand.block_size");
static_assert(offsetof(ropejit_operand, slot_count) == 128, "operand.slot_count");
static_assert(offsetof(ropejit_operand, slot_stride) == 136, "operand.slot_stride");
static_assert(offsetof(ropejit_operand, beside) == 144, "operand.beside");
static_assert(offsetof(ropejit_statistic, head_stride) == 16 && sizeof(ropejit_statistic) == 24, "ropejit_statistic");
static_assert(offsetof(ropejit_operand, norm_statistic) == 184, "operand.norm_statistic");
static_assert(offsetof(ropejit_operand, norm_statistic_out) == 208, "operand.norm_statistic_out");
static_assert(offsetof(ropejit_operand, norm_bias) == 232, "operand.norm_bias");
static_assert(offsetof(ropejit_operand, bias) == 240, "operand.bias");
static_assert(offsetof(ropejit_operand, head_scales) == 248, "operand.head_scales");
static_assert(offsetof(ropejit_operand, group_stride) == 256, "operand.group_stride");
static_assert(offsetof(ropejit_operand, out_group_stride) == 264, "operand.out_group_stride");
static_assert(sizeof(ropejit_page_table) == 48, "ropejit_page_table");
static_assert(offsetof(ropejit_operand, page_table) == 272, "operand.page_table");
static_assert(offsetof(ropejit_operand, split_stride) == 320, "operand.split_stride");
static_assert(sizeof(ropejit_operand) == 328, "ropejit_operand");

ropejit_status ropejit_test_session_in_c(const char* spec_json, float* q, int64_t tokens);

/* Rotates q in place from position 0; the code of the first call that failed. */
ropejit_status ropejit_test_session_in_c(const char* spec_json, float* q, int64_t tokens) {
  ropejit_service* service = NULL;
  ropejit_kernel* kernel = NULL;
  ropejit_args args = ropejit_args_default();
  ropejit_status status = ropejit_service_create("{\"device\": \"host\", \"cache_dir\": \"\"}", &service);
  if (status == ROPEJIT_OK) status = ropejit_get(service, spec_json, "{\"positions\": \"start\"}", &kernel);
  /* Kernels outlive the service that made them. */
  ropejit_service_release(service);
  args.q = ropejit_contiguous(q);
  args.position_source = ROPEJIT_POSITIONS_START;
  args.tokens = tokens;
  if (status == ROPEJIT_OK) status = ropejit_launch(kernel, &args, NULL);
  ropejit_kernel_release(kernel);
  return status;
}
