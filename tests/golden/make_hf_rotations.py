#!/usr/bin/env python3
"""Writes hf_rotations.json: rotated q and k, cos, sin and inverse frequencies by Hugging Face transformers' own code.

No formula is written here: each case is a config.json as a published model has it. transformers makes a config object
of it, the model's own rotary embedding class makes cos and sin, and the apply function of the same modeling file
rotates. Made with

    transformers 5.24.0, torch 2.15.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.15.0
    python3 tests/golden/make_hf_rotations.py MODELS.json

MODELS.json: {"models": [{name, head_dim, num_q_heads, num_kv_heads, rotary_dim, theta, scaling,
max_position_embeddings}]}, facts about published models.

What a case holds:
    name, config        the model, and its config.json as far as it matters
    role, layer         what of the model rotates: main or vision (include/ropejit/model.hpp), and one of its layers
    layout, layout_out, theta, rotary_dim, q, k, axes, direction       in the words of ropejit's spec
    rounding            what the modeling file does: p1, p2 or p3 (include/ropejit/spec.hpp)
    table               how its cos and sin lie in memory: half, full, repeated or complex (form.hpp)
    positions           of the tokens; with several axes a list for each
    length              the length that rules which depend on one were resolved for
    cos, sin            fp32, [tokens][pairs]; for p1 and p2 transformers hands them to apply rounded to the dtype of q
    inv_freq            fp32, [pairs]: absent where transformers does not keep them
    attention_factor
    bf16, fp16, fp32    q and k as they came out: [tokens][heads][rotary_dim], the lanes that rotate alone. (This
                        script checks that the others are the input's.)
All numbers are the hexadecimal digits of their bits, 4 or 8 each. Inputs are not stored: element i of q (k) before it
is rounded to the dtype is a number in [-4, 4) made of splitmix64, see input_values.
"""

import json
import pathlib
import sys
import warnings

import torch
import transformers

from hf_rotation_cases import cases
from hf_rotation_families import angles_of_axes, angles_of_patches, families

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
MASK = (1 << 64) - 1


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def input_values(seed, shape, dtype):
    """Element i: the top 24 bits of splitmix64(seed * 2^32 + i), a number in [-4, 4) that fp32 holds, then rounded."""
    count = 1
    for size in shape:
        count *= size
    values = [((splitmix64((seed << 32) + i) >> 40) - (1 << 23)) / (1 << 21) for i in range(count)]
    return torch.tensor(values, dtype=torch.float32).reshape(shape).to(dtype)


# The language model beside a vision tower.
LANGUAGE = {
    "hidden_size": 2048,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "num_hidden_layers": 4,
    "head_dim": 128,
    "rope_theta": 500000.0,
}


def config_of(family, case):
    """The config object of what rotates; the case's config becomes the whole file."""
    text = {"model_type": family.model_type, **case["config"]}
    if family.tower_of:
        whole, language = family.tower_of
        part = {"model_type": language, **LANGUAGE}
        if language == "gemma4_text":  # which knows rotations by kind of layer alone
            del part["rope_theta"]
        text = {"model_type": whole, "text_config": part, "vision_config": text}
    case["config"] = text
    own = json.loads(json.dumps({key: value for key, value in text.items() if key != "model_type"}))
    config = transformers.CONFIG_MAPPING[text["model_type"]](**own)
    return config.vision_config if family.tower_of else config


def theta_of(family, case, config):
    if family.theta:
        return family.theta
    parameters = config.rope_parameters
    return float((parameters[case["layer_type"]] if "layer_type" in case else parameters)["rope_theta"])


def half_of(table, family):
    """cos and sin by pair, [tokens, pairs], checked against the form that the case names."""
    table = table.reshape(-1, table.shape[-1])
    if family.table in ("half", "complex"):
        return table
    if family.layout == "split_sections":  # no form of a caller's table: every axis has its own halves
        quarter = table.shape[-1] // 4
        half = torch.cat([table[:, :quarter], table[:, 2 * quarter : 3 * quarter]], dim=-1)
        again = torch.cat([table[:, quarter : 2 * quarter], table[:, 3 * quarter :]], dim=-1)
    elif family.table == "repeated":
        half, again = table[:, 0::2], table[:, 1::2]
    else:
        half, again = table.chunk(2, dim=-1)
    assert torch.equal(half, again)
    return half


