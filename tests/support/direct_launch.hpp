// A launch that is told and answered in bits of elements, in memory of its own: for numbers that a test makes itself,
// where the random ones of NumericCase do not do.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "launch/prepared_kernel.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "ropejit/tensor.hpp"
#include "verify/comparison.hpp"
#include "verify/element.hpp"

namespace ropejit::test {

using Bits = std::vector<internal::ElementBits>;

/// Tensors are [tokens, heads, head_dim] without gaps; caches [places, heads, head_dim], whatever the size of a page.
struct DirectCase {
  RopeSpec spec;
  LaunchForm form;
  std::vector<std::int64_t> positions;                              ///< one for every token (ids64 alone)
  Bits q, k, v;                                                     ///< empty: left out
  Bits q_weight, k_weight, v_weight;                                ///< of norms, as many as they have
  Bits q_norm_bias = {}, k_norm_bias = {}, v_norm_bias = {};        ///< as many
  Bits q_bias = {}, k_bias = {}, v_bias = {};                       ///< [heads, head_dim]
  Bits q_head_scales = {}, k_head_scales = {}, v_head_scales = {};  ///< of fp32
  /// Of norms of a given statistic, r or the sum: of fp32, [tokens, heads], or of norms over the token [tokens].
  Bits q_r, k_r, v_r;
  Bits cos, sin;  ///< for AngleSource::half: row p is position p's
  /// For forms with slots64, of k and v alike.
  std::vector<std::int64_t> slots;
  std::int64_t block_size = 0;
  std::int64_t slot_count = kEveryToken;
  Bits k_cache, v_cache;  ///< as they are before

  std::int64_t tokens() const { return static_cast<std::int64_t>(positions.size()); }
  /// The same with `count` of its tokens alone, from `first` on.
  DirectCase part(std::int64_t first, std::int64_t count) const;
};

/// What was written, in the types that it was written in. Of k and v with slots the caches.
struct DirectResult {
  Bits q, k, v;
  Bits q_r = {}, k_r = {}, v_r = {};  ///< what norms handed out, as those that are given
  friend bool operator==(const DirectResult&, const DirectResult&) = default;
};

/// Checks that the launch is taken.
DirectResult launch_direct(const internal::PreparedKernel& kernel, const DirectCase& given);

/// q and k of a result against the oracle, and v where there is one, where none goes to a cache.
internal::Comparison compare_direct(const DirectCase& given, const DirectResult& result);

Bits encoded(DType dtype, const std::vector<double>& values);
std::vector<double> decoded(DType dtype, const Bits& bits);
/// Normal numbers of that deviation around `middle`.
Bits random_elements(std::mt19937_64& random, DType dtype, std::int64_t count, double deviation = 1, double middle = 0);
/// q, k, v, weights and scales around 1 and biases around 0, as the spec has them.
void fill_direct(std::mt19937_64& random, DirectCase& given, double deviation = 1);

/// Elements as they lie in memory, and back.
std::vector<unsigned char> bytes_of(DType dtype, const Bits& bits);
Bits bits_of(DType dtype, const std::vector<unsigned char>& bytes);

}  // namespace ropejit::test
