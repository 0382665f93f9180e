/* The program itself, in the words of whichever ropejit.h was included before. CALLER is what its abi_caller is called,
 * and CALLER_NAME its name in words; FILL_MORE(args), where there is one, sets what the version has beyond the first.
 * WITH_OPERANDS: the version has them, and the program uses them; FILL_OPERANDS(operands), where there is one, sets
 * what it has beyond the first that had any. */
#include <string.h>

#include "service/abi/caller.h"

static const int64_t constants[] = {
    ROPEJIT_OK,
    ROPEJIT_INVALID_ARGUMENT,
    ROPEJIT_PARSE_ERROR,
    ROPEJIT_UNSUPPORTED,
    ROPEJIT_DEVICE_UNAVAILABLE,
    ROPEJIT_COMPILE_FAILED,
    ROPEJIT_LOAD_FAILED,
    ROPEJIT_LAUNCH_FAILED,
    ROPEJIT_IO_ERROR,
    ROPEJIT_NOT_PREPARED,
    ROPEJIT_INTERNAL,
    ROPEJIT_POSITIONS_START,
    ROPEJIT_POSITIONS_IDS32,
    ROPEJIT_POSITIONS_IDS64,
    ROPEJIT_CONTIGUOUS,
    sizeof(ropejit_tensor),
};

static ropejit_args args_of(const abi_launch* launch) {
  ropejit_args args = ropejit_args_default();
#ifndef WITH_OPERANDS
  args.q = ropejit_contiguous(launch->q);
  args.k = ropejit_contiguous(launch->k);
  args.q_out = ropejit_contiguous(launch->q_out);
  args.k_out = ropejit_contiguous(launch->k_out);
#endif
  if (launch->ids == NULL) {
    args.position_source = ROPEJIT_POSITIONS_START;
  } else {
    args.position_source = launch->wide_ids ? ROPEJIT_POSITIONS_IDS64 : ROPEJIT_POSITIONS_IDS32;
  }
  args.position_ids = launch->ids;
  if (launch->id_stride >= 0) args.position_batch_stride = launch->id_stride;
  args.first_position = launch->first;
  args.batch = launch->batch;
  args.tokens = launch->tokens;
#ifdef FILL_MORE
  FILL_MORE(args);
#endif
  return args;
}

static int launch_once(const abi_launch* launch) {
  ropejit_service* service = NULL;
  ropejit_kernel* kernel = NULL;
  ropejit_status status = ropejit_service_create("{\"device\": \"host\", \"cache_dir\": \"\"}", &service);
  if (status == ROPEJIT_OK) status = ropejit_get(service, launch->spec, launch->form, &kernel);
  if (status == ROPEJIT_OK) {
    /* In memory of just that size: a library that reads on is seen by the address sanitizer. */
    ropejit_args args = args_of(launch);
#ifdef WITH_OPERANDS
    const ropejit_operand filled[] = {ropejit_operand_of(ROPEJIT_K, launch->k, launch->k_out),
                                      ropejit_operand_of(ROPEJIT_Q, launch->q, launch->q_out)};
    ropejit_operand* const operands = malloc(sizeof filled);
    memcpy(operands, filled, sizeof filled);
#ifdef FILL_OPERANDS
    FILL_OPERANDS(operands);
#endif
    args.operands = operands;
    args.operand_count = 2;
#endif
    ropejit_args* const copy = malloc(sizeof args);
    *copy = args;
    status = ropejit_launch(kernel, copy, NULL);
    free(copy);
#ifdef WITH_OPERANDS
    free(operands);
#endif
  }
  ropejit_kernel_release(kernel);
  ropejit_service_release(service);
  return status;
}

#ifdef WITH_OPERANDS
#define OPERAND_SIZE sizeof(ropejit_operand)
#else
#define OPERAND_SIZE 0
#endif

extern const abi_caller CALLER;
const abi_caller CALLER = {
    CALLER_NAME, sizeof(ropejit_args), OPERAND_SIZE,
    launch_once, ropejit_last_error,   sizeof constants / sizeof constants[0],
    constants,
};
