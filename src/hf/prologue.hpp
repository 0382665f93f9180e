// What attention does to q, k and v before it rotates, beside the rotation: the norms of q and k, and v itself.
#pragma once

#include <llvm/ADT/StringRef.h>

#include <string>
#include <vector>

#include "hf/family.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// Gives q and k their norm, and adds v, which has the heads of k. The rest of the spec is set already. `type`: the
/// language type, for messages. `parity`: round_after is what transformers rounds. Throws Error{unsupported} where the
/// family's attention has something before the rotation that this version does not build, or is not known.
void add_hf_prologue(const ObjectReader& config, const HfFamily& family, llvm::StringRef type, bool parity,
                     RopeSpec& spec);

/// One line for each key that speaks of a norm of q and k, or of a clamp, and that the family's code does not read,
/// where it says another thing than the family does: "use_qk_norm: found true, which ...".
std::vector<std::string> unread_norm_keys(const ObjectReader& config, const HfFamily& family);

}  // namespace ropejit::internal
