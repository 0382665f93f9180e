// The command line of one command: a table of its options, and what was given. Everything wrong throws
// ropejit::Error{invalid_argument} with one line that names the option, what was found and what is allowed.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ropejit/error.hpp"

namespace ropejit::internal {

/// Bad usage or bad input: a line that names the option, what was found and what is allowed.
template <typename... Words>
Error bad_argument(fmt::format_string<Words...> line, Words&&... words) {
  return {ErrorCode::invalid_argument, "arguments", fmt::format(line, std::forward<Words>(words)...)};
}

struct Flag {
  std::string name;   ///< with its dashes: "--tokens"
  std::string value;  ///< what a value is called in the help: "N"; empty: a switch, which takes none
  std::string help;   ///< one line, with the default
};

/// The flags of all lists, in order.
std::vector<Flag> joined(std::initializer_list<std::vector<Flag>> lists);

class Arguments {
 public:
  /// `words`: what follows the command's name. `--flag value` and `--flag=value` mean the same; a value that begins
  /// with two dashes needs the second form. At most `max_positional` words may be without a flag.
  Arguments(std::string_view command, const std::vector<Flag>& flags, const std::vector<std::string_view>& words,
            std::size_t max_positional = 0);

  /// `flag` was given. Asking for a flag that is not in the command's table is a defect and throws internal.
  bool has(std::string_view flag) const;
  std::optional<std::string> text(std::string_view flag) const;
  /// The value as a whole number from `least` to `most`, or `otherwise` where the flag was not given.
  std::int64_t integer(std::string_view flag, std::int64_t otherwise, std::int64_t least, std::int64_t most) const;
  /// The value as whole numbers with commas between them, "1,64,4096"; none where the flag was not given.
  std::vector<std::int64_t> integers(std::string_view flag, std::int64_t least, std::int64_t most) const;
  /// The place of the value among `allowed`, or nothing where the flag was not given.
  std::optional<std::size_t> choice(std::string_view flag, const std::vector<std::string_view>& allowed) const;
  /// The value of a flag that must be given; `example` is a value to show.
  std::string required(std::string_view flag, std::string_view example) const;

  const std::vector<std::string>& positional() const { return positional_; }

 private:
  void expect_known(std::string_view flag) const;

  std::vector<Flag> flags_;
  std::map<std::string, std::string, std::less<>> given_;
  std::vector<std::string> positional_;
};

}  // namespace ropejit::internal
