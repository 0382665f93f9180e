/* A program of a later version that asks for what this one does not have. */
#define CALLER abi_next_number_caller
#define CALLER_NAME "a later version, next_number set"
#define FILL_MORE(args) (args).next_number = 1
#include "service/abi/next_caller.c"
