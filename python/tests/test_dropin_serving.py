"""ropejit.dropin.vllm and ropejit.dropin.flashinfer beside the formulas of the originals."""

import math

import pytest
import torch

from ropejit.dropin import flashinfer, vllm
from shapes import DTYPES, assert_close

# tokens (in front of them a batch, or none), q heads, k heads (0: no key), head_size, rotary_dim, first lane
SHAPES = [
    ((1,), 32, 8, 128, 128, 0),
    ((7,), 32, 8, 128, 128, 0),
    ((16,), 8, 8, 64, 64, 0),
    ((5,), 4, 1, 64, 64, 0),
    ((33,), 12, 2, 128, 64, 0),
    ((9,), 71, 1, 64, 64, 0),
    ((3,), 28, 4, 128, 128, 0),
    ((17,), 16, 2, 256, 64, 0),
    ((64,), 3, 3, 96, 24, 0),
    ((2,), 6, 2, 80, 32, 0),
    ((11,), 5, 5, 40, 40, 0),
    ((6,), 2, 1, 6, 6, 0),
    ((6,), 2, 1, 2, 2, 0),
    ((1,), 1, 1, 512, 64, 448),
    ((7,), 16, 0, 72, 72, 0),
    ((2, 13), 9, 3, 112, 112, 0),
    ((128,), 2, 2, 32, 32, 0),
    ((2, 21), 24, 0, 64, 64, 0),
    ((3, 4), 40, 8, 160, 160, 0),
    ((19,), 128, 1, 192, 64, 128),
    ((2, 8), 7, 7, 20, 8, 12),
    ((6, 10), 14, 2, 16, 16, 0),
    ((0,), 4, 2, 64, 64, 0),
    ((200,), 1, 1, 4, 4, 0),
]
IDS = ["x".join(map(str, shape[0])) + f"-{shape[1]}+{shape[2]}x{shape[3]}-{shape[4]}@{shape[5]}" for shape in SHAPES]
ROWS = 1000


def cache_of(width, device, dtype=torch.float32):
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    half = torch.arange(ROWS, device=device)[:, None] * frequencies
    return torch.cat((half.cos(), half.sin()), dim=-1).to(dtype)


def rotated(x, cos, sin, is_neox, first=0):
    """x: [..., heads, head_size], cos, sin: [..., pairs]; in their dtype or fp32, whichever has more digits."""
    width = 2 * cos.shape[-1]
    wide = torch.promote_types(torch.float32, cos.dtype)
    cos, sin = cos.to(wide).unsqueeze(-2), sin.to(wide).unsqueeze(-2)
    result = x.clone()
    turned = x[..., first : first + width].to(wide)
    if is_neox:
        a, b = turned.chunk(2, dim=-1)
        turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    else:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    result[..., first : first + width] = turned.to(x.dtype)
    return result


def query_and_key(shape, dtype, device, lies):
    """As [..., heads, head_size]. packed: views of one tensor, as a model's projection leaves them."""
    tokens, q_heads, k_heads, size = shape[:4]
    if lies == "packed":
        both = torch.randn(*tokens, (q_heads + 2 * k_heads) * size, device=device).to(dtype)
        q, k = both[..., : q_heads * size], both[..., q_heads * size : (q_heads + k_heads) * size]
        return q.unflatten(-1, (q_heads, size)), k.unflatten(-1, (k_heads, size)) if k_heads else None
    q = torch.randn(*tokens, q_heads, size, device=device).to(dtype)
    return q, torch.randn(*tokens, k_heads, size, device=device).to(dtype) if k_heads else None


def flat(tensor):
    """[..., heads * head_size], the same memory."""
    return None if tensor is None else tensor.view(*tensor.shape[:-2], -1) if tensor.numel() else tensor.flatten(-2)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=IDS)
def test_vllm(number, is_neox, inverse, device):
    shape = SHAPES[number]
    tokens, _, _, size, width, first = shape
    dtype = DTYPES[number % 3]
    cache = cache_of(width, device, (dtype, torch.float32)[(number + is_neox) % 2])
    positions = torch.randint(0, ROWS, tokens, device=device, dtype=(torch.int64, torch.int32)[number % 2])
    query, key = query_and_key(shape, dtype, device, ("own", "packed")[(number + inverse) % 2])
    cos, sin = cache[positions.long()].chunk(2, dim=-1)
    sin = -sin if inverse else sin
    expected = [rotated(x, cos, sin, is_neox, first) for x in (query, key) if x is not None]
    arguments = (flat(query), flat(key)) if number % 3 else (query, key)
    rest = (first, inverse) if first or inverse else ()
    assert vllm.rotary_embedding(positions, *arguments, size, cache, is_neox, *rest) is None
    assert_close([x for x in (query, key) if x is not None], expected)


