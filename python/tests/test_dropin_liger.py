"""ropejit.dropin.liger's functions for images, video and Llama 4, beside the formulas of the models."""

import pytest
import torch

from ropejit.dropin import liger
from shapes import DTYPES, angles, assert_close, assert_same_bits, results_and_gradients
from test_dropins import by_formula, rotate_half


def heads_first(batch, heads, tokens, dim, dtype, device):
    return torch.randn(batch, tokens, heads, dim, device=device).to(dtype).transpose(1, 2)


def by_axis(batch, tokens, dim, device, dtype):
    """cos and sin of [3, batch, tokens, dim], of other positions on each axis."""
    place = torch.arange(3 * batch * tokens, device=device).view(3, batch, tokens, 1)
    half = place * 10000.0 ** (-torch.arange(0, dim, 2, device=device) / dim)
    full = torch.cat((half, half), dim=-1)
    return full.cos().to(dtype), full.sin().to(dtype)


def of_sections(table, sections):
    """Qwen2-VL's: the parts of each axis one after another, twice, [batch, tokens, dim]."""
    parts = table.split(list(sections) * 2, dim=-1)
    return torch.cat([part[number % 3] for number, part in enumerate(parts)], dim=-1)


@pytest.mark.parametrize("table", [None, torch.float32], ids=["table of the dtype", "fp32 table"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "batch, heads, tokens, dim, sections",
    [(1, (8, 2), 7, 64, (8, 12, 12)), (2, (4, 1), 5, 128, (16, 24, 24)), (3, (2, 2), 2, 8, (2, 1, 1)), (2, (3, 1), 4, 96, (16, 16, 16))],
)
def test_multimodal(batch, heads, tokens, dim, sections, dtype, table, device):
    inputs = [heads_first(batch, n, tokens, dim, dtype, device) for n in heads]
    cos, sin = by_axis(batch, tokens, dim, device, table or dtype)

    def ours(q, k):
        return liger.liger_multimodal_rotary_pos_emb(q, k, cos, sin, list(sections))

    def formula(q, k):
        rows = of_sections(cos, sections), of_sections(sin, sections)
        return tuple(by_formula(rotate_half, x.to(cos.dtype), *rows).to(x.dtype) for x in (q, k))

    results = results_and_gradients(ours, inputs), results_and_gradients(formula, inputs)
    (assert_same_bits if table is None else assert_close)(*results)


def test_multimodal_takes_what_is_left_for_the_third_axis(device):
    q, k = (heads_first(1, n, 3, 16, torch.float32, device) for n in (2, 1))
    cos, sin = by_axis(1, 3, 16, device, torch.float32)
    expected = liger.liger_multimodal_rotary_pos_emb(q, k, cos, sin, [2, 3, 3])
    assert_same_bits(liger.liger_multimodal_rotary_pos_emb(q, k, cos, sin, (2, 3, 100)), expected)


@pytest.mark.parametrize("table", DTYPES, ids=lambda dtype: f"table of {dtype}")
@pytest.mark.parametrize("dtypes", [(x, x) for x in DTYPES] + [(torch.bfloat16, torch.float32)], ids=str)
def test_vision(dtypes, table, device):
    tokens, heads, dim = 9, 3, 40
    inputs = [torch.randn(tokens, heads, dim, device=device).to(dtype) for dtype in dtypes]
    half = angles(1, tokens, dim // 2, device)[0]
    full = torch.cat((half, half), dim=-1)
    cos, sin = full.cos().to(table), full.sin().to(table)

    def formula(q, k):
        return [by_formula(rotate_half, x.float(), cos.float(), sin.float()).to(x.dtype) for x in (q, k)]

    ours = results_and_gradients(lambda q, k: liger.liger_rotary_pos_emb_vision(q, k, cos, sin), inputs)
    assert_same_bits(ours, results_and_gradients(formula, inputs))


def test_k_of_another_dtype(device):
    q, k = (heads_first(2, n, 5, 32, torch.bfloat16, device) for n in (4, 2))
    half = angles(1, 5, 16, device)
    full = torch.cat((half, half), dim=-1)
    cos, sin = full.cos(), full.sin()
    wide = k.float()
    expected = liger.liger_rotary_pos_emb(q, k, cos, sin)[0], liger.liger_rotary_pos_emb(wide, wide, cos, sin)[0]
    assert_same_bits(liger.liger_rotary_pos_emb(q, wide, cos, sin), expected)


def turns(batch, tokens, pairs, device):
    angle = angles(batch, tokens, pairs, device)
    return torch.polar(torch.ones_like(angle), angle)


def llama4(q, k, freqs_cis):
    """Llama 4's own formula; freqs_cis: [.., tokens, pairs]."""
    results = []
    for x in (q, k):
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        results.append(torch.view_as_real(pairs * freqs_cis.unsqueeze(-2)).flatten(3).type_as(x))
    return results


@pytest.mark.parametrize("rows", ["[1 or batch, tokens, pairs]", "[tokens, pairs]", "more rows than tokens"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_llama4_text(dtype, rows, device):
    inputs = [torch.randn(2, 6, heads, 16, device=device).to(dtype) for heads in (4, 2)]
    freqs_cis = turns(2, 6, 8, device) if rows.startswith("[1") else turns(1, 6, 8, device)[0]
    given = torch.cat((freqs_cis, freqs_cis)) if rows.startswith("more") else freqs_cis
    ours = results_and_gradients(liger.liger_llama4_text_rotary_pos_emb, inputs, given)
    assert_close(ours, results_and_gradients(llama4, inputs, freqs_cis))


def test_llama4_text_returns_k_in_the_dtype_of_q(device):
    q, k = torch.randn(1, 6, 2, 16, device=device).bfloat16(), torch.randn(1, 6, 2, 16, device=device)
    results = liger.liger_llama4_text_rotary_pos_emb(q, k, turns(1, 6, 8, device))
    assert_same_bits(results, liger.liger_llama4_text_rotary_pos_emb(q, k.bfloat16(), turns(1, 6, 8, device)))


@pytest.mark.parametrize("real", [False, True], ids=["complex", "cast to bf16"])
@pytest.mark.parametrize("front", [(), (1,), (1, 1)], ids=["[s, d]", "[s, 1, d]", "[1, s, 1, d]"])
def test_llama4_vision(front, real, device):
    inputs = [torch.randn(2, 6, 3, 16, device=device).bfloat16() for _ in range(2)]
    freqs_ci = turns(1, 6, 8, device)[0]
    freqs_ci = freqs_ci.real.bfloat16() if real else freqs_ci
    given = {0: freqs_ci, 1: freqs_ci[:, None], 2: freqs_ci[None, :, None]}[len(front)]
    ours = results_and_gradients(liger.liger_llama4_vision_rotary_pos_emb, inputs, given)
    assert_close(ours, results_and_gradients(llama4, inputs, freqs_ci))


def test_compiled_without_a_graph_break(device):
    q, k = (heads_first(2, n, 5, 32, torch.float32, device) for n in (4, 2))
    cos, sin = by_axis(2, 5, 32, device, torch.float32)
    freqs_cis = turns(1, 5, 16, device)[0]

    def step(q, k):
        first = liger.liger_multimodal_rotary_pos_emb(q, k, cos, sin, [4, 6, 6])
        second = liger.liger_rotary_pos_emb_vision(q[0].transpose(0, 1), k[0].transpose(0, 1), cos[0, 0], sin[0, 0])
        third = liger.liger_llama4_text_rotary_pos_emb(q.transpose(1, 2), k.transpose(1, 2), freqs_cis)
        return *first, *second, *third, *liger.liger_rotary_pos_emb(q, k.bfloat16(), cos[0], sin[0])

    torch._dynamo.reset()
    assert_same_bits(torch.compile(step, backend="aot_eager", fullgraph=True)(q, k), step(q, k))


def bad_cases(device):
    q, k = (heads_first(2, n, 5, 32, torch.float32, device) for n in (4, 2))
    cos, sin = by_axis(2, 5, 32, device, torch.float32)
    text, vision = liger.liger_llama4_text_rotary_pos_emb, liger.liger_llama4_vision_rotary_pos_emb
    mrope, turned = liger.liger_multimodal_rotary_pos_emb, turns(1, 2, 16, device)[0]
    sections = [4, 6, 6]
    return {
        "mrope: q is None": (TypeError, "q: found NoneType", mrope, (None, k, cos, sin, sections)),
        "mrope: cos of two axes": (ValueError, r"cos: found shape \(2,", mrope, (q, k, cos[:2], sin[:2], sections)),
        "mrope: cos of 3 dimensions": (ValueError, "cos: found shape", mrope, (q, k, cos[0], sin[0], sections)),
        "mrope: sin of others": (ValueError, "sin: found shape", mrope, (q, k, cos, sin[:, :1], sections)),
        "mrope: of other tokens": (ValueError, "cos: found shape", mrope, (q, k, cos[:, :, :3], sin[:, :, :3], sections)),
        "mrope: sections are a number": (TypeError, "mrope_section: found 4", mrope, (q, k, cos, sin, 4)),
        "mrope: one section": (TypeError, r"mrope_section: found \[4\]", mrope, (q, k, cos, sin, [4])),
        "mrope: too many pairs": (ValueError, r"mrope_section: found \[9, 9, 9\]", mrope, (q, k, cos, sin, [9, 9, 9])),
        "mrope: unsqueeze_dim": (ValueError, "unsqueeze_dim: found 2", mrope, (q, k, cos, sin, sections, 2)),
        "mrope: k of int": (TypeError, "k: found torch.int32", mrope, (q, k.int(), cos, sin, sections)),
        "text: xq is None": (TypeError, "xq: found NoneType", text, (None, k, turned)),
        "text: xq of 3 dimensions": (ValueError, "xq: found shape", text, (q[0], k, turned)),
        "text: freqs_cis is real": (TypeError, "freqs_cis: found torch.float32", text, (q, q, turned.real)),
        "text: few rows": (ValueError, "freqs_cis: found 2 rows", text, (q, q, turned)),
        "text: wide rows": (ValueError, "freqs_cis: found 64", text, (q, q, turned.repeat(2, 2))),
        "vision: freqs_ci is None": (TypeError, "freqs_ci: found NoneType", vision, (q, k, None)),
        "vision: few rows": (ValueError, "freqs_ci: found shape", vision, (q, k, turned)),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=message) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
