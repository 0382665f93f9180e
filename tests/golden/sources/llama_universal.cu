// class/2 layout=split_half dtype=bf16 sigma=+1 scaled=0 rotary=128 q=32x128+0:out_of_place:bf16 k=8x128+0:out_of_place:bf16 strides=contiguous positions=start
// universal_v2_h4_t128
#include "blocks.cuh"
#include "flat.cuh"

// Turns per position of each pair, in units of 2^-64.
extern "C" __device__ alignas(16) const ropejit::u64 rope_steps[64] = {
    0x28be60db9391054a, 0x2130c415f3514ea0, 0x1b099caaeb289198, 0x160676e367bd4de6,
    0x11f130b61c287931, 0x0e9db1244192bf71, 0x0be80bf811771acd, 0x09b2fdcd660f744d,
    0x07e6b006746579b8, 0x066fb75756cc8723, 0x053e420be239f5f2, 0x04456d2eb6e7c094,
    0x037ab95c63e892bb, 0x02d5996384cc1f49, 0x024f15e9666a7dd8, 0x01e1822dbdce9a53,
    0x01883ec0e5870a91, 0x013f8796b76e6bcd, 0x01044b5ace1553b2, 0x00d40a4eee9e63f7,
    0x00acbb4dc9a23f60, 0x008cb5ce9703fd40, 0x00729ffc19e62199, 0x005d601d9ec3f253,
    0x004c10b4617af38a, 0x003df6ccff12560b, 0x00327a1c62c4ef45, 0x00291e93003c9fd0,
    0x00217f20f7661d20, 0x001699208a7fa1d9, 0x000e4f32ce015ae4, 0x0008efad840323b8,
    0x0005796e9c552800, 0x000342f296f37431, 0x0001dca5be029bc2, 0x0000ff2af3061d47,
    0x0000cfdd33454890, 0x0000a95463d7eb9f, 0x000089f05876f09a, 0x0000705e0b967d7a,
    0x00005b8950f3fa4e, 0x00004a912ee8ea58, 0x00003cbe60ad971c, 0x0000317b9b0a48b5,
    0x0000284f3ff674bd, 0x000020d63d2026c3, 0x00001abfddf21a7b, 0x000015ca63f4c068,
    0x000011c040c4a3e0, 0x00000e75d3a9c49a, 0x00000bc792690e5f, 0x00000998896f2767,
    0x000007d123232d4a, 0x0000065e2930750c, 0x0000052ff5086896, 0x00000439c6db93ff,
    0x000003713be862f6, 0x000002cdde50792a, 0x00000248c9b93e6c, 0x000001dc60dcca17,
    0x0000018410e74a44, 0x0000013c20120a33, 0x000001018566a1c8, 0x000000d1c7f7bcf5,
};

namespace {
constexpr ropejit::KernelConfig config = {
    .layout = ropejit::Layout::split_half,
    .element = ropejit::Element::bf16,
    .negate_sin = false,
    .scaled = false,
    .rotary_dim = 128,
    .operand = {
        // q
        {.heads = 32, .head_dim = 128, .first_lane = 0, .stages = {ropejit::Stage::rotate}, .out_of_place = true, .element_out = ropejit::Element::bf16, .rows = ropejit::CacheRows::none},
        // k
        {.heads = 8, .head_dim = 128, .first_lane = 0, .stages = {ropejit::Stage::rotate}, .out_of_place = true, .element_out = ropejit::Element::bf16, .rows = ropejit::CacheRows::none},
    },
    .operands = 2,
    .positions = ropejit::PositionSource::start,
    .layout_out = ropejit::Layout::split_half,
    .section_pairs = 64,
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
    .strides = ropejit::Strides::any,
    .cut = ropejit::Cut::items,
    .access_bytes = 2,
    .heads_per_thread = 4,
    .most_threads = 128,
};

}  // namespace

extern "C" __global__ void __launch_bounds__(config.threads())
rope_split_half_bf16_q32x128_k8x128_r128_outofplace_start_any_universal_v2_h4_t128(const __grid_constant__ ropejit::LaunchParams params) {
  const ropejit::PlanData data = {rope_steps, nullptr, 0x1p+0f};
  ropejit::run_blocks<config, ropejit::Flat>(params, data);
}
