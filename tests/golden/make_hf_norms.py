#!/usr/bin/env python3
"""Writes hf_norms.json: what models do to q, k and v on their way to attention, by Hugging Face transformers' own code.

No formula is trusted here: a small model of each type, with weights of its norms that are not 1, is run in bf16 on
five tokens at far positions. Of all q, k and v that an attention function gets it is looked up, by their values, which
stages they came through from a projection (hf_stages.py). Made with

    transformers 5.24.0, torch 2.11.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.11.0
    python3 tests/golden/make_hf_norms.py

What a case holds:
    config     the fields of a config.json, with the class's own layer_types
    layers     of each layer that has attention, in order, which of `sorts` it is
    sorts      q, k and v: the list of their stages, first to last; or in place of it "other", for what is not known, or
               "shared", for what was an earlier layer's
               "rotate"
               {"norm": {kind, span, weight, eps, rounds, and plus_one and bias where they are true}}: in the words of
               ropejit's Norm; rounds has the names of RoundAfter at which the code rounds
               {"scale": c}, {"clamp": c}, "head_scale"
               {"temperature": {coefficient, length, offset, rounded}}
    v_is_k     where v is what k's projection gave
Model types that do not run in so small a form are left out, and named on standard error.
"""

import json
import pathlib
import signal
import sys
import warnings

import torch
import transformers

from hf_stages import same, stages_of
from hf_tape import attentions_of
from make_hf_layers import LATENT, SHAPE, SMALL

warnings.simplefilter("ignore")
transformers.logging.set_verbosity(60)

POSITIONS = torch.arange(5) + 100_000
KINDS = ["sliding_attention", "full_attention"] * 4
SHAPES = [
    {**SHAPE, "head_dim": 16},
    {**SHAPE, "head_dim": 64, "hidden_size": 256},  # for sections of three axes
    {**SHAPE, "hidden_size": 256},
    {**SHAPE, "head_dim": 16, "num_key_value_heads": 4},
    {**SHAPE, **LATENT},
    {**SHAPE, "head_dim": 16, "layer_types": KINDS},
]
# What keeps the parts of some models small.
SMALLER = {
    "chameleon": {"vocabulary_map": {"<image>": 90}, "vq_config": {"embed_dim": 8, "num_embeddings": 16, "base_channels": 32,
                                                                  "channel_multiplier": [1], "num_res_blocks": 1, "latent_channels": 8}},
    "zaya": {"num_experts_per_tok": 1},
    "gemma3n_text": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8, "laurel_rank": 4},
    "gemma4_text": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8},
}
# Of what keeps a model small, what its rotation depends on.
TOLD = {"cohere2_moe": ["first_k_dense_replace"]}
EPS_KEYS = {"rms_norm_eps": 0.011, "norm_eps": 0.012, "layer_norm_eps": 0.013}
# Files that say more than the class, or turn what a family does on or off.
MORE = {
    "cohere": [{"use_qk_norm": True}],
    "dots1": [{"n_shared_experts": 1}],
    "exaone4": [{"sliding_window": None}],
    "falcon_h1": [{"key_multiplier": 0.3}],
    "gemma3n_text": [{"num_kv_shared_layers": 3, "layer_types": KINDS}],
    "gemma4_text": [{"num_kv_shared_layers": 3, "layer_types": KINDS},
                    {"attention_k_eq_v": True, "num_global_key_value_heads": 1}],
    "glm4_moe": [{"use_qk_norm": True}],
    "lfm2_moe": [{"layer_types": ["full_attention"] * 8}],
    "llama4_text": [{"use_qk_norm": False}, {"floor_scale": 2, "attn_scale": 0.3},
                    {"floor_scale": 2, "attn_temperature_tuning": False}],
    "mimo_v2_flash": [{"attention_value_scale": None, "head_dim": 24, "v_head_dim": 8},
                      {"attention_value_scale": 0.6, "head_dim": 24}],
    "ministral3": [{"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "llama_4_scaling_beta": 0.3,
                                        "original_max_position_embeddings": 1000}}],
    "molmo2_text": [{"qk_norm_type": "olmo"}],
    "muse_glimmer_text": [{"qk_scale_factor": 1.7}],
    "muse_spark_text": [{"qk_scale_factor": 1.7}],
    "olmo": [{"clip_qkv": 0.5}],
    "olmoe": [{"clip_qkv": 0.5}],
    "persimmon": [{"qk_layernorm": False}],
    "phi": [{"qk_layernorm": True}],
    "sarvam_moe": [{"use_qk_norm": False}],
    "stablelm": [{"qk_layernorm": True}],
}