@pytest.mark.parametrize("inplace", [False, True], ids=["out of place", "in place"])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
@pytest.mark.parametrize(
    "number", [n for n, s in enumerate(SHAPES) if s[2]], ids=[i for i, s in zip(IDS, SHAPES) if s[2]]
)
def test_flashinfer_by_a_cache(number, is_neox, inplace, device):
    shape = SHAPES[number]
    shape = ((math.prod(shape[0]),), *shape[1:])
    dtype = DTYPES[number % 3]
    cache = cache_of(shape[4], device)
    positions = torch.randint(0, ROWS, shape[0], device=device, dtype=(torch.int64, torch.int32)[number % 2])
    query, key = query_and_key(shape, dtype, device, ("own", "packed")[number % 2])
    cos, sin = cache[positions.long()].chunk(2, dim=-1)
    expected = [rotated(x, cos, sin, is_neox) for x in (query, key)]
    before = [query.clone(), key.clone()]
    arguments = (flat(query), flat(key)) if number % 3 else (query, key)
    rest = () if is_neox else (False,)
    if inplace:
        function = flashinfer.apply_rope_with_cos_sin_cache_inplace
        assert function(positions, *arguments, shape[3], cache, *rest) is None
        assert_close([query, key], expected)
    else:
        results = flashinfer.apply_rope_with_cos_sin_cache(positions, *arguments, shape[3], cache, *rest)
        assert [r.shape for r in results] == [a.shape for a in arguments]
        assert_close([r.reshape(e.shape) for r, e in zip(results, expected)], expected)
        assert torch.equal(query, before[0]) and torch.equal(key, before[1])


