// Where the tokens of a NumericCase stand, from the words of ropejit/tensor.hpp and form.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "ropejit/tensor.hpp"
#include "support/arena.hpp"
#include "support/numeric_case.hpp"

namespace ropejit::test {

/// Of token s of sequence b, one number for each axis.
std::vector<std::int64_t> positions_of(const NumericCase& given, std::int64_t b, std::int64_t s);

/// Of ragged ones, the sequence that token `s` is in.
std::int64_t sequence_of(const NumericCase& given, std::int64_t s);

/// The number in the whole sequence of token `s` of those `count` that a rank holds of it.
std::int64_t token_of_whole(const NumericCase& given, std::int64_t count, std::int64_t s);

/// Uploads ids, offsets and lengths.
Positions launch_positions(const NumericCase& given, Inputs& inputs);

}  // namespace ropejit::test
