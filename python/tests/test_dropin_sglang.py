"""ropejit.dropin.sglang beside the formulas of SGLang."""

from dataclasses import dataclass
from typing import Optional

import pytest
import torch

from ropejit.dropin import sglang
from shapes import DTYPES, assert_close, assert_same_bits
from test_dropin_serving import ROWS, cache_of, rotated

CACHE = 40


@dataclass
class TheirArgs:
    """SGLang's own FusedSetKVBufferArg, of the versions with scales."""

    value: torch.Tensor
    k_buffer: torch.Tensor
    v_buffer: torch.Tensor
    k_scale: Optional[float]
    v_scale: Optional[float]
    cache_loc: torch.Tensor


def inputs(device, dtype, tokens=9, q_heads=4, k_heads=2, size=32, packed=False):
    qkv = torch.randn(tokens, q_heads + 2 * k_heads, size, device=device).to(dtype)
    parts = qkv.split((q_heads, k_heads, k_heads), dim=1)
    return parts if packed else [x.contiguous() for x in parts]


@pytest.mark.parametrize("size, rope_dim", [(64, 64), (32, 16), (80, 80), (16, 4)])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_in_place(dtype, is_neox, size, rope_dim, device):
    q, k, _ = inputs(device, dtype, size=size, packed=is_neox)
    positions = torch.randint(0, ROWS, (9,), device=device, dtype=torch.int32 if is_neox else torch.int64)
    table = cache_of(rope_dim, device)
    cos, sin = table[positions.long()].chunk(2, dim=-1)
    expected = [rotated(x, cos, sin, is_neox) for x in (q, k)]
    rest = {"rope_dim": rope_dim} if is_neox else {}
    assert sglang.apply_rope_with_cos_sin_cache_inplace(q, k, table, positions, is_neox=is_neox, **rest) is None
    assert_close((q, k), expected)


@pytest.mark.parametrize("call", ["fused_args", "their fused_args", "with_kvcache"])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
@pytest.mark.parametrize("deep", [True, False], ids=["heads apart", "flat"])
@pytest.mark.parametrize("rows", [torch.int32, torch.int64], ids=str)
def test_to_the_cache(rows, deep, is_neox, call, device):
    dtype = torch.bfloat16
    q, k, v = inputs(device, dtype, packed=deep)
    positions = torch.randint(0, ROWS, (9,), device=device)
    table = cache_of(32, device)
    k_cache, v_cache = torch.randn(2, CACHE, 64, device=device).to(dtype)
    where = torch.randperm(CACHE, device=device)[:9].to(rows)
    ours, theirs = (q.clone(), k.clone()), (q.clone(), k.clone())
    sglang.apply_rope_inplace(*theirs, table, positions, is_neox=is_neox)
    expected = k_cache.clone(), v_cache.clone()
    expected[0][where.long()] = theirs[1].flatten(1)
    expected[1][where.long()] = v.flatten(1)
    buffers = [x.view(CACHE, 2, 32) if deep else x for x in (k_cache, v_cache)]
    value = v if deep else v.flatten(1)
    if call == "with_kvcache":
        sglang.apply_rope_inplace_with_kvcache(*ours, value, *buffers, table, positions, where, is_neox=is_neox)
    else:
        args = sglang.FusedSetKVBufferArg(value, *buffers, where)
        if call == "their fused_args":
            args = TheirArgs(value, *buffers, None, None, where)
        sglang.apply_rope_with_cos_sin_cache_inplace(*ours, table, positions, is_neox=is_neox, fused_args=args)
    assert_same_bits((*ours, k_cache, v_cache), (*theirs, *expected))


def test_padding_tokens_may_share_the_first_row(device):
    q, k, v = inputs(device, torch.float32)
    k_cache, v_cache = torch.zeros(2, CACHE, 64, device=device)
    where = torch.tensor([0, 0, 0, 5, 6, 7, 8, 9, 10], device=device)
    sglang.apply_rope_inplace_with_kvcache(
        q, k, v, k_cache, v_cache, cache_of(32, device), torch.arange(9, device=device), where, is_neox=True
    )
    assert_same_bits([k_cache[5:11], v_cache[5:11]], [k[3:].flatten(1), v[3:].flatten(1)])
    assert (v_cache[0] == v[:3].flatten(1)).any(0).all()


