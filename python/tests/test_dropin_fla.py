"""ropejit.dropin.fla beside the formulas of flash-linear-attention."""

import pytest
import torch

from ropejit.dropin import fla
from shapes import DTYPES, assert_close, assert_same_bits, results_and_gradients


def tables(rows, width, device, dtype):
    angle = torch.arange(rows, device=device)[:, None] * 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotated(x, cos, sin, places, interleaved):
    """x: [batch, tokens, heads, head_dim]; places: [batch, tokens], rows of cos; negative: the lanes that rotate are 0."""
    width = 2 * cos.shape[1]
    good = (places >= 0)[..., None]
    at = places.clamp(min=0)
    cos, sin = (torch.where(good, t[at].float(), 0.0).unsqueeze(2) for t in (cos, sin))
    wide = x[..., :width].float()
    if interleaved:
        a, b = wide[..., 0::2], wide[..., 1::2]
        wide = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    else:
        a, b = wide.chunk(2, dim=-1)
        wide = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    return torch.cat((wide.to(x.dtype), x[..., width:]), dim=-1)


def cases(device):
    """batch, tokens, offsets, cu_seqlens, places."""
    def at(offsets):
        return torch.arange(6, device=device) + torch.tensor(offsets, device=device)[:, None]

    ragged = torch.tensor([[0, 1, 0, 0, 1, 2, 3]], device=device)
    ends = [0, 2, 3, 7]
    shifted = ragged + torch.tensor([[5, 5, -1, 0, 0, 0, 0]], device=device)
    return {
        "from 0": (2, 6, 0, None, at([0, 0])),
        "an offset": (2, 6, 3, None, at([3, 3])),
        "a negative offset": (2, 6, -2, None, at([-2, -2])),
        "offsets": (2, 6, torch.tensor([4, 1], device=device), None, at([4, 1])),
        "padding on the left": (2, 6, torch.tensor([0, -4], device=device, dtype=torch.int32), None, at([0, -4])),
        "ragged": (1, 7, 0, torch.tensor(ends, device=device), ragged),
        "ragged, an offset": (1, 7, 2, torch.tensor(ends, device=device, dtype=torch.int32), ragged + 2),
        "ragged, offsets": (1, 7, torch.tensor([5, -1, 0], device=device), torch.tensor(ends, device=device), shifted),
    }


NAMES = list(cases("cpu"))


@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_new_tensors_and_gradients(name, dtype, interleaved, device):
    batch, tokens, offsets, ends, places = cases(device)[name]
    x = torch.randn(batch, tokens, 3, 32, device=device).to(dtype)
    cos, sin = tables(12, 32 if interleaved else 16, device, dtype)

    def ours(x):
        return [fla.rotary_embedding(x, cos, sin, interleaved, False, offsets, ends)]

    assert_close(
        results_and_gradients(ours, [x]),
        results_and_gradients(lambda x: [rotated(x, cos, sin, places, interleaved)], [x]),
    )


@pytest.mark.parametrize("leaf", [False, True], ids=["no gradient", "a leaf"])
@pytest.mark.parametrize("name", NAMES)
def test_in_place(name, leaf, device):
    batch, tokens, offsets, ends, places = cases(device)[name]
    x = torch.randn(batch, tokens, 3, 32, device=device)
    cos, sin = tables(12, 32, device, torch.float32)
    before = x.clone().requires_grad_()
    good = (places >= 0)[..., None, None]
    expected = torch.where(good, rotated(before, cos, sin, places, False), before)
    x.requires_grad_(leaf)
    result = fla.rotary_embedding(x, cos, sin, inplace=True, seqlen_offsets=offsets, cu_seqlens=ends)
    assert result.data_ptr() == x.data_ptr()
    assert_close([result.detach()], [expected.detach()])
    if leaf:
        gradient = torch.randn_like(x)
        wanted = torch.autograd.grad(expected, before, gradient)
        assert_close(torch.autograd.grad(result, x, gradient.clone()), wanted)


