// warm and check: makes the binaries of a list, and says which of them are there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "deploy/problems.hpp"
#include "deploy/warm_list.hpp"
#include "store/store.hpp"

namespace ropejit::internal {

/// The `index`-th, from 1 on, of `count` parts of a list. Which part an entry is in depends on its key alone: parts
/// have nothing in common, and together are the whole, on whichever machines and in whichever order they are made.
struct Shard {
  std::uint64_t index = 1;
  std::uint64_t count = 1;

  bool has(std::string_view key) const;
};

/// Reads "2/8". What is wrong goes to `problems`.
Shard read_shard(std::string_view what, std::string_view text, Problems& problems);

/// Leaves only the shard's items in the list.
void keep_shard(WarmList& list, const Shard& shard);

struct WarmFailure {
  std::string entry;
  std::string arch;
  std::string what;    ///< WarmPlan::what
  std::string reason;  ///< one line
  std::string log;     ///< the compiler's; may be empty
};

struct WarmProgress {
  std::size_t total = 0;
  std::size_t present = 0;   ///< entries that were there already
  std::size_t compiled = 0;  ///< entries that were compiled and kept
  std::uint64_t bytes = 0;   ///< the size of the payloads that were kept
  std::vector<WarmFailure> failures;
  bool given_up = false;  ///< warm gave up, and the rest was not begun

  std::size_t done() const { return present + compiled + failures.size(); }
};

struct WarmOptions {
  unsigned jobs = 1;  ///< processes that compile; 1: this one
  /// Called after each binary, on the calling thread; must not throw.
  std::function<void(const WarmProgress&)> progress = {};
};

/// Has each target's compiler loaded. An arch that NVRTC does not know goes to `unknown`, a compiler that is not there
/// to `absent`.
void require_compilers(const WarmList& list, Problems& unknown, Problems& absent);

/// Makes what the store lacks, and writes it there. A failure is told of and the rest goes on; after ten in a row that
/// the directory would not take, or ten processes that were lost, it gives up. Takes no locks: whoever makes the same
/// at the same time writes the same. What a killed one wrote is there. Entries are the same bytes wherever and whenever
/// they are made by the same compiler: their compile_ms is 0.
WarmProgress warm(const WarmList& list, const BinaryStore& store, const WarmOptions& options);

struct MissingItem {
  std::size_t item = 0;  ///< into WarmList::items
  std::string reason;    ///< why the first directory that was looked at has it not
};

/// The items that no directory of the store has, in the list's order. Reads and verifies all others.
std::vector<MissingItem> missing_items(const WarmList& list, const BinaryStore& store);

}  // namespace ropejit::internal
