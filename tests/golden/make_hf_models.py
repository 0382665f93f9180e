#!/usr/bin/env python3
"""Writes hf_models.json: which lanes, positions and roundings Hugging Face transformers' own models rotate by.

Nothing is computed here. "rotations": configs as models have them, tokens' positions, a vector, and what the model's own
rotary class and function make of it, in fp32; and which of three orders of rounding gives the bits of the same call in
bf16. "classes": what the config class of every model type makes of "shape" and each of "variants", configs that leave
something out: by kind of layer theta, rope type, lanes that rotate, heads, key heads and lanes. Made with

    transformers 5.24.0, torch 2.15.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.15.0
    python3 tests/golden/make_hf_models.py
"""

import ast
import importlib
import inspect
import json
import pathlib
import warnings

import torch
import transformers

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

TEXT = [[1, 1, 1], [7, 2, 5], [113, 40, 9]]  # time, height, width of three tokens
GRID = [[0, 3], [5, 2], [13, 30]]  # height, width of three patches


def module_of(name):
    return importlib.import_module(f"transformers.models.{name}.modeling_{name}")


def config_of(fields):
    return transformers.CONFIG_MAPPING[fields["model_type"]](**json.loads(json.dumps(fields)))


def vector(lanes, shift=0):
    return torch.tensor([((37 * i + 11 + shift) % 64 - 31.5) / 32 for i in range(lanes)])


def rounding_of(embedding, apply, x):
    """p1, p2 or p3: where the call in bf16 has rounded, told from three calls that round in known places."""
    rows = x.to(torch.bfloat16)
    low, full = embedding(rows), embedding(x)
    out = apply(rows, low)
    coarse = [t.to(torch.bfloat16).float() if not t.is_complex() else t for t in low]
    if torch.equal(out, apply(rows.float(), full).to(torch.bfloat16)):
        return "p3"
    if torch.equal(out, apply(rows.float(), coarse).to(torch.bfloat16)):
        return "p2"
    assert all(t.dtype == torch.bfloat16 for t in low) and out.dtype == torch.bfloat16
    return "p1"


def case(name, fields, positions, embedding, apply, lanes, role="main", layer=0):
    """`embedding(x)` gives what `apply(x, that)` rotates by; x: [tokens, lanes]."""
    x = vector(lanes).repeat(len(positions), 1)
    out = apply(x, embedding(x))
    noise = torch.stack([vector(lanes, 5 * i) * (1 + i / 7) for i in range(len(positions))])
    return {
        "name": name,
        "config": fields,
        "role": role,
        "layer": layer,
        "positions": positions,
        "in": [round(v, 6) for v in x[0].tolist()],
        "out": [[float(f"{v:.6g}") for v in row] for row in out.tolist()],
        "rounding": rounding_of(embedding, apply, noise),
    }


def text_case(name, fields, module, rotary, lanes, axes=1, function="apply_rotary_pos_emb", kind=None, layer=0):
    code = module_of(module)
    config = config_of(fields)
    config = getattr(config, "thinker_config", config).get_text_config()
    positions = [p[:axes] if axes > 1 else p[:1] for p in TEXT]
    if axes == 1:
        ids = torch.tensor([[p[0] for p in positions]])
    else:
        ids = torch.tensor(positions).T[:, None, :]
    made = getattr(code, rotary)(config)

    def embedding(x):
        result = made(x[None], ids) if kind is None else made(x[None], ids, kind)
        return result if isinstance(result, tuple) else (result,)

    def apply(x, by):
        rotate = getattr(code, function)
        if "k" in inspect.signature(rotate).parameters or "xk" in inspect.signature(rotate).parameters:
            if len(by) == 1 and "llama4" in module:
                return rotate(x[None, :, None], x[None, :, None], *by)[0][0, :, 0]
            return rotate(x[None, None], x[None, None], *by)[0][0, 0]
        return rotate(x[None, None], *by)[0, 0]

    return case(name, fields, positions, embedding, apply, lanes, layer=layer)


