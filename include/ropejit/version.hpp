// Semantic versioning. Before 1.0 a minor release may change the C++ API (a new inline namespace then);
// the C ABI in ropejit.h grows and does not change.
#pragma once

#define ROPEJIT_VERSION_MAJOR 0
#define ROPEJIT_VERSION_MINOR 1
#define ROPEJIT_VERSION_PATCH 0
#define ROPEJIT_VERSION "0.1.0"
