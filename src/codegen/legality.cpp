#include "codegen/legality.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codegen/work.hpp"

namespace ropejit::internal {
namespace {

// Packed registers that one thread holds at once: beyond this a kernel would spill. Less where a block's threads leave
// it fewer registers, and where as many again hold cosines and sines.
constexpr std::uint32_t kMaxWordsHeld = 64;

std::uint32_t most_words_held(const Variant& variant) {
  return variant.threads > 256 || variant.access_bytes > 16 ? kMaxWordsHeld / 2 : kMaxWordsHeld;
}
constexpr std::uint32_t kMaxHeadsPerThread = 32;
// Beyond this the shared family does more work than it saves. It also bounds its memory: 32 KiB of cos and sin.
constexpr std::uint32_t kMaxAnglesPerThread = 4;

// What variant_space tries, simplest first.
constexpr std::array<std::uint32_t, 5> kAccess = {4, 8, 16, 2, 32};
constexpr std::array<std::uint32_t, 8> kHeads = {1, 2, 4, 5, 8, 10, 16, 32};
constexpr std::array<std::uint32_t, 6> kThreads = {128, 64, 32, 256, 512, 1024};

std::uint32_t element_bytes(const KernelClass& kernel_class) {
  return static_cast<std::uint32_t>(size_of(kernel_class.dtype));
}

std::uint32_t most_heads(const KernelClass& kernel_class) {
  std::uint32_t most = 0;
  for (const PlanOperand& operand : kernel_class.operands) most = std::max(most, operand.heads);
  return most;
}

std::string why_row_refuses(const PlanOperand& operand, std::uint32_t element, std::uint32_t access) {
  const char* const name = to_string(operand.name);
  if (operand.head_dim * element % access != 0) {
    return fmt::format("{}.head_dim {} is not a multiple of {} bytes", name, operand.head_dim, access);
  }
  if (operand.first_lane * element % access != 0) {
    return fmt::format("{}.first_lane {} is not a multiple of {} bytes", name, operand.first_lane, access);
  }
  return {};
}

bool has_halves(Layout layout) { return layout != Layout::interleaved; }

// Lanes that rotate and lie side by side must be whole words.
std::string why_lanes_refuse(Layout layout, const KernelClass& kernel_class, std::uint32_t element,
                             std::uint32_t access) {
  const std::uint32_t lanes = layout == Layout::interleaved  ? kernel_class.rotary_dim
                              : layout == Layout::split_half ? kernel_class.pairs()
                                                             : kernel_class.section_pairs;
  if (lanes * element % access == 0) return {};
  return fmt::format("{} lanes that rotate side by side are not a multiple of {} bytes", lanes, access);
}

std::string why_nothing_to_share(const KernelClass& kernel_class) {
  if (kernel_class.is_staged()) return "stages' rows lie in segments of warps, whose threads work out their own angles";
  if (kernel_class.reads_table()) return "the angles come from a table: there is nothing to share";
  if (kernel_class.by_rows()) return "the layout changes in place: a row is read whole before it is written";
  return {};
}

// A block's angles in shared memory, and its threads' share of working them out.
std::string why_not_shared(const KernelClass& kernel_class, const Work& work) {
  if (std::string why = why_nothing_to_share(kernel_class); !why.empty()) return why;
  std::uint32_t tokens = 0;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    if (kernel_class.operands[i].rotates()) tokens = std::max(tokens, work.operands[i].block.tokens);
  }
  const std::uint32_t angles = tokens * kernel_class.pairs();
  if (angles > kMaxAnglesPerThread * work.threads) {
    return fmt::format("a block would work out {} angles, allowed: {} a thread", angles, kMaxAnglesPerThread);
  }
  return {};
}

std::string why_not_lanes(const KernelClass& kernel_class, const RowSplit& split) {
  if (std::string why = why_nothing_to_share(kernel_class); !why.empty()) return why;
  const std::uint32_t angles = (kernel_class.pairs() + 31) / 32;
  if (angles >= split.pairs_per_thread) {
    return fmt::format("a lane would work out {} angles, allowed: fewer than its own {} pairs", angles,
                       split.pairs_per_thread);
  }
  if (split.pairs_per_thread % angles != 0 || kernel_class.pairs() % angles != 0) {
    return fmt::format("a lane would work out {} angles, allowed: a divisor of its own {} pairs and of all {}", angles,
                       split.pairs_per_thread, kernel_class.pairs());
  }
  return {};
}

/// The same of an operand with stages, which holds all of its words, and a weight for each lane that is normed.
std::uint32_t words_of_stages(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand,
                              const OperandWork& work) {
  const RowSplit& row = work.row;
  const std::uint32_t still_words = operand.rotates() ? row.still_words : row.chunks;
  const std::uint32_t still = ceil_divide(still_words, work.block.row_threads) * row.copy_lanes;
  const std::uint32_t rotating = operand.rotates() ? 2 * row.pairs_per_thread * work.block.rounds : 0;
  const std::uint32_t lanes_of_register = 4 / element_bytes(kernel_class);
  const std::uint32_t heads = std::min(variant.heads_per_thread, operand.heads);
  std::uint32_t others = 0;
  // Weights of heads as they lie in memory, those of lanes as numbers.
  if (operand.is_normed() && operand.norm.weights == NormWeight::heads) {
    others = heads * (still + rotating) * static_cast<std::uint32_t>(size_of(operand.norm.weight)) / 4;
  } else if (operand.is_normed() && operand.norm.weights == NormWeight::lanes) {
    others = still + rotating;
  }
  if (operand.norms_turned()) others += rotating;  // turns that are held until the norm
  return (heads * ceil_divide(still + rotating, lanes_of_register)) + others;
}

/// Bytes of shared memory in which rows are handed round for their norm's sum, and heads' sums for the token's. As
/// StagedCut::handed_bytes and sums_of_row of the templates, but that it counts rows that need not be handed round.
std::uint32_t shared_bytes(const KernelClass& kernel_class, const Work& work) {
  std::uint32_t rows = 0;
  std::uint32_t sums = 0;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    const BlockSplit& block = work.operands[i].block;
    if (operand.is_normed_by_token()) sums += 2 * block.tokens * operand.heads * 4;
    if (!operand.is_normed() || operand.is_given_statistic()) continue;
    const std::uint32_t element = operand.norms_turned() ? 4 : element_bytes(kernel_class);
    rows = std::max(rows, work.threads / block.row_threads * ceil_divide(operand.head_dim * element, 32) * 32);
  }
  return rows + sums;
}

