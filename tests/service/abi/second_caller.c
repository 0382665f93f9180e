/* A program that was compiled with the last version of ropejit.h before operands had weights and slots, which is kept
 * beside it as it was. */
#include <stdlib.h>

#include "service/abi/second/ropejit/ropejit.h"

#define CALLER abi_second_caller
#define CALLER_NAME "the second version"
#define WITH_OPERANDS
#include "service/abi/caller_body.h"
