/* Runs the halves that were linked in; status 0: all is right. */
#include <stdio.h>

#include "consumer.h"

int main(void) {
  const int c = rotate_in_c();
  printf("C %s", c == 0 ? "right" : "wrong");
#ifdef WITH_CPP
  const int cpp = rotate_in_cpp();
  printf(", C++ %s", cpp == 0 ? "right" : "wrong");
#else
  const int cpp = 0;
#endif
  printf("\n");
  return c != 0 || cpp != 0;
}
