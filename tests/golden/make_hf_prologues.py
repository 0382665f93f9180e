#!/usr/bin/env python3
"""Writes hf_prologues.json: q, k and v from a projection to attention, by Hugging Face transformers' own models.

No formula is written here: a model of one or two layers is made of a config.json, with heads of their real size, and
run; projections' results are made unlike in size from token to token, so that eps counts in some. What its attention
function is given, and what that came from, is looked up by values (hf_stages.py). Made with

    transformers 5.24.0, torch 2.11.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.11.0
    python3 tests/golden/make_hf_prologues.py

What a case holds:
    name, config, layer, dtype   which model's code, its config.json as far as it matters, of which layer, and the dtype
    rounding                     by its norm's family: N1 to N11 of the arithmetic that models have
    positions                    of the tokens
    cos, sin                     [tokens][pairs] of table_dtype, as its apply function gets them; absent where the layer
                                 does not rotate
    q, k, v                      and of each of them
        heads, head_dim
        stages                   as hf_norms.json has them; where there are none, there is nothing else
        projected                [tokens][heads][head_dim] of the dtype: what the projection gave
        made                     the same as the attention function gets it
        weight, bias             of its norm, in the order of its lanes, where it has such
        r                        fp32, [tokens][heads], or [tokens] of a norm over all heads: the RMS norm's reciprocal
        normed                   as projected: what the norm gave
        head_scales              fp32, [heads]
All numbers of tensors are the hexadecimal digits of their bits, 4 or 8 each.
"""

import json
import pathlib
import sys
import warnings

import torch
import transformers

from hf_prologue_cases import CASES, SMALL_PARTS
from hf_stages import stages_of, weights_of
from hf_tape import attentions_of
from make_hf_layers import SMALL
from make_hf_norms import constants_of, factors_of
from make_hf_rotations import DTYPES, bits_of

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

TRANSFORMERS = "5.24.0"
# With the second the mean of squares is near eps.
SCALES = [1.0, 2.0**-9, 16.0]


def scale_tokens(model):
    """Projections give some tokens larger numbers than others."""

    def scaled(module, given, result):
        factors = torch.tensor(SCALES[:result.shape[-2]], dtype=result.dtype)
        return result * factors[:, None] if result.dim() == 3 else result

    for module in model.modules():
        if "Attention" in type(module).__name__:
            for part in module.modules():
                if isinstance(part, torch.nn.Linear):
                    part.register_forward_hook(scaled)


def table_of(turns, rotary_dim):
    """cos and sin of each pair, of the first rotation: as two tensors of a lane or a pair each, or as complex numbers."""
    for given, _ in turns:
        for i, each in enumerate(given):
            if each.is_complex():
                return each.real.reshape(-1, rotary_dim // 2), each.imag.reshape(-1, rotary_dim // 2)
        pair = [each for each in given if each.shape[-1] in (rotary_dim, rotary_dim // 2) and each.numel() == given[-1].numel()]
        if len(pair) >= 2:
            cos, sin = (each.reshape(-1, each.shape[-1]) for each in pair[-2:])
            if cos.shape[-1] == rotary_dim // 2:
                return cos, sin
            if torch.equal(cos[:, : rotary_dim // 2], cos[:, rotary_dim // 2 :]):
                return cos[:, : rotary_dim // 2], sin[:, : rotary_dim // 2]
            assert torch.equal(cos[:, ::2], cos[:, 1::2])
            return cos[:, ::2], sin[:, ::2]
    raise ValueError("no table")


def in_order(x):
    """[1, heads, tokens, head_dim] as [tokens][heads][head_dim]."""
    return x[0].transpose(0, 1).contiguous()


def norm_parts(stage, module, given, made, x):
    """The weights, the reciprocal and the result of a norm, in the golden's order."""
    norm, tokens = stage["norm"], x.shape[2]
    weight, bias = weights_of(module, given)
    parts = {"normed": in_order(x)}
    for name, each in (("weight", weight), ("bias", bias)):
        if each is not None:
            parts[name] = each.detach().reshape(-1)
    if norm["kind"] == "rms":
        mean = given.float().pow(2).mean(-1, keepdim=True) + norm["eps"]
        r = torch.rsqrt(mean) if not hasattr(module, "with_scale") else torch.pow(mean, -0.5)
        r = r.reshape(1, -1) if norm["span"] == "token" else r[..., 0]
        if r.dim() == 3:  # [1, heads, tokens] or [1, tokens, heads]
            r = r[0].transpose(0, 1) if made.shape == x.shape and torch.equal(made, x) else r[0]
        parts["r"] = r.reshape(tokens, -1).contiguous()
    return parts


def operand_of(x, modules, turns, config, positions, is_q):
    notes = []
    factors = list(factors_of(config, positions)) if is_q else []
    stages, source = stages_of(x, modules, turns, constants_of(config, x.shape[-1]), factors, notes)
    made = {"heads": x.shape[1], "head_dim": x.shape[-1]}
    bits = {"projected": in_order(source), "made": in_order(x)} if stages else {}
    for stage, module, given, result, result_as_x in notes:
        bits.update(norm_parts(stage, module, given, result, result_as_x))
        if hasattr(module, "temp") and not is_q:
            bits["head_scales"] = module.temp.detach().float()
    made.update({name: bits_of(tensor) for name, tensor in bits.items()})
    return {**made, "stages": stages}


def make(row):
    text, dtype_name, rounding, layer, positions, rotary_dim = row
    dtype = DTYPES[dtype_name]
    own = {key: value for key, value in text.items() if key != "model_type"}
    small = {**SMALL, "max_position_embeddings": 1 << 20, **SMALL_PARTS.get(text["model_type"], {})}
    config = transformers.CONFIG_MAPPING[text["model_type"]](**{**small, **json.loads(json.dumps(own))})
    seen = list(attentions_of(config, torch.tensor(positions), dtype, scale_tokens))
    tensors, modules, turns = seen[layer]
    made = {"name": f"{text['model_type']} layer {layer}, {dtype_name}", "config": text, "layer": layer}
    made.update({"dtype": dtype_name, "rounding": rounding, "positions": positions, "rotary_dim": rotary_dim})
    for name, x in zip("qkv", tensors):
        assert x.shape[1] != x.shape[2], "as many heads as tokens: which are which cannot be told"
        made[name] = operand_of(x, modules, turns, config, torch.tensor(positions), name == "q")
    if "rotate" in made["q"]["stages"]:
        cos, sin = table_of(turns, rotary_dim)
        made["table_dtype"] = next(name for name, each in DTYPES.items() if each == cos.dtype)
        made["cos"], made["sin"] = bits_of(cos.contiguous()), bits_of(sin.contiguous())
    return made


def main():
    torch.set_num_threads(1)
    assert transformers.__version__ == TRANSFORMERS
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    rows = [row for row in CASES if not sys.argv[1:] or row[0]["model_type"] in sys.argv[1:]]
    lines = []
    for row in rows:
        try:
            lines.append("  " + json.dumps(make(row), separators=(",", ":")))
        except Exception as error:
            print(f"{row[0]['model_type']}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            if not sys.argv[1:]:
                raise
    text = '{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + ",\n".join(lines) + "\n ]\n}\n"
    if sys.argv[1:]:
        print(text)
    else:
        pathlib.Path(__file__).with_name("hf_prologues.json").write_text(text)


if __name__ == "__main__":
    main()