def vision_case(name, fields, module, rotary, lanes, function="apply_rotary_pos_emb_vision"):
    code = module_of(module)
    config = config_of(fields)
    config = getattr(config, "thinker_config", config).vision_config
    ids = torch.tensor(GRID)
    made = getattr(code, rotary)(config)
    if module == "gemma4":
        return case(name, fields, GRID, lambda x: made(x[None], ids[None]), lambda x, by: getattr(code, function)(
            x[None, :, None], *by, ids[None])[0, :, 0], lanes, "vision")
    if module == "pixtral":
        return case(name, fields, GRID, lambda x: made(x[None], ids), lambda x, by: getattr(code, function)(
            x[None, :, None], x[None, :, None], *[t[None] for t in by], unsqueeze_dim=2)[0][0, :, 0], lanes, "vision")
    return case(name, fields, GRID, lambda x: made(x, ids),
                lambda x, by: getattr(code, function)(x[:, None], x[:, None], *by)[0][:, 0], lanes, "vision")


def llama4_vision_case(name, fields, lanes):
    code = module_of("llama4")
    config = config_of(fields).vision_config
    table = code.Llama4VisionRotaryEmbedding(config)(torch.zeros(1))
    side = config.image_size // config.patch_size
    patches = [0, side + 3, 5 * side + 2, side * side]  # the last is the class token
    positions = [[p % side + 1, p // side + 1] for p in patches[:-1]] + [[0, 0]]

    def apply(x, by):
        q = torch.zeros(1, len(table), 1, x.shape[-1], dtype=x.dtype)
        q[0, patches, 0] = x
        return code.vision_apply_rotary_emb(q, q, by[0])[0][0, patches, 0]

    return case(name, fields, positions, lambda x: (table,), apply, lanes, "vision")


def indexer_case(name, fields, module, indexer, rotary):
    """Runs the whole indexer, and takes its keys where it hands them to the cache."""
    code = module_of(module)
    config = config_of(fields)
    torch.manual_seed(1)
    made = getattr(code, indexer)(config, 0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    ids = torch.tensor([[p[0] for p in TEXT]])
    hidden = torch.randn(1, 1, config.hidden_size).repeat(1, len(TEXT), 1)
    keys = []

    class Cache:
        def update_indexer(self, k, layer):
            keys.append(k)
            return k

    by = getattr(code, rotary)(config)(hidden, ids)
    made(hidden, torch.randn(1, len(TEXT), config.q_lora_rank), by, torch.zeros(1, 3, 3), ids, past_key_values=Cache())
    with torch.no_grad():
        x = made.k_norm(made.wk(hidden))[0, 0]
    return {
        "name": name,
        "config": fields,
        "role": "indexer",
        "layer": 0,
        "positions": [[p[0]] for p in TEXT],
        "in": [float(f"{v:.6g}") for v in x.tolist()],
        "out": [[float(f"{v:.6g}") for v in row] for row in keys[0][0].tolist()],
        "rounding": "p1",
    }


def small(model_type, **more):
    return {"model_type": model_type, "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
            "num_hidden_layers": 2, **more}


def nested(model_type, text, vision=None):
    return {"model_type": model_type, "text_config": text, **({"vision_config": vision} if vision else {})}


def mla(model_type, **more):
    return small(model_type, **{"num_key_value_heads": 4, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
                                "kv_lora_rank": 64, "q_lora_rank": 64, "rope_theta": 1e4,
                                "max_position_embeddings": 163840, **more})


YARN = {"rope_type": "yarn", "factor": 40.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 0.5,
        "original_max_position_embeddings": 4096}


def rotations():
    def sections(*pairs, **more):
        return {"rope_type": "default", "rope_theta": 5e5, "mrope_section": list(pairs), **more}

    lanes64 = {"head_dim": 64}
    q2 = small("qwen2_vl_text", rope_parameters=sections(8, 12, 12))
    v = {"depth": 2, "num_heads": 4, "hidden_size": 128}
    qwen2 = nested("qwen2_vl", q2, {"depth": 2, "embed_dim": 128, "num_heads": 4, "hidden_size": 256})
    yield text_case("Qwen2-VL", qwen2, "qwen2_vl", "Qwen2VLRotaryEmbedding", 64, 3)
    yield vision_case("Qwen2-VL", qwen2, "qwen2_vl", "Qwen2VLVisionRotaryEmbedding", 32)
    qwen25 = nested("qwen2_5_vl", {**q2, "model_type": "qwen2_5_vl_text"}, v)
    yield text_case("Qwen2.5-VL", qwen25, "qwen2_5_vl", "Qwen2_5_VLRotaryEmbedding", 64, 3)
    yield vision_case("Qwen2.5-VL", qwen25, "qwen2_5_vl", "Qwen2_5_VLVisionRotaryEmbedding", 32)
    yarn = nested("qwen2_5_vl", {**q2, "model_type": "qwen2_5_vl_text",
                                 "rope_parameters": {**YARN, "mscale_all_dim": 0, "rope_theta": 1e6,
                                                     "mrope_section": [8, 12, 12]}})
    yield text_case("Qwen2.5-VL, YaRN", yarn, "qwen2_5_vl", "Qwen2_5_VLRotaryEmbedding", 64, 3)
    omni = {"model_type": "qwen2_5_omni", "thinker_config": nested("qwen2_5_omni_thinker", {
        **q2, "model_type": "qwen2_5_omni_text"}, v)}
    yield text_case("Qwen2.5-Omni", omni, "qwen2_5_omni", "Qwen2_5OmniRotaryEmbedding", 64, 3)
    yield vision_case("Qwen2.5-Omni", omni, "qwen2_5_omni", "Qwen2_5OmniVisionRotaryEmbedding", 32)
    for name, of, rotary in (("Qwen3-VL", "qwen3_vl", "Qwen3VL"), ("Qwen3-VL-MoE", "qwen3_vl_moe", "Qwen3VLMoe")):
        fields = nested(of, small(of + "_text", **lanes64, rope_parameters=sections(12, 10, 10, mrope_interleaved=True)), v)
        yield text_case(name, fields, of, rotary + "TextRotaryEmbedding", 64, 3)
        yield vision_case(name, fields, of, rotary + "VisionRotaryEmbedding", 32)
    omni = {"model_type": "qwen3_omni_moe", "thinker_config": nested("qwen3_omni_moe_thinker", small(
        "qwen3_omni_moe_text", **lanes64, rope_parameters=sections(12, 10, 10, mrope_interleaved=True)), v)}
    yield text_case("Qwen3-Omni", omni, "qwen3_omni_moe", "Qwen3OmniMoeThinkerTextRotaryEmbedding", 64, 3)
    yield vision_case("Qwen3-Omni", omni, "qwen3_omni_moe", "Qwen3OmniMoeVisionRotaryEmbedding", 32)
    for of, rotary in (("qwen3_5", "Qwen3_5"), ("qwen3_5_moe", "Qwen3_5Moe")):
        fields = nested(of, small(of + "_text", head_dim=64, layer_types=["linear_attention", "full_attention"],
                                  rope_parameters=sections(3, 3, 2, partial_rotary_factor=0.25)), v)
        yield text_case(rotary, fields, of, rotary + "TextRotaryEmbedding", 64, 3, layer=1)
        yield vision_case(rotary, fields, of, rotary + "VisionRotaryEmbedding", 32)
    for of, rotary, more in (("glm4v", "Glm4v", {}), ("glm4v_moe", "Glm4vMoe", {"partial_rotary_factor": 0.5}),
                             ("glm_ocr", "GlmOcr", {})):
        pairs = (4, 6, 6) if more else (8, 12, 12)
        fields = nested(of, small(of + "_text", **lanes64, rope_parameters=sections(*pairs, **more)), v)
        yield text_case(rotary, fields, of, rotary + "TextRotaryEmbedding", 64, 3)
        yield vision_case(rotary, fields, of, rotary + "VisionRotaryEmbedding", 32)
    half = nested("glm4v", small("glm4v_text", **lanes64, rope_parameters=sections(4, 6, 6, partial_rotary_factor=0.5)))
    yield text_case("Glm4v, half of the lanes", half, "glm4v", "Glm4vTextRotaryEmbedding", 64, 3)
    fields = nested("glm_image", small("glm_image_text", **lanes64, rope_parameters=sections(8, 12, 12)))
    yield text_case("GLM-Image", fields, "glm_image", "GlmImageTextRotaryEmbedding", 64, 3)
    fields = nested("ernie4_5_vl_moe", small("ernie4_5_vl_moe_text", rope_parameters=sections(11, 11, 10)), v)
    yield text_case("ERNIE-4.5-VL", fields, "ernie4_5_vl_moe", "Ernie4_5_VLMoeTextRotaryEmbedding", 64, 3)
    yield vision_case("ERNIE-4.5-VL", fields, "ernie4_5_vl_moe", "Ernie4_5_VLMoeVisionRotaryEmbedding", 32)
    fields = nested("paddleocr_vl", small("paddleocr_vl_text", **lanes64, rope_parameters=sections(8, 12, 12)))
    yield text_case("PaddleOCR-VL", fields, "paddleocr_vl", "PaddleOCRRotaryEmbedding", 64, 3)
    fields = {"model_type": "pixtral", "hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2}
    pixtral = {"model_type": "mistral3", "text_config": small("mistral"), "vision_config": fields}
    yield vision_case("Pixtral", pixtral, "pixtral", "PixtralVisionRotaryEmbedding", 32, "apply_rotary_pos_emb")
    gemma = small("gemma4_text", num_hidden_layers=6, head_dim=32, global_head_dim=64, attention_k_eq_v=True,
                  num_global_key_value_heads=1)
    gemma = nested("gemma4", gemma, {"model_type": "gemma4_vision", "hidden_size": 128, "num_attention_heads": 4,
                                     "num_key_value_heads": 4, "num_hidden_layers": 2, "head_dim": 32})
    rotary = "Gemma4TextRotaryEmbedding"
    yield text_case("Gemma 4, sliding", gemma, "gemma4", rotary, 32, kind="sliding_attention")
    yield text_case("Gemma 4, full", gemma, "gemma4", rotary, 64, kind="full_attention", layer=5)
    yield vision_case("Gemma 4", gemma, "gemma4", "Gemma4VisionRotaryEmbedding", 32, "apply_multidimensional_rope")
    llama4 = nested("llama4", small("llama4_text", head_dim=32, rope_parameters={"rope_type": "default",
                                                                               "rope_theta": 5e5}),
                    {"model_type": "llama4_vision_model", "hidden_size": 128, "num_attention_heads": 4,
                     "num_hidden_layers": 2, "image_size": 112, "patch_size": 14})
    yield text_case("Llama 4", llama4, "llama4", "Llama4TextRotaryEmbedding", 32, function="apply_rotary_emb")
    yield llama4_vision_case("Llama 4", llama4, 32)
    yield from latent_rotations()
    yield from plain_rotations()


def latent_rotations():
    by = "apply_rotary_pos_emb_interleave"
    for of, rotary, function in (
        ("deepseek_v3", "DeepseekV3", by), ("deepseek_v32", "DeepseekV32", by), ("glm_moe_dsa", "GlmMoeDsa", by),
        ("glm4_moe_lite", "Glm4MoeLite", by), ("longcat_flash", "LongcatFlash", by), ("mistral4", "Mistral4", by),
        ("youtu", "Youtu", by), ("axk1", "AXK1", by), ("axk2", "AXK2", by),
        ("hy_v4", "HYV4", "apply_rotary_pos_emb"), ("deepseek_v2", "DeepseekV2", "apply_rotary_emb"),
        ("minicpm3", "MiniCPM3", "apply_rotary_pos_emb"),
    ):
        more = {"rope_parameters": {**YARN, "rope_theta": 1e4}}
        if of == "mistral4":
            more.update(qk_nope_head_dim=16)
        if of == "longcat_flash":
            more.update(num_layers=2, head_dim=16)
        fields = mla(of, **more)
        yield text_case(of, fields, of, rotary + "RotaryEmbedding", 16, function=function)
    fields = mla("sarvam_mla", rope_parameters={**YARN, "rope_theta": 1e4})
    yield text_case("sarvam_mla", fields, "deepseek_v3", "DeepseekV3RotaryEmbedding", 16, function=by)
    v3 = mla("deepseek_v3", rope_interleave=False)
    yield text_case("deepseek_v3, halves", v3, "deepseek_v3", "DeepseekV3RotaryEmbedding", 16)
    for of, rotary in (("deepseek_v32", "DeepseekV32"), ("glm_moe_dsa", "GlmMoeDsa"), ("axk2", "AXK2"), ("hy_v4", "HYV4")):
        fields = mla(of, index_n_heads=4, index_head_dim=32, index_topk=2)
        yield indexer_case(of, fields, of, rotary + "Indexer", rotary + "RotaryEmbedding")
    v4 = small("deepseek_v4", num_key_value_heads=1, num_hidden_layers=4, head_dim=64, qk_rope_head_dim=16,
               compress_ratios=[0, 128, 4, 0], rope_theta=1e4, compress_rope_theta=160000,
               rope_scaling={**YARN, "factor": 16, "mscale": 0, "mscale_all_dim": 0})
    rotary = "DeepseekV4RotaryEmbedding"
    yield text_case("DeepSeek-V4, sliding", v4, "deepseek_v4", rotary, 64, kind="main")
    yield text_case("DeepSeek-V4, compressed", v4, "deepseek_v4", rotary, 64, kind="compress", layer=1)


def plain_rotations():
    for of, rotary, lanes, more in (
        ("nanochat", "NanoChat", 64, {}),
        ("llama", "Llama", 64, {}),
        ("cohere", "Cohere", 64, {"rope_theta": 8e6}),
        ("cohere2", "Cohere2", 64, {}),
        ("glm4", "Glm4", 64, {"head_dim": 64, "partial_rotary_factor": 0.5}),
        ("helium", "Helium", 64, {"head_dim": 64, "rope_theta": 1e5}),
        ("ernie4_5", "Ernie4_5", 64, {"head_dim": 64, "rope_theta": 5e5}),
        ("olmo2", "Olmo2", 64, {}),
        ("gpt_oss", "GptOss", 64, {"head_dim": 64, "rope_parameters": {
            "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
            "original_max_position_embeddings": 4096, "rope_theta": 150000.0}}),
        ("qwen3", "Qwen3", 64, {"head_dim": 64}),
        ("phi3", "Phi3", 64, {}),
        ("smollm3", "SmolLM3", 64, {"rope_theta": 2e6}),
        ("gpt_neox", "GPTNeoX", 64, {"rotary_pct": 0.25}),
        ("minimax_m2", "MiniMaxM2", 64, {"head_dim": 64, "rotary_dim": 32, "rope_theta": 5e6}),
    ):
        yield text_case(of, small(of, **more), of, rotary + "RotaryEmbedding", lanes)
    for of, module, rotary, lanes, more in (
        ("exaone", "llama", "Llama", 64, {"rope_theta": 1e6}),
        ("sarvam_moe", "glm4_moe", "Glm4Moe", 32, {"head_dim": 32, "rope_theta": 8e6}),
        ("csm_depth_decoder_model", "csm", "Csm", 32, {"head_dim": 32, "rope_theta": 5e5}),
        ("deepseek_ocr2_text", "deepseek_ocr2", "DeepseekOcr2Text", 64, {}),
        ("unlimited_ocr_text", "unlimited_ocr", "UnlimitedOcrText", 64, {}),
        ("granitemoehybrid", "granitemoehybrid", "GraniteMoeHybrid", 64, {
            "position_embedding_type": "rope", "layer_types": ["full_attention", "full_attention"]}),
        ("zamba2", "zamba2", "Zamba2", 128, {
            "use_mem_rope": True, "head_dim": 128, "num_key_value_heads": 4, "layers_block_type": ["hybrid", "hybrid"]}),
        ("lara_mini", "lara_mini", "LaraMini", 32, {
            "head_dim": 32, "layer_types": ["sliding_attention", "full_attention"]}),
        ("mimi", "mimi", "Mimi", 64, {"head_dim": 64}),
        ("apertus1p5_text", "apertus1p5", "Apertus1p5Text", 64, {"rope_parameters": {
            "rope_type": "llama3", "rope_theta": 1.2e7, "factor": 8.0, "original_max_position_embeddings": 8192,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0}}),
    ):
        yield text_case(of, small(of, **more), module, rotary + "RotaryEmbedding", lanes)
    kinds = ["sliding_attention", "full_attention"]
    for of, rotary in (("beam", "Beam"), ("dory", "Dory"), ("mellum", "Mellum"), ("ultrabert", "Ultrabert")):
        fields = small(of, head_dim=64, layer_types=kinds)
        for layer, kind in enumerate(kinds):
            if (of, kind) != ("beam", "full_attention"):  # which does not rotate
                yield text_case(f"{of}, {kind}", fields, of, rotary + "RotaryEmbedding", 64, kind=kind, layer=layer)
    talker = small("qwen2_5_omni_talker", head_dim=64, rope_parameters={
        "rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]})
    yield text_case("Qwen2.5-Omni, talker", talker, "qwen2_5_omni", "Qwen2_5OmniRotaryEmbedding", 64, 3)
    talker = small("qwen3_omni_moe_talker_text", head_dim=64, rope_parameters={
        "rope_type": "default", "rope_theta": 1e6, "mrope_section": [12, 10, 10]})
    yield text_case("Qwen3-Omni, talker", talker, "qwen3_omni_moe", "Qwen3OmniMoeTalkerRotaryEmbedding", 64, 3)
    modernbert = small("modernbert", layer_types=["full_attention", "sliding_attention"])
    yield text_case("modernbert", modernbert, "modernbert", "ModernBertRotaryEmbedding", 64, kind="full_attention")
    flat = small("hunyuan_vl_text", head_dim=64, rope_parameters={
        "rope_type": "xdrope", "rope_theta": 1e4, "factor": 1.0, "alpha": 1000.0, "xdrope_section": [8, 8, 8, 8]})
    yield hunyuan_case(flat)


def hunyuan_case(fields):
    """Text alone, whose positions are all the same: for others the class does not rotate (see the catalogue)."""
    code = module_of("hunyuan_vl")
    made = code.HunYuanVLRotaryEmbedding(config_of(fields))
    ids = torch.tensor([[p[0] for p in TEXT]])
    return case("HunYuan-VL, text", fields, [[p[0]] * 4 for p in TEXT], lambda x: made(x[None], ids[None]),
                lambda x, by: code.apply_rotary_pos_emb(x[None, None], x[None, None], *by)[0][0, 0], 64)


SHAPE = {"hidden_size": 3072, "num_attention_heads": 64, "num_hidden_layers": 12}
# What a config says of theta, heads and lanes, in words that no class has by itself; and with a part of them left out.
SAID = {"rope_theta": 12345.0, "head_dim": 96, "num_key_value_heads": 16, "partial_rotary_factor": 0.5}
LEFT_OUT = [(), ("rope_theta",), ("head_dim",), ("num_key_value_heads",), ("partial_rotary_factor",), tuple(SAID)]
VARIANTS = [{key: value for key, value in SAID.items() if key not in left} for left in LEFT_OUT]
VARIANTS.append({"head_dim": 96, "num_key_value_heads": 16, "rope_parameters": {"rope_type": "default",
                                                                              "rope_theta": 12345.0}})


def classes():
    """Of every model type: what of each kind of layer rotates, and how, where a config leaves something out."""
    for model_type in sorted(transformers.CONFIG_MAPPING.keys()):
        try:
            config = transformers.CONFIG_MAPPING[model_type]()
        except Exception:
            continue
        # Falcon's key heads have rules of their own.
        if model_type == "falcon" or not isinstance(attribute(config, "rope_parameters"), dict):
            continue
        of = [class_of(model_type, variant) for variant in VARIANTS]
        if any(of):
            yield {"model_type": model_type, "layout": layout_of(config), "of": of}


def class_of(model_type, variant):
    """[theta, rope type, lanes that rotate, heads, key heads, lanes] by kind of layer; null where the class refuses."""
    try:
        config = transformers.CONFIG_MAPPING[model_type](**SHAPE, **json.loads(json.dumps(variant)))
        parameters, heads = config.rope_parameters, config.num_attention_heads
    except Exception:
        return None
    if not isinstance(parameters, dict):
        return None
    by_kind = {k: v for k, v in parameters.items() if isinstance(v, dict)}
    kinds = {}
    for kind, dictionary in (by_kind or {"": parameters}).items():
        layer = config
        if kind and hasattr(config, "per_layer_config") and kind in (attribute(config, "layer_types") or []):
            layer = attribute(config, "per_layer_config", kind) or config
        if "rope_theta" not in dictionary or dictionary["rope_type"] == "axial":
            continue
        lanes = attribute(layer, "head_dim") or config.hidden_size // heads
        rotating = lanes_of(config, kind) or int(lanes * (dictionary.get("partial_rotary_factor") or 1.0))
        kinds[kind] = [float(dictionary["rope_theta"]), dictionary["rope_type"], rotating, heads,
                       attribute(layer, "num_key_value_heads") or heads, lanes]
    return kinds or None


def attribute(config, name, index=None):
    """Null where there is none, or where the config says that it depends on the layer."""
    try:
        found = getattr(config, name, None)
        return found if index is None else found[index]
    except Exception:
        return None


def code_of(config):
    """The module of the config's model, which may be another family's."""
    try:
        return importlib.import_module(type(config).__module__.replace(".configuration_", ".modeling_"))
    except Exception:
        model = transformers.MODEL_MAPPING.get(type(config), None)
        return importlib.import_module(model.__module__) if model else None


def lanes_of(config, kind):
    """The lanes that the rotary classes of the module rotate; null where there are none or they differ."""
    code = code_of(config)
    if code is None:
        return None
    found = set()
    for name, member in vars(code).items():
        if not isinstance(member, type) or not name.endswith("RotaryEmbedding") or member.__module__ != code.__name__:
            continue
        if "Vision" in name or "Audio" in name:
            continue
        try:
            frequencies = getattr(member(config), kind + "_inv_freq" if kind else "inv_freq")
            # The proportional rule has pairs that stand still.
            found.add(2 * int((frequencies != 0).sum()))
        except Exception:
            continue
    return found.pop() if len(found) == 1 else None


def layout_of(config):
    """Of the rotate functions of the module, all of which must agree; null where they do not or there are none."""
    code = code_of(config)
    if code is None:
        return None
    defined = {n.name for n in ast.parse(inspect.getsource(code)).body if isinstance(n, ast.FunctionDef)}
    if "apply_rotary_pos_emb_interleave" in defined:
        return "deinterleaved"
    found = set()
    for name in defined & {"rotate_half", "rotate_every_two", "rotate_half_llm", "rotate_half_text"}:
        rotated = tuple(getattr(code, name)(torch.arange(1.0, 5.0).reshape(1, 1, 1, 4)).flatten().tolist())
        found.add({(-3, -4, 1, 2): "split_half", (-2, 1, -4, 3): "interleaved", (3, 4, -1, -2): "reversed"}[rotated])
    if "apply_rotary_emb" in defined and "apply_rotary_pos_emb" not in defined:
        found.add("interleaved")
    return found.pop() if len(found) == 1 else None


def main():
    torch.set_num_threads(1)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}

    def lines(rows):
        return ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in rows)

    out = pathlib.Path(__file__).with_name("hf_models.json")
    out.write_text('{\n "made_with": ' + json.dumps(versions) + ',\n "rotations": [\n' + lines(rotations()) +
                   '\n ],\n "shape": ' + json.dumps(SHAPE) + ',\n "variants": [\n' + lines(VARIANTS) +
                   '\n ],\n "classes": [\n' + lines(classes()) + "\n ]\n}\n")


if __name__ == "__main__":
    main()