def frequencies(base, rotary_dim, factor, low, high):
    pair = torch.arange(rotary_dim // 2, dtype=torch.float64)
    found = base ** (-2 * pair / rotary_dim)
    ramp = ((pair - low) / (high - low)).clamp(0, 1)
    return found / factor * ramp + found * (1 - ramp) if factor != 1 else found


@pytest.mark.parametrize("yarn", [(1.0, 1.0, 32.0, 1.0), (2.5, 2.0, 9.0, 0.9)], ids=["plain", "yarn"])
@pytest.mark.parametrize("rotary_dim", [None, 16])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "interleaved"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fused_qk_norm_rope(dtype, is_neox, rotary_dim, yarn, device):
    size, heads, tokens = 64, (4, 2, 2), 7
    qkv = torch.randn(tokens, sum(heads) * size, device=device).to(dtype)
    weights = [(torch.rand(size, device=device) + 0.5).to(dtype) for _ in range(2)]
    positions = torch.tensor([0, 1, 2, 9, 100, 5, 40000], device=device, dtype=torch.int32)
    *scaling, attention_factor = yarn
    width = rotary_dim or size
    angle = positions.double()[:, None] * frequencies(5e5, width, *scaling).to(device)
    cos, sin = ((x * attention_factor).float() for x in (angle.cos(), angle.sin()))
    q, k, v = qkv.clone().unflatten(1, (-1, size)).split(heads, dim=1)
    expected = []
    for x, weight in zip((q, k), weights):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5) * weight.float()
        expected.append(rotated(wide, cos, sin, is_neox).to(dtype))
    given = qkv, *heads, size, 1e-5, *weights, 5e5, is_neox, positions, *yarn
    assert sglang.fused_qk_norm_rope(*given, *(() if rotary_dim is None else (rotary_dim,))) is None
    parts = qkv.unflatten(1, (-1, size)).split(heads, dim=1)
    assert_close(parts[:2], expected)
    assert_same_bits(parts[2:], [v])


def test_the_operators_order(device):
    qkv, weight = torch.randn(3, 4 * 16, device=device), torch.rand(16, device=device)
    positions, again = torch.arange(3, device=device, dtype=torch.int32), qkv.clone()
    sglang.fused_qk_norm_rope(qkv, 2, 1, 1, 16, 1e-6, weight, weight, 1e4, True, positions, 1.0, 0.0, 0.0, 1.0)
    sglang.fused_qk_norm_rope_out(again, weight, weight, positions, 2, 1, 1, 16, 1e-6, 1e4, True, 1.0, 0.0, 0.0, 1.0, 16)
    assert_same_bits([qkv], [again])


