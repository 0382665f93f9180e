#include "bench/cells.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "bench/prologue_models.hpp"
#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::bench {
namespace {

constexpr Shape kLlama{32, 8, 128, 128};
constexpr Shape kLlama70{64, 8, 128, 128};
constexpr Shape kQwen{28, 4, 128, 128};
constexpr Shape kFalcon{71, 1, 64, 64};
constexpr Shape kQuarter256{16, 2, 256, 64};
constexpr Shape kQuarter96{64, 64, 96, 24};
constexpr Shape kSmall{8, 8, 64, 64};
constexpr Shape kWide1024{1, 0, 1024, 1024};
constexpr Shape kWide4096{1, 0, 4096, 4096};

using Tokens = std::vector<std::int64_t>;

class Set {
 public:
  void add(const Case& what, const Tokens& tokens) {
    for (const std::int64_t count : tokens) {
      const Cell cell{what, count};
      if (std::find(cells_.begin(), cells_.end(), cell) == cells_.end()) cells_.push_back(cell);
    }
  }

  /// A case's binaries serve all of its cells, so those go together.
  std::vector<Cell> take() {
    std::vector<Cell> sorted;
    for (const Cell& first : cells_) {
      if (!sorted.empty() &&
          std::any_of(sorted.begin(), sorted.end(), [&](const Cell& cell) { return cell.what == first.what; })) {
        continue;
      }
      const auto begin = static_cast<std::ptrdiff_t>(sorted.size());
      for (const Cell& cell : cells_) {
        if (cell.what == first.what) sorted.push_back(cell);
      }
      std::sort(sorted.begin() + begin, sorted.end(), [](const Cell& a, const Cell& b) { return a.tokens < b.tokens; });
    }
    return sorted;
  }

 private:
  std::vector<Cell> cells_;
};

constexpr Placement kIn = Placement::in_place;
constexpr Placement kOut = Placement::out_of_place;

std::vector<Cell> gate() {
  Set set;
  for (const Shape& shape : shapes()) {
    set.add({shape, Arrangement::split_half, DType::bf16, kIn}, {1, 64, 1024, 16384});
  }
  // Layouts against each other, and exact angles against a table.
  for (const Arrangement arrangement : kArrangements) {
    set.add({kLlama, arrangement, DType::bf16, kIn}, {1, 256, 1024, 4096, 65536});
    set.add({kLlama, arrangement, DType::bf16, kOut}, {64, 1024, 16384});
  }
  set.add({kLlama, Arrangement::split_half, DType::bf16, kIn, true}, {1, 64, 256, 1024, 4096, 16384, 65536});
  set.add({kSmall, Arrangement::split_half, DType::bf16, kIn, true}, {64, 1024, 16384});
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    set.add({kLlama, Arrangement::split_half, dtype, kIn}, {64, 1024, 16384});
  }
  set.add({kFalcon, Arrangement::split_half, DType::bf16, kOut}, {256, 16384});
  set.add({kQuarter256, Arrangement::split_half, DType::bf16, kOut}, {256, 16384});
  set.add({kQuarter96, Arrangement::split_half, DType::fp16, kOut}, {256, 16384});
  // fairseq2's encoders: batches of 1 to 8 sequences of 2,048 to 16,384.
  for (const Shape& shape : {kWide1024, kWide4096}) {
    for (const Arrangement arrangement : {Arrangement::split_half, Arrangement::interleaved}) {
      for (const DType dtype : {DType::fp32, DType::bf16})
        set.add({shape, arrangement, dtype, kOut}, {2048, 16384, 131072});
    }
  }
  // rope-triton-kernel's: 4 sequences of 128 and of 2,048.
  set.add({kSmall, Arrangement::split_half, DType::fp32, kOut}, {512, 8192});
  return set.take();
}

std::vector<Cell> quick() {
  Set set;
  set.add({kLlama, Arrangement::split_half, DType::bf16, kIn}, {1, 256, 4096, 16384});
  set.add({kLlama, Arrangement::interleaved, DType::bf16, kIn}, {256, 4096});
  set.add({kLlama, Arrangement::to_split, DType::bf16, kOut}, {1024});
  set.add({kLlama, Arrangement::split_half, DType::bf16, kIn, true}, {256});
  set.add({kFalcon, Arrangement::split_half, DType::bf16, kIn}, {256});
  set.add({kQuarter256, Arrangement::split_half, DType::bf16, kIn}, {4096});
  set.add({kQuarter96, Arrangement::split_half, DType::fp16, kIn}, {4096});
  set.add({kWide4096, Arrangement::interleaved, DType::fp32, kOut}, {2048});
  return set.take();
}

std::vector<Cell> full() {
  const Tokens tokens = {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536};
  Set set;
  for (const Shape& shape : shapes()) {
    for (const Arrangement arrangement : kArrangements) {
      for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
        for (const Placement placement : {kIn, kOut}) set.add({shape, arrangement, dtype, placement}, tokens);
      }
    }
    set.add({shape, Arrangement::split_half, DType::bf16, kIn, true}, tokens);
  }
  return set.take();
}

