/* A program that was compiled with the first version of ropejit.h, which is kept beside it as it was. */
#include <stdlib.h>

#include "service/abi/first/ropejit/ropejit.h"

#define CALLER abi_first_caller
#define CALLER_NAME "the first version"
#include "service/abi/caller_body.h"
