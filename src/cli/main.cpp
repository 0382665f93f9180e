// ropejit: the program. Finds the command, runs it, and turns whatever is thrown into one line and a status:
// 0 all is well, 1 the job failed, 2 bad usage or bad input.
#include <fcntl.h>
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "ropejit/error.hpp"
#include "ropejit/version.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr int kFailed = 1;
constexpr int kBadInput = 2;

std::vector<Command> all_commands() {
  std::vector<Command> all = {run_command(),     tune_command(),     inspect_command(), diff_command(),
                              source_command(),  variants_command(), compile_command(), info_command(),
                              cache_command(),   warm_command(),     check_command(),   records_command(),
                              explain_command(), doctor_command(),   try_command()};
  for (Command& command : all) command.flags.push_back({"--help", "", "this text"});
  return all;
}

std::string usage() {
  std::string text =
      "ropejit: builds, runs and keeps RoPE kernels made for one model.\n"
      "\n"
      "usage: ropejit COMMAND [--flag value ...]\n"
      "\n";
  for (const Command& command : all_commands()) text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  text +=
      "\n"
      "  ropejit COMMAND --help shows a command's options; ropejit --version the version.\n"
      "\n"
      "example: ropejit run --model Qwen/Qwen3-8B --device auto --tokens 4096\n"
      "\n"
      "Exit status: 0 when all is well, 1 when the job failed, 2 for bad usage or bad input.\n";
  return text;
}

std::string usage(const Command& command) {
  std::string words;
  for (const std::string& word : command.subwords) words += (words.empty() ? " " : "|") + word;
  for (const std::string& file : command.files) words += " " + file;
  std::string text = fmt::format("ropejit {}: {}.\n\nusage: ropejit {}{} [--flag value ...]\n\n", command.name,
                                 command.summary, command.name, words);
  for (const Flag& flag : command.flags) {
    const std::string left = flag.value.empty() ? flag.name : flag.name + " " + flag.value;
    text += fmt::format("  {:<20} {}\n", left, flag.help);
  }
  return text;
}

// How many words may be without a flag.
std::size_t words_allowed(const Command& command) {
  if (!command.files.empty() && command.files.back().ends_with("...]")) return std::numeric_limits<std::size_t>::max();
  return command.files.size() + (command.subwords.empty() ? 0 : 1);
}

int run_command_line(const std::vector<std::string_view>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print(usage());
    return 0;
  }
  if (words[0] == "--version") {
    print(fmt::format("ropejit {}\n", ROPEJIT_VERSION));
    return 0;
  }
  const std::vector<Command> commands = all_commands();
  const auto command = llvm::find_if(commands, [&](const Command& candidate) { return candidate.name == words[0]; });
  if (command == commands.end()) {
    std::string allowed;
    for (const Command& candidate : commands) allowed += (allowed.empty() ? "" : ", ") + candidate.name;
    throw bad_argument("command: found {}, allowed: {}", quoted(words[0]), allowed);
  }
  const std::vector<std::string_view> rest(words.begin() + 1, words.end());
  if (llvm::is_contained(rest, "--help") || llvm::is_contained(rest, "-h")) {
    print(usage(*command));
    return 0;
  }
  const Arguments arguments(command->name, command->flags, rest, words_allowed(*command));
  return command->run(arguments);
}

int report(const Error& error) {
  print_error_line(fmt::format("ropejit: {}", error.what()));
  if (error.code() == ErrorCode::compile_failed && !error.log().empty()) {
    print_error_text(error.log());
    if (error.log().back() != '\n') print_error_text("\n");
  }
  switch (error.code()) {
    case ErrorCode::invalid_argument:
    case ErrorCode::parse_error:
    case ErrorCode::unsupported: return kBadInput;
    default: return kFailed;
  }
}

int guarded_main(const std::vector<std::string_view>& words) noexcept {
  try {
    return run_command_line(words);
  } catch (const Error& error) {
    try {
      return report(error);
    } catch (...) {
      print_error_text("ropejit: out of memory\n");
    }
  } catch (const std::bad_alloc&) {
    print_error_text("ropejit: out of memory\n");
  } catch (const std::exception& error) {
    print_error_text("ropejit: ");
    print_error_line(error.what());
  } catch (...) {
    print_error_text("ropejit: an exception of an unknown type\n");
  }
  return kFailed;
}

// A descriptor that the parent closed would go to the next file opened, and what is printed into that file. Opened
// the wrong way round, so that writing still fails.
void occupy_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) == -1)
      static_cast<void>(::open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY));
  }
}

}  // namespace
}  // namespace ropejit::internal

int main(int argc, char** argv) {
  using namespace ropejit::internal;
  occupy_standard_descriptors();
  // A reader that goes away and a limit on files are errors of write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return guarded_main(std::vector<std::string_view>(argv + std::min(argc, 1), argv + argc));
  } catch (...) {
    return kFailed;
  }
}
