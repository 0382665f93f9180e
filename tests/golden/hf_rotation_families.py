"""How modeling files of Hugging Face transformers rotate: their classes, their functions, how they call them.

angles_of_... are given a case, an embedding and an input and give cos and sin as transformers makes them, in whatever
form. apply_... are given a modeling file's function, q and k as [tokens, heads, lanes], cos and sin and the case, and
give q and k in the same shape.
"""

import copy
import importlib

import torch


def positions_of(case):
    return torch.tensor(case["positions"], dtype=torch.int64)


def angles_of_tokens(case, embedding, x):
    return embedding(x, positions_of(case)[None])


def angles_of_layer(case, embedding, x):
    return embedding(x, positions_of(case)[None], case["layer_type"])


def angles_of_axes(case, embedding, x):
    return embedding(x, positions_of(case)[:, None])


def angles_of_patches(case, embedding, x):
    return embedding(x, positions_of(case).T)


def angles_of_batched_patches(case, embedding, x):
    return embedding(x, positions_of(case).T[None])


def heads_outside(x):
    return x.transpose(0, 1)[None]


def heads_inside(x):
    return x[0].transpose(0, 1)


def apply_both(apply, q, k, table, case):
    q, k = apply(heads_outside(q), heads_outside(k), *table)
    return heads_inside(q), heads_inside(k)


def apply_each(apply, q, k, table, case):
    return tuple(heads_inside(apply(heads_outside(x), *table)) for x in (q, k))


def apply_tokens_first(apply, q, k, table, case):
    q, k = apply(q[None], k[None], *table)
    return q[0], k[0]


def apply_tokens_first_complex(apply, q, k, table, case):
    return apply_tokens_first(apply, q, k, [torch.complex(*table)], case)


def apply_both_complex(apply, q, k, table, case):
    return apply_both(apply, q, k, [torch.complex(*table)], case)


def apply_gptj(apply, q, k, table, case):
    return tuple(apply(x[None], table[1], table[0])[0] for x in (q, k))


def apply_vision(apply, q, k, table, case):
    return apply(q, k, *table)


def apply_pixtral(apply, q, k, table, case):
    q, k = apply(heads_outside(q), heads_outside(k), *table, unsqueeze_dim=0)
    return heads_inside(q), heads_inside(k)


def apply_by_axis(apply, q, k, table, case):
    places = positions_of(case).T[None]
    return tuple(apply(x[None], *table, places)[0] for x in (q, k))


class Family:
    def __init__(
        self,
        model_type,
        embedding,
        *,
        module=None,
        apply="apply_rotary_pos_emb",
        rounding="p1",
        layout="split_half",
        layout_out=None,
        table="full",
        lanes="all",
        angles=angles_of_tokens,
        call=apply_both,
        direction=None,
        theta=None,
        tower_of=None,
    ):
        self.model_type = model_type
        self.module = importlib.import_module(
            f"transformers.models.{module or model_type}.modeling_{module or model_type}"
        )
        self.embedding = getattr(self.module, embedding) if isinstance(embedding, str) else embedding
        self.apply = getattr(self.module, apply)
        self.rounding, self.layout, self.layout_out, self.table = rounding, layout, layout_out, table
        # "all": apply is given whole heads; "rotary": the attention gives it the lanes that rotate.
        self.lanes = lanes
        self.angles, self.call, self.direction = angles, call, direction
        # Where the modeling file has it in its text, and the config does not.
        self.theta = theta
        # Of a vision tower: the model types of a whole model that has it, and of that one's language model.
        self.tower_of = tower_of


class GptjEmbedding:
    """GPT-J keeps a table of sines and then cosines, and gathers rows of it."""

    def __init__(self, config):
        self.config = config

    def __call__(self, x, positions):
        module = importlib.import_module("transformers.models.gptj.modeling_gptj")
        config = copy.deepcopy(self.config)
        config.max_position_embeddings = int(positions.max()) + 1
        sin, cos = module.GPTJRotaryEmbedding(config)(x, positions)
        return cos, sin


