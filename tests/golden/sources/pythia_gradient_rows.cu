// class/1 layout=split_half dtype=fp16 sigma=-1 scaled=0 rotary=20 q=32x80+0 k=32x80+0 placement=in_place strides=free positions=ids32
// flat_v4_h5_t32
#include "flat.cuh"

namespace {
constexpr ropejit::KernelConfig config = {
    .layout = ropejit::Layout::split_half,
    .layout_out = ropejit::Layout::split_half,
    .element = ropejit::Element::fp16,
    .negate_sin = true,
    .scaled = false,
    .attention_scale = 0x1p+0f,
    .rotary_dim = 20,
    .q = {.heads = 32, .head_dim = 80, .first_lane = 0},
    .k = {.heads = 32, .head_dim = 80, .first_lane = 0},
    .positions = ropejit::PositionSource::ids32,
    .angles = ropejit::AngleSource::computed,
    .table_element = ropejit::Element::fp32,
    .copies_still_lanes = false,
    .strides = ropejit::Strides::rows,
    .access_bytes = 4,
    .heads_per_thread = 5,
    .threads = 32,
};

// Turns per position of each pair, in units of 2^-64.
alignas(16) __device__ const ropejit::u64 steps[10] = {
    0x28be60db9391054a, 0x1038688dbf942e1e, 0x06751a832fb732fa, 0x02921cc51b0c61ae,
    0x0105ffcf68600a41, 0x00684dc4c179c52c, 0x0029862a60a2c305, 0x001087f1f3ad5a1c,
    0x000694c487f352e6, 0x00029eb7d5861495,
};
}  // namespace

extern "C" __global__ void __launch_bounds__(config.threads)
rope_split_half_fp16_q32x80_k32x80_r20_reversed_inplace_rows_ids32_flat_v4_h5_t32(const __grid_constant__ ropejit::LaunchParams params) {
  ropejit::flat<config>(params, steps);
}
