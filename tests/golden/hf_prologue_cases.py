"""Which models make_hf_prologues.py runs: config.json, dtype, the norm's family by where it rounds, layer, positions and
how many lanes rotate. Heads have the size that published models have; there are few of them."""

FAR = [3, 4095, 100_003]
ROPE = {"rope_type": "default", "rope_theta": 1e6}


def config_of(model_type, head_dim=128, heads=4, kv_heads=1, layers=1, **more):
    return {"model_type": model_type, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "hidden_size": heads * head_dim, "num_hidden_layers": layers, "head_dim": head_dim,
            "max_position_embeddings": 1 << 20, **more}


def row(config, rounding, rotary_dim=None, layer=0, dtype="bf16", positions=None):
    return (config, dtype, rounding, layer, positions or FAR, rotary_dim or config["head_dim"])


def full(count=1):
    return ["full_attention"] * count


HALF = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}
QUARTER = {"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25}
TWO = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
       "full_attention": {"rope_type": "default", "rope_theta": 1e6}}
GEMMA_4 = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
           "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6}}
BOTH = ["sliding_attention", "full_attention"]
QWEN3 = config_of("qwen3", rms_norm_eps=1e-6, rope_parameters=ROPE)
QWEN3_MOE = config_of("qwen3_moe", 64, 4, 2, rms_norm_eps=1e-5, rope_parameters=ROPE)