/// The shared memory of a block whose size is known when it is compiled.
constexpr std::uint32_t kMostSharedBytes = 48 * 1024;

/// What a norm needs beyond registers.
std::string why_norm_refuses(const PlanOperand& operand, const Work& work, const OperandWork& own) {
  const char* const name = to_string(operand.name);
  const PlanNorm& norm = operand.norm;
  if (norm.first_lane % own.row.copy_lanes != 0 || norm.lanes % own.row.copy_lanes != 0) {
    return fmt::format("{}'s normed lanes are not whole words of {} lanes", name, own.row.copy_lanes);
  }
  if (operand.is_normed_by_token() && own.block.parts > 1) {
    return fmt::format("{}'s norm is over the token, whose {} threads are more than a block's {}", name,
                       own.block.items, work.threads);
  }
  return {};
}

/// Packed registers that a thread of one operand holds at once.
std::uint32_t words_held(const KernelClass& kernel_class, const Variant& variant, const PlanOperand& operand,
                         const OperandWork& work) {
  const RowSplit& row = work.row;
  const std::uint32_t copied_word = std::max(row.copy_lanes * element_bytes(kernel_class) / 4, 1U);
  if (operand.is_staged()) return words_of_stages(kernel_class, variant, operand, work);
  if (!operand.rotates()) return variant.heads_per_thread * copied_word;
  const std::uint32_t rotating =
      variant.heads_per_thread * row.words_per_thread * std::max(variant.access_bytes / 4, 1U) * work.block.rounds;
  return rotating + copies_in_flight(copies_of_thread(row, operand.heads, work.block)) * copied_word;
}

