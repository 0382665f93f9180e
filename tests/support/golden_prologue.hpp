// q, k and v from a projection to attention as transformers' own models made them, as golden/hf_prologues.json has them
// (golden/make_hf_prologues.py).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/spec.hpp"
#include "verify/element.hpp"

namespace ropejit::test {

/// One of q, k and v, as bits of the case's dtype.
struct GoldenOperand {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::vector<std::string> stages;                    ///< their names, in order; none: there is nothing else
  std::vector<internal::ElementBits> projected = {};  ///< [tokens][heads][head_dim]
  std::vector<internal::ElementBits> made = {};       ///< likewise, as attention gets it
  std::vector<internal::ElementBits> normed = {};     ///< likewise, of norms: what the norm gave
  std::vector<internal::ElementBits> weight = {};     ///< of the norm; empty: it has none
  std::vector<internal::ElementBits> bias = {};       ///< likewise
  std::vector<float> r = {};            ///< of RMS norms: [tokens][heads], or [tokens] of one over all heads
  std::vector<float> head_scales = {};  ///< [heads], where there are such

  bool has_stages() const { return !stages.empty(); }
};

struct GoldenPrologue {
  std::string name;
  std::string config;  ///< JSON
  /// The norm's kind and where it rounds: N1 (x r, and that times w), N2 (1 + w), N3 (the product alone), N4 (the same,
  /// by a power), N5 (no weights), N7 to N9 (LayerNorm), N11 (L2); "none".
  std::string rounding;
  std::int64_t layer = 0;  ///< of the model that the config describes
  DType dtype = DType::bf16;
  std::int64_t tokens = 0;
  std::vector<std::int64_t> positions;
  std::int64_t rotary_dim = 0;
  /// [tokens][pairs], bits of table_dtype: what the model's apply function was given, each pair once
  /// (AngleSource::half); empty where the layer does not rotate.
  std::vector<internal::ElementBits> cos = {};
  std::vector<internal::ElementBits> sin = {};
  DType table_dtype = DType::bf16;
  GoldenOperand q, k, v;

  bool rotates() const { return !cos.empty(); }
  /// The layer's spec as ropejit reads the config with ModelOptions::prologue, in the case's dtype. Text has one
  /// position on all axes, so the spec has one axis. Throws Error where the config cannot be read.
  RopeSpec spec(bool parity) const;
};

/// All cases of the file; throws where it is not as it should be.
std::vector<GoldenPrologue> read_golden_prologues();

}  // namespace ropejit::test
