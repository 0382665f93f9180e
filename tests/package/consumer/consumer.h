/* What the two halves of the consumer share. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

int rotate_in_c(void);   /* 0: the rotation is right */
int rotate_in_cpp(void); /* the same */

#ifdef __cplusplus
}
#endif
