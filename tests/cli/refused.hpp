// What bad input comes to: status 2 and one line on stderr, with nothing printed.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "support/catch.hpp"

namespace ropejit::test {

/// The words of one command line, or of a message.
using Words = std::vector<std::string>;

inline Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// The line has all of these in it.
inline void check_refused(const Finished& finished, const Words& said) {
  INFO("stdout: " << finished.out << "\nstderr: " << finished.err);
  CHECK(finished.status == 2);
  CHECK(finished.out.empty());
  CHECK(finished.err.rfind("ropejit: ", 0) == 0);
  CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
  CHECK((!finished.err.empty() && finished.err.back() == '\n'));
  for (const std::string& part : said) {
    INFO("wanted: " << part);
    CHECK(holds(finished.err, part));
  }
}

}  // namespace ropejit::test