def constants_of(config, head_dim):
    """Numbers that something may be multiplied by: those of the config, and powers of head_dim."""
    said = [value for value in config.to_dict().values() if isinstance(value, float)]
    return said + [head_dim**power for power in (-0.5, -0.25, 0.5)]


def factors_of(config, positions):
    """Factors of the position that code of transformers writes, with what they are told."""
    beta, length = (getattr(config, key, None) for key in ("attn_scale", "floor_scale"))
    if beta is not None and length is not None:
        told = {"coefficient": beta, "length": length, "offset": 1, "rounded": False}
        # Counted from the start of the text, whatever position_ids say.
        yield told, torch.log1p(torch.floor((torch.arange(len(positions)).float() + 1.0) / length)) * beta + 1.0
    rope = getattr(config, "rope_parameters", None) or {}
    beta, length = (rope.get(key) for key in ("llama_4_scaling_beta", "original_max_position_embeddings"))
    if beta is not None and length is not None:
        told = {"coefficient": beta, "length": length, "offset": 0, "rounded": True}
        yield told, (1 + beta * torch.log(1 + torch.floor(positions / length))).to(torch.bfloat16)


def sort_of(tensors, modules, turns, config, earlier):
    """What the three of an attention came through."""
    sort, sources = {}, {}
    for name, x in zip("qkv", tensors):
        if name != "q" and any(same(x, each) for each in earlier):
            sort[name] = "shared"
            continue
        constants = constants_of(config, x.shape[-1])
        found = stages_of(x, modules, turns, constants, list(factors_of(config, POSITIONS)) if name == "q" else [])
        sort[name] = "other" if found is None else found[0]
        sources[name] = None if found is None else found[1]
    if sources.get("k") is not None and sources.get("v") is not None and same(sources["k"], sources["v"]):
        sort["v_is_k"] = True
    return sort


def run(config):
    layers, sorts, earlier = [], [], []
    for tensors, modules, turns in attentions_of(config, POSITIONS):
        sort = sort_of(tensors, modules, turns, config, earlier)
        earlier += tensors[1:]
        if sort not in sorts:
            sorts.append(sort)
        layers.append(sorts.index(sort))
    if not layers:
        raise ValueError("no attention")
    return {"layers": layers, "sorts": sorts}


def late(*_):
    raise TimeoutError("took too long")


def case_of(model_type, more):
    """The case, from the first shape that the model runs in; the last failure where there is none."""
    failure = None
    for shape in SHAPES:
        fields = {**shape, **more}
        signal.alarm(60)
        try:
            small = {**SMALL, **SMALLER.get(model_type, {})}
            config = transformers.CONFIG_MAPPING[model_type](**small, **json.loads(json.dumps(fields)))
            case = run(config)
            kinds = getattr(config, "layer_types", None)
            if isinstance(kinds, list) and len(set(kinds)) > 1:
                fields["layer_types"] = kinds
            fields.update({key: SMALL[key] for key in TOLD.get(model_type, [])})
            return {"config": {"model_type": model_type, **fields}, **case}, None
        except Exception as error:
            failure = f"{type(error).__name__}: {str(error)[:150]}"
        finally:
            signal.alarm(0)
    return None, failure


def cases(only):
    for model_type in sorted(transformers.CONFIG_MAPPING.keys()):
        if only and model_type not in only:
            continue
        try:
            if not isinstance(getattr(transformers.CONFIG_MAPPING[model_type](), "rope_parameters", None), dict):
                continue
        except Exception:
            continue
        asked = False  # for other eps
        for more in [{}] + MORE.get(model_type, []):
            case, failure = case_of(model_type, more)
            if case is None:
                print(f"{model_type} {more}: {failure}", file=sys.stderr)
                continue
            yield case
            if asked or '"norm"' not in json.dumps(case["sorts"]):
                continue
            asked = True
            for key, eps in EPS_KEYS.items():
                other, _ = case_of(model_type, {**more, key: eps})
                if other is not None and other["sorts"] != case["sorts"]:
                    yield other


def main():
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, late)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in cases(sys.argv[1:]))
    text = '{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + lines + "\n ]\n}\n"
    if sys.argv[1:]:
        print(text)
    else:
        pathlib.Path(__file__).with_name("hf_norms.json").write_text(text)


if __name__ == "__main__":
    main()
