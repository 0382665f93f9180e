// A command of the program: its name, its options and what it does. Each lives in a file of its name.
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.hpp"

namespace ropejit::internal {

struct Command {
  std::string name;
  std::string summary;                ///< one line
  std::vector<Flag> flags;            ///< the program adds --help to them
  std::vector<std::string> subwords;  ///< words allowed after the name, one of which must be given: {"path", "ls"}
  /// Returns the exit status, 0 or 1; throws Error.
  int (*run)(const Arguments& arguments);
  /// What words without a flag are called in the help: {"A", "B"}. A last one with dots, "FILE...", stands for any
  /// number.
  std::vector<std::string> files = {};
};

Command run_command();
Command tune_command();
Command try_command();
Command inspect_command();
Command diff_command();
Command source_command();
Command variants_command();
Command compile_command();
Command info_command();
Command doctor_command();
Command explain_command();
Command cache_command();
Command records_command();
Command warm_command();
Command check_command();

}  // namespace ropejit::internal
