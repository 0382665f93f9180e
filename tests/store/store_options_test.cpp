#include "store/store_options.hpp"

#include "ropejit/error.hpp"
#include "store/key_lock.hpp"
#include "support/catch.hpp"
#include "support/scoped_variable.hpp"

using namespace ropejit::internal;
using ropejit::test::ScopedVariable;

namespace {

const char* const kNames[] = {"ROPEJIT_CACHE_PATH", "ROPEJIT_TRUST", "ROPEJIT_CACHE_MAX_BYTES", "ROPEJIT_CACHE_MAX_AGE",
                              "ROPEJIT_LOCK_TIMEOUT_MS"};

}  // namespace

TEST_CASE("Without variables, or with empty ones, a store has its defaults") {
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    const ScopedVariable a(kNames[0], value), b(kNames[1], value), c(kNames[2], value), d(kNames[3], value),
        e(kNames[4], value);
    const StoreOptions options = store_options("/mine");
    CHECK(options.directory == "/mine");
    CHECK(options.read_only.empty());
    CHECK(to_string(options.trust) == "owner");
    CHECK(options.limits.max_bytes == std::uint64_t{1} << 30);
    CHECK_FALSE(options.limits.max_age);
    CHECK(lock_timeout() == std::chrono::seconds(10));
  }
}

TEST_CASE("Variables say what a store is made of") {
  const ScopedVariable path(kNames[0], ":/one::/two:relative:"), trust(kNames[1], "gid:7"), bytes(kNames[2], "4G"),
      age(kNames[3], "30"), timeout(kNames[4], "0");
  const StoreOptions options = store_options("");
  CHECK(options.read_only == std::vector<std::string>{"/one", "/two", "relative"});
  CHECK(options.trust.kind == Trust::Kind::group);
  CHECK(options.limits.max_bytes == std::uint64_t{4} << 30);
  CHECK(options.limits.max_age == std::chrono::hours(720));
  CHECK(lock_timeout().count() == 0);
}

TEST_CASE("Numbers of bytes have units, and an end") {
  CHECK(byte_count("x", "0") == 0);
  CHECK(byte_count("x", "1023") == 1023);
  CHECK(byte_count("x", "1K") == 1024);
  CHECK(byte_count("x", "3M") == std::uint64_t{3} << 20);
  CHECK(byte_count("x", "1023T") == std::uint64_t{1023} << 40);
}

TEST_CASE("A variable that is not as it should be is one line that names it") {
  struct Row {
    const char* name;
    const char* value;
  };
  const Row rows[] = {
      {kNames[1], "me"},       {kNames[2], "G"},     {kNames[2], "-1"}, {kNames[2], "4g"},
      {kNames[2], "1024T"},    {kNames[2], "1.5G"},  {kNames[2], " 1"}, {kNames[2], "99999999999999999999"},
      {kNames[3], "0"},        {kNames[3], "36501"}, {kNames[3], "1d"}, {kNames[4], "-1"},
      {kNames[4], "86400001"}, {kNames[4], "1s\n"}};
  for (const Row& row : rows) {
    const ScopedVariable variable(row.name, row.value);
    INFO(row.name << "=" << row.value);
    try {
      static_cast<void>(store_options("/mine"));
      static_cast<void>(lock_timeout());
      FAIL("no error");
    } catch (const ropejit::Error& error) {
      const std::string message = error.what();
      CHECK(error.code() == ropejit::ErrorCode::invalid_argument);
      CHECK(message.find(std::string(row.name) + ": found ") != std::string::npos);
      CHECK(message.find('\n') == std::string::npos);
    }
  }
}
