// What a run of the program printed, as JSON.
#pragma once

#include <llvm/Support/JSON.h>

#include <string>
#include <utility>
#include <vector>

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

/// The string and the number of a key that must be there.
inline std::string text(const llvm::json::Object& object, const char* key) {
  INFO("key " << key);
  const auto value = object.getString(key);
  REQUIRE(value);
  return value->str();
}

inline double number(const llvm::json::Object& object, const char* key) {
  INFO("key " << key);
  const auto value = object.getNumber(key);
  REQUIRE(value);
  return *value;
}

/// A spec that is compiled in a moment.
inline const std::string kSmallSpec =
    R"({"schema":1,"dtype":"bf16","rotary_dim":16,"q":{"heads":3,"head_dim":24,"first_lane":8},)"
    R"("k":{"heads":2,"head_dim":16}})";

/// `ropejit run` of a model on the host target, seven tokens, with its report as JSON.
inline Finished run_json(const Program& program, const std::string& model, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"run", "--model", model, "--device", "host", "--tokens", "7", "--json"});
  return program(more);
}

}  // namespace ropejit::test
