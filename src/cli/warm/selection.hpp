// What `warm` and `check` are told alike: models, forms, architectures and devices.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "deploy/problems.hpp"
#include "deploy/warm.hpp"
#include "deploy/warm_list.hpp"
#include "store/store.hpp"

namespace ropejit::internal {

/// Exit status of bad input, where several lines have said what is wrong.
inline constexpr int kBadSelection = 2;

/// --manifest, --hf, --recorded, --dtype, --form, --tensor-parallel, --arch, --device-key, --shard.
std::vector<Flag> selection_flags();

struct Selection {
  WarmList list;
  std::size_t models = 0;  ///< models asked for; 0: a recorded file was
  std::size_t asked = 0;   ///< WarmPlans::asked
  Shard shard;
  std::size_t of_all_shards = 0;  ///< entries of all shards; this shard's are in the list, and may be none
  std::vector<std::string> warnings;
};

/// Reads these options; everything wrong goes to `problems`, and the list is empty then. That nothing needs a binary is
/// wrong, too. `store` is the one whose records are followed.
Selection read_selection(const Arguments& arguments, const BinaryStore& store, Problems& problems);

/// Prints each problem on a line of stderr.
void print_problems(const Problems& problems);

/// The `warm` command that makes what the same selection lacks.
std::string warm_command_of(const Arguments& arguments, const BinaryStore& store);

}  // namespace ropejit::internal
