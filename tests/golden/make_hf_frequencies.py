#!/usr/bin/env python3
"""Writes hf_frequencies.json: inverse frequencies and attention factors by Hugging Face transformers' own code.

Nothing is computed here: each case is a config.json as a model may have it; transformers makes a config object of it
(with its own defaults and rewriting) and its own functions compute the frequencies in fp32. Made with

    transformers 5.24.0, torch 2.15.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.15.0
    python3 tests/golden/make_hf_frequencies.py MODELS.json

MODELS.json: {"models": [{name, head_dim, num_q_heads, num_kv_heads, rotary_dim, theta, scaling,
max_position_embeddings, layout, per_layer}]}, the facts about published models that the first part is made of.
"""

import json
import pathlib
import sys
import warnings

import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

KNOWN = ("default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional")


def config_json(model, layer=None):
    """A config.json in the words of a Llama, which has no rewriting of its own."""
    part = {**model, **(layer or {})}
    head_dim = part["head_dim"]
    config = {
        "model_type": "llama",
        "hidden_size": head_dim * model["num_q_heads"],
        "num_attention_heads": model["num_q_heads"],
        "num_key_value_heads": part["num_kv_heads"],
        "head_dim": head_dim,
        "rope_theta": float(part["theta"]),
        "max_position_embeddings": model["max_position_embeddings"] or 8192,
    }
    if part["scaling"] and part["scaling"].get("rope_type") in KNOWN[1:]:
        config["rope_scaling"] = {k: v for k, v in part["scaling"].items() if k != "llama_4_scaling_beta"}
    rotary_dim = head_dim if layer and "head_dim" in layer else model["rotary_dim"]
    if rotary_dim != head_dim:
        config["partial_rotary_factor"] = rotary_dim / head_dim
    return config


def of_models(models):
    for model in models:
        scaling = model["scaling"] or {}
        if "vision" in scaling or "mrope_section" in scaling:
            continue  # frequencies of several axes
        layers = [layer for layer in model.get("per_layer", []) if isinstance(layer.get("scaling"), (dict, type(None)))]
        for layer in layers or [None]:
            if layer is not None:
                layer.setdefault("scaling", None)
            name = model["name"] + (f" ({layer['layers']})" if layer else "")
            yield name, config_json(model, layer), [None]


def plain(scaling, theta=10000.0, head_dim=128, **more):
    return {
        "model_type": "llama",
        "hidden_size": head_dim * 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "head_dim": head_dim,
        "rope_theta": theta,
        "rope_scaling": scaling,
        **more,
    }


def yarn(**fields):
    return {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, **fields}


def longrope(pairs, **fields):
    return {
        "rope_type": "longrope",
        "short_factor": [1.0 + i / 16 for i in range(pairs)],
        "long_factor": [1.0 + 1.25 * i for i in range(pairs)],
        **fields,
    }


