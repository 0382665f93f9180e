// What a kernel's code depends on, field by field, said once: the class's text and with it every hash and key, the
// configuration that generated source has, the kernel's name and the generic kernel's plan are walks over this list.
#pragma once

#include <llvm/ADT/ArrayRef.h>

#include <cstdint>
#include <string>
#include <vector>

#include "spec/plan.hpp"

namespace ropejit::internal {

struct ClassField {
  const char* config = nullptr;  ///< member of KernelConfig (templates/config.cuh) and of GenericPlan; null: in neither
  std::string value;             ///< as KernelConfig is initialised with it
  std::vector<std::uint32_t> numbers;  ///< the same as words of GenericPlan: enumerators by their numbers
  std::string text;                    ///< in the class's text: " padding=zero"; mostly empty for a default
  std::string name;                    ///< in the kernel's name: "_padzero"
};

/// In the order of the class's text, which is that of KernelConfig and GenericPlan too.
std::vector<ClassField> class_fields(const KernelClass& kernel_class);

/// The words of one operand in GenericPlan.
std::vector<std::uint32_t> operand_numbers(const PlanOperand& operand);

}  // namespace ropejit::internal
