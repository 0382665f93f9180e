// The plan: what is computed, with the model lowered away. A KernelClass is all that a kernel's code depends on;
// the data (steps and attention scale) is what its numbers depend on. Two specs with one plan share one binary.
#pragma once

#include <llvm/ADT/STLExtras.h>
#include <llvm/ADT/SmallVector.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "stage.cuh"

namespace ropejit::internal {

/// The tensors of a launch that a kernel may work on, by the names they have in RopeSpec and RopeArgs.
enum class OperandName { q, k, v, gate };
const char* to_string(OperandName name) noexcept;

/// Whether operands of that name do not rotate, and are written out of place always.
constexpr bool is_copied(OperandName name) noexcept { return name == OperandName::v || name == OperandName::gate; }

/// The most operands that a class has: one of each name.
inline constexpr std::size_t kMostOperands = 4;
/// Those that may have stages beside the rotation, and so memory that these read, are the first of the names: q, k, v.
inline constexpr std::size_t kMostStagedOperands = 3;

/// What becomes of a norm's statistic: r is computed, or also written to memory, or read from there; or the sum of
/// squares that it is made of is. Enumerators as those of templates/config.cuh.
enum class StatisticUse { computed, handed_out, given, sum_handed_out, sum_given };
const char* to_string(StatisticUse use) noexcept;

/// What Stage::norm is told that its code depends on. eps is a number of the plan.
struct PlanNorm {
  NormKind kind = NormKind::rms;
  NormSpan span = NormSpan::head;
  NormWeight weights = NormWeight::lanes;
  DType weight = DType::bf16;    ///< element type of weights and biases
  bool plus_one = false;         ///< lanes are multiplied by 1 + w
  bool has_bias = false;         ///< as many biases as weights are added
  std::uint32_t first_lane = 0;  ///< the first lane that is normed
  std::uint32_t lanes = 0;       ///< how many are; 0 of operands that are not normed
  bool round_statistic = false;  ///< r is rounded to the class's dtype (RoundAfter); false for fp32, as all of these
  bool round_normed = false;     ///< x r likewise
  bool round_weighted = false;   ///< (x r) w likewise
  bool round_biased = false;     ///< (x r) w + b likewise
  StatisticUse statistic = StatisticUse::computed;
};

/// What Stage::temperature is told that its code depends on. The rest are numbers of the plan.
struct PlanTemperature {
  bool steps = true;
  bool plus_one = false;   ///< positions count from 1
  bool round_tau = false;  ///< the factor is rounded to the class's dtype
};

/// Numbers of an operand's stages, which launches bring, so that binaries do not depend on them.
struct StageConstants {
  float eps = 0;  ///< of its norm; 0 for a given r
  float clamp = 0;
  float scale = 0;
  float tau_coefficient = 0;
  std::int64_t tau_length = 1;
  float norm_share = 0;  ///< 1 over the lanes that a given sum is of

  friend bool operator==(const StageConstants&, const StageConstants&) = default;
};

/// How the tokens of an operand that goes to rows of a cache are written a second time, to a tensor as they would be
/// without a cache: over themselves, or apart from what is read. Enumerators as those of templates/config.cuh.
enum class Beside { none, in_place, apart };
const char* to_string(Beside beside) noexcept;

/// One written row of lanes of each head: where its lanes come from, what is done to them, and where they go.
struct PlanOperand {
  OperandName name = OperandName::q;
  std::uint32_t heads = 0;                      ///< 1 or more
  std::uint32_t head_dim = 0;                   ///< lanes of a head
  std::uint32_t first_lane = 0;                 ///< the first lane that rotates
  llvm::SmallVector<Stage, MostStages> stages;  ///< in the order in which lanes go through them; empty: they are copied
  PlanNorm norm;                                ///< of operands that are normed
  PlanTemperature temperature;                  ///< of operands that have one
  bool round_bias = false;                      ///< what Stage::bias gives is rounded to the class's dtype (RoundAfter)
  bool round_scale = false;                     ///< what scale and head_scale give likewise
  bool round_rotation = false;                  ///< what was turned likewise
  // The store.
  Placement placement = Placement::in_place;
  DType dtype_out = DType::bf16;     ///< another than the class's dtype out of place only
  CacheRows rows = CacheRows::none;  ///< rows of a cache, out of place only
  Beside beside = Beside::none;      ///< with rows only
  bool has_store = true;             ///< false: of its row nothing but the norm's statistic is written
  /// Its heads lie in groups of so many, which have a stride of their own; 0: all heads have one.
  std::uint32_t group_heads = 0;
  TokenRequests requests = TokenRequests::sequences;  ///< with a page table only, as places
  TokenPlaces places = TokenPlaces::positions;
  /// A head's lanes are written in groups of so many, which have a stride of their own; 0: they are not.
  std::uint32_t split_lanes = 0;

