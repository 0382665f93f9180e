/* A program that is compiled with ropejit.h as it is. */
#include <stdlib.h>

#include "ropejit/ropejit.h"

#define CALLER abi_present_caller
#define CALLER_NAME "the present version"
#define WITH_OPERANDS
#include "service/abi/caller_body.h"
