/* ropejit in a C program: the same rotation as embed.cpp, through the C API. */
#include <stdio.h>

#include "ropejit/ropejit.h"

int main(void) {
  static const char spec[] =
      "{\"schema\": 1, \"layout\": \"split_half\", \"direction\": \"forward\", \"dtype\": \"fp32\","
      " \"rope_theta\": 10000, \"rotary_dim\": 64, \"q\": {\"heads\": 8, \"head_dim\": 64},"
      " \"k\": {\"heads\": 2, \"head_dim\": 64}}";
  static float q[3 * 8 * 64]; /* [tokens, heads, head_dim] */
  static float k[3 * 2 * 64];
  ropejit_service* service = NULL;
  ropejit_kernel* rope = NULL;
  const ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, q, NULL), ropejit_operand_of(ROPEJIT_K, k, NULL)};
  ropejit_args args = ropejit_args_default();
  int failed = 1;
  size_t i;

  for (i = 0; i < sizeof q / sizeof q[0]; ++i) q[i] = 1;
  for (i = 0; i < sizeof k / sizeof k[0]; ++i) k[i] = 1;

  args.operands = operands;
  args.operand_count = 2;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.tokens = 3;
  if (ropejit_service_create("{\"device\": \"host\"}", &service) == ROPEJIT_OK &&
      ropejit_get(service, spec, "{\"positions\": \"start\"}", &rope) == ROPEJIT_OK &&
      ropejit_launch(rope, &args, NULL) == ROPEJIT_OK) {
    printf("lane 0 of the token at position 1: %.6f (cos 1 - sin 1 = -0.301169)\n", (double)q[8 * 64]);
    failed = 0;
  } else {
    fprintf(stderr, "%s\n%s\n", ropejit_last_error(), ropejit_last_log());
  }
  ropejit_kernel_release(rope);
  ropejit_service_release(service);
  return failed;
}
