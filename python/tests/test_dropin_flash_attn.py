"""ropejit.dropin.flash_attn beside the formulas of flash-attn."""

import pytest
import torch

from ropejit.dropin import flash_attn
from shapes import DTYPES, IDS, SHAPES, angles, assert_close, results_and_gradients, tensors


def rotated(x, cos, sin, interleaved):
    """In fp32; cos, sin: [..., tokens, rotary_dim / 2], which broadcast over heads."""
    width = 2 * cos.shape[-1]
    cos, sin = cos.float().unsqueeze(-2), sin.float().unsqueeze(-2)
    turned, rest = x[..., :width].float(), x[..., width:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        result = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    else:
        a, b = turned.chunk(2, dim=-1)
        result = torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
    return torch.cat((result.to(x.dtype), rest), dim=-1)


def tables(rows, dim, device, dtype=torch.float32, part=1.0):
    pairs = max(1, int(dim // 2 * part))
    half = angles(1, rows, pairs, device)[0]
    return half.cos().to(dtype), half.sin().to(dtype)


# seqlen_offsets: none, an int, a tensor of int32, one of int64
OFFSETS = ("none", "int", "int32", "int64")


def offsets_of(kind, batch, device):
    if kind == "none":
        return 0, torch.zeros(batch, dtype=torch.int64, device=device)
    if kind == "int":
        return 5, torch.full((batch,), 5, device=device)
    numbers = torch.arange(batch, device=device) * 3 + 1
    return numbers.to(getattr(torch, kind)), numbers


@pytest.mark.parametrize("inplace", [False, True], ids=["out of place", "in place"])
@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=IDS)
def test_apply_rotary_emb(number, interleaved, inplace, device):
    shape = SHAPES[number]
    batch, tokens, dim = shape[0], shape[1], shape[4]
    kind = OFFSETS[(number + inplace) % 4]
    dtype, table_dtype = DTYPES[number % 3], (DTYPES[number % 3], torch.float32)[(number + interleaved) % 2]
    x = tensors(shape, dtype, device)[0].transpose(1, 2)
    cos, sin = tables(tokens + 40, dim, device, table_dtype, 0.5 if number % 4 == 3 else 1.0)
    offsets, numbers = offsets_of(kind, batch, device)
    rows = numbers[:, None] + torch.arange(tokens, device=device)

    def ours(x):
        if inplace:
            written = x * 1
            result = flash_attn.apply_rotary_emb(written, cos, sin, interleaved, True, offsets)
            assert result is written
            return (result,)
        before = x.clone()
        result = flash_attn.apply_rotary_emb(x, cos, sin, interleaved, seqlen_offsets=offsets)
        assert torch.equal(x, before)
        return (result,)

    def theirs(x):
        return (rotated(x, cos[rows], sin[rows], interleaved),)

    assert_close(results_and_gradients(ours, [x]), results_and_gradients(theirs, [x]))


# lengths of sequences, heads, head_dim
RAGGED = [
    ((1,), 8, 64),
    ((7,), 32, 128),
    ((3, 5), 4, 64),
    ((5, 3, 1), 12, 128),
    ((1, 1, 1, 1), 71, 64),
    ((17, 2), 28, 128),
    ((9, 0, 4), 16, 256),
    ((31, 33), 3, 96),
    ((2, 6), 6, 80),
    ((11,), 5, 40),
    ((4, 4, 4, 4), 2, 6),
    ((13,), 2, 2),
    ((6, 1), 1, 512),
    ((1, 64), 16, 72),
    ((10, 20, 30), 9, 112),
    ((2, 2), 2, 32),
    ((21,), 24, 64),
    ((3, 1, 4, 1, 5), 40, 160),
    ((8, 16), 64, 192),
    ((0, 7), 7, 20),
    ((19, 12), 14, 16),
    ((128,), 1, 64),
]


@pytest.mark.parametrize("inplace", [False, True], ids=["out of place", "in place"])
@pytest.mark.parametrize("number", range(len(RAGGED)))
def test_sequences_one_after_another(number, inplace, device):
    lengths, heads, dim = RAGGED[number]
    interleaved, dtype = number % 2 == 1, DTYPES[number % 3]
    x = torch.randn(sum(lengths), heads, dim, device=device).to(dtype)
    cos, sin = tables(max(lengths) + 20 + 3 * len(lengths), dim, device, DTYPES[number % 2], 1.0 if number % 5 else 0.5)
    ends = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32, device=device)
    offsets, numbers = offsets_of(OFFSETS[number % 4], len(lengths), device)
    rows = torch.cat([torch.arange(n, device=device) + first for n, first in zip(lengths, numbers)])

    def ours(x):
        x = x * 1 if inplace else x
        return (flash_attn.apply_rotary_emb(x, cos, sin, interleaved, inplace, offsets, ends, max(lengths)),)

    def theirs(x):
        return (rotated(x, cos[rows], sin[rows], interleaved),)

    assert_close(results_and_gradients(ours, [x]), results_and_gradients(theirs, [x]))


# batch, tokens, q heads, k heads, head_dim
PACKED = [
    (1, 1, 8, 8, 64),
    (2, 7, 32, 8, 128),
    (3, 5, 4, 1, 64),
    (1, 33, 12, 2, 128),
    (2, 9, 71, 1, 64),
    (4, 3, 28, 4, 128),
    (2, 17, 16, 2, 256),
    (1, 64, 3, 3, 96),
    (5, 2, 6, 2, 80),
    (1, 11, 5, 5, 40),
    (2, 6, 2, 2, 6),
    (2, 6, 2, 1, 2),
    (1, 1, 1, 1, 512),
    (7, 1, 16, 16, 72),
    (2, 13, 9, 3, 112),
    (1, 128, 2, 2, 32),
    (2, 21, 24, 24, 64),
    (3, 4, 40, 8, 160),
    (1, 19, 64, 8, 192),
    (2, 8, 7, 7, 20),
    (6, 10, 14, 2, 16),
    (1, 5, 10, 10, 64),
]


@pytest.mark.parametrize("own", [False, True], ids=["one table", "k has its own"])
@pytest.mark.parametrize("number", range(len(PACKED)), ids=["x".join(map(str, shape)) for shape in PACKED])
def test_packed_queries_keys_and_values(number, own, device):
    batch, tokens, q_heads, k_heads, dim = PACKED[number]
    five, interleaved, dtype = q_heads == k_heads and number % 2 == 1, number % 3 == 0, DTYPES[number % 3]
    sizes = (3, q_heads, dim) if five else (q_heads + 2 * k_heads, dim)
    # Some with gaps between the tokens.
    qkv = torch.randn(batch, tokens, *sizes[:-1], dim + (6 if number % 4 == 2 else 0), device=device).to(dtype)[
        ..., :dim
    ]
    cos, sin = tables(tokens + 9 + 3 * batch, dim, device)
    cos_k, sin_k = (sin, cos) if own else (None, None)
    offsets, numbers = offsets_of(OFFSETS[number % 4], batch, device)
    rows = numbers[:, None] + torch.arange(tokens, device=device)

    def ours(qkv):
        qkv = qkv * 1
        result = flash_attn.apply_rotary_emb_qkv_(
            qkv, cos, sin, cos_k, sin_k, interleaved, offsets, None if five else q_heads
        )
        assert result is qkv
        return (result,)

    def theirs(qkv):
        flat = qkv.flatten(2, 3) if five else qkv
        q, k, v = flat.split((q_heads, k_heads, k_heads), dim=2)
        q = rotated(q, cos[rows], sin[rows], interleaved)
        k = rotated(k, (sin if own else cos)[rows], (cos if own else sin)[rows], interleaved)
        return (torch.cat((q, k, v), dim=2).view(qkv.shape),)

    assert_close(results_and_gradients(ours, [qkv]), results_and_gradients(theirs, [qkv]))


@pytest.mark.parametrize("number", range(len(PACKED)), ids=["x".join(map(str, shape)) for shape in PACKED])
def test_packed_keys_and_values(number, device):
    batch, tokens, _, heads, dim = PACKED[number]
    kv = torch.randn(batch, tokens, 2, heads, dim, device=device).to(DTYPES[number % 3])
    cos, sin = tables(tokens + 9 + 3 * batch, dim, device)
    offsets, numbers = offsets_of(OFFSETS[number % 4], batch, device)
    rows = numbers[:, None] + torch.arange(tokens, device=device)

    def ours(kv):
        kv = kv * 1
        result = flash_attn.apply_rotary_emb_kv_(kv, cos, sin, number % 2 == 0, offsets)
        assert result is kv
        return (result,)

    def theirs(kv):
        k = rotated(kv[:, :, 0], cos[rows], sin[rows], number % 2 == 0)
        return (torch.stack((k, kv[:, :, 1]), dim=2),)

    assert_close(results_and_gradients(ours, [kv]), results_and_gradients(theirs, [kv]))


# How tokens of a batch of 3 are padded on the left: by a tensor of either dtype, all alike by an int.
PADDED = {"int32": torch.tensor([-3, 0, -5], dtype=torch.int32), "int64": torch.tensor([-3, 2, -5]), "int": -4}


@pytest.mark.parametrize("packed", [False, True], ids=["batch", "one after another"])
@pytest.mark.parametrize("kind", PADDED)
def test_padding_on_the_left(kind, packed, device):
    offsets = PADDED[kind]
    numbers = (offsets.long() if kind != "int" else torch.full((3,), offsets)).to(device)
    offsets = offsets if kind == "int" else offsets.to(device)
    cos, sin = tables(12, 32, device)
    rows = numbers[:, None] + torch.arange(7, device=device)
    x = torch.randn(3, 7, 4, 32, device=device)
    ends = torch.arange(0, 22, 7, dtype=torch.int32, device=device)

    def ours(x):
        if packed:
            return (flash_attn.apply_rotary_emb(x.flatten(0, 1), cos, sin, False, False, offsets, ends, 7).view_as(x),)
        return (flash_attn.apply_rotary_emb(x, cos, sin, seqlen_offsets=offsets),)

    def theirs(x):
        turned = rotated(x, cos[rows.clamp(min=0)], sin[rows.clamp(min=0)], False)
        return (torch.where((rows < 0)[..., None, None], x, turned),)

    assert_close(results_and_gradients(ours, [x]), results_and_gradients(theirs, [x]))


def over_leaf(which, leaf, cos, sin):
    """flash-attn's function, and what it is to give."""
    if which == "x":
        return (lambda: flash_attn.apply_rotary_emb(leaf, cos, sin, inplace=True)), (lambda x: rotated(x, cos, sin, False))
    if which == "kv":
        return (lambda: flash_attn.apply_rotary_emb_kv_(leaf, cos, sin, True)), lambda x: torch.stack(
            (rotated(x[:, :, 0], cos, sin, True), x[:, :, 1]), dim=2)
    own = (sin, cos) if which == "qkv, k has its own" else (None, None)
    of_k = own if own[0] is not None else (cos, sin)
    return (lambda: flash_attn.apply_rotary_emb_qkv_(leaf, cos, sin, *own)), lambda x: torch.stack(
        (rotated(x[:, :, 0], cos, sin, False), rotated(x[:, :, 1], *of_k, False), x[:, :, 2]), dim=2)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("which", ["x", "kv", "qkv", "qkv, k has its own"])
def test_a_leaf_that_requires_grad_is_rotated_in_place(which, compiled, device):
    parts = {"x": (), "kv": (2,)}.get(which, (3,))
    leaf = torch.randn(2, 5, *parts, 4, 32, device=device).requires_grad_()
    cos, sin = tables(5, 32, device)
    function, formula = over_leaf(which, leaf, cos, sin)
    before = leaf.detach().clone().requires_grad_()
    expected = formula(before)
    result = (torch.compile(function, backend="aot_eager") if compiled else function)()
    assert_close([result.detach(), leaf.detach()], [expected.detach()] * 2)
    grad = torch.randn_like(expected)
    result.backward(grad)
    assert_close([leaf.grad], torch.autograd.grad(expected, before, grad))


def test_tables_of_any_strides(device):
    x = torch.randn(1, 4, 2, 16, device=device)
    cos, sin = tables(9, 16, device)
    expected = flash_attn.apply_rotary_emb(x, cos, sin)
    both = torch.cat((cos, sin), dim=1)
    for other in ((cos, both[:, 8:]), (cos.t().contiguous().t(), sin), (both[:, :8], both[:, 8:])):
        assert torch.equal(flash_attn.apply_rotary_emb(x, *other), expected)


def test_a_token_beyond_the_table_comes_out_nan(device):
    cos, sin = tables(6, 8, device)
    x = torch.ones(2, 4, 1, 8, device=device)
    result = flash_attn.apply_rotary_emb(x, cos, sin, seqlen_offsets=torch.tensor([0, 3], device=device))
    assert not result[0].isnan().any() and result[1].isnan().any(-1).flatten().tolist() == [False, False, False, True]


def bad_cases(device):
    x = torch.zeros(2, 5, 4, 32, device=device)
    qkv = torch.zeros(2, 5, 3, 4, 32, device=device)
    cos = torch.zeros(9, 16, device=device)
    ends = torch.tensor([0, 2, 5], device=device, dtype=torch.int32)
    one, packed, pair = flash_attn.apply_rotary_emb, flash_attn.apply_rotary_emb_qkv_, flash_attn.apply_rotary_emb_kv_
    return {
        "x is None": (TypeError, "x: found NoneType", one, (None, cos, cos), {}),
        "cos is a list": (TypeError, "cos: found list", one, (x, [1.0], cos), {}),
        "sin is None": (TypeError, "sin: found NoneType", one, (x, cos, None), {}),
        "x of fp64": (TypeError, "x: found torch.float64", one, (x.double(), cos, cos), {}),
        "x has three dimensions": (ValueError, "x: found shape", one, (x[0], cos, cos), {}),
        "x has an odd head_dim": (
            ValueError,
            "x.head_dim: found 31|rotary_dim: found 32",
            one,
            (x[..., :31], cos, cos),
            {},
        ),
        "cos of int64": (TypeError, "cos: found torch.int64", one, (x, cos.long(), cos.long()), {}),
        "cos of three dimensions": (
            ValueError,
            "cos: found shape",
            one,
            (x, cos.expand(3, 9, 16), cos.expand(3, 9, 16)),
            {},
        ),
        "sin of another shape": (ValueError, "sin: found shape", one, (x, cos, cos[:8]), {}),
        "sin of another dtype": (TypeError, "sin: found torch.float16", one, (x, cos, cos.half()), {}),
        "cos wider than the head": (
            ValueError,
            "rotary_dim: found",
            one,
            (x, *[torch.zeros(9, 17, device=device)] * 2),
            {},
        ),
        "cos on another device": (
            ValueError,
            "cos: found a tensor on meta, allowed: one on .*, where x is",
            one,
            (x, cos.to("meta"), cos.to("meta")),
            {},
        ),
        "cos that requires grad": (
            ValueError,
            "cos: found a tensor that requires grad",
            one,
            (x, cos.clone().requires_grad_(), cos),
            {},
        ),
        "too few rows": (ValueError, "seqlen_offsets: found 0", one, (x, cos[:4], cos[:4]), {}),
        "an offset too far": (
            ValueError,
            "seqlen_offsets: found 5, allowed: 0 to 4",
            one,
            (x, cos, cos),
            {"seqlen_offsets": 5},
        ),
        "a negative offset that leaves too few rows": (
            ValueError,
            "seqlen_offsets: found -1, allowed: -2\\^31 to -2",
            one,
            (x, cos[:3], cos[:3]),
            {"seqlen_offsets": -1},
        ),
        "an offset of float": (TypeError, "seqlen_offsets: found float", one, (x, cos, cos), {"seqlen_offsets": 1.5}),
        "offsets for others": (
            ValueError,
            r"seqlen_offsets: found shape \(3,\)",
            one,
            (x, cos, cos),
            {"seqlen_offsets": torch.zeros(3, device=device, dtype=torch.int32)},
        ),
        "offsets of fp32": (
            TypeError,
            "seqlen_offsets: found torch.float32",
            one,
            (x, cos, cos),
            {"seqlen_offsets": torch.zeros(2, device=device)},
        ),
        "cu_seqlens is a list": (
            TypeError,
            "cu_seqlens: found list",
            one,
            (x[0], cos, cos),
            {"cu_seqlens": [0, 5], "max_seqlen": 5},
        ),
        "cu_seqlens of int64": (
            TypeError,
            "cu_seqlens: found torch.int64",
            one,
            (x[0], cos, cos),
            {"cu_seqlens": ends.long(), "max_seqlen": 3},
        ),
        "cu_seqlens of one number": (
            ValueError,
            "cu_seqlens: found shape",
            one,
            (x[0], cos, cos),
            {"cu_seqlens": ends[:1], "max_seqlen": 3},
        ),
        "a batch with cu_seqlens": (
            ValueError,
            "x: found shape",
            one,
            (x, cos, cos),
            {"cu_seqlens": ends, "max_seqlen": 3},
        ),
        "sequences beyond the table": (
            ValueError,
            "seqlen_offsets: found 7, allowed: up to 6",
            one,
            (x[0], cos, cos),
            {"cu_seqlens": ends, "max_seqlen": 3, "seqlen_offsets": 7},
        ),
        "in place, expanded": (
            ValueError,
            "x: found an expanded tensor",
            one,
            (x[:, :, :1].expand(2, 5, 4, 32), cos, cos),
            {"inplace": True},
        ),
        "cos of no dimensions": (
            ValueError,
            "cos: found shape",
            one,
            (x[0], cos[0, 0], cos[0, 0]),
            {"cu_seqlens": ends},
        ),
        "max_seqlen is a tensor": (
            TypeError,
            "max_seqlen: found Tensor",
            one,
            (x[0], cos, cos),
            {"cu_seqlens": ends, "max_seqlen": ends},
        ),
        "an offset of text": (
            TypeError,
            "seqlen_offsets: found str",
            one,
            (x[0], cos, cos),
            {"cu_seqlens": ends, "seqlen_offsets": "1"},
        ),
        "interleaved is a tensor": (TypeError, "interleaved: found Tensor", one, (x, cos, cos, ends), {}),
        "qkv is None": (TypeError, "qkv: found NoneType", packed, (None, cos, cos), {}),
        "qkv of two": (ValueError, "qkv: found shape", packed, (qkv[:, :, :2], cos, cos), {}),
        "qkv of three dimensions": (ValueError, "qkv: found shape", packed, (qkv[0, 0], cos, cos), {}),
        "qkv without num_heads_q": (ValueError, "num_heads_q: found None", packed, (x, cos, cos), {}),
        "an odd rest": (ValueError, "num_heads_q: found 3", packed, (x, cos, cos), {"num_heads_q": 3}),
        "cos_k of int64": (TypeError, "cos_k: found torch.int64", packed, (qkv, cos, cos, cos.long(), cos.long()), {}),
        "kv of three": (ValueError, "kv: found shape", pair, (qkv, cos, cos), {}),
        "kv is a number": (TypeError, "kv: found int", pair, (3, cos, cos), {}),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments, rest = bad_cases(device)[name]
    with pytest.raises(kind, match=f"^(?:{message})"):
        function(*arguments, **rest)


def test_compiled_without_a_graph_break(device):
    x = torch.randn(2, 5, 4, 32, device=device)
    cos, sin = tables(9, 32, device)
    ends = torch.tensor([0, 2, 5], device=device, dtype=torch.int32)
    for arguments in (
        (x, cos, sin),
        (x, cos, sin, True, False, 3),
        (x[0], cos, sin, False, False, 0, ends, 3),
        (x, cos, sin, False, False, torch.tensor([1, 2], device=device)),
    ):
        compiled = torch.compile(flash_attn.apply_rotary_emb, backend="aot_eager", fullgraph=True)
        assert_close([compiled(*arguments)], [flash_attn.apply_rotary_emb(*arguments)])