def frequencies_of(width, scale, theta, llama31):
    """As FlashInfer has them, in fp64."""
    frequency = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    if not llama31:
        return frequency / scale
    low, high, length = 1.0, 4.0, 8192.0
    smooth = ((length * frequency / (2 * math.pi) - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - smooth) * frequency / scale + smooth * frequency


@pytest.mark.parametrize("llama31", [False, True], ids=["plain", "llama31"])
@pytest.mark.parametrize("inplace", [False, True], ids=["out of place", "in place"])
@pytest.mark.parametrize("ids", [False, True], ids=["indptr", "pos_ids"])
@pytest.mark.parametrize(
    "number", [n for n, s in enumerate(SHAPES) if s[2]], ids=[i for i, s in zip(IDS, SHAPES) if s[2]]
)
def test_flashinfer_with_computed_angles(number, ids, inplace, llama31, device):
    shape = SHAPES[number]
    tokens = math.prod(shape[0])
    dtype, interleave, kind = DTYPES[number % 3], number % 2 == 1, (torch.int32, torch.int64)[number // 2 % 2]
    query, key = query_and_key(((tokens,), *shape[1:]), dtype, device, ("own", "packed")[number % 2])
    cut = tokens // 3
    indptr = torch.tensor([0, cut, cut, tokens], device=device, dtype=kind)
    offsets = torch.tensor([100000, 7, 30], device=device, dtype=kind)
    positions = torch.cat((torch.arange(cut) + 100000, torch.arange(tokens - cut) + 30)).to(device)
    scale, theta = ((8.0, 5e5), (2.0, 1e4))[number % 2]
    angle = positions.double()[:, None] * frequencies_of(shape[4], scale, theta, llama31).to(device)
    expected = [rotated(x, angle.cos(), angle.sin(), not interleave) for x in (query, key)]
    name = f"apply_{'llama31_' if llama31 else ''}rope{'_pos_ids' if ids else ''}{'_inplace' if inplace else ''}"
    where = (positions.to(kind),) if ids else (indptr, offsets)
    width = None if shape[4] == shape[3] else shape[4]
    results = getattr(flashinfer, name)(query, key, *where, width, interleave, scale, theta)
    assert (results is None) == inplace
    assert_close([query, key] if inplace else results, expected)


def test_the_defaults_are_flashinfers(device):
    query, key = torch.randn(3, 2, 16, device=device), torch.randn(3, 1, 16, device=device)
    ids = torch.tensor([0, 9, 4000], device=device)
    for function, scale, theta, llama31 in (
        (flashinfer.apply_rope_pos_ids, 1.0, 1e4, False),
        (flashinfer.apply_llama31_rope_pos_ids, 8.0, 5e5, True),
    ):
        angle = ids.double()[:, None] * frequencies_of(16, scale, theta, llama31).to(device)
        assert_close(function(query, key, ids), [rotated(x, angle.cos(), angle.sin(), True) for x in (query, key)])


def test_gradients_of_what_the_originals_do_not_differentiate(device):
    query = torch.randn(4, 2, 16, device=device, requires_grad=True)
    key = torch.randn(4, 1, 16, device=device, requires_grad=True)
    ids, cache = torch.arange(4, device=device), cache_of(16, device)
    cos, sin = cache[ids].chunk(2, dim=-1)
    expected = torch.autograd.grad(sum((rotated(x, cos, sin, True) ** 3).sum() for x in (query, key)), (query, key))
    results = flashinfer.apply_rope_with_cos_sin_cache(ids, query, key, 16, cache)
    assert_close(torch.autograd.grad(sum((x**3).sum() for x in results), (query, key)), expected)
    q, k = query * 1, key * 1
    vllm.rotary_embedding(ids, q, k, 16, cache, True)
    assert_close(torch.autograd.grad((q**3).sum() + (k**3).sum(), (query, key)), expected)
    # Written by way of views.
    q, k = query.flatten(1) * 1, key.flatten(1) * 1
    vllm.rotary_embedding(ids, q, k, 16, cache, True)
    assert_close(torch.autograd.grad((q**3).sum() + (k**3).sum(), (query, key)), expected)


def test_writes_are_seen_by_autograd(device):
    query = torch.randn(4, 32, device=device)
    version = query._version
    vllm.rotary_embedding(torch.arange(4, device=device), query, None, 16, cache_of(16, device), True)
    assert query._version > version


def test_a_position_without_a_row_comes_out_nan(device):
    query = torch.ones(3, 16, device=device)
    vllm.rotary_embedding(torch.tensor([0, ROWS, 5], device=device), query, None, 16, cache_of(16, device), False)
    assert query.isnan().any(-1).tolist() == [False, True, False]


def test_compiled_without_a_graph_break(device):
    ids, cache = torch.arange(5, device=device), cache_of(32, device)
    query, key = torch.randn(5, 128, device=device), torch.randn(5, 64, device=device)
    ends = torch.tensor([0, 2, 5], device=device, dtype=torch.int32)

    def by_cache(query, key):
        return flashinfer.apply_rope_with_cos_sin_cache(ids, query, key, 32, cache)

    def in_place(query, key):
        query, key = query + 1, key + 1
        vllm.rotary_embedding(ids, query, key, 32, cache, True)
        return query, key

    def computed(query, key):
        q, k = query.view(5, 4, 32), key.view(5, 2, 32)
        return *flashinfer.apply_rope(q, k, ends, ends[:2]), *flashinfer.apply_llama31_rope_pos_ids(q, k, ids)

    for function in (by_cache, in_place, computed):
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        assert_close(compiled(query, key), function(query, key))

    def scaled(query, scale, theta, length):
        q = query.view(5, 4, 32)
        return flashinfer.apply_llama31_rope_pos_ids(q, q, ids, None, False, scale, theta, 1, 4, length)

    compiled = torch.compile(scaled, backend="aot_eager", fullgraph=True)
    for numbers in ((8, 5e5, 8192), (4, 1e6, 4096), (2.5, 2e6, 1000), (3.5, 2e6, 1000)):
        assert_close(compiled(query, *numbers), scaled(query, *numbers))


@pytest.mark.parametrize("which", ["vllm", "flashinfer, by a cache", "flashinfer, computed"])
def test_leaves_that_require_grad_are_overwritten(which, device):
    ids, cache = torch.arange(5, device=device), cache_of(32, device)
    q, k = torch.randn(5, 4, 32, device=device), torch.randn(5, 2, 32, device=device)
    call = {
        "vllm": lambda q, k: vllm.rotary_embedding(ids, q, k, 32, cache, True),
        "flashinfer, by a cache": lambda q, k: flashinfer.apply_rope_with_cos_sin_cache_inplace(ids, q, k, 32, cache),
        "flashinfer, computed": lambda q, k: flashinfer.apply_rope_pos_ids_inplace(q, k, ids),
    }[which]
    leaves = [x.clone().requires_grad_() for x in (q, k)]
    saved = (leaves[0] * torch.ones_like(q, requires_grad=True)).sum()
    call(*leaves)
    cos, sin = cache[:5].chunk(2, dim=-1)
    assert_close([x.detach() for x in leaves], [rotated(x, cos, sin, True) for x in (q, k)])
    assert all(x.is_leaf and x.requires_grad for x in leaves)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        saved.backward()