def of_rules():
    """Every option of every rule, and the quirks that a reader of configs can get wrong."""
    m = "max_position_embeddings"
    original = "original_max_position_embeddings"
    yield "linear", plain({"type": "linear", "factor": 2.5}, **{m: 4096}), [None]
    yield "linear, partial", plain({"type": "linear", "factor": 4}, **{m: 4096}, partial_rotary_factor=0.25), [None]
    dynamic = {"rope_type": "dynamic", "factor": 2.0}
    yield "dynamic", plain(dynamic, **{m: 2048}), [None, 1, 2048, 2049, 4096, 8192]
    yield "dynamic, partial", plain(dynamic, **{m: 2048}, partial_rotary_factor=0.5), [6000]
    yield "yarn", plain(yarn(), **{m: 16384}), [None]
    yield "yarn, no truncation", plain(yarn(truncate=False), **{m: 16384}), [None]
    yield "yarn, betas", plain(yarn(beta_fast=16, beta_slow=2), **{m: 16384}), [None]
    yield "yarn, betas of 0", plain(yarn(beta_fast=0, beta_slow=0), **{m: 16384}), [None]
    yield "yarn, no width", plain(yarn(beta_fast=2, beta_slow=2, truncate=False), **{m: 16384}), [None]
    yield "yarn, ends before it begins", plain(yarn(beta_fast=1e-9, beta_slow=1e-9), **{m: 16384}), [None]
    yield "yarn, tiny original", plain(yarn(**{original: 16}), **{m: 16384}), [None]
    yield "yarn, huge original", plain(yarn(**{original: 2**40}), **{m: 2**42}), [None]
    yield "yarn, attention_factor", plain(yarn(attention_factor=1.5, mscale=1.0, mscale_all_dim=0.5), **{m: 16384}), [None]
    yield "yarn, mscale alone", plain(yarn(mscale=0.707), **{m: 16384}), [None]
    yield "yarn, mscale_all_dim alone", plain(yarn(mscale_all_dim=0.707), **{m: 16384}), [None]
    yield "yarn, both mscales", plain(yarn(mscale=0.707, mscale_all_dim=1.0), **{m: 16384}), [None]
    yield "yarn, factor is not M / L", plain(yarn(factor=8.0), **{m: 16384}), [None]
    yield "yarn, factor null", plain(yarn(factor=None), **{m: 32768}), [None]
    yield "yarn, factor below 1", plain(yarn(factor=0.5), **{m: 16384}), [None]
    yield "yarn, L in the config", plain(yarn(), **{m: 16384, original: 2048}), [None]
    yield "yarn, no L", plain({"rope_type": "yarn", "factor": 4.0}, **{m: 16384}), [None]
    long = [None, 1, 4096, 4097, 131072]
    yield "longrope", plain(longrope(64, **{original: 4096}), **{m: 131072}), long
    yield "longrope, factor", plain(longrope(64, factor=8.0, **{original: 4096}), **{m: 131072}), long[2:4]
    yield "longrope, factor 1", plain(longrope(64, factor=1.0, **{original: 4096}), **{m: 131072}), [None]
    yield "longrope, attention_factor", plain(longrope(64, attention_factor=1.75, **{original: 4096}), **{m: 9}), [None]
    yield "longrope, L in the config", plain(longrope(64), **{m: 131072, original: 8192}), [8192, 8193]
    yield "longrope, no L", plain(longrope(64), **{m: 131072}), [131072]
    phi = {"model_type": "phi3", "original_max_position_embeddings": 4096}
    yield "Phi-3, su", {**plain({**longrope(64, **{original: 4096}), "rope_type": "su"}, **{m: 131072}), **phi}, long[2:4]
    yield "Phi-3, yarn", {**plain({**longrope(64), "rope_type": "yarn"}, **{m: 131072}), **phi}, long[2:4]
    yield "Phi-3, no L", {**plain(longrope(64), **{m: 131072}), "model_type": "phi3"}, [None]
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    yield "llama3, no L", plain(llama3, theta=500000.0, **{m: 8192}), [None]
    proportional = {"rope_type": "proportional", "partial_rotary_factor": 0.25}
    yield "proportional", plain(proportional, theta=1e6, head_dim=512, **{m: 131072}), [None]
    yield "proportional, odd share", plain({**proportional, "partial_rotary_factor": 0.334, "factor": 8.0}), [None]
    yield "proportional, all", plain({"rope_type": "proportional"}), [None]
    alpha = {"type": "dynamic", "factor": 1.0, "alpha": 1000.0}
    yield "Hunyuan", {**plain(alpha, **{m: 32768}), "model_type": "hunyuan_v1_dense"}, ["hunyuan"]


def frequencies(config, length):
    """inv_freq and attention factor as transformers has them when the model is made, or for a length."""
    if length == "hunyuan":
        from transformers.models.hunyuan_v1_dense.modeling_hunyuan_v1_dense import HunYuanDenseV1RotaryEmbedding

        embedding = HunYuanDenseV1RotaryEmbedding(config)
        return embedding.inv_freq, embedding.attention_scaling
    rope_type = config.rope_parameters["rope_type"]
    if rope_type == "default":
        from transformers.models.glm.modeling_glm import GlmRotaryEmbedding  # the one that knows a fraction

        return GlmRotaryEmbedding.compute_default_rope_parameters(config)
    return ROPE_INIT_FUNCTIONS[rope_type](config, None, length)


def main():
    torch.set_num_threads(1)
    models = json.loads(pathlib.Path(sys.argv[1]).read_text())["models"]
    cases = []
    for name, text, lengths in [*of_models(models), *of_rules()]:
        for length in lengths:
            config = transformers.CONFIG_MAPPING[text["model_type"]](**json.loads(json.dumps(text)))
            inv_freq, attention_factor = frequencies(config, length)
            case = {"name": name, "config": text}
            if isinstance(length, int):
                case["length"] = length
            case["attention_factor"] = float(attention_factor)
            case["inv_freq"] = "".join(f"{bits & 0xFFFFFFFF:08x}" for bits in inv_freq.float().view(torch.int32).tolist())
            cases.append(case)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in cases)
    out = pathlib.Path(__file__).with_name("hf_frequencies.json")
    out.write_text('{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + lines + "\n ]\n}\n")


if __name__ == "__main__":
    main()
