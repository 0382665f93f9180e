/* Programs that are compiled with a version that is yet to come: tests/CMakeLists.txt makes its header of the present
 * one, with members at the end. One leaves them at their defaults; the others set one each. */
#include <stdlib.h>

#include "ropejit/ropejit.h"

#ifndef CALLER
#define CALLER abi_next_caller
#define CALLER_NAME "a later version"
#endif
#define WITH_OPERANDS
#include "service/abi/caller_body.h"
