// class/2 layout=split_half dtype=fp16 sigma=-1 scaled=0 rotary=20 q=32x80+0:in_place:fp16 k=32x80+0:in_place:fp16 strides=free positions=ids32
// flat_v4_h5_t32
#include "blocks.cuh"
#include "flat.cuh"

// Turns per position of each pair, in units of 2^-64.
extern "C" __device__ alignas(16) const ropejit::u64 rope_steps[10] = {
    0x28be60db9391054a, 0x1038688dbf942e1e, 0x06751a832fb732fa, 0x02921cc51b0c61ae,
    0x0105ffcf68600a41, 0x00684dc4c179c52c, 0x0029862a60a2c305, 0x001087f1f3ad5a1c,
    0x000694c487f352e6, 0x00029eb7d5861495,
};

namespace {
constexpr ropejit::KernelConfig config = {
    .layout = ropejit::Layout::split_half,
    .element = ropejit::Element::fp16,
    .negate_sin = true,
    .scaled = false,
    .rotary_dim = 20,
    .operand = {
        // q
        {.heads = 32, .head_dim = 80, .first_lane = 0, .stages = {ropejit::Stage::rotate}, .out_of_place = false, .element_out = ropejit::Element::fp16, .rows = ropejit::CacheRows::none},
        // k
        {.heads = 32, .head_dim = 80, .first_lane = 0, .stages = {ropejit::Stage::rotate}, .out_of_place = false, .element_out = ropejit::Element::fp16, .rows = ropejit::CacheRows::none},
    },
    .operands = 2,
    .positions = ropejit::PositionSource::ids32,
    .layout_out = ropejit::Layout::split_half,
    .section_pairs = 10,
    .rounding = ropejit::Rounding::exact,
    .sine = ropejit::Sine::polynomial16,
    .axes = 1,
    .context_parallel = ropejit::ContextParallel::none,
    .angles = ropejit::AngleSource::computed,
    .table_element = ropejit::Element::fp32,
    .table_use = ropejit::TableUse::as_given,
    .padding = ropejit::Padding::rotate,
    .counted = false,
    .overlaps_previous = false,
    .ready_lists = false,
    .strides = ropejit::Strides::rows,
    .cut = ropejit::Cut::items,
    .access_bytes = 4,
    .heads_per_thread = 5,
    .most_threads = 32,
};

}  // namespace

extern "C" __global__ void __launch_bounds__(config.threads())
rope_split_half_fp16_reversed_q32x80_k32x80_r20_inplace_ids32_rows_flat_v4_h5_t32(const __grid_constant__ ropejit::LaunchParams params) {
  const ropejit::PlanData data = {rope_steps, nullptr, 0x1p+0f};
  ropejit::run_blocks<config, ropejit::Flat>(params, data);
}
