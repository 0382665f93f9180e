// What attention does to q, k and v between their projections and its cache, beside the rotation: norms, constants,
// clamps and factors of the position, and which layers take k and v from others.
#pragma once

#include <llvm/ADT/StringRef.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hf/family.hpp"
#include "ropejit/model.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// The layer that a prologue is of.
struct HfPrologueLayer {
  llvm::StringRef type;    ///< the language type, for messages
  bool rotates = true;     ///< otherwise q and k go through what else there is
  bool shares_kv = false;  ///< k and v are those of an earlier layer: q is alone
  HfHeads heads{};         ///< of all ranks
};

/// Gives q and k what they go through beside the rotation, and adds v; the rest of the spec is set already. Of
/// ModelOptions, `parity` and `tp` count: with parity, round_after is what transformers rounds; ranks that share a
/// token's heads are given the sum of squares of a norm over all of them. Throws Error{unsupported} where the family's
/// attention has something that this version does not build, or is not known.
void add_hf_prologue(const ObjectReader& config, const HfFamily& family, const HfPrologueLayer& layer,
                     const ModelOptions& options, RopeSpec& spec);

/// How many of the layers, the last ones, take k and v from earlier ones. Throws Error naming the key where it says
/// more than there are.
std::int64_t read_shared_kv_layers(const ObjectReader& config, const HfFamily& family, std::int64_t layers);

/// Whether v of full layers is k as it is projected.
bool is_v_of_k(const ObjectReader& config, const HfFamily& family);

/// One line for each key that speaks of a norm, a constant or a clamp of q, k and v, and that the family's code does
/// not read, where it says another thing than the family does: "use_qk_norm: found true, which ...".
std::vector<std::string> unread_norm_keys(const ObjectReader& config, const HfFamily& family);

}  // namespace ropejit::internal
