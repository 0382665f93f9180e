/* A program of a later version that asks for what this one does not have. */
#define CALLER abi_next_operand_caller
#define CALLER_NAME "a later version, next_part of an operand set"
#define FILL_OPERANDS(operands) (operands)[1].next_part = 1
#include "service/abi/next_caller.c"
