#include "cli/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

const Flag* find(const std::vector<Flag>& flags, std::string_view name) {
  const auto found = llvm::find_if(flags, [&](const Flag& flag) { return flag.name == name; });
  return found == flags.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<Flag>& flags) {
  std::vector<std::string_view> names;
  for (const Flag& flag : flags) names.push_back(flag.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::optional<std::int64_t> whole_number(std::string_view text, std::int64_t least, std::int64_t most) {
  const auto number = number_in<std::int64_t>(text);
  return number && *number >= least && *number <= most ? number : std::nullopt;
}

}  // namespace

std::vector<Flag> joined(std::initializer_list<std::vector<Flag>> lists) {
  std::vector<Flag> all;
  for (const std::vector<Flag>& list : lists) llvm::append_range(all, list);
  return all;
}

Arguments::Arguments(std::string_view command, const std::vector<Flag>& flags,
                     const std::vector<std::string_view>& words, std::size_t max_positional)
    : flags_(flags) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word.size() < 2 || word[0] != '-') {
      if (positional_.size() == max_positional) {
        throw bad_argument("{}: found the word {}, allowed: {}", command, quoted(word), names_of(flags_));
      }
      positional_.emplace_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const Flag* flag = find(flags_, name);
    if (flag == nullptr) {
      throw bad_argument("{}: unknown option {}, allowed: {}", command, excerpt(name), names_of(flags_));
    }
    std::string value;
    if (flag->value.empty()) {
      if (equals != std::string_view::npos) throw bad_argument("{}: takes no value, found {}", name, excerpt(word));
    } else if (equals != std::string_view::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < words.size() && words[i + 1].substr(0, 2) != "--") {
      value = words[++i];
    } else {
      throw bad_argument("{}: the value is missing: {} {}", name, name, flag->value);
    }
    if (!given_.emplace(name, value).second) throw bad_argument("{}: given twice", name);
  }
}

void Arguments::expect_known(std::string_view flag) const {
  if (find(flags_, flag) == nullptr) {
    throw Error(ErrorCode::internal, "arguments", fmt::format("{} is not in the table of this command", flag));
  }
}

bool Arguments::has(std::string_view flag) const {
  expect_known(flag);
  return given_.find(flag) != given_.end();
}

std::optional<std::string> Arguments::text(std::string_view flag) const {
  expect_known(flag);
  const auto found = given_.find(flag);
  if (found == given_.end()) return std::nullopt;
  return found->second;
}

std::int64_t Arguments::integer(std::string_view flag, std::int64_t otherwise, std::int64_t least,
                                std::int64_t most) const {
  const std::optional<std::string> given = text(flag);
  if (!given) return otherwise;
  if (const auto number = whole_number(*given, least, most)) return *number;
  throw bad_argument("{}: found {}, allowed: a whole number from {} to {}", flag, quoted(*given), least, most);
}

std::vector<std::int64_t> Arguments::integers(std::string_view flag, std::int64_t least, std::int64_t most) const {
  const std::optional<std::string> given = text(flag);
  std::vector<std::int64_t> numbers;
  if (!given) return numbers;
  for (const std::string_view word : split(*given, ',')) {
    const auto number = whole_number(word, least, most);
    if (!number) {
      throw bad_argument("{}: found {}, allowed: whole numbers from {} to {} with commas between them", flag,
                         quoted(*given), least, most);
    }
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<std::size_t> Arguments::choice(std::string_view flag,
                                             const std::vector<std::string_view>& allowed) const {
  const std::optional<std::string> given = text(flag);
  if (!given) return std::nullopt;
  const auto found = std::find(allowed.begin(), allowed.end(), *given);
  if (found == allowed.end()) {
    throw bad_argument("{}: found {}, allowed: {}", flag, quoted(*given), fmt::join(allowed, ", "));
  }
  return static_cast<std::size_t>(found - allowed.begin());
}

std::string Arguments::required(std::string_view flag, std::string_view example) const {
  std::optional<std::string> given = text(flag);
  if (!given || given->empty()) {
    throw bad_argument("{}: missing; this command needs one, e.g. {} {}", flag, flag, example);
  }
  return *std::move(given);
}

}  // namespace ropejit::internal
