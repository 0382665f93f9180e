"""What is known of the attention of transformers' families, as far as its prologue is concerned."""

from typing import Callable, NamedTuple, Optional

from ropejit.dropin.hf import _rotations


def _nothing(attention):
    return {}


def _window(attention):
    return {"sliding_window": attention.sliding_window}


def _window_of_config(attention):
    return {"sliding_window": getattr(attention.config, "sliding_window", None)}


def _window_and_sinks(attention):
    return {"sliding_window": attention.sliding_window, "s_aux": attention.sinks}


class Family(NamedTuple):
    """attention: the name of the family's attention class, in transformers.models.NAME.modeling_NAME.

    Where `fuses` is true, it projects q, k and v by q_proj, k_proj and v_proj, puts them through norms and the rotation, and
    calls the attention function with `more` beside the usual arguments, and o_proj with what that gives. Else the function
    that rotates is all that is replaced.
    """

    attention: str
    fuses: bool = True
    norms: Optional[tuple] = None  # the attributes of q's and k's norms
    norm: Optional[str] = None  # their class
    place: str = "head"  # where the norms are: "head" or "token" (over a token's heads), before the rotation; "behind" it
    switch: Optional[str] = None  # the attribute that says whether there are norms; None: there are
    more: Callable = _nothing
    angles: str = "full"  # what the tables are (docs/spec-json.md)
    rotations: tuple = (("apply_rotary_pos_emb", _rotations.apply_rotary_pos_emb),)


_HEAD = ("q_norm", "k_norm")
_HALF_TABLES = (("apply_rotary_pos_emb", _rotations.apply_rotary_emb_of_half_tables),)
_IN_OWN_DTYPE = (("apply_rotary_pos_emb", _rotations.apply_rotary_in_own_dtype),)
_BOTH_LAYOUTS = (
    ("apply_rotary_pos_emb", _rotations.apply_rotary_pos_emb),
    ("apply_rotary_pos_emb_interleave", _rotations.apply_rotary_pos_emb_interleave),
)

FAMILIES = {
    "deepseek_v3": Family("DeepseekV3Attention", fuses=False, rotations=_BOTH_LAYOUTS),
    "gemma3": Family("Gemma3Attention", norms=_HEAD, norm="Gemma3RMSNorm", more=_window),
    "glm4_moe": Family("Glm4MoeAttention", norms=_HEAD, norm="Glm4MoeRMSNorm", switch="use_qk_norm"),
    "gpt_neox": Family("GPTNeoXAttention", fuses=False),
    "gpt_oss": Family("GptOssAttention", more=_window_and_sinks, angles="half", rotations=_HALF_TABLES),
    "hunyuan_v1_dense": Family(
        "HunYuanDenseV1Attention", norms=("query_layernorm", "key_layernorm"), norm="HunYuanDenseV1RMSNorm", place="behind"
    ),
    "hunyuan_v1_moe": Family(
        "HunYuanMoEV1Attention", norms=("query_layernorm", "key_layernorm"), norm="HunYuanMoEV1RMSNorm", place="behind"
    ),
    "llama": Family("LlamaAttention"),
    "mistral": Family("MistralAttention", more=_window_of_config),
    "mixtral": Family("MixtralAttention", more=_window_of_config),
    "olmo2": Family("Olmo2Attention", norms=_HEAD, norm="Olmo2RMSNorm", place="token", rotations=_IN_OWN_DTYPE),
    "qwen2": Family("Qwen2Attention", more=_window),
    "qwen2_5_vl": Family("Qwen2_5_VLAttention", fuses=False),
    "qwen2_moe": Family("Qwen2MoeAttention"),
    "qwen2_vl": Family("Qwen2VLAttention", fuses=False),
    "qwen3": Family("Qwen3Attention", norms=_HEAD, norm="Qwen3RMSNorm", more=_window),
    "qwen3_moe": Family("Qwen3MoeAttention", norms=_HEAD, norm="Qwen3MoeRMSNorm", more=_window),
    "qwen3_vl": Family("Qwen3VLTextAttention", norms=_HEAD, norm="Qwen3VLTextRMSNorm"),
    "qwen3_vl_moe": Family("Qwen3VLMoeTextAttention", norms=_HEAD, norm="Qwen3VLMoeTextRMSNorm"),
}


def family_of(module):
    """The family's name and its Family, of a module that is its attention; else None."""
    words = type(module).__module__.split(".")
    if words[:2] != ["transformers", "models"] or len(words) < 4:
        return None
    family = FAMILIES.get(words[2])
    return (words[2], family) if family is not None and type(module).__name__ == family.attention else None


def replaced_code(name, family, namespace):
    """What of the family's module ropejit stands in for: (name, function), whose fingerprints have to be known."""
    found = [(f"{family.attention}.forward", getattr(namespace, family.attention).forward)]
    if family.fuses and family.norm is not None:
        found.append((f"{family.norm}.forward", getattr(namespace, family.norm).forward))
        found += [
            (f"{family.norm}.{part}", getattr(getattr(namespace, family.norm), part))
            for part in ("_norm",) if hasattr(getattr(namespace, family.norm), part)
        ]
    helpers = ("rotate_half", "_apply_rotary_emb")
    names = [each for each, _ in family.rotations] + list(helpers)
    found += [(each, getattr(namespace, each)) for each in names if hasattr(namespace, each)]
    return [(f"{name}.{each}", function) for each, function in found]
