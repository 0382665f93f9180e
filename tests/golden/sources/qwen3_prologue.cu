// class/2 layout=split_half dtype=bf16 sigma=+1 scaled=0 rotary=128 q=32x128+0:out_of_place:bf16:norm_bf16_rotate k=8x128+0:out_of_place:bf16:norm_bf16_rotate v=8x128+0:out_of_place:bf16 strides=free positions=ids64 k_rows=slots64 v_rows=slots64
// flat_v4_h4_t128
#include "blocks.cuh"
#include "staged.cuh"

// Turns per position of each pair, in units of 2^-64.
extern "C" __device__ alignas(16) const ropejit::u64 rope_steps[64] = {
    0x28be60db9391054a, 0x20d53d2925f67455, 0x1a754bcdf1528959, 0x1552352f8941b08d,
    0x112e743e936615ee, 0x0dd875b948b28ead, 0x0b28467931a8dd3d, 0x08fdb50634ad64e9,
    0x073ed00d7f5d2561, 0x05d6afb33f733a7b, 0x04b47b368f3b0d41, 0x03ca9f315c34f772,
    0x030e2b042f8045f4, 0x02764dd2da302666, 0x01fbecf10dbdd0de, 0x01994ece8966ef84,
    0x0149d66800919d8c, 0x0109cc07b015a4eb, 0x00d630c00191eafb, 0x00ac9a8b11cb9296,
    0x008b176173e0158c, 0x007015edf6892b10, 0x005a52c769d29a9f, 0x0048c94f8f79e94e,
    0x003aa782077acd6f, 0x002f442137d117bb, 0x002616cb87806cce, 0x001eb19a1cf78363,
    0x0018bbfcb87996fd, 0x0013ee9518d1aadc, 0x00100fe04cd6d8fa, 0x000cf185f65ff0fe,
    0x000a6e2d468c2d51, 0x000867bdbcb5c01e, 0x0006c5f6bbe3aaa2, 0x0005754d1a81587f,
    0x000466011629d480, 0x00038b61b8a6110a, 0x0002db34db71109b, 0x00024d3cad9ee4b5,
    0x0001dad5016848ff, 0x00017ea3c3643613, 0x00013458e2f59024, 0x0000f87aac61553d,
    0x0000c83c2a081074, 0x0000a15b9a548735, 0x0000820768b7bde8, 0x000068c8660680c0,
    0x000054703b647f64, 0x0000440b458d556a, 0x000036d52f1b06a3, 0x00002c2fc14c3c4e,
    0x0000239b7d4cc4a1, 0x00001cb1a55dd54b, 0x0000171f6e711b4a, 0x000012a220a7cd4a,
    0x00000f03f853d5b6, 0x00000c19a21a93bc, 0x000009c0341a7f16, 0x000007db8bce124f,
    0x00000654fd1ccb29, 0x0000051a42d73fea, 0x0000041ca3eab5fa, 0x00000350430ff7cb,
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
        {.heads = 32, .head_dim = 128, .first_lane = 0, .stages = {ropejit::Stage::norm, ropejit::Stage::rotate}, .out_of_place = true, .element_out = ropejit::Element::bf16, .rows = ropejit::CacheRows::none,
         .norm = {.weight = ropejit::Element::bf16, .round_normed = false, .round_weighted = false}},
        // k
        {.heads = 8, .head_dim = 128, .first_lane = 0, .stages = {ropejit::Stage::norm, ropejit::Stage::rotate}, .out_of_place = true, .element_out = ropejit::Element::bf16, .rows = ropejit::CacheRows::slots64,
         .norm = {.weight = ropejit::Element::bf16, .round_normed = false, .round_weighted = false}},
        // v
        {.heads = 8, .head_dim = 128, .first_lane = 0, .stages = {}, .out_of_place = true, .element_out = ropejit::Element::bf16, .rows = ropejit::CacheRows::slots64},
    },
    .operands = 3,
    .positions = ropejit::PositionSource::ids64,
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
    .strides = ropejit::Strides::rows,
    .cut = ropejit::Cut::items,
    .access_bytes = 4,
    .heads_per_thread = 4,
    .most_threads = 128,
};

}  // namespace

extern "C" __global__ void __launch_bounds__(config.threads())
rope_split_half_bf16_q32x128_norm_bf16_rotate_k8x128_slots64_norm_bf16_rotate_v8x128_slots64_r128_outofplace_ids64_rows_flat_v4_h4_t128(const __grid_constant__ ropejit::PrologueParams params) {
  const ropejit::PlanData data = {rope_steps, nullptr, 0x1p+0f};
  ropejit::run_blocks<config, ropejit::Staged>(params, data);
}
