/* A program of a later version that asks for what this one does not have. */
#define CALLER abi_next_last_caller
#define CALLER_NAME "a later version, next_last set"
#define FILL_MORE(args) (args).next_last = INT64_MIN
#include "service/abi/next_caller.c"
