// q and k through the norm and the rotation of transformers' own attention, as golden/hf_prologues.json has them
// (golden/make_hf_prologues.py).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/spec.hpp"
#include "verify/element.hpp"

namespace ropejit::test {

/// One of q and k, as bits of the case's dtype: [tokens][heads][head_dim], but for the weight.
struct GoldenNormed {
  Operand operand;  ///< its heads, head_dim and norm
  std::vector<internal::ElementBits> projected;
  std::vector<internal::ElementBits> weight;  ///< [head_dim]
  std::vector<float> r;                       ///< [tokens][heads]: the reciprocal as the model's norm computed it
  std::vector<internal::ElementBits> normed;
  std::vector<internal::ElementBits> rotated;
};

struct GoldenPrologue {
  std::string name;
  std::string config;  ///< JSON
  DType dtype = DType::bf16;
  std::int64_t tokens = 0;
  std::vector<std::int64_t> positions;
  std::int64_t rotary_dim = 0;
  /// [tokens][pairs], bits of the dtype: what the model's apply function was given, each pair once
  /// (AngleSource::half).
  std::vector<internal::ElementBits> cos;
  std::vector<internal::ElementBits> sin;
  GoldenNormed q;
  GoldenNormed k;

  /// The config as ropejit reads it with ModelOptions::prologue, in the case's dtype. Throws Error where it cannot be
  /// read.
  RopeSpec spec(bool parity) const;
};

/// All cases of the file; throws where it is not as it should be.
std::vector<GoldenPrologue> read_golden_prologues();

}  // namespace ropejit::test
