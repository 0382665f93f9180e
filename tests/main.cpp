// Catch2 version 3 brings its main function in a library (Catch2WithMain); version 2 makes it here.
#if !__has_include(<catch2/catch_all.hpp>)
// g++ 12 with -fsanitize=address takes std::regex, which Catch2 uses, for uninitialised.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
