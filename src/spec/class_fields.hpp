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
  const char* type = nullptr;    ///< the enumeration in config.cuh; "bool"; null: a number
  const char* word = nullptr;    ///< of an enumerator
  std::uint32_t number = 0;      ///< the enumerator's number in config.cuh; of a bool 0 or 1
  std::string text;              ///< its part of the class's text: " padding=zero"; mostly empty for a default
  std::string name;              ///< its part of the kernel's name: "_padzero"
  /// The field is the list of this class's operands, which must outlive it; null: another field.
  const KernelClass* operands = nullptr;

  std::string value() const;                   ///< the text that KernelConfig is initialised with
  std::vector<std::uint32_t> numbers() const;  ///< the words of GenericPlan
};

/// The fields in the order of the class's text, which is that of KernelConfig and GenericPlan too.
std::vector<ClassField> class_fields(const KernelClass& kernel_class);

/// The texts of all fields, after the version of the text.
std::string class_text(llvm::ArrayRef<ClassField> fields);

}  // namespace ropejit::internal
