// Rotations by Hugging Face transformers' own code, as golden/hf_rotations.json has them (golden/make_hf_rotations.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/model.hpp"
#include "ropejit/spec.hpp"
#include "verify/element.hpp"

namespace ropejit::test {

/// What transformers made of q and k in one dtype: bits, [tokens][heads][rotary_dim], the lanes that rotate alone.
struct GoldenOutputs {
  DType dtype = DType::bf16;
  std::vector<internal::ElementBits> q;
  std::vector<internal::ElementBits> k;
};

struct GoldenRotation {
  std::string name;
  std::int64_t tokens = 0;
  /// Of the tokens; with several axes the tokens' on axis 0, then on axis 1 ...
  std::vector<std::int64_t> positions;

  /// What the script says of the modeling file: layout, lanes, theta, axes, direction, rounding. No scaling: inv_freq
  /// says that.
  RopeSpec stated;
  /// The config as ropejit reads it, but for the head counts, which are the stated ones. Both throw Error where it
  /// cannot be read, and std::runtime_error where the layer does not rotate.
  RopeSpec exact() const { return read(false); }
  RopeSpec parity() const { return read(true); }  ///< ModelOptions::parity

  AngleSource table = AngleSource::full;  ///< how transformers holds cos and sin
  std::vector<float> cos;                 ///< [tokens][pairs]; the attention factor is in them
  std::vector<float> sin;
  std::optional<std::vector<double>> inv_freq;  ///< fp32 numbers, a pair each
  double attention_factor = 1.0;
  std::vector<GoldenOutputs> outputs;  ///< bf16, fp16, fp32

  std::string config;  ///< JSON
  RopeRole role = RopeRole::main;
  std::int64_t layer = 0;              ///< one of that role's
  std::optional<std::int64_t> length;  ///< for rules that depend on one

  /// [tokens, heads, head_dim], in all lanes, as bits of a dtype: what the script fed to transformers.
  std::vector<internal::ElementBits> q_input(DType dtype) const { return input(1, stated.q, dtype); }
  std::vector<internal::ElementBits> k_input(DType dtype) const { return input(2, *stated.k, dtype); }

 private:
  RopeSpec read(bool parity) const;
  std::vector<internal::ElementBits> input(std::uint64_t seed, const Operand& operand, DType dtype) const;
};

/// All cases of the file; throws where it is not as it should be.
std::vector<GoldenRotation> read_golden_rotations();

}  // namespace ropejit::test
