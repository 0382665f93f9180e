// Catch2 of either generation: Ubuntu 24.04 has version 3, Debian 12 version 2. Test code uses what both have.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;  // as version 2 has it
#else
#include <catch2/catch.hpp>
#endif