@pytest.mark.parametrize("scale_base", [None, 512.0], ids=["plain", "xpos"])
@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.parametrize("name", NAMES)
def test_the_module(name, interleaved, scale_base, device):
    batch, tokens, offsets, ends, places = cases(device)[name]
    if name == "a negative offset":
        pytest.skip("its tables would have fewer rows than tokens, there and here")
    q, k = (torch.randn(batch, tokens, heads, 32, device=device).bfloat16() for heads in (4, 2))
    rotary = fla.RotaryEmbedding(32, scale_base=scale_base, interleaved=interleaved).to(device)
    longest = None if isinstance(offsets, int) else 12
    results = results_and_gradients(lambda q, k: rotary(q, k, offsets, ends, longest), [q, k])
    rows = longest or tokens + offsets
    assert rotary._cos_cached.shape == (rows, 16) and rotary._cos_cached.dtype is torch.bfloat16
    angle = torch.arange(rows, device=device)[:, None] * 10000.0 ** (-torch.arange(0, 32, 2, device=device) / 32)
    scale = 1.0
    if scale_base is not None:
        lanes = (torch.arange(0, 32, 2, device=device) + 0.4 * 32) / (1.4 * 32)
        scale = lanes ** ((torch.arange(rows, device=device) - rows // 2) / scale_base)[:, None]

    def formula(q, k):
        of_q = (angle.cos() * scale).to(q.dtype), (angle.sin() * scale).to(q.dtype)
        of_k = (angle.cos() / scale).to(q.dtype), (angle.sin() / scale).to(q.dtype)
        return rotated(q, *of_q, places, interleaved), rotated(k, *of_k, places, interleaved)

    assert_close(results, results_and_gradients(formula, [q, k]))


def test_the_modules_tables_grow_and_stay(device):
    rotary = fla.RotaryEmbedding(16).to(device)
    q, k = torch.randn(2, 1, 5, 2, 16, device=device).unbind(0)
    rotary(q, k)
    first = rotary._cos_cached
    rotary(q[:, :3], k[:, :3])
    assert rotary._cos_cached is first
    rotary(q, k, 4)
    assert rotary._cos_cached.shape == (9, 8)
    rotary(q.bfloat16(), k.bfloat16())
    assert rotary._cos_cached.dtype is torch.bfloat16
    assert list(rotary.state_dict()) == [] and "dim=16, base=10000.0" in repr(rotary)


def bad_cases(device):
    x = torch.zeros(2, 6, 3, 32, device=device)
    cos, sin = tables(12, 32, device, torch.float32)
    f = fla.rotary_embedding
    offsets, ends = torch.zeros(2, device=device, dtype=torch.int64), torch.tensor([0, 6], device=device)
    return {
        "x is None": (TypeError, "x: found NoneType", f, (None, cos, sin)),
        "x of 3 dimensions": (ValueError, "x: found shape", f, (x[0], cos, sin)),
        "cos of 3 dimensions": (ValueError, "cos: found shape", f, (x, cos[None], sin[None])),
        "sin of others": (ValueError, "sin: found shape", f, (x, cos, sin[:3])),
        "wide tables": (ValueError, "cos: found 64", f, (x, *tables(12, 64, device, torch.float32))),
        "few rows": (ValueError, "seqlen_offsets: found 7, allowed: up to 6", f, (x, cos, sin, False, False, 7)),
        "an offset of fp32": (TypeError, "seqlen_offsets: found float", f, (x, cos, sin, False, False, 1.5)),
        "offsets of fp32": (TypeError, "seqlen_offsets: found torch.float32", f, (x, cos, sin, False, False, offsets.float())),
        "too many offsets": (ValueError, "seqlen_offsets: found shape", f, (x, cos, sin, False, False, offsets.repeat(2))),
        "ragged with a batch": (ValueError, "x: found a batch of 2", f, (x, cos, sin, False, False, 0, ends)),
        "the module: no tables": (ValueError, "max_seqlen: found None", fla.RotaryEmbedding(32), (x, x, offsets)),
        "the module: k is None": (TypeError, "k: found NoneType", fla.RotaryEmbedding(32, device=device), (x, None)),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=message) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)


def test_compiled_without_a_graph_break(device):
    x = torch.randn(2, 6, 3, 32, device=device)
    cos, sin = tables(12, 32, device, torch.float32)
    rotary = fla.RotaryEmbedding(32).to(device)
    rotary(x, x)

    def step(x):
        return fla.rotary_embedding(x, cos, sin, False, False, 2), *rotary(x, x[:, :, :1])

    torch._dynamo.reset()
    assert_same_bits(torch.compile(step, backend="aot_eager", fullgraph=True)(x), step(x))
