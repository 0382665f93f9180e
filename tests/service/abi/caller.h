/* A program of the C ABI, as ropejit_tests runs several of: each is compiled with the header of another version. What
 * is here names nothing of any of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One launch of float tensors [batch, tokens, heads, head_dim] without gaps, on the host. */
typedef struct abi_launch {
  const char* spec;
  const char* form;
  float* q;
  float* k;          /* NULL: none */
  float* q_out;      /* NULL: in place */
  float* k_out;      /* likewise */
  const void* ids;   /* NULL: first, first + 1, ... */
  int wide_ids;      /* not 0: int64_t */
  int64_t id_stride; /* between sequences, in ids; 0: all share one row; -1: the default */
  int64_t first;
  int64_t batch;
  int64_t tokens;
} abi_launch;

/* A version of the ABI, seen from a program that was compiled with its header. */
typedef struct abi_caller {
  const char* name;
  size_t args_size;
  size_t operand_size; /* 0: the version has no operands */
  /* A service, a kernel and a launch; the code of the first call that failed. */
  int (*launch)(const abi_launch* launch);
  const char* (*last_error)(void);
  /* The values of the constants that the first version has, in one order. */
  size_t constant_count;
  const int64_t* constants;
} abi_caller;