// Qwen3-8B's heads first; then those of its smaller and larger ones, of heads of 64, 96 and 256 lanes, and of lanes
// that do not rotate.
std::vector<Cell> prologue() {
  const Tokens tokens = {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536};
  Set set;
  for (const Shape& shape : {kLlama, Shape{16, 8, 128, 128}, kLlama70, Shape{32, 4, 128, 128}, Shape{16, 8, 64, 64},
                             Shape{32, 32, 96, 96}, Shape{8, 4, 256, 256}, Shape{96, 8, 128, 64}}) {
    set.add({shape, Arrangement::split_half, DType::bf16, kOut, false, true, true}, tokens);
  }
  set.add({kLlama, Arrangement::split_half, DType::bf16, kIn, false, true, true}, {1, 64, 1024, 16384});
  set.add({kLlama, Arrangement::interleaved, DType::bf16, kOut, false, true, true}, {1, 64, 1024, 16384});
  set.add({kLlama, Arrangement::split_half, DType::fp32, kOut, false, true, true}, {1, 64, 1024, 16384});
  // Models without norms, as Llama.
  set.add({kLlama, Arrangement::split_half, DType::bf16, kOut, false, false, true}, tokens);
  set.add({kQwen, Arrangement::split_half, DType::bf16, kIn, false, false, true}, {1, 64, 1024, 16384});
  return set.take();
}

std::vector<Cell> models() {
  Set set;
  for (const PrologueModel& model : prologue_models()) {
    set.add({model.shape, model.arrangement, DType::bf16, kOut, false, false, true, model.name},
            {1, 64, 256, 1024, 4096, 16384});
  }
  return set.take();
}

}  // namespace

std::string_view to_string(Arrangement arrangement) {
  switch (arrangement) {
    case Arrangement::split_half: return "split_half";
    case Arrangement::interleaved: return "interleaved";
    case Arrangement::to_split: return "to_split";
  }
  return "?";
}

std::string Case::name() const {
  const std::string rotating = shape.rotary_dim == shape.head_dim ? "" : fmt::format("r{}", shape.rotary_dim);
  return fmt::format("{}-{}-{}{}-{}-{}-{}{}{}", shape.q_heads, shape.k_heads, shape.head_dim, rotating,
                     bench::to_string(arrangement), ropejit::to_string(dtype), placement == kIn ? "in" : "out",
                     table ? "-table" : "",
                     !model.empty()   ? fmt::format("-{}", model)
                     : norm && append ? "-prologue"
                     : norm           ? "-norm"
                     : append         ? "-append"
                                      : "");
}

RopeSpec Case::spec() const {
  RopeSpec spec;
  spec.dtype = dtype;
  spec.rotary_dim = shape.rotary_dim;
  spec.q = {shape.q_heads, shape.head_dim, 0};
  if (shape.k_heads > 0) spec.k = Operand{shape.k_heads, shape.head_dim, 0};
  spec.layout = arrangement == Arrangement::split_half ? Layout::split_half : Layout::interleaved;
  if (arrangement == Arrangement::to_split) spec.layout_out = Layout::split_half;
  if (norm) spec.q.norm = spec.k->norm = Norm{};
  if (append) spec.v = Operand{shape.k_heads, shape.head_dim, 0};
  if (const PrologueModel* const prologue = find_prologue_model(model)) prologue->add_stages(spec);
  return spec;
}

LaunchForm Case::form() const {
  LaunchForm form = placement == kIn ? LaunchForm::in_place_ids() : LaunchForm::out_of_place_ids();
  if (append) {
    form.strides = Strides::free;
    form.k_rows = form.v_rows = CacheRows::slots64;
  }
  return table ? form.with_table(AngleSource::half, DType::fp32) : form;
}

std::int64_t Case::moved_lanes() const {
  return placement == kIn && !append && !is_staged() ? shape.rotary_dim : shape.head_dim;
}

std::int64_t Cell::bytes() const {
  return 2 * tokens * what.heads() * what.moved_lanes() * static_cast<std::int64_t>(size_of(what.dtype));
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {kLlama,     kLlama70, kQwen,     kFalcon,  kQuarter256,
                                         kQuarter96, kSmall,   kWide1024, kWide4096};
  return all;
}

Case llama_case() { return {kLlama, Arrangement::split_half, DType::bf16, kIn}; }

std::vector<Cell> cells_of(std::string_view set) {
  if (set == "gate") return gate();
  if (set == "quick") return quick();
  if (set == "full") return full();
  if (set == "prologue") return prologue();
  if (set == "models") return models();
  throw Error(ErrorCode::invalid_argument, "arguments",
              fmt::format("--set: found {}, allowed: gate, quick, full, prologue, models", internal::quoted(set)));
}

std::vector<Cell> cells_named(const std::vector<Cell>& cells, std::string_view name) {
  const bool whole =
      std::any_of(cells.begin(), cells.end(), [&](const Cell& cell) { return cell.what.name() == name; });
  std::vector<Cell> left;
  for (const Cell& cell : cells) {
    const std::string own = cell.what.name();
    if (whole ? own == name : own.find(name) != std::string::npos) left.push_back(cell);
  }
  if (!left.empty()) return left;
  throw Error(ErrorCode::invalid_argument, "arguments",
              fmt::format("--cell: found {}, allowed: a case of the set or a part of its name (--dry-run lists them)",
                          internal::quoted(name)));
}

std::vector<Cell> at_tokens(const std::vector<Cell>& cells, const std::vector<std::int64_t>& tokens) {
  Set set;
  for (const Cell& cell : cells) set.add(cell.what, tokens);
  return set.take();
}

}  // namespace ropejit::bench
