#include "cli/arguments.hpp"

#include "ropejit/error.hpp"
#include "support/catch.hpp"

using namespace ropejit;
using internal::Arguments;

namespace {

std::vector<std::int64_t> list(std::string_view text) {
  const std::string word = "--tokens=" + std::string(text);
  return Arguments("x", {{"--tokens", "LIST", ""}}, {word}).integers("--tokens", 1, 2147483647);
}

}  // namespace

TEST_CASE("A list of numbers has commas between them") {
  CHECK(list("1") == std::vector<std::int64_t>{1});
  CHECK(list("64,1,65536") == std::vector<std::int64_t>{64, 1, 65536});
  CHECK(Arguments("x", {{"--tokens", "LIST", ""}}, {}).integers("--tokens", 1, 2).empty());
  for (const char* text : {"", ",", "1,", ",1", "1,,2", "0", "-1", "1e3", "1 ,2", "2147483648"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(list(text), Error);
  }
}
