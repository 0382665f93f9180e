/* A rotation and an error through the C ABI. */
#include "consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ropejit/ropejit.h"

/* Names of libraries that are inside ropejit: these are this program's own, and ropejit must neither call them nor
 * stand in their way. */
int sodium_init(void);
int crypto_sign_verify_detached(void);
void llvm_blake3_hasher_init(void);
int sodium_init(void) { abort(); }
int crypto_sign_verify_detached(void) { abort(); }
void llvm_blake3_hasher_init(void) { abort(); }

int rotate_in_c(void) {
  static const char spec[] =
      "{\"schema\": 1, \"dtype\": \"fp32\", \"rotary_dim\": 64, \"q\": {\"heads\": 2, \"head_dim\": 64}}";
  static float q[3 * 2 * 64]; /* [tokens, heads, head_dim] */
  ropejit_service* service = NULL;
  ropejit_kernel* rope = NULL;
  ropejit_args args = ropejit_args_default();
  int failed = 1;
  size_t i;

  for (i = 0; i < sizeof q / sizeof q[0]; ++i) q[i] = 1;
  args.q = ropejit_contiguous(q);
  args.position_source = ROPEJIT_POSITIONS_START;
  args.tokens = 3;
  if (ropejit_service_create("{\"device\": \"host\"}", &service) == ROPEJIT_OK &&
      ropejit_get(service, spec, "{\"positions\": \"start\"}", &rope) == ROPEJIT_OK &&
      ropejit_launch(rope, &args, NULL) == ROPEJIT_OK) {
    /* cos 1 - sin 1, of token 1 */
    failed = q[2 * 64] < -0.301170f || q[2 * 64] > -0.301167f;
  } else {
    fprintf(stderr, "%s\n%s\n", ropejit_last_error(), ropejit_last_log());
  }
  ropejit_kernel_release(rope);
  if (ropejit_get(service, "{\"schema\": 1}", NULL, &rope) == ROPEJIT_OK || strlen(ropejit_last_error()) == 0)
    failed = 1;
  ropejit_service_release(service);
  return failed;
}