def frequencies_of(family, case, embedding):
    """inv_freq by pair, in natural order, and the attention factor: as the embedding holds them after its forward."""
    prefix = case["layer_type"] + "_" if "layer_type" in case else ""
    inv_freq = getattr(embedding, prefix + "inv_freq", None)
    factor = float(getattr(embedding, prefix + "attention_scaling", 1.0))
    if inv_freq is None:
        return None, factor
    assert inv_freq.dtype == torch.float32
    recompose = getattr(embedding, "recomposition_frequencies", None)
    if recompose is not None:  # the embedding's own way of dealing frequencies to pairs
        axes = len(case["positions"])
        if family.angles is angles_of_axes:
            each = inv_freq.expand(axes, 1, 1, -1).clone()
        elif family.angles is angles_of_patches:
            each = inv_freq.expand(1, axes, -1).clone()
        else:
            each = inv_freq.expand(1, 1, axes, -1).clone()
        inv_freq = half_of(recompose(each), family)[0]
    return inv_freq, factor


def bits_of(tensor):
    kind, digits = (torch.int32, 8) if tensor.dtype == torch.float32 else (torch.int16, 4)
    values = tensor.contiguous().view(kind).reshape(-1).tolist()
    return "".join(f"{value & ((1 << 4 * digits) - 1):0{digits}x}" for value in values)


def rotate(family, case, config, dtype):
    """Both tensors as they come out, [tokens, heads, rotary_dim]; the table by pair; the embedding."""
    embedding = family.embedding(config)
    tokens = len(case["positions"][0]) if isinstance(case["positions"][0], list) else len(case["positions"])
    before, given, slices = [], [], []
    for seed, name in ((1, "q"), (2, "k")):
        operand = case[name]
        before.append(input_values(seed, [tokens, operand["heads"], operand["head_dim"]], dtype))
        slices.append(slice(operand["first_lane"], operand["first_lane"] + case["rotary_dim"]))
        given.append(before[-1][..., slices[-1]] if family.lanes == "rotary" else before[-1])
    table = family.angles(case, embedding, before[0])
    if not isinstance(table, tuple):
        table = (table.real.clone(), table.imag.clone())
    rotated = []
    for x, y, lanes in zip(before, family.call(family.apply, *given, table, case), slices):
        assert y.dtype == dtype
        if family.lanes != "rotary":
            still = torch.ones(x.shape[-1], dtype=torch.bool)
            still[lanes] = False
            assert torch.equal(x[..., still], y[..., still])
            y = y[..., lanes]
        rotated.append(y)
    expected = torch.float32 if family.rounding == "p3" else dtype
    assert all(part.dtype == expected for part in table), (family.rounding, table[0].dtype)
    return rotated, [half_of(part, family) for part in table], embedding


def make(family, case):
    config = config_of(family, case)
    tables = {}
    outputs = {}
    for name, dtype in DTYPES.items():
        outputs[name], tables[name], embedding = rotate(family, case, config, dtype)
    cos, sin = tables["fp32"]
    for name, dtype in DTYPES.items():
        for exact, rounded in zip((cos, sin), tables[name]):
            assert torch.equal(exact.to(rounded.dtype), rounded)
    inv_freq, factor = frequencies_of(family, case, embedding)
    made = {"name": case["name"], "config": case["config"]}
    made["role"], made["layer"] = "vision" if family.tower_of else "main", case.get("layer", 0)
    made["theta"] = theta_of(family, case, config)
    made["layout"] = family.layout
    if family.layout_out:
        made["layout_out"] = family.layout_out
    if family.direction:
        made["direction"] = family.direction
    if "axes" in case:
        made["axes"] = case["axes"]
    for key in ("rotary_dim", "q", "k"):
        made[key] = case[key]
    made["rounding"] = family.rounding
    made["table"] = "half" if family.layout == "split_sections" else family.table
    made["positions"] = case["positions"]
    if "axes" not in case:
        made["length"] = max(case["positions"]) + 1
    made["attention_factor"] = factor
    if inv_freq is not None:
        made["inv_freq"] = bits_of(inv_freq)
        assert len(inv_freq) == case["rotary_dim"] // 2
    assert cos.shape[-1] == case["rotary_dim"] // 2
    made["cos"], made["sin"] = bits_of(cos), bits_of(sin)
    for name, (q, k) in outputs.items():
        made[name] = {"q": bits_of(q), "k": bits_of(k)}
    return made


def main():
    torch.set_num_threads(1)
    models = json.loads(pathlib.Path(sys.argv[1]).read_text())["models"]
    known = dict(families())
    made = [make(known[case["family"]], case) for case in cases(models)]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in made)
    out = pathlib.Path(__file__).with_name("hf_rotations.json")
    out.write_text('{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + lines + "\n ]\n}\n")


if __name__ == "__main__":
    main()
