"""The other drop-ins beside the formulas of the originals."""

import pytest
import torch

from ropejit.dropin import liger, meta, paper, rope_triton
from shapes import DTYPES, IDS, SHAPES, angles, assert_close, assert_same_bits, results_and_gradients, tensors


def rotate_half(x):
    left, right = x.chunk(2, dim=-1)
    return torch.cat((-right, left), dim=-1)


def rotate_every_two(x):
    return torch.stack((-x[..., 1::2], x[..., 0::2]), dim=-1).flatten(-2)


def by_formula(turned, x, cos, sin):
    return x * cos[:, None] + turned(x) * sin[:, None]


@pytest.mark.parametrize("table", [None, torch.float32], ids=["table of the dtype", "fp32 table"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_liger(shape, dtype, table, device):
    half = angles(1 if shape[0] % 2 else shape[0], shape[1], shape[4] // 2, device)
    full = torch.cat((half, half), dim=-1)
    cos, sin = full.cos().to(table or dtype), full.sin().to(table or dtype)

    def formula(q, k, cos, sin):
        return tuple(by_formula(rotate_half, x.to(cos.dtype), cos, sin).to(x.dtype) for x in (q, k))

    inputs = tensors(shape, dtype, device)
    ours = results_and_gradients(liger.liger_rotary_pos_emb, inputs, cos, sin)
    theirs = results_and_gradients(formula, inputs, cos, sin)
    if table is None:
        assert_same_bits(ours, theirs)
    else:
        assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_the_papers_form(shape, dtype, device):
    twice = angles(shape[0], shape[1], shape[4] // 2, device).repeat_interleave(2, dim=-1)
    cos, sin = twice.cos().to(dtype), twice.sin().to(dtype)

    def formula(q, k, cos, sin):
        return tuple(by_formula(rotate_every_two, x, cos, sin) for x in (q, k))

    inputs = tensors(shape, dtype, device)
    ours = results_and_gradients(paper.apply_rotary_pos_emb, inputs, cos, sin)
    assert_same_bits(ours, results_and_gradients(formula, inputs, cos, sin))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_meta(shape, dtype, device):
    half = angles(1, shape[1], shape[4] // 2, device)[0]
    freqs_cis = torch.polar(torch.ones_like(half), half)

    def formula(q, k, freqs_cis):
        results = []
        for x in (q, k):
            pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
            results.append(torch.view_as_real(pairs * freqs_cis[:, None]).flatten(3).type_as(x))
        return results

    inputs = [tensor.transpose(1, 2) for tensor in tensors(shape, dtype, device)]
    ours = results_and_gradients(meta.apply_rotary_emb, inputs, freqs_cis)
    assert_close(ours, results_and_gradients(formula, inputs, freqs_cis))


@pytest.mark.parametrize("batch", [1, 2])
def test_meta_takes_frequencies_that_lie_as_columns(batch, device):
    # As a product of frequencies [pairs, 1] and positions [1, tokens] that is then transposed leaves them.
    q, k = torch.randn(2, 7, 4, 32, device=device), torch.randn(2, 7, 1, 32, device=device)
    angle = torch.randn(batch, 16, 7, device=device).transpose(1, 2)
    freqs_cis = torch.polar(torch.ones_like(angle), angle)
    assert freqs_cis.stride(-1) != 1

    def formula(q, k, freqs_cis):
        turns = freqs_cis.to(torch.complex128)[:, :, None]
        return [torch.view_as_real(torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) * turns).flatten(3).float()
                for x in (q, k)]

    ours = results_and_gradients(meta.apply_rotary_emb, [q, k], freqs_cis)
    assert_close(ours, results_and_gradients(formula, [q, k], freqs_cis))


def test_liger_takes_tables_of_two_and_of_four_dimensions(device):
    q, k = tensors(SHAPES[2], torch.bfloat16, device)
    half = angles(1, 16, 32, device)
    full = torch.cat((half, half), dim=-1).bfloat16()
    cos, sin = full.cos(), full.sin()
    expected = liger.liger_rotary_pos_emb(q, k, cos, sin)
    assert_same_bits(liger.liger_rotary_pos_emb(q, k, cos[0], sin[0]), expected)
    assert_same_bits(liger.liger_rotary_pos_emb(q, k, cos[:, None], sin[:, None]), expected)


# Those of rope-triton-kernel's own tests, and its tolerance.
@pytest.mark.parametrize("theta", [1000.0, 10000.0, 100000.0])
@pytest.mark.parametrize("batch, heads, dim", [(1, 8, 64), (2, 8, 128), (4, 16, 64), (2, 16, 128)])
@pytest.mark.parametrize("tokens", [128, 512, 1024])
def test_rope_triton(tokens, batch, heads, dim, theta, device):
    if device == "cpu":
        batch, heads = 1, 2
    q, k = (torch.randn(batch, tokens, heads, dim, device=device) for _ in range(2))
    frequencies = 1.0 / theta ** (torch.arange(0, dim, 2, device=device).float() / dim)
    angle = torch.arange(tokens, device=device)[:, None] * frequencies
    turns = torch.polar(torch.ones_like(angle), angle)[:, None]
    results = rope_triton.rope_triton(q, k, tokens, theta)
    for x, result in zip((q, k), results):
        expected = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turns).flatten(-2)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
