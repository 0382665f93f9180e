/* A program of a later version that asks for what this one does not have. */
#define CALLER abi_next_pointer_caller
#define CALLER_NAME "a later version, next_pointer set"
#define FILL_MORE(args) (args).next_pointer = &(args)
#include "service/abi/next_caller.c"
