// All of ropejit's C++ API. Headers need C++17 and the standard library, nothing else.
#pragma once

#include "ropejit/axes.hpp"     // IWYU pragma: export
#include "ropejit/error.hpp"    // IWYU pragma: export
#include "ropejit/form.hpp"     // IWYU pragma: export
#include "ropejit/model.hpp"    // IWYU pragma: export
#include "ropejit/options.hpp"  // IWYU pragma: export
#include "ropejit/presets.hpp"  // IWYU pragma: export
#include "ropejit/scaling.hpp"  // IWYU pragma: export
#include "ropejit/service.hpp"  // IWYU pragma: export
#include "ropejit/spec.hpp"     // IWYU pragma: export
#include "ropejit/tensor.hpp"   // IWYU pragma: export
#include "ropejit/version.hpp"  // IWYU pragma: export
