// Specs and forms as parts of a larger JSON document.
#pragma once

#include <initializer_list>
#include <string_view>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// What RopeSpec::from_json reads, but for "schema", which is the document's; validated. `other_keys` are the caller's
/// and may be there too. Throws as from_json does; messages have the reader's prefix, but for those of validate().
RopeSpec read_spec(const ObjectReader& reader, std::initializer_list<std::string_view> other_keys = {});

/// What LaunchForm::from_json reads, likewise.
LaunchForm read_form(const ObjectReader& reader, std::initializer_list<std::string_view> other_keys = {});

/// Throws Error{invalid_argument} naming the first field that is out of range by itself.
void validate_form(const LaunchForm& form);

}  // namespace ropejit::internal