std::string why_norms_refuse(const KernelClass& kernel_class, const Work& work) {
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    if (!operand.is_normed()) continue;
    if (std::string why = why_norm_refuses(operand, work, work.operands[i]); !why.empty()) return why;
  }
  const std::uint32_t bytes = shared_bytes(kernel_class, work);
  if (bytes <= kMostSharedBytes) return {};
  return fmt::format("rows would take {} bytes of shared memory, allowed: {}", bytes, kMostSharedBytes);
}

/// A thread goes from head to head by one step: its heads are whole groups apart.
std::string why_groups_refuse(const KernelClass& kernel_class, const Work& work) {
  if (!kernel_class.has_groups()) return {};
  const RowSplit& row = work.operands.front().row;
  const std::uint32_t group = kernel_class.operands.front().group_heads;
  if (row.heads_per_thread == 1 || row.groups % group == 0) return {};
  return fmt::format("q's heads lie in groups of {}, and those of a thread {} apart, allowed: a multiple of that",
                     group, row.groups);
}

/// A word is written to one group of lanes.
std::string why_split_refuses(const KernelClass& kernel_class, const Work& work) {
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const std::uint32_t split = kernel_class.operands[i].split_lanes;
    const RowSplit& row = work.operands[i].row;
    const bool rotates = kernel_class.operands[i].rotates();
    const std::uint32_t lanes =
        std::max(rotates ? row.out_word_lanes : 1U, !rotates || row.still_words > 0 ? row.copy_lanes : 1U);
    if (split != 0 && lanes > split) {
      return fmt::format("{} lanes of a word would be written to groups of {}", lanes, split);
    }
  }
  return {};
}

/// Whether half the threads would take a row in several rounds, or could not hold a token that is normed as a whole.
/// More than 256 are for such alone.
bool needs_threads(const KernelClass& kernel_class, Variant variant) {
  variant.threads /= 2;
  if (kernel_class.is_normed_by_token() && !why_illegal(kernel_class, variant).empty()) return true;
  if (!kernel_class.by_rows()) return false;
  return rounds_of_rows(kernel_class, work_of(kernel_class, variant)) > 1;
}

}  // namespace

std::string why_illegal(const KernelClass& kernel_class, const Variant& variant) {
  const std::uint32_t element = element_bytes(kernel_class);
  const std::uint32_t access = variant.access_bytes;
  if (!std::has_single_bit(variant.threads) || variant.threads < 32 || variant.threads > 1024) {
    return fmt::format("threads {}, allowed: a power of two from 32 to 1024", variant.threads);
  }
  if (variant.heads_per_thread == 0 ||
      variant.heads_per_thread > std::min(kMaxHeadsPerThread, most_heads(kernel_class))) {
    return fmt::format("heads_per_thread {}, allowed: 1 to {}", variant.heads_per_thread,
                       std::min(kMaxHeadsPerThread, most_heads(kernel_class)));
  }
  if (!std::has_single_bit(access) || access < element || access > 32) {
    return fmt::format("access_bytes {}, allowed: a power of two from {} (one element) to 32", access, element);
  }
  if (variant.buffered_steps && kernel_class.reads_table()) return "the angles come from a table: there are no steps";
  if (variant.family == Family::universal) {
    if (access != element) return fmt::format("the universal entry reads single elements of {} bytes", element);
    const Work work = work_of(kernel_class, variant);
    if (std::string why = why_groups_refuse(kernel_class, work); !why.empty()) return why;
    return why_norms_refuse(kernel_class, work);
  }
  for (const PlanOperand& operand : kernel_class.operands) {
    if (std::string why = why_row_refuses(operand, element, access); !why.empty()) return why;
  }
  const bool rotates = kernel_class.rotates();
  if (rotates) {
    if (std::string why = why_lanes_refuse(kernel_class.layout, kernel_class, element, access); !why.empty())
      return why;
  }
  const Work work = work_of(kernel_class, variant);
  const RowSplit& split = rotating_row(kernel_class, work);
  const std::uint32_t halves = kernel_class.section_pairs;
  if (rotates && halves % split.pairs_per_thread != 0 &&
      (has_halves(kernel_class.layout) || has_halves(kernel_class.layout_out))) {
    return fmt::format("{} pairs of one half are not a multiple of the {} that a thread has", halves,
                       split.pairs_per_thread);
  }
  if (std::string why = why_groups_refuse(kernel_class, work); !why.empty()) return why;
  if (std::string why = why_split_refuses(kernel_class, work); !why.empty()) return why;
  if (std::string why = why_norms_refuse(kernel_class, work); !why.empty()) return why;
  if (!rotates && variant.family != Family::flat) return "nothing rotates: there are no angles to share";
  if (variant.family == Family::shared) {
    if (std::string why = why_not_shared(kernel_class, work); !why.empty()) return why;
  }
  if (variant.family == Family::lanes) {
    if (std::string why = why_not_lanes(kernel_class, split); !why.empty()) return why;
  }
  std::uint32_t held = 0;
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    // A warp holds a row, and one head a thread is the least: of the widest rows that is more than the limit.
    if (operand.is_staged() && variant.heads_per_thread == 1) continue;
    held = std::max(held, words_held(kernel_class, variant, operand, work.operands[i]));
  }
  if (held > most_words_held(variant)) {
    return fmt::format("a thread would hold {} packed registers, allowed: {}", held, most_words_held(variant));
  }
  return {};
}

