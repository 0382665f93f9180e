#include <optional>
#include <string>

#include "store/store_options.hpp"
#include "support/catch.hpp"
#include "support/scoped_variable.hpp"

using ropejit::internal::cache_directory;
using ropejit::test::ScopedVariable;

TEST_CASE("The cache directory is the first that is set of option, variable, XDG and home") {
  struct Case {
    std::optional<std::string> option;
    const char* own;
    const char* xdg;
    const char* home;
    std::string expected;
  };
  const Case cases[] = {
      {"/option", "/own", "/xdg", "/home/u", "/option"},
      {"", "/own", "/xdg", "/home/u", ""},
      {"relative", nullptr, nullptr, nullptr, "relative"},
      {{}, "/own", "/xdg", "/home/u", "/own"},
      {{}, "own/relative", "/xdg", "/home/u", "own/relative"},
      {{}, "", "/xdg", "/home/u", "/xdg/ropejit"},
      {{}, nullptr, "/xdg", "/home/u", "/xdg/ropejit"},
      {{}, nullptr, "/xdg", nullptr, "/xdg/ropejit"},
      {{}, nullptr, "xdg/relative", "/home/u", "/home/u/.cache/ropejit"},
      {{}, nullptr, "", "/home/u", "/home/u/.cache/ropejit"},
      {{}, nullptr, nullptr, "/home/u", "/home/u/.cache/ropejit"},
      {{}, nullptr, nullptr, "", ""},
      {{}, nullptr, nullptr, "home/relative", ""},
      {{}, nullptr, nullptr, nullptr, ""},
      {{}, "", "", "", ""},
  };
  for (const Case& c : cases) {
    const ScopedVariable own("ROPEJIT_CACHE_DIR", c.own);
    const ScopedVariable xdg("XDG_CACHE_HOME", c.xdg);
    const ScopedVariable home("HOME", c.home);
    INFO("expected " << c.expected);
    CHECK(cache_directory(c.option) == c.expected);
  }
}
