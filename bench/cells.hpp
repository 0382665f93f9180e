// What is measured: cases (a spec and a form, with a name) at token counts, in named sets.
//
// A case's name says what it is: q heads, k heads and head dim, "r" and the lanes that rotate where not all do; the
// layout ("split_half", "interleaved", or "to_split": interleaved read and split_half written); the dtype; "in" or
// "out" of place; "table" where cos and sin come from the caller as fp32 halves; "norm" where q and k are normed first;
// "append" where k and v go to pages of a cache by slots; and "prologue" where both is so, or the name of a model whose
// prologue has other stages (prologue_models.hpp).
//
//     32-8-128-split_half-bf16-in    16-2-256r64-to_split-fp16-out    8-8-64-split_half-bf16-in-table
//     32-8-128-split_half-bf16-out-prologue
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"

namespace ropejit::bench {

struct Shape {
  std::int64_t q_heads = 0;
  std::int64_t k_heads = 0;  ///< 0: no k
  std::int64_t head_dim = 0;
  std::int64_t rotary_dim = 0;

  friend bool operator==(const Shape&, const Shape&) = default;
};

enum class Arrangement { split_half, interleaved, to_split };
inline constexpr Arrangement kArrangements[] = {Arrangement::split_half, Arrangement::interleaved,
                                                Arrangement::to_split};
std::string_view to_string(Arrangement arrangement);

struct Case {
  Shape shape;
  Arrangement arrangement = Arrangement::split_half;
  DType dtype = DType::bf16;
  Placement placement = Placement::in_place;
  bool table = false;
  bool norm = false;  ///< of q and k
  /// There is a v of as many heads as k; q, k and v are parts of packed rows, and k and v are stored to pages by int64
  /// slots.
  bool append = false;
  std::string_view model = {};  ///< with append: whose stages q, k and v go through; empty: those above

  std::string name() const;
  RopeSpec spec() const;
  LaunchForm form() const;  ///< positions are int64 ids

  /// Whether q and k are changed in all lanes.
  bool is_staged() const { return norm || !model.empty(); }

  /// Heads of a token that are read, and as many written.
  std::int64_t heads() const { return shape.q_heads + shape.k_heads * (append ? 2 : 1); }

  /// Lanes of a head that a launch reads and writes.
  std::int64_t moved_lanes() const;

  friend bool operator==(const Case&, const Case&) = default;
};

struct Cell {
  Case what;
  std::int64_t tokens = 1;

  /// What a launch must read and write of q, k and v; positions, slots and tables come on top.
  std::int64_t bytes() const;

  friend bool operator==(const Cell&, const Cell&) = default;
};

/// The shapes of the sets.
const std::vector<Shape>& shapes();
/// Llama 3's 32 and 8 heads of 128 lanes, in bf16 and in place: what is measured where one shape must stand for all.
Case llama_case();

/// "gate": about a hundred cells of rotations, some of each kind that a target is set for. "quick": a dozen. "full":
/// every shape, layout, dtype and placement at nine sizes. "prologue": norm, rotation and append with Qwen3's heads and
/// with other numbers and widths of heads, and append without a norm. "models": prologues of models with each kind of
/// norm and stage. Cells of a case stand together, each once. Throws Error for other names.
std::vector<Cell> cells_of(std::string_view set);

/// Those of the case `name` where one is called so, else those whose case's name contains it. Throws Error where none
/// is left.
std::vector<Cell> cells_named(const std::vector<Cell>& cells, std::string_view name);

/// Every case of `cells` at these token counts instead.
std::vector<Cell> at_tokens(const std::vector<Cell>& cells, const std::vector<std::int64_t>& tokens);

}  // namespace ropejit::bench
