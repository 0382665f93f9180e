// The small parts below the spec: hashes, text for messages, guarded JSON, errors.
#include <clocale>
#include <string>

#include "ropejit/error.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"
#include "support/hash.hpp"
#include "support/json.hpp"
#include "support/json_guard.hpp"
#include "support/text.hpp"

using namespace ropejit;
using namespace ropejit::internal;

TEST_CASE("BLAKE3 gives the published digests") {
  // Test vectors of the BLAKE3 team: the empty input, one zero byte, and "abc".
  CHECK(blake3_hex("", 32) == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  CHECK(blake3_hex(std::string_view("\0", 1), 16) == "2d3adedff11b61f14c886e35afa03673");
  CHECK(blake3_hex("abc", 16) == "6437b3ac38465133ffb63b75273a8db5");
}

TEST_CASE("an excerpt is one line that says what was there") {
  struct Row {
    std::string text;
    std::string expected;
  };
  const Row rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
      {std::string("\0\x1b[31m\x7f", 7), "\\x00\\x1b[31m\\x7f"},
      {"grüße 😀", "grüße 😀"},
      {"\xC2\x85 \xE2\x80\xA8", "\\xc2\\x85 \\xe2\\x80\\xa8"},
      {"\xFF\xC3", "\\xff\\xc3"},
      {std::string(80, 'x'), std::string(80, 'x')},
      {std::string(81, 'x'), std::string(77, 'x') + "..."},
      {std::string(76, 'x') + "üüü", std::string(76, 'x') + "..."},
      {std::string(75, 'x') + "\x01\x01", std::string(75, 'x') + "..."},
  };
  for (const Row& row : rows) {
    CHECK(excerpt(row.text) == row.expected);
    CHECK(excerpt(row.text).size() <= 80);
  }
  CHECK(quoted(std::string(1000, 'y')).size() == 80);
}

TEST_CASE("numbers are grouped by thousands") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(65536) == "65,536");
  CHECK(grouped(-1000) == "-1,000");
  CHECK(grouped(-999) == "-999");
  CHECK(grouped(1234567) == "1,234,567");
}

TEST_CASE("the guard lets bare infinities and NaN through as strings, and nothing inside strings") {
  CHECK(guard_json(R"({"a": Infinity, "b": [-Infinity, NaN], "c": -1})") ==
        R"({"a": "Infinity", "b": ["-Infinity", "NaN"], "c": -1})");
  CHECK(guard_json(R"({"Infinity": "NaN \" -Infinity", "N": "\\"})") ==
        R"({"Infinity": "NaN \" -Infinity", "N": "\\"})");
}

TEST_CASE("the guard counts depth exactly and keys by object") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(guard_json(nested(kMaxJsonDepth)) == nested(kMaxJsonDepth));
  CHECK(ropejit::test::error_of([&] { return guard_json(nested(kMaxJsonDepth + 1)); }));
  const std::string siblings = R"([{"a": {"a": "a"}}, {"a": ["a", "a"]}])";
  CHECK(guard_json(siblings) == siblings);
  CHECK(guard_json(R"({"a": "b", "b": "a"})") == R"({"a": "b", "b": "a"})");
}

TEST_CASE("numbers are read the same under a locale with a decimal comma") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  bool comma = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "ru_RU.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) != nullptr) {
      comma = true;
      break;
    }
  }
  CAPTURE(comma);
  const llvm::json::Object object = parse_json_object(R"({"x": 0.25})");
  CHECK(ObjectReader(object).get_number("x", {}) == 0.25);
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("an object reader tells absent from null from wrong") {
  const llvm::json::Object object =
      parse_json_object(R"({"i": 3, "f": 3.0, "h": 3.5, "n": null, "s": "t", "b": true, "o": {"x": 1}, "a": []})");
  const ObjectReader reader(object, "top.");
  CHECK(reader.get_int("i", {}) == 3);
  CHECK(reader.get_int("f", {}) == 3);
  CHECK(reader.get_number("i", {}) == 3.0);
  CHECK(reader.get_string("s", "") == "t");
  CHECK(reader.find_bool("b") == true);
  CHECK(reader.get_object("o").get_int("x", {}) == 1);
  CHECK(reader.get_object("o").path("x") == "top.o.x");
  CHECK_FALSE(reader.has("n"));
  CHECK_FALSE(reader.find_int("n", {}));
  CHECK_FALSE(reader.find_number("absent", {}));
  CHECK_FALSE(reader.find_object("n"));

  const auto message = [](const auto& call) {
    const auto error = ropejit::test::error_of(call);
    return error ? std::string(error->what()) : std::string("no error");
  };
  CHECK(message([&] {
          return reader.get_int("h", IntRange{1, 9});
        }) == "top.h: found 3.5, allowed: an integer from 1 to 9");
  CHECK(message([&] {
          return reader.get_int("absent", IntRange{2, 4096, true});
        }) == "top.absent: missing, allowed: an even number from 2 to 4,096");
  CHECK(message([&] { return reader.get_number("n", {}); }) == "top.n: found null, allowed: a finite number above 0");
  CHECK(message([&] { return reader.get_number("s", PositiveRange{1}); }) ==
        "top.s: found \"t\", allowed: a number above 0 and at most 1");
  CHECK(message([&] { return reader.get_object("a"); }) == "top.a: found an array, allowed: an object");
  CHECK(message([&] { return reader.find_bool("o"); }) == "top.o: found an object, allowed: true or false");
  CHECK(message([&] {
          reader.reject_unknown_keys({"i", "f", "h", "n", "s", "o"});
          return 0;
        }) == "top.a: found an unknown key, allowed: i, f, h, n, s, o");
}

TEST_CASE("an error carries its code, stage and log, and every code has a name") {
  const Error error(ErrorCode::compile_failed, "compile", "one line", "a\nlog");
  CHECK(error.code() == ErrorCode::compile_failed);
  CHECK(std::string(error.stage()) == "compile");
  CHECK(std::string(error.what()) == "one line");
  CHECK(error.log() == "a\nlog");
  for (int code = 0; code <= 11; ++code) {
    CHECK(std::string(to_string(static_cast<ErrorCode>(code))) != "unknown");
  }
  CHECK(std::string(to_string(static_cast<ErrorCode>(12))) == "unknown");
}

TEST_CASE("a launch status says what happened in one line") {
  CHECK(LaunchStatus{}.message() == "ok");
  CHECK(static_cast<bool>(LaunchStatus{}));
  const LaunchStatus refused{ErrorCode::launch_failed, 700, "the driver refused the launch"};
  CHECK_FALSE(static_cast<bool>(refused));
  CHECK(refused.message() == "launch_failed: the driver refused the launch (driver error 700)");
}
