// The table of docs/prologue.md: what the kernels' own constants say of a segment's shuffles and of what its threads
// hand round.
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/test_files.hpp"

// The kernels' templates, as the host target compiles them. None of their functions is called here.
#define ropejit_host_bind prologue_page_test_bind
#include "host_shim.cuh"
// Behind it:
#include "staged.cuh"

namespace {

using ropejit::Element;
using ropejit::KernelConfig;
using ropejit::u32;
using Layout = ropejit::Layout;

// A variant of 16-bit elements with words of so many lanes, of which nothing but the row's cut is asked.
constexpr KernelConfig config_of(Layout layout, u32 head_dim, u32 rotary_dim, u32 lanes) {
  KernelConfig config{};
  config.layout = config.layout_out = layout;
  config.rotary_dim = rotary_dim;
  config.section_pairs = rotary_dim / 2;
  config.operands = 1;
  config.axes = 1;
  config.access_bytes = 2 * lanes;
  config.heads_per_thread = 1;
  config.most_threads = 128;
  config.operand[0].heads = 8;
  config.operand[0].head_dim = head_dim;
  config.operand[0].stages[0] = ropejit::Stage::norm;
  config.operand[0].stages[1] = ropejit::Stage::rotate;
  return config;
}

template <Layout layout, u32 head_dim, u32 rotary_dim, u32 lanes>
std::string cell() {
  constexpr u32 side_by_side = layout == Layout::interleaved ? rotary_dim : rotary_dim / 2;
  if constexpr (side_by_side % lanes != 0 || head_dim % lanes != 0) {
    return "-";
  } else {
    static constexpr KernelConfig C = config_of(layout, head_dim, rotary_dim, lanes);
    using Cut = ropejit::StagedCut<C, 0>;
    u32 shuffles = 0;
    while ((1U << shuffles) < Cut::threads) ++shuffles;
    std::string text = std::to_string(shuffles);
    if (!Cut::adds_what_it_holds) text += " +" + std::to_string(2 * Cut::added_lanes / Cut::added_word);
    return text;
  }
}

template <Layout layout, u32 head_dim, u32 rotary_dim>
std::string row() {
  std::string text = layout == Layout::interleaved ? "| interleaved" : "| split_half";
  text += " D=" + std::to_string(head_dim) + " R=" + std::to_string(rotary_dim) + " |";
  for (const std::string& one : {cell<layout, head_dim, rotary_dim, 1>(), cell<layout, head_dim, rotary_dim, 2>(),
                                 cell<layout, head_dim, rotary_dim, 4>(), cell<layout, head_dim, rotary_dim, 8>(),
                                 cell<layout, head_dim, rotary_dim, 16>()}) {
    text += " " + one + " |";
  }
  return text;
}

}  // namespace

TEST_CASE("The page on the prologue has the shuffles and the words handed round that the kernels have", "[codegen]") {
  const std::vector<std::string> kernels = {
      row<Layout::split_half, 64, 64>(),    row<Layout::split_half, 72, 72>(),   row<Layout::split_half, 80, 80>(),
      row<Layout::split_half, 96, 96>(),    row<Layout::split_half, 128, 128>(), row<Layout::split_half, 128, 64>(),
      row<Layout::split_half, 192, 64>(),   row<Layout::split_half, 192, 192>(), row<Layout::split_half, 256, 256>(),
      row<Layout::split_half, 256, 64>(),   row<Layout::split_half, 512, 512>(), row<Layout::interleaved, 128, 128>(),
      row<Layout::interleaved, 256, 256>(), row<Layout::interleaved, 512, 512>()};
  std::istringstream page(ropejit::test::read_test_file("../docs/prologue.md"));
  std::vector<std::string> rows;
  for (std::string line; std::getline(page, line);) {
    if (line.find(" D=") != std::string::npos && line.find(" R=") != std::string::npos) rows.push_back(line);
  }
  CHECK(rows == kernels);
}
