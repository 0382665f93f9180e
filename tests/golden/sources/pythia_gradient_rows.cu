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
    .layout_out = ropejit::Layout::split_half,
    .element = ropejit::Element::fp16,
    .rotary_dim = 20,
    .section_pairs = 10,
    .q = {.heads = 32, .head_dim = 80, .first_lane = 0, .copies_still_lanes = false, .element_out = ropejit::Element::fp16},
    .k = {.heads = 32, .head_dim = 80, .first_lane = 0, .copies_still_lanes = false, .element_out = ropejit::Element::fp16},
    .positions = ropejit::PositionSource::ids32,
    .context_parallel = ropejit::ContextParallel::none,
    .axes = 1,
    .angles = ropejit::AngleSource::computed,
    .table_element = ropejit::Element::fp32,
    .table_use = ropejit::TableUse::as_given,
    .sine = ropejit::Sine::polynomial16,
    .negate_sin = true,
    .scaled = false,
    .rounding = ropejit::Rounding::exact,
    .padding = ropejit::Padding::rotate,
    .k_rows = ropejit::CacheRows::none,
    .counted = false,
    .overlaps_previous = false,
    .strides = ropejit::Strides::rows,
    .cut = ropejit::Cut::items,
    .access_bytes = 4,
    .heads_per_thread = 5,
    .most_threads = 32,
};

}  // namespace

extern "C" __global__ void __launch_bounds__(config.threads())
rope_split_half_fp16_q32x80_k32x80_r20_reversed_inplace_rows_ids32_flat_v4_h5_t32(const __grid_constant__ ropejit::LaunchParams params) {
  const ropejit::PlanData data = {rope_steps, nullptr, 0x1p+0f};
  ropejit::run_blocks<config, ropejit::Flat>(params, data);
}