  /// Whether it goes to pages of a cache, by slots or by a table; every launch says their strides.
  bool has_pages() const { return rows == CacheRows::slots32 || rows == CacheRows::slots64 || has_page_table(); }
  bool has_page_table() const { return rows == CacheRows::page_lists || rows == CacheRows::block_table; }
  bool in_place() const { return placement == Placement::in_place; }
  bool is_written_beside() const { return beside != Beside::none; }
  /// Whether lanes are written where they are read, by one store or the other.
  bool writes_over_itself() const { return in_place() || beside == Beside::in_place; }
  bool rotates() const { return llvm::is_contained(stages, Stage::rotate); }
  bool is_normed() const { return llvm::is_contained(stages, Stage::norm); }
  bool has(Stage stage) const { return llvm::is_contained(stages, stage); }
  /// Whether its norm is over all heads of a token.
  bool is_normed_by_token() const { return is_normed() && norm.span == NormSpan::token; }
  bool is_given_statistic() const {
    return norm.statistic == StatisticUse::given || norm.statistic == StatisticUse::sum_given;
  }
  bool hands_out_statistic() const {
    return norm.statistic == StatisticUse::handed_out || norm.statistic == StatisticUse::sum_handed_out;
  }
  /// How many statistics a token has.
  std::uint32_t statistics() const { return norm.span == NormSpan::token ? 1 : heads; }
  /// Whether nothing is done to it: in place, without a stage.
  bool is_idle() const { return in_place() && stages.empty(); }
  /// Whether its stages read StageParams.
  bool reads_stage_numbers() const {
    return has(Stage::bias) || has(Stage::clamp) || has(Stage::scale) || has(Stage::head_scale) ||
           has(Stage::temperature) || (is_normed() && (norm.has_bias || norm.statistic == StatisticUse::sum_given));
  }
  /// Whether lanes that do not rotate are written too. OperandConfig of templates/config.cuh says the same.
  bool writes_whole_rows() const { return !in_place() || changes_still_lanes(); }
  /// The same of the store beside the cache.
  bool writes_whole_rows_beside() const {
    return beside == Beside::apart || (beside == Beside::in_place && changes_still_lanes());
  }
  bool changes_still_lanes() const {
    return llvm::any_of(stages, [](Stage one) { return one != Stage::rotate; });
  }
  /// Whether it has stages beside the rotation, and so goes the way of templates/staged.cuh.
  bool is_staged() const { return changes_still_lanes(); }
  /// Whether it is normed once it has turned.
  bool norms_turned() const {
    const auto* const norming = llvm::find(stages, Stage::norm);
    return norming != stages.end() && llvm::find(stages, Stage::rotate) < norming;
  }
};

/// What cos and sin of a caller's table become: as given; those of the inverse; or, made of length 1, those of a shift,
/// which a negative position turns back (Direction::shift).
enum class TableUse { as_given, inverse, shift };

struct KernelClass {
  Layout layout = Layout::split_half;      ///< the layout that is read
  Layout layout_out = Layout::split_half;  ///< the layout that is written
  std::uint32_t section_pairs = 0;         ///< pairs of a section (Layout::split_sections); all pairs for other layouts
  DType dtype = DType::bf16;
  bool negate_sin = false;  ///< sigma = -1: the adjoint and the inverse
  bool scaled = false;      ///< cos and sin are multiplied by the plan's attention_scale
  Rounding rounding = Rounding::exact;
  bool fp32_angle = false;  ///< the angle is an fp32 product, and the plan's steps the bits of fp32 frequencies
  Sine sine = Sine::polynomial;
  std::uint32_t rotary_dim = 0;
  /// The operands that the spec has, in the order of OperandName. The first is q. Where it does not rotate, none does:
  /// the class then has one pair, so that all of a model's layers that do not rotate share binaries.
  llvm::SmallVector<PlanOperand, kMostOperands> operands;
  /// The axis of each pair; empty where tokens have one position.
  std::vector<std::uint8_t> pair_axes;
  std::uint32_t axes = 1;
  TableUse table_use = TableUse::as_given;
  /// How the kernel is called: `placement`, `k_rows` and `v_rows` are the operands' stores, `norm_statistics` their
  /// norms'; table_dtype is fp32 where angles are computed.
  LaunchForm form;

