"""Small models of transformers, one of each family that patch() knows."""

import torch
import transformers

SMALL = {"vocab_size": 99, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 96, "max_position_embeddings": 256, "bos_token_id": None, "eos_token_id": None,
         "pad_token_id": 0}
_EXPERTS = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1}
_TURNS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
_LATENT = {"num_key_value_heads": 4, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16,
           "v_head_dim": 16}
_GROUPS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32,
           "first_k_dense_replace": 1}
_VISION = {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 64}

# By family: the model's class, its configuration's, what the configuration has beside SMALL, and what patch() does.
NORMS = "norms, rotation and cache in one launch"
ROTATION = "rotation and cache in one launch"
ALONE = "rotation"
MODELS = {
    "deepseek_v3": ("DeepseekV3ForCausalLM", "DeepseekV3Config", {**_LATENT, **_GROUPS}, ALONE),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {"head_dim": 32, **_TURNS}, NORMS),
    "glm4_moe": ("Glm4MoeForCausalLM", "Glm4MoeConfig", {"use_qk_norm": True, "head_dim": 32, **_GROUPS}, NORMS),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {"rotary_pct": 0.25, "hidden_size": 128}, ALONE),
    "gpt_oss": ("GptOssForCausalLM", "GptOssConfig", {"head_dim": 32, "num_local_experts": 4, **_TURNS}, ROTATION),
    "hunyuan_v1_dense": ("HunYuanDenseV1ForCausalLM", "HunYuanDenseV1Config", {"head_dim": 32}, NORMS),
    "hunyuan_v1_moe": ("HunYuanMoEV1ForCausalLM", "HunYuanMoEV1Config", {"head_dim": 32, "num_experts": 4, "moe_topk": 2},
                       NORMS),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {}, ROTATION),
    "mistral": ("MistralForCausalLM", "MistralConfig", {}, ROTATION),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {"num_local_experts": 4}, ROTATION),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", {}, NORMS),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {}, ROTATION),
    "qwen2_moe": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", {**_EXPERTS, "shared_expert_intermediate_size": 32}, ROTATION),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {"head_dim": 32}, NORMS),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {"head_dim": 32, **_EXPERTS}, NORMS),
}
# Texts with pictures: the configuration of the text stands within another.
_SECTIONS = {"rope_type": "default", "rope_theta": 10000.0}
VISION_MODELS = {
    "qwen2_vl": ("Qwen2VLForConditionalGeneration", "Qwen2VLConfig", {"rope_parameters": {**_SECTIONS, "mrope_section": [2, 3, 3]}},
                 ALONE),
    "qwen2_5_vl": ("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLConfig",
                   {"rope_parameters": {**_SECTIONS, "mrope_section": [2, 3, 3]}}, ALONE),
    "qwen3_vl": ("Qwen3VLForConditionalGeneration", "Qwen3VLConfig",
                 {"head_dim": 32, "rope_parameters": {**_SECTIONS, "mrope_section": [6, 5, 5]}}, NORMS),
    "qwen3_vl_moe": ("Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeConfig",
                     {"head_dim": 32, **_EXPERTS, "rope_parameters": {**_SECTIONS, "mrope_section": [6, 5, 5]}}, NORMS),
}


def configuration(family):
    if family in VISION_MODELS:
        _, name, extra, _ = VISION_MODELS[family]
        return getattr(transformers, name)(text_config={**SMALL, **extra}, vision_config=_VISION)
    _, name, extra, _ = MODELS[family]
    return getattr(transformers, name)(**{**SMALL, **extra})


def made(family, device, dtype=torch.float32, attention="eager"):
    """The family's model in eval mode, with weights of norms that differ."""
    torch.manual_seed(0)
    config = configuration(family)
    config._attn_implementation = attention
    model = getattr(transformers, {**MODELS, **VISION_MODELS}[family][0])(config).to(device=device, dtype=dtype).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def prompt(device, batch=2, tokens=12):
    return torch.randint(1, 99, (batch, tokens), generator=torch.Generator().manual_seed(3)).to(device)