CASES = [
    # N1: x r rounded, and times w
    row(QWEN3, "N1"),
    row(QWEN3, "N1", dtype="fp16"),
    row(QWEN3, "N1", dtype="fp32", positions=FAR[1:]),
    row(QWEN3_MOE, "N1"),
    row(config_of("glm4_moe", kv_heads=1, use_qk_norm=True, rope_parameters=HALF), "N1", 64),
    row(config_of("laguna", rope_parameters={"full_attention": HALF}, layer_types=full()), "N1", 64),
    row(config_of("dots1", n_shared_experts=1, rope_parameters=ROPE), "N1"),
    row(config_of("hy_v3", rope_parameters=ROPE), "N1"),
    row(config_of("apertus", rope_parameters=ROPE), "N1"),
    row(config_of("exaone4", layers=2, layer_types=BOTH, sliding_window=8, rope_parameters=ROPE), "N1"),
    row(config_of("exaone4", layers=2, layer_types=BOTH, sliding_window=8, rope_parameters=ROPE), "N1", layer=1),
    row(config_of("lfm2", 64, layer_types=full(), rope_parameters=ROPE), "N1"),
    row(config_of("minimax_m2", heads=4, kv_heads=2, rope_parameters=HALF), "N1", 64),
    row(config_of("olmoe", heads=4, kv_heads=4, clip_qkv=1.5, rope_parameters=ROPE), "N1"),
    row(config_of("hunyuan_v1_dense", rope_parameters=ROPE), "N1"),
    row(config_of("hunyuan_v1_moe", moe_topk=[2], rope_parameters=ROPE), "N1"),
    # N2: 1 + w
    row(config_of("gemma3_text", 256, 2, layers=2, layer_types=BOTH, rope_parameters=TWO), "N2"),
    row(config_of("gemma3_text", 256, 2, layers=2, layer_types=BOTH, rope_parameters=TWO), "N2", layer=1),
    row(config_of("qwen3_next", 256, 2, layer_types=full(), rope_parameters=QUARTER), "N2", 64),
    row(config_of("qwen3_5_text", 256, 2, layer_types=full(),
                  rope_parameters={**QUARTER, "mrope_section": [11, 11, 10], "mrope_interleaved": True}), "N2", 64),
    row(config_of("minimax_m3_vl_text", layer_types=full(), rope_parameters=HALF), "N2", 64),
    row(config_of("step3p5", sliding_window=8, rope_parameters={"full_attention": HALF}, layer_types=full()), "N2", 64),
    # N3: w alone rounded
    row(config_of("olmo2", heads=2, kv_heads=2, rope_parameters=ROPE), "N3"),
    row(config_of("olmo3", heads=4, kv_heads=4, layers=2, layer_types=BOTH, rope_parameters=TWO), "N3"),
    row(config_of("flex_olmo", 64, heads=5, kv_heads=5, rope_parameters=ROPE), "N3"),
    row(config_of("afmoe", layers=2, layer_types=BOTH, rope_parameters=ROPE), "N3"),
    row(config_of("afmoe", layers=2, layer_types=BOTH, rope_parameters=ROPE), "N3", layer=1),
    # N4: by a power, v as well
    row(config_of("gemma3n_text", 256, 2, layers=2, layer_types=BOTH, num_kv_shared_layers=0, rope_parameters=TWO), "N4"),
    row(config_of("gemma4_text", 256, 2, layers=2, layer_types=BOTH, rope_parameters=GEMMA_4), "N4"),
    row(config_of("gemma4_text", 256, 4, layers=2, layer_types=BOTH, global_head_dim=512, attention_k_eq_v=True,
                  rope_parameters=GEMMA_4), "N4", 512, layer=1, positions=FAR[:2]),
    row(config_of("muse_spark_text", 64, layers=2, layer_rope_theta=[1e6, 0], rope_parameters=ROPE), "N4"),
    row(config_of("muse_glimmer_text", layers=2, layer_rope_theta=[1e6, 0], rope_parameters=ROPE), "N4", layer=1),
    # N5: no weights
    row(config_of("llama4_text", layers=2, no_rope_layers=[1, 0], rope_parameters=ROPE), "N5"),
    # N7, N8, N9: LayerNorm
    row(config_of("cohere", use_qk_norm=True, rope_parameters=ROPE), "N7"),
    row(config_of("stablelm", 160, qk_layernorm=True, rope_parameters=QUARTER), "N7", 40),
    row(config_of("chameleon", 128, rope_parameters=ROPE), "N8"),
    row(config_of("phi", 80, qk_layernorm=True, rope_parameters=HALF), "N9", 40),
    row(config_of("persimmon", 64, 4, 4, rope_parameters=HALF), "N9", 32),
    # N11: L2, all in the dtype
    row(config_of("zaya", layers=1, layer_types=["hybrid"], rope_parameters={"hybrid": HALF}), "N11", 64),
    # None: constants, clamps, factors of the position
    row(config_of("llama4_text", layers=2, no_rope_layers=[1, 0], floor_scale=2, attn_scale=0.1, rope_parameters=ROPE),
        "none", layer=1, positions=[0, 1, 2]),
    row(config_of("ministral3", rope_parameters={**ROPE, "llama_4_scaling_beta": 0.1,
                                                 "original_max_position_embeddings": 16384}), "none"),
    row(config_of("falcon_h1", 64, key_multiplier=0.390625, mamba_d_ssm=64, mamba_n_heads=4, mamba_d_head=16,
                  mamba_n_groups=1, rope_parameters=ROPE), "none"),
    row(config_of("mimo_v2_flash", 192, 4, layers=2, v_head_dim=128, layer_types=["full_attention", "sliding_attention"],
                  attention_value_scale=0.707), "none", 64),
    row(config_of("olmo", kv_heads=4, clip_qkv=1.25, rope_parameters=ROPE), "none"),
    row(config_of("smollm3", 64, layers=2, no_rope_layers=[1, 0], rope_parameters=ROPE), "none", layer=1),
    row(config_of("openai_privacy_filter", 64, layer_types=["sliding_attention"], rope_parameters=ROPE), "none"),
    row(config_of("esm", 64, 4, 4, position_embedding_type="rotary"), "none"),
    row(config_of("gpt_oss", 64, layer_types=full(), sliding_window=8, rope_parameters=ROPE), "none"),
    row(config_of("granite", 64, rope_parameters=ROPE), "none"),
    row(config_of("solar_open", rope_parameters=ROPE), "none"),
]

# What keeps the other parts of some models small.
SMALL_PARTS = {
    "chameleon": {"vocabulary_map": {"<image>": 90},
                  "vq_config": {"embed_dim": 8, "num_embeddings": 16, "base_channels": 32, "channel_multiplier": [1],
                                "num_res_blocks": 1, "latent_channels": 8}},
    "zaya": {"num_experts_per_tok": 1},
    "gemma3n_text": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8, "laurel_rank": 4},
    "gemma4_text": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8},
}
