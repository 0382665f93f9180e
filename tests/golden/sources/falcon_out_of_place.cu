// class/2 layout=interleaved dtype=fp16 sigma=+1 scaled=0 rotary=64 q=71x64+0:out_of_place:fp16 k=1x64+0:out_of_place:fp16 strides=contiguous positions=ids32
// flat_v8_h10_t64
#include "blocks.cuh"
#include "flat.cuh"

// Turns per position of each pair, in units of 2^-64.
extern "C" __device__ alignas(16) const ropejit::u64 rope_steps[32] = {
    0x28be60db9391054a, 0x1e8dae29db02bb88, 0x16e96ecaebf83f44, 0x112e743e936615ee,
    0x0ce2601005b0277c, 0x09a96eb80f7efaf3, 0x073ed00d7f5d2561, 0x056ee9ce86c0d77b,
    0x041309af8ec1b3bb, 0x030e2b042f8045f4, 0x024a8b144acc0654, 0x01b7d86ca8570231,
    0x0149d66800919d8c, 0x00f757df34bfe5e5, 0x00b97b348cbc83bd, 0x008b176173e0158c,
    0x00684dc4c179c52c, 0x004e37806b266d65, 0x003aa782077acd6f, 0x002bfc0adda24d05,
    0x0020fbd73341c2f4, 0x0018bbfcb87996fd, 0x00128c520e12d9f9, 0x000de8bcf1fccef4,
    0x000a6e2d468c2d51, 0x0007d259a450a48a, 0x0005dd8d00bf7af1, 0x000466011629d480,
    0x00034c6251ecf9e5, 0x00027932df3f5be6, 0x0001dad5016848ff, 0x00016412e4ffae4c,
};

namespace {
constexpr ropejit::KernelConfig config = {
    .layout = ropejit::Layout::interleaved,
    .element = ropejit::Element::fp16,
    .negate_sin = false,
    .scaled = false,
    .rotary_dim = 64,
    .operand = {
        // q
        {.heads = 71, .head_dim = 64, .first_lane = 0, .stages = {ropejit::Stage::rotate}, .out_of_place = true, .element_out = ropejit::Element::fp16, .rows = ropejit::CacheRows::none},
        // k
        {.heads = 1, .head_dim = 64, .first_lane = 0, .stages = {ropejit::Stage::rotate}, .out_of_place = true, .element_out = ropejit::Element::fp16, .rows = ropejit::CacheRows::none},
    },
    .operands = 2,
    .positions = ropejit::PositionSource::ids32,
    .layout_out = ropejit::Layout::interleaved,
    .section_pairs = 32,
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
    .strides = ropejit::Strides::contiguous,
    .cut = ropejit::Cut::items,
    .access_bytes = 8,
    .heads_per_thread = 10,
    .most_threads = 64,
};

}  // namespace

extern "C" __global__ void __launch_bounds__(config.threads())
rope_interleaved_fp16_q71x64_k1x64_r64_outofplace_ids32_contiguous_flat_v8_h10_t64(const __grid_constant__ ropejit::LaunchParams params) {
  const ropejit::PlanData data = {rope_steps, nullptr, 0x1p+0f};
  ropejit::run_blocks<config, ropejit::Flat>(params, data);
}
