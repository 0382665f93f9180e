// What is done to each operand of a case, in order and with which numbers, and where it goes.
#pragma once

#include <llvm/Support/JSON.h>

#include <string>

#include "ropejit/spec.hpp"
#include "spec/plan.hpp"

namespace ropejit::internal {

/// The attribute "operands" of the object that is open.
void add_operands(llvm::json::OStream& out, const RopeSpec& spec, const KernelClass& kernel_class);

/// The same for people, a line for each operand and each stage, and an empty one at the end; nothing where all that
/// happens is that every operand rotates, or is copied.
std::string operands_text(const RopeSpec& spec, const KernelClass& kernel_class);

}  // namespace ropejit::internal
