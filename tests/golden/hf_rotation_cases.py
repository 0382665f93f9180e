"""The cases of make_hf_rotations.py: published models in the words of their config.json."""

POSITIONS = [1, 77, 4095, 131071]
# Time, height and width of four tokens of a video.
AXES = [[1, 77, 4095, 131071], [0, 80, 4112, 131090], [3, 77, 4099, 131077]]
# Rows and columns of four patches.
PATCHES = [[0, 1, 17, 63], [0, 5, 30, 2]]


def cases(models):
    by_name = {model["name"]: model for model in models}

    def case(family, name, config=None, *, heads=(1, 1), theta=None, scaling=None, title=None, positions=None, **more):
        """The facts of a published model, in the words of its family's config; `config` adds to them."""
        model = by_name[name]
        own = {
            "num_hidden_layers": 2,
            "hidden_size": model["head_dim"] * model["num_q_heads"],
            "num_attention_heads": model["num_q_heads"],
            "num_key_value_heads": model["num_kv_heads"],
            "head_dim": model["head_dim"],
            "rope_theta": float(theta or model["theta"]),
            "max_position_embeddings": model["max_position_embeddings"] or 131072,
        }
        scaling = scaling if scaling is not None else model["scaling"]
        if scaling:
            own["rope_scaling"] = scaling
        own.update(config or {})
        own = {key: value for key, value in own.items() if value is not None}
        made = {"family": family, "name": title or name, "config": own, "positions": positions or POSITIONS}
        made["rotary_dim"] = model["rotary_dim"]
        made["q"] = {"heads": heads[0], "head_dim": model["head_dim"], "first_lane": 0}
        made["k"] = {"heads": heads[1], "head_dim": model["head_dim"], "first_lane": 0}
        made.update(more)
        return made

    def mla(nope, latent):
        return {
            "q": {"heads": 2, "head_dim": nope + 64, "first_lane": nope},
            "k": {"heads": 1, "head_dim": latent + 64, "first_lane": latent},
        }

    grouped = (2, 1)
    yield case("gpt_neox", "EleutherAI/pythia-2.8b", {"rotary_pct": 0.25}, heads=grouped)
    yield case("gpt_neox", "EleutherAI/gpt-neox-20b", {"rotary_pct": 0.25}, heads=grouped)
    yield case("falcon", "tiiuae/falcon-7b", {"multi_query": True, "head_dim": None}, heads=(3, 1))
    yield case(
        "falcon",
        "tiiuae/falcon-180B",
        {"num_kv_heads": 8, "new_decoder_architecture": True, "head_dim": None},
        heads=grouped,
    )
    yield case("llama", "meta-llama/Llama-2-7b-hf", positions=[0, 1, 77, 4095])
    yield case(
        "llama",
        "meta-llama/Meta-Llama-3-8B",
        heads=grouped,
        positions=[8191, 1000003, 16777217, 2147483647],
        title="meta-llama/Meta-Llama-3-8B, far beyond its length",
    )
    yield case("llama", "meta-llama/Meta-Llama-3.1-8B", heads=(4, 1))
    yield case("llama", "meta-llama/Llama-3.2-1B", heads=grouped)
    yield case("llama", "togethercomputer/LLaMA-2-7B-32K")
    yield case(
        "llama", "internlm/internlm2_5-7b-chat", title="internlm/internlm2_5-7b-chat, longer than it was trained for"
    )
    yield case(
        "llama",
        "internlm/internlm2_5-7b-chat",
        positions=[1, 77, 4095, 32767],
        title="internlm/internlm2_5-7b-chat, within its length",
    )
    yield case("llama", "HuggingFaceTB/SmolLM2-135M", heads=(3, 1))
    yield case("llama", "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T", heads=grouped)
    yield case("gemma", "google/gemma-2b")
    yield case("gemma2", "google/gemma-2-27b")
    for name in ("google/gemma-3-4b-it", "google/gemma-3-27b-it"):
        kinds = {"num_hidden_layers": 6, "sliding_window_pattern": 6, "rope_local_base_freq": 10000.0}
        if name == "google/gemma-3-4b-it":
            yield case("gemma3", name, kinds, layer=5, layer_type="full_attention", title=name + ", full attention")
        else:
            yield case(
                "gemma3", name, kinds, layer=0, layer_type="sliding_attention", title=name + ", sliding attention"
            )
    yield case("phi", "microsoft/phi-1_5", {"partial_rotary_factor": 0.5, "head_dim": None}, heads=grouped)
    yield case(
        "stablelm",
        "stabilityai/stablelm-base-alpha-3b",
        {"partial_rotary_factor": 0.25, "head_dim": None},
        heads=grouped,
    )
    yield case("persimmon", "adept/fuyu-8b", {"partial_rotary_factor": 0.5, "head_dim": None})
    yield case("nemotron", "nvidia/nemotron3-8b (class default)", {"partial_rotary_factor": 0.5})
    bamba = {"partial_rotary_factor": 0.5, "head_dim": None, "attn_layer_indices": [0]}
    yield case("bamba", "ibm-fms/Bamba-9.8b-2.2T-hf", bamba, heads=grouped)
    next_80b = {"partial_rotary_factor": 0.25, "full_attention_interval": 1}
    yield case("qwen3_next", "Qwen/Qwen3-Next-80B-A3B-Instruct", next_80b, heads=grouped)
    yield case("minimax_m2", "MiniMaxAI/MiniMax-M3 (text)", {"partial_rotary_factor": 0.5}, heads=grouped)
    longrope = "microsoft/Phi-3.5-mini-instruct"
    yield case(
        "phi3", longrope, {"original_max_position_embeddings": 4096, "head_dim": None}, title=longrope + ", long"
    )
    yield case(
        "phi3",
        longrope,
        {"original_max_position_embeddings": 4096, "head_dim": None},
        positions=[0, 1, 77, 4095],
        title=longrope + ", short",
    )
    yield case("phi3", "microsoft/phi-4", {"head_dim": None}, heads=grouped)
    yield case("mistral", "mistralai/Mistral-7B-v0.3", heads=grouped)
    yield case("ministral3", "mistralai/Ministral-3-3B-2512", heads=grouped)
    yield case("qwen2", "Qwen/Qwen2.5-7B", {"head_dim": None}, heads=grouped)
    yield case("qwen3", "Qwen/Qwen3-30B-A3B-Instruct-2507", heads=grouped)
    yield case(
        "exaone4",
        "LGAI-EXAONE/EXAONE-4.0-32B",
        {"num_hidden_layers": 4, "sliding_window_pattern": 4},
        heads=grouped,
        layer=0,
    )
    yield case("smollm3", "HuggingFaceTB/SmolLM3-3B", {"num_hidden_layers": 4}, heads=grouped, layer=0)
    yield case("lfm2", "LiquidAI/LFM2-1.2B", {"head_dim": None, "full_attn_idxs": [0]})
    yield case("bitnet", "microsoft/bitnet-b1.58-2B-4T")
    yield case("hy_v3", "tencent/Hy3-preview")
    yield case(
        "hunyuan",
        "tencent/Hy3-preview",
        theta=10000.0,
        scaling={"type": "dynamic", "factor": 1.0, "alpha": 1000.0},
        title="a Hunyuan of Hy3's sizes, dynamic with alpha",
    )
    yield case("nomic_bert", "nomic-ai/nomic-embed-text-v1.5", {"head_dim": None})
    yield case("gpt_oss", "openai/gpt-oss-20b", heads=grouped)
    yield case("nanochat", "karpathy/nanochat (class default d12)", layer=0)
    bert = {
        "head_dim": None,
        "rope_theta": None,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "num_hidden_layers": 3,
        "num_key_value_heads": None,
    }
    yield case(
        "modernbert",
        "answerdotai/ModernBERT-base",
        bert,
        layer=0,
        layer_type="full_attention",
        title="answerdotai/ModernBERT-base, full attention",
    )
    yield case(
        "modernbert",
        "answerdotai/ModernBERT-base",
        bert,
        layer=1,
        layer_type="sliding_attention",
        title="answerdotai/ModernBERT-base, sliding attention",
    )
    yield case("olmo", "allenai/OLMo-1B-hf", {"head_dim": None})
    yield case("olmo2", "allenai/OLMo-2-0325-32B", {"head_dim": None}, heads=grouped)
    yield case("glm", "THUDM/glm-4-9b (HF GlmConfig class default)", {"partial_rotary_factor": 0.5}, heads=grouped)
    yield case("ernie4_5", "baidu/ERNIE-4.5-0.3B-PT", heads=grouped)
    yield case("ernie4_5_moe", "baidu/ERNIE-4.5-21B-A3B-PT", {"head_dim": None})
    yield case("cohere", "CohereForAI/c4ai-command-r-v01", {"head_dim": None})
    yield case(
        "gptj",
        "EleutherAI/gpt-j-6b",
        {
            "n_embd": 4096,
            "n_head": 16,
            "rotary_dim": 64,
            "n_positions": 2048,
            "hidden_size": None,
            "num_attention_heads": None,
            "num_key_value_heads": None,
            "head_dim": None,
            "max_position_embeddings": None,
            "rope_theta": None,
        },
    )
    yield case("llama4", "meta-llama/Llama-4-Maverick-17B-128E", {"num_hidden_layers": 4}, heads=grouped, layer=0)
    latent = {
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "kv_lora_rank": 512,
        "hidden_size": 1024,
        "head_dim": None,
    }
    yield case("deepseek_v2", "deepseek-ai/DeepSeek-V2", latent, **mla(128, 512))
    yield case("deepseek_v3", "deepseek-ai/DeepSeek-V3", latent, **mla(128, 512))
    yield case("longcat_flash", "meituan-longcat/LongCat-Flash-Chat", latent, **mla(128, 512))
    yield case("youtu", "tencent/Youtu-LLM-2B", latent, **mla(128, 512))
    v4 = "deepseek-ai/DeepSeek-V4-Flash-Base"
    slices = {
        "q": {"heads": 2, "head_dim": 512, "first_lane": 448},
        "k": {"heads": 1, "head_dim": 512, "first_lane": 448},
    }
    v4_config = {"compress_rope_theta": 160000.0, "qk_rope_head_dim": 64, "compress_ratios": [0, 4]}
    slices["scaling"] = {
        "rope_type": "yarn",
        "factor": 16.0,
        "beta_fast": 32,
        "beta_slow": 1,
        "original_max_position_embeddings": 65536,
    }
    yield case("deepseek_v4", v4, v4_config, layer=0, layer_type="main", title=v4 + ", main", **slices)
    yield case(
        "deepseek_v4", v4, v4_config, layer=1, layer_type="compress", title=v4 + ", compressed layers", **slices
    )
    gemma4 = {
        "num_hidden_layers": 6,
        "global_head_dim": 512,
        "rope_theta": None,
        "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    }
    whole = {"heads": 1, "head_dim": 512, "first_lane": 0}
    yield case(
        "gemma4",
        "google/gemma-4-E2B",
        gemma4,
        layer=5,
        layer_type="full_attention",
        title="google/gemma-4-E2B, full attention",
        rotary_dim=512,
        q=whole,
        k=whole,
    )
    yield case(
        "gemma4",
        "google/gemma-4-E2B",
        gemma4,
        layer=0,
        layer_type="sliding_attention",
        title="google/gemma-4-E2B, sliding attention",
    )
    chunked = {"sections": [16, 24, 24], "order": "chunked"}
    yield case(
        "qwen2_vl", "Qwen/Qwen2.5-VL-7B-Instruct", {"head_dim": None}, heads=grouped, positions=AXES, axes=chunked
    )
    dealt = {"sections": [24, 20, 20], "order": "interleaved"}
    yield case("qwen3_vl", "Qwen/Qwen3-VL-2B-Instruct", heads=grouped, positions=AXES, axes=dealt)
    yield case(
        "qwen3_5",
        "Qwen/Qwen3.5-35B-A3B",
        {"partial_rotary_factor": 0.25, "num_hidden_layers": 4},
        layer=3,
        heads=grouped,
        positions=AXES,
        axes={"sections": [11, 11, 10], "order": "interleaved"},
    )
    yield case(
        "ernie4_5_vl",
        "baidu/ERNIE-4.5-21B-A3B-PT",
        {"head_dim": None, "rope_scaling": {"type": "default", "mrope_section": [22, 22, 20]}},
        positions=AXES,
        axes={"sections": [20, 22, 22], "order": "alternating"},
        title="ERNIE 4.5 VL of the sizes of 21B-A3B",
    )
    plain_vision = {
        "head_dim": None,
        "num_key_value_heads": None,
        "max_position_embeddings": None,
        "rope_scaling": None,
        "rope_theta": None,
    }
    renamed = {"depth": 2, "num_hidden_layers": None, "num_heads": 16, "num_attention_heads": None}
    qwen_vision = {**plain_vision, **renamed}
    two = {"order": "chunked", "frequencies": "restarted"}
    yield case(
        "qwen2_vl vision",
        "Qwen/Qwen2-VL vision tower",
        {**qwen_vision, "embed_dim": 1280, "hidden_size": 3584},
        positions=PATCHES,
        axes={"sections": [20, 20], **two},
    )
    yield case(
        "qwen3_vl vision",
        "Qwen/Qwen3-VL vision tower",
        qwen_vision,
        positions=PATCHES,
        axes={"sections": [18, 18], **two},
    )
    yield case(
        "pixtral",
        "mistral-labs/pixtral-12b vision tower",
        plain_vision,
        positions=PATCHES,
        axes={"sections": [16, 16], "order": "chunked", "frequencies": "strided"},
    )
    yield case(
        "llama4 vision",
        "meta-llama/Llama-4 vision tower",
        {**plain_vision, "image_size": 336, "patch_size": 14},
        positions=[[1, 2, 24, 0], [1, 1, 20, 0]],
        axes={"sections": [22, 22], **two},
    )
    yield case(
        "gemma4 vision",
        "google/gemma-4 vision tower",
        plain_vision,
        positions=PATCHES,
        axes={"sections": [16, 16], **two},
    )