std::string why_not_in_space(const KernelClass& kernel_class, const Variant& variant, bool wide_accesses) {
  if (variant.family == Family::universal) return "the universal entry is for tensors that break the form's promise";
  if (variant.buffered_steps) return "whether steps come from a buffer is for the scaling to say, not for a search";
  if (variant.access_bytes == 32 && !wide_accesses) return "accesses of 32 bytes are single ones since sm_100 alone";
  if (std::find(kHeads.begin(), kHeads.end(), variant.heads_per_thread) == kHeads.end()) {
    return fmt::format("heads_per_thread {}, searched: {}", variant.heads_per_thread, fmt::join(kHeads, ", "));
  }
  if (variant.family == Family::lanes && variant.heads_per_thread == 10) {
    return "ten heads in a warp that shares its angles spill on sm_80";
  }
  if (variant.threads > 256 && !needs_threads(kernel_class, variant)) {
    return fmt::format("threads {}, searched: more than 256 only where a row that is read whole needs them",
                       variant.threads);
  }
  return {};
}

std::vector<Variant> variant_space(const KernelClass& kernel_class, bool wide_accesses) {
  std::vector<Variant> space;
  for (const Family family : {Family::flat, Family::lanes, Family::shared}) {
    for (const std::uint32_t access : kAccess) {
      for (const std::uint32_t heads : kHeads) {
        for (const std::uint32_t threads : kThreads) {
          const Variant variant{family, access, heads, threads};
          if (!why_illegal(kernel_class, variant).empty()) continue;
          if (why_not_in_space(kernel_class, variant, wide_accesses).empty()) space.push_back(variant);
        }
      }
    }
  }
  return space;
}

Variant universal_variant(const KernelClass& kernel_class) {
  Variant variant{Family::universal, element_bytes(kernel_class), std::min<std::uint32_t>(4, most_heads(kernel_class)),
                  128};
  if (kernel_class.is_staged()) {
    variant.heads_per_thread = 1;  // a thread holds a thirty-second of a row in single elements
  }
  while (variant.heads_per_thread > 1 && !why_groups_refuse(kernel_class, work_of(kernel_class, variant)).empty()) {
    --variant.heads_per_thread;
  }
  if (kernel_class.by_rows()) {
    // A block holds at least one whole row, of up to 2,048 pairs: two a thread.
    variant.heads_per_thread = 1;
    variant.threads = std::clamp(std::bit_ceil(kernel_class.pairs()), 128U, 1024U);
  }
  // All threads of a token that is normed as a whole stand in one block, and rows that are handed round in its memory:
  // first other numbers of threads, then more heads for each.
  const Variant usual = variant;
  for (; variant.heads_per_thread <= std::min(kMaxHeadsPerThread, most_heads(kernel_class));
       ++variant.heads_per_thread) {
    for (const std::uint32_t threads : {usual.threads, 256U, 512U, 1024U, 64U, 32U}) {
      variant.threads = threads;
      if (why_illegal(kernel_class, variant).empty()) return variant;
    }
  }
  return usual;
}

}  // namespace ropejit::internal