class Llama4VisionEmbedding:
    """The table of all patches of an image and its class token, of which some rows are taken."""

    def __init__(self, config):
        module = importlib.import_module("transformers.models.llama4.modeling_llama4")
        self.embedding = module.Llama4VisionRotaryEmbedding(config)
        self.columns = config.image_size // config.patch_size

    def __call__(self, x, places):
        rows = []
        for column, row in places.tolist():  # counted from 1; the class token, which is last, has 0 and 0
            rows.append((row - 1) * self.columns + column - 1 if row else self.columns**2)
        return self.embedding(x)[rows]


MLA = {
    "layout": "interleaved",
    "layout_out": "split_half",
    "apply": "apply_rotary_pos_emb_interleave",
    "lanes": "rotary",
}
PARTIAL = {"lanes": "rotary"}


def families():
    yield "gpt_neox", Family("gpt_neox", "GPTNeoXRotaryEmbedding")
    yield "falcon", Family("falcon", "FalconRotaryEmbedding")
    yield "llama", Family("llama", "LlamaRotaryEmbedding")
    yield "gemma", Family("gemma", "GemmaRotaryEmbedding")
    yield "gemma2", Family("gemma2", "Gemma2RotaryEmbedding")
    yield "gemma3", Family("gemma3_text", "Gemma3RotaryEmbedding", module="gemma3", angles=angles_of_layer)
    yield "gemma4", Family(
        "gemma4_text",
        "Gemma4TextRotaryEmbedding",
        module="gemma4",
        angles=angles_of_layer,
        call=apply_each,
    )
    yield "phi", Family("phi", "PhiRotaryEmbedding", **PARTIAL)
    yield "phi3", Family("phi3", "Phi3RotaryEmbedding")
    yield "stablelm", Family("stablelm", "StableLmRotaryEmbedding", **PARTIAL)
    yield "persimmon", Family("persimmon", "PersimmonRotaryEmbedding", **PARTIAL)
    yield "nemotron", Family("nemotron", "NemotronRotaryEmbedding")
    yield "bamba", Family("bamba", "BambaRotaryEmbedding")
    yield "mistral", Family("mistral", "MistralRotaryEmbedding")
    yield "ministral3", Family("ministral3", "Ministral3RotaryEmbedding")
    yield "qwen2", Family("qwen2", "Qwen2RotaryEmbedding")
    yield "qwen3", Family("qwen3", "Qwen3RotaryEmbedding")
    yield "qwen3_next", Family("qwen3_next", "Qwen3NextRotaryEmbedding")
    yield "minimax_m2", Family("minimax_m2", "MiniMaxM2RotaryEmbedding")
    yield "exaone4", Family("exaone4", "Exaone4RotaryEmbedding")
    yield "smollm3", Family("smollm3", "SmolLM3RotaryEmbedding")
    yield "lfm2", Family("lfm2", "Lfm2RotaryEmbedding")
    yield "bitnet", Family("bitnet", "BitNetRotaryEmbedding")
    yield "hy_v3", Family("hy_v3", "HYV3RotaryEmbedding")
    yield "hunyuan", Family("hunyuan_v1_dense", "HunYuanDenseV1RotaryEmbedding")
    yield "nomic_bert", Family("nomic_bert", "NomicBertRotaryEmbedding")
    yield "gpt_oss", Family("gpt_oss", "GptOssRotaryEmbedding", table="half")
    yield "nanochat", Family("nanochat", "NanoChatRotaryEmbedding", direction="adjoint")
    yield "modernbert", Family("modernbert", "ModernBertRotaryEmbedding", rounding="p2", angles=angles_of_layer)
    yield "olmo", Family("olmo", "OlmoRotaryEmbedding", rounding="p3")
    yield "olmo2", Family("olmo2", "Olmo2RotaryEmbedding", rounding="p3")
    yield "glm", Family("glm", "GlmRotaryEmbedding", layout="interleaved")
    yield "ernie4_5", Family("ernie4_5", "Ernie4_5RotaryEmbedding", layout="interleaved", rounding="p3")
    yield "ernie4_5_moe", Family("ernie4_5_moe", "Ernie4_5_MoeRotaryEmbedding", layout="interleaved", rounding="p3")
    yield "cohere", Family("cohere", "CohereRotaryEmbedding", layout="interleaved", rounding="p2", table="repeated")
    gptj = {"layout": "interleaved", "table": "half", "call": apply_gptj, "lanes": "rotary", "theta": 10000.0}
    yield "gptj", Family("gptj", GptjEmbedding, **gptj)
    llama4 = {"layout": "interleaved", "rounding": "p3", "table": "complex", "call": apply_tokens_first_complex}
    yield "llama4", Family(
        "llama4_text", "Llama4TextRotaryEmbedding", module="llama4", apply="apply_rotary_emb", **llama4
    )
    yield "deepseek_v2", Family(
        "deepseek_v2",
        "DeepseekV2RotaryEmbedding",
        apply="apply_rotary_emb",
        layout="interleaved",
        rounding="p3",
        table="complex",
        lanes="rotary",
        call=apply_both_complex,
    )
    yield "deepseek_v3", Family("deepseek_v3", "DeepseekV3RotaryEmbedding", **MLA)
    yield "longcat_flash", Family("longcat_flash", "LongcatFlashRotaryEmbedding", **MLA)
    yield "youtu", Family("youtu", "YoutuRotaryEmbedding", **MLA)
    yield "deepseek_v4", Family(
        "deepseek_v4",
        "DeepseekV4RotaryEmbedding",
        layout="interleaved",
        rounding="p2",
        table="half",
        angles=angles_of_layer,
        call=apply_each,
    )
    axes = {"angles": angles_of_axes}
    yield "qwen2_vl", Family("qwen2_vl_text", "Qwen2VLRotaryEmbedding", module="qwen2_vl", **axes)
    yield "qwen3_vl", Family("qwen3_vl_text", "Qwen3VLTextRotaryEmbedding", module="qwen3_vl", **axes)
    yield "qwen3_5", Family("qwen3_5_text", "Qwen3_5TextRotaryEmbedding", module="qwen3_5", **axes)
    yield "ernie4_5_vl", Family(
        "ernie4_5_vl_moe_text",
        "Ernie4_5_VLMoeTextRotaryEmbedding",
        module="ernie4_5_vl_moe",
        layout="interleaved",
        rounding="p3",
        table="repeated",
        **axes,
    )
    vision = {
        "apply": "apply_rotary_pos_emb_vision",
        "rounding": "p3",
        "angles": angles_of_patches,
        "call": apply_vision,
    }
    for name, embedding in (("qwen2_vl", "Qwen2VLVisionRotaryEmbedding"), ("qwen3_vl", "Qwen3VLVisionRotaryEmbedding")):
        yield name + " vision", Family(
            name + "_vision", embedding, module=name, tower_of=(name, name + "_text"), **vision
        )
    yield "pixtral", Family(
        "pixtral",
        "PixtralVisionRotaryEmbedding",
        angles=angles_of_patches,
        call=apply_pixtral,
        tower_of=("mistral3", "mistral"),
    )
    llama4["angles"] = angles_of_patches
    yield "llama4 vision", Family(
        "llama4_vision_model",
        Llama4VisionEmbedding,
        module="llama4",
        apply="vision_apply_rotary_emb",
        tower_of=("llama4", "llama4_text"),
        **llama4,
    )
    yield "gemma4 vision", Family(
        "gemma4_vision",
        "Gemma4VisionRotaryEmbedding",
        module="gemma4",
        apply="apply_multidimensional_rope",
        layout="split_sections",
        angles=angles_of_batched_patches,
        call=apply_by_axis,
        tower_of=("gemma4", "gemma4_text"),
    )
