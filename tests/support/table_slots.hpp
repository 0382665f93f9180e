// The slots that the tokens of a NumericCase have by its page tables, from the words of ropejit/tensor.hpp and
// form.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "support/numeric_case.hpp"

namespace ropejit::test {

inline bool is_page_table(CacheRows kind) { return kind == CacheRows::page_lists || kind == CacheRows::block_table; }

/// For every token: -1 for none in silence, the capacity for what is missing and reported.
std::vector<std::int64_t> slots_of_k(const NumericCase& given);
std::vector<std::int64_t> slots_of_v(const NumericCase& given);

}  // namespace ropejit::test