def bad_cases(device):
    q, k, v = inputs(device, torch.float32)
    table, positions, rows = cache_of(32, device), torch.arange(9, device=device), torch.arange(9, device=device)
    k_cache, v_cache = torch.zeros(2, CACHE, 64, device=device)
    qkv, weight = torch.zeros(9, 256, device=device), torch.ones(32, device=device)

    def plain(**changed):
        given = {"q": q, "k": k, "cos_sin_cache": table, "positions": positions, "is_neox": True}
        return sglang.apply_rope_with_cos_sin_cache_inplace, {**given, **changed}

    def fused(**changed):
        args = {"value": v, "k_buffer": k_cache, "v_buffer": v_cache, "cache_loc": rows, **changed}
        return plain(fused_args=sglang.FusedSetKVBufferArg(**args))

    def with_cache(**changed):
        given = plain()[1] | {"v": v, "k_cache": k_cache, "v_cache": v_cache, "out_loc": rows}
        return sglang.apply_rope_inplace_with_kvcache, {**given, **changed}

    def norm(**changed):
        names = "qkv num_heads_q num_heads_k num_heads_v head_dim eps q_weight k_weight base is_neox position_ids factor low"
        given = qkv, 4, 2, 2, 32, 1e-6, weight, weight, 1e4, True, positions, 1.0, 0.0
        given = dict(zip(names.split(), given)) | {"high": 0.0, "attention_factor": 1.0}
        return sglang.fused_qk_norm_rope, {**given, **changed}

    return {
        "q is None": (TypeError, "q: found NoneType", *plain(q=None)),
        "q is flat": (ValueError, "q: found shape", *plain(q=q.flatten(1))),
        "another rope_dim": (ValueError, "cos_sin_cache: found 32 numbers a row, allowed: 16", *plain(rope_dim=16)),
        "a wide table": (ValueError, "cos_sin_cache: found 64", *plain(cos_sin_cache=cache_of(64, device))),
        "positions of fp32": (TypeError, "positions: found torch.float32", *plain(positions=positions.float())),
        "fused_args are a list": (TypeError, "fused_args: found list without value", *plain(fused_args=[1])),
        "a scale": (ValueError, "fused_args.k_scale: found 1.0, allowed: None", *fused(k_scale=1.0)),
        "value is None": (TypeError, "fused_args.value: found NoneType", *fused(value=None)),
        "a narrow buffer": (ValueError, "fused_args.k_buffer: found shape", *fused(k_buffer=k_cache[:, :60])),
        "another dtype": (ValueError, "fused_args.v_buffer: found torch.float16", *fused(v_buffer=v_cache.half())),
        "rows of fp32": (TypeError, "fused_args.cache_loc: found torch.float32", *fused(cache_loc=rows.float())),
        "too many rows": (ValueError, "out_loc: found shape", *with_cache(out_loc=rows.repeat(2))),
        "fewer values": (ValueError, "v: found shape", *with_cache(v=v[:4])),
        "a buffer of bytes": (ValueError, "k_cache: found torch.uint8", *with_cache(k_cache=k_cache.byte())),
        "norm: qkv of other heads": (ValueError, "qkv: found shape", *norm(num_heads_v=1)),
        "norm: an odd rotary_dim": (ValueError, "rotary_dim: found 15", *norm(rotary_dim=15)),
        "norm: base is text": (TypeError, "base: found str", *norm(base="1")),
        "norm: base of 0": (ValueError, "base: found 0", *norm(base=0.0)),
        "norm: factor of 0": (ValueError, "factor: found 0", *norm(factor=0.0)),
        "norm: positions": (ValueError, "position_ids: found shape", *norm(position_ids=positions[:4])),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=message) as raised:
        function(**arguments)
    assert "\n" not in str(raised.value)


def test_compiled_without_a_graph_break(device):
    q, k, v = inputs(device, torch.float32)
    k_cache, v_cache = torch.zeros(2, CACHE, 64, device=device).unbind(0)
    table, positions, rows = cache_of(32, device), torch.arange(9, device=device), torch.arange(9, device=device) + 3
    weight = torch.rand(32, device=device)

    def step(q, k, v, k_cache, v_cache):
        sglang.apply_rope_with_cos_sin_cache_inplace(
            q, k, table, positions, is_neox=True, fused_args=sglang.FusedSetKVBufferArg(v, k_cache, v_cache, rows)
        )
        qkv = torch.cat((q, k, v), dim=1).flatten(1)
        sglang.fused_qk_norm_rope(qkv, 4, 2, 2, 32, 1e-6, weight, weight, 1e4, False, positions, 1.0, 0.0, 0.0, 1.0)
        return qkv

    given = q, k, v, k_cache.clone(), v_cache.clone()
    again = [x.clone() for x in given]
    torch._dynamo.reset()
    result = torch.compile(step, backend="aot_eager", fullgraph=True)(*again)
    assert_same_bits([step(*given), *given], [result, *again])