  bool reads_table() const { return form.angles != AngleSource::computed; }
  /// The operand of that name; null where the class has none.
  const PlanOperand* find(OperandName name) const {
    const auto* const at = llvm::find_if(operands, [name](const PlanOperand& one) { return one.name == name; });
    return at == operands.end() ? nullptr : at;
  }
  bool rotates() const {
    return llvm::any_of(operands, [](const PlanOperand& one) { return one.rotates(); });
  }
  /// Whether some operand has stages beside the rotation: a row's threads then stand in a segment of one warp.
  bool is_staged() const {
    return llvm::any_of(operands, [](const PlanOperand& one) { return one.is_staged(); });
  }
  /// Whether its kernels take PrologueParams: more than a rotation's. KernelConfig of templates/config.cuh says the
  /// same.
  bool is_prologue() const {
    return llvm::any_of(operands, [](const PlanOperand& one) {
      return one.is_staged() || one.has_pages() || one.beside == Beside::apart;
    });
  }
  /// Whether they take StageParams.
  bool has_stage_numbers() const {
    return llvm::any_of(operands, [](const PlanOperand& one) { return one.reads_stage_numbers(); });
  }
  /// Whether some norm is over all heads of a token, all of whose threads then stand in one block.
  bool is_normed_by_token() const {
    return llvm::any_of(operands, [](const PlanOperand& one) { return one.is_normed_by_token(); });
  }
  /// Whether they take GroupParams: the first operand's heads lie in groups.
  bool has_groups() const { return !operands.empty() && operands.front().group_heads != 0; }
  /// How many operands are written to tensors beside their caches. With one, kernels take BesideParams; the second
  /// one's tensor is in StoreParams.
  std::size_t stores_beside() const {
    return static_cast<std::size_t>(
        llvm::count_if(operands, [](const PlanOperand& one) { return one.beside == Beside::apart; }));
  }
  /// Whether they take PageTableParams.
  bool has_page_table() const {
    return llvm::any_of(operands, [](const PlanOperand& one) { return one.has_page_table(); });
  }
  /// Whether they take StoreParams.
  bool has_more_stores() const {
    return stores_beside() > 1 || llvm::any_of(operands, [](const PlanOperand& one) { return one.split_lanes != 0; });
  }
  /// Whether they take StatisticParams: some norm's statistic is read from memory or written there.
  bool has_statistic_in_memory() const {
    return llvm::any_of(operands, [](const PlanOperand& one) { return one.norm.statistic != StatisticUse::computed; });
  }
  /// Whether the layout changes in place, for some operand: a row must be read whole before any of it is written.
  bool by_rows() const {
    return layout != layout_out &&
           llvm::any_of(operands, [](const PlanOperand& one) { return one.rotates() && one.writes_over_itself(); });
  }
  /// Whether cosines and sines are worked out by the shorter polynomial. Sine::polynomial means 1.5e-7; a result of 16
  /// bits, rounded once, asks for less.
  bool short_polynomial() const;

  std::uint32_t pairs() const { return rotary_dim / 2; }

  /// Every field in one line, in a fixed order: the preimage of hashes and keys. Changing it invalidates caches.
  std::string text() const;
  /// The hash of text(): 32 hex digits.
  std::string hash() const;
};

struct RotationPlan {
  KernelClass kernel_class;
  /// Turns per position of each pair, as fractions of 2^64: round(w_i / (2 pi) * 2^64) mod 2^64. For fp32_angle they
  /// are the bits of w_i rounded to fp32. Empty where the kernel reads a table (such plans do not depend on theta and
  /// scaling), and where the scaling depends on a length that is not known yet (needs_length).
  std::vector<std::uint64_t> steps;
  /// The attention scale A, multiplied into cos and sin (as a float); 1 for most rules.
  double attention_scale = 1.0;
  /// The numbers of each operand's stages.
  std::array<StageConstants, kMostOperands> constants{};
  /// The w_i in radians per position, rounded to double: for people to read, not part of the plan's identity.
  std::vector<double> inv_freq;
  bool needs_length = false;  ///< variants with steps in a buffer alone serve it

  /// A hash over class, steps and scale: 32 hex digits.
  std::string hash() const;
};

}  // namespace ropejit::internal
