// What a run of the program printed, as JSON.
#pragma once

#include <llvm/Support/JSON.h>

#include "cli/program.hpp"
#include "support/catch.hpp"

namespace ropejit::test {

/// What stdout holds: one JSON value and nothing else.
inline llvm::json::Value parsed(const Finished& finished) {
  INFO("stdout: " << finished.out << "\nstderr: " << finished.err);
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(finished.out);
  if (!value) FAIL(llvm::toString(value.takeError()));
  return *value;
}

inline llvm::json::Object object(const Finished& finished) {
  const llvm::json::Value value = parsed(finished);
  REQUIRE(value.getAsObject() != nullptr);
  return *value.getAsObject();
}

}  // namespace ropejit::test
