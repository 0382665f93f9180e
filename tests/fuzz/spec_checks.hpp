// What must be true of every spec that a reader accepted, whoever read it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"

namespace ropejit::test {

/// True where `read` came to its end, false where it threw an Error, which must be one line. Nothing else may leave it.
bool accepted(const std::function<void()>& read);

/// It is valid, its JSON reads back as the same spec, and it lowers to a plan that kernels can be generated for, or is
/// refused with an Error.
void check_spec(const RopeSpec& spec);

/// Specs as JSON that have every key of norms and of other stages: words for a mutator, and plans for forms.
std::vector<std::string> staged_specs();

/// The spec lowered for the form, and the source of its kernels; or an Error.
void check_lowering(const RopeSpec& spec, const LaunchForm& form);

}  // namespace ropejit::test
