#!/usr/bin/env python3
"""Writes hf_prologues.json: q and k through the norm and the rotation of Hugging Face transformers' own attention.

No formula is written here: an attention module of the model is made of a config.json and run on a few tokens. In place
of its projections stand modules that give numbers of ours, and what its norms, its apply function and its attention
function are given is noted. Made with

    transformers 5.24.0, torch 2.11.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.11.0
    python3 tests/golden/make_hf_prologues.py

What a case holds:
    name, config, dtype      which model's code, its config.json as far as it matters, and the dtype of everything
    positions                of the tokens
    rotary_dim, q, k         in the words of ropejit's spec
    eps                      of both norms, as the modules have it
    cos, sin                 [tokens][pairs] of the dtype, as the model's rotary embedding gives them
    q, k hold beside heads and head_dim
        projected            [tokens][heads][head_dim] of the dtype: what the projection gave
        weight               [head_dim] of the dtype: the norm's
        r                    fp32, [tokens][heads]: torch.rsqrt(variance + eps) as the norm computes it
        normed, rotated      as projected: after the norm, and as the attention function gets it
All of these are the hexadecimal digits of their bits, 4 or 8 each. Tokens are of unlike sizes, so that eps counts in
some: see SCALES.
"""

import importlib
import json
import pathlib
import warnings

import torch
import transformers

from make_hf_rotations import DTYPES, bits_of, input_values

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

TRANSFORMERS = "5.24.0"
# The tokens' numbers are below 4 times these: with the second the mean of squares is about eps.
SCALES = [1.0, 2.0**-11, 16.0, 0.25]

QWEN3 = {"model_type": "qwen3", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 512,
         "num_hidden_layers": 2, "head_dim": 128, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
         "max_position_embeddings": 40960}
QWEN3_MOE = {"model_type": "qwen3_moe", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 512,
             "num_hidden_layers": 2, "head_dim": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000000.0,
             "max_position_embeddings": 262144}
# The config, its attention's module and class, the dtype, the positions.
CASES = [
    (QWEN3, "qwen3", "Qwen3", "bf16", [1, 4095, 131071]),
    (QWEN3, "qwen3", "Qwen3", "fp16", [77]),
    (QWEN3_MOE, "qwen3_moe", "Qwen3Moe", "bf16", [0, 5, 40959, 1000003]),
    (QWEN3_MOE, "qwen3_moe", "Qwen3Moe", "fp16", [1, 262143]),
    (QWEN3_MOE, "qwen3_moe", "Qwen3Moe", "fp32", [2, 4095, 262143]),
]


class Given(torch.nn.Module):
    """A projection that gives what it was told, whatever it gets."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def forward(self, hidden):
        return self.values


class Noted:
    """A function of a module, in place of which what it is given and what it gives is noted."""

    def __init__(self, holder, name):
        self.holder, self.name, self.call, self.calls = holder, name, getattr(holder, name), []

    def __enter__(self):
        setattr(self.holder, self.name, self.note)
        return self

    def __exit__(self, *_):
        setattr(self.holder, self.name, self.call)

    def note(self, *given, **named):
        result = self.call(*given, **named)
        self.calls.append((given, result))
        return result


def attention_of(config, code, prefix, dtype):
    """The attention of layer 0 with norms of weights from 0.5 to 1.5, and the model's rotary embedding."""
    attention = getattr(code, prefix + "Attention")(config, 0).eval().to(dtype)
    for seed, norm in ((11, attention.q_norm), (12, attention.k_norm)):
        weight = input_values(seed, list(norm.weight.shape), torch.float32) / 8 + 1
        norm.weight = torch.nn.Parameter(weight.to(dtype))
    return attention, getattr(code, prefix + "RotaryEmbedding")(config)


def projected_of(seed, tokens, operand, dtype):
    values = input_values(seed, [tokens, operand["heads"], operand["head_dim"]], torch.float32)
    return (values * torch.tensor(SCALES[:tokens]).reshape(tokens, 1, 1)).to(dtype)


def run(attention, embedding, code, q, k, positions):
    """The table, and of q and k: the reciprocals, what comes out of the norm, and what attention gets."""
    tokens = len(positions)
    attention.q_proj = Given(q.reshape(1, tokens, -1))
    attention.k_proj = Given(k.reshape(1, tokens, -1))
    attention.v_proj = Given(torch.zeros_like(attention.k_proj.values))
    hidden = torch.zeros(1, tokens, attention.config.hidden_size, dtype=q.dtype)
    with torch.no_grad():
        table = embedding(hidden, torch.tensor([positions]))
        with (
            Noted(torch, "rsqrt") as rsqrt,
            Noted(code, "apply_rotary_pos_emb") as turn,
            Noted(code, "eager_attention_forward") as attend,
        ):
            attention(hidden, table, None)
    (normed, rotated), (given, _) = turn.calls[0], attend.calls[0]
    assert len(rsqrt.calls) == 2 and len(turn.calls) == 1 and len(attend.calls) == 1
    made = []
    for i in range(2):
        # [1, heads, tokens, head_dim], and nothing between the rotation and attention.
        assert torch.equal(rotated[i], given[1 + i])
        r = rsqrt.calls[i][1]
        assert r.dtype == torch.float32 and r.shape[:2] == (1, tokens)
        made.append((r[0, :, :, 0], normed[i][0].transpose(0, 1), rotated[i][0].transpose(0, 1)))
    return table, made


def make(row):
    text, folder, prefix, name, positions = row
    dtype = DTYPES[name]
    code = importlib.import_module(f"transformers.models.{folder}.modeling_{folder}")
    own = {key: value for key, value in text.items() if key != "model_type"}
    config = transformers.CONFIG_MAPPING[text["model_type"]](**json.loads(json.dumps(own)))
    config._attn_implementation = "eager"
    attention, embedding = attention_of(config, code, prefix, dtype)
    heads = {"q": text["num_attention_heads"], "k": text["num_key_value_heads"]}
    operands = {key: {"heads": count, "head_dim": text["head_dim"]} for key, count in heads.items()}
    projected = [projected_of(seed, len(positions), operands[key], dtype) for seed, key in ((1, "q"), (2, "k"))]
    (cos, sin), parts = run(attention, embedding, code, *projected, positions)
    eps = attention.q_norm.variance_epsilon
    assert eps == attention.k_norm.variance_epsilon == text["rms_norm_eps"]
    for key, values, norm, part in zip("qk", projected, (attention.q_norm, attention.k_norm), parts):
        r, normed, rotated = part
        assert all(each.dtype == dtype for each in (values, norm.weight, normed, rotated))
        bits = {"projected": values, "weight": norm.weight.detach(), "r": r, "normed": normed, "rotated": rotated}
        operands[key].update({word: bits_of(tensor) for word, tensor in bits.items()})
    made = {"name": f"{prefix}Attention, {name}, head_dim {text['head_dim']}", "config": text, "dtype": name}
    made["positions"], made["rotary_dim"], made["eps"] = positions, text["head_dim"], eps
    for key, table in (("cos", cos), ("sin", sin)):
        half, again = table[0].chunk(2, dim=-1)
        assert table.dtype == dtype and torch.equal(half, again)
        made[key] = bits_of(half)
    return {**made, **operands}


def main():
    torch.set_num_threads(1)
    assert transformers.__version__ == TRANSFORMERS
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("  " + json.dumps(make(row), separators=(",", ":")) for row in CASES)
    out = pathlib.Path(__file__).with_name("hf_prologues.json")
    out.write_text('{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + lines + "\n ]\n}\n")


if __name__ == "__main__":
    main()
