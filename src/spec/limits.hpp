// The limits of include/ropejit/spec.hpp as values, for validation and for readers of JSON alike.
#pragma once

#include <cstdint>

#include "ropejit/spec.hpp"
#include "support/range.hpp"

namespace ropejit::internal {

inline constexpr IntRange kHeads{1, 65'536};
inline constexpr IntRange kHeadDim{2, 4'096, true};
inline constexpr IntRange kFirstLane{0, 4'094, true};
inline constexpr IntRange kRotaryDim{2, 4'096, true};
/// Lanes of a head that goes through other stages than the rotation: a segment of a warp holds it in registers.
inline constexpr IntRange kStagedHeadDim{2, 1'024, true};
/// What a norm adds to the mean of squares: below 1e-20, squares that underflow in fp32 would count beside it.
inline constexpr PositiveRange kEps{1.0, false, 1e-20};
/// The least root of an l2 norm: below 1e-18 its square is no normal number of fp32.
inline constexpr PositiveRange kL2Eps{1.0, false, 1e-18};
/// How many lanes of each head are normed; 0: all from the first on.
inline constexpr IntRange kNormLanes{0, kStagedHeadDim.max, true};
/// The heads of all ranks that share a token; 0: the operand's own.
inline constexpr IntRange kGlobalHeads{0, kHeads.max};
/// The heads of an operand that is normed over the token, and the lanes of all of them: a block holds them.
inline constexpr IntRange kTokenNormHeads{1, 256};
inline constexpr IntRange kTokenNormLanes{2, 16'384, true};
inline constexpr Fp32Range kClamp{true};
/// A constant that lanes are multiplied by, and a temperature's coefficient.
inline constexpr Fp32Range kScale{};
/// The length past which a temperature grows: positions are exact as far.
inline constexpr IntRange kTemperatureLength{1, std::int64_t{1} << 40};
inline constexpr IntRange kTemperatureOffset{0, 1};
/// How many axes a spec with sections has.
inline constexpr IntRange kAxes{2, 4};
/// How many pairs an axis has.
inline constexpr IntRange kSection{0, kRotaryDim.max / 2};
/// A length in tokens: up to the largest integer that every JSON reader keeps exact.
inline constexpr IntRange kContextLength{1, std::int64_t{1} << 53};
/// An original length in tokens: longrope divides by the logarithm of it.
inline constexpr IntRange kLongRopeContextLength{2, std::int64_t{1} << 53};
inline constexpr PositiveRange kTheta{};
inline constexpr PositiveRange kFactor{};
inline constexpr PositiveRange kFraction{1.0};
inline constexpr PositiveRange kShare{1.0, true};
inline constexpr PositiveRange kMscale{1e6, true};
/// A frequency in radians per position, below 2^kMaxLog2Frequency.
inline constexpr PositiveRange kInvFreq{1e300, true};

/// Above this many bits a frequency is no frequency any more (2^1000 radians per position), nor a double.
inline constexpr double kMaxLog2Frequency = 1000.0;
/// That limit where frequencies are rounded to fp32, which ends at 2^128.
inline constexpr double kMaxLog2FrequencyFp32 = 127.0;

/// An upper bound of log2 of the largest w_i, good to 1e-9: above 0 only for theta or a factor below 1, and for
/// frequencies given one by one. The rule's fields and the axes must be in range.
double log2_largest_frequency(const RopeSpec& spec);

/// int(head_dim * fraction), as Hugging Face computes it. Throws Error{invalid_argument} naming `field` where that is
/// not an even number from 2 to head_dim: "partial_rotary_factor: found 0.25 of head_dim 100, which gives rotary_dim
/// 25, allowed: ...". `fraction` must be of kFraction.
std::int64_t rotary_dim_of_fraction(std::int64_t head_dim, double fraction, const char* field);

}  // namespace ropejit::internal
