"""ropejit.dropin.flashinfer.fused_qk_rmsnorm_rope beside its formula in torch."""

import pytest
import torch

from ropejit.dropin import flashinfer
from shapes import DTYPES, assert_close, assert_same_bits

# batch (0: none), frames, rows, columns, channels of the axes, heads of q, k and v
SHAPES = [
    (1, 2, 3, 4, (20, 6, 6), (4, 4, 4)),
    (2, 3, 2, 2, (24, 20, 20), (3, 3, 3)),
    (0, 2, 2, 3, (44, 42, 42), (2, 1, 2)),
    (0, 1, 5, 1, (8, 0, 8), (2, 2, 1)),
]
IDS = ["x".join(map(str, shape[:4])) for shape in SHAPES]


def arguments_of(shape, **more):
    _, *size, channels, heads = shape
    names = "ppf pph ppw num_frame_channels num_height_channels num_width_channels num_heads_q num_heads_k num_heads_v"
    return {**dict(zip(names.split(), (*size, *channels, *heads))), "head_dim": sum(channels), **more}


def inputs(shape, dtype, device):
    batch, ppf, pph, ppw, channels, heads = shape
    tokens = ppf * pph * ppw * (2 if batch == 0 else 1)
    front = (tokens,) if batch == 0 else (batch, tokens)
    qkv = torch.randn(*front, sum(heads) * sum(channels), device=device).to(dtype)
    return qkv, *((1 + 0.1 * torch.randn(n * sum(channels), device=device)).to(dtype) for n in heads[:2])


def angles_of(shape, tokens, base, device, yarn=None):
    """[tokens, pairs], in fp64."""
    _, ppf, pph, ppw, channels, _ = shape
    number = torch.arange(tokens, device=device, dtype=torch.float64)
    places = number // (pph * ppw) % ppf, number // ppw % pph, number % ppw
    columns = []
    for place, lanes in zip(places, channels):
        pair = torch.arange(lanes // 2, dtype=torch.float64, device=device)
        frequency = base ** (-2 * pair / lanes) if lanes else pair
        if yarn is not None:
            factor, low, high = yarn
            ramp = ((pair - low) / (high - low)).clamp(0, 1)
            frequency = frequency / factor * ramp + frequency * (1 - ramp)
        columns.append(place[:, None] * frequency)
    return torch.cat(columns, dim=-1)


def by_formula(shape, qkv, q_weight, k_weight, eps, interleave, angle, factor=1.0):
    """With the roundings of FlashInfer's kernel: a norm with its weight, and the result."""
    channels, heads = shape[4:]
    size = sum(channels)
    parts = qkv.unflatten(-1, (-1, size)).split(heads, dim=-2)
    cos, sin = (x.float().unsqueeze(-2) * factor for x in (angle.cos(), angle.sin()))
    results = []
    for x, weight in zip(parts[:2], (q_weight, k_weight)):
        wide = x.float()
        if eps is not None:
            r = torch.rsqrt(wide.pow(2).mean((-1, -2), keepdim=True) + eps)
            wide = (wide * r * weight.float().view(-1, size)).to(qkv.dtype).float()
        wide = wide.reshape(-1, cos.shape[0], *x.shape[-2:])
        if interleave:
            a, b = wide[..., 0::2], wide[..., 1::2]
            wide = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
        else:
            a, b = wide.chunk(2, dim=-1)
            wide = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
        results.append(wide.reshape(x.shape).to(qkv.dtype))
    return *results, parts[2]


@pytest.mark.parametrize("is_qk_norm", [True, False], ids=["normed", "rotated alone"])
@pytest.mark.parametrize("interleave", [True, False], ids=["interleaved", "split"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_each_size(shape, dtype, interleave, is_qk_norm, device):
    qkv, q_weight, k_weight = inputs(shape, dtype, device)
    angle = angles_of(shape, qkv.shape[-2], 10000.0, device)
    expected = by_formula(shape, qkv, q_weight, k_weight, 1e-6 if is_qk_norm else None, interleave, angle)
    weights = (torch.nn.Parameter(q_weight), torch.nn.Parameter(k_weight))
    more = {} if is_qk_norm and interleave else {"interleave": interleave, "is_qk_norm": is_qk_norm}
    results = flashinfer.fused_qk_rmsnorm_rope(qkv, *weights, **arguments_of(shape, **more))
    assert_close(results, expected)
    assert_same_bits(results[2:], expected[2:])


def test_yarn_and_another_base(device):
    shape = SHAPES[1]
    qkv, *weights = inputs(shape, torch.float32, device)
    angle = angles_of(shape, qkv.shape[-2], 500.0, device, (4.0, 1.0, 6.0))
    more = {"base": 500.0, "factor": 4.0, "low": 1.0, "high": 6.0, "attention_factor": 1.25, "eps": 1e-5}
    results = flashinfer.fused_qk_rmsnorm_rope(qkv, *weights, **arguments_of(shape, **more))
    assert_close(results, by_formula(shape, qkv, *weights, 1e-5, True, angle, 1.25))


def test_outputs_of_the_callers(device):
    shape = SHAPES[0]
    qkv, *weights = inputs(shape, torch.bfloat16, device)
    given = arguments_of(shape)
    expected = flashinfer.fused_qk_rmsnorm_rope(qkv, *weights, **given)
    outputs = {name: torch.empty_like(x) for name, x in zip(("q_out", "k_out", "v_out"), expected)}
    results = flashinfer.fused_qk_rmsnorm_rope(qkv, *weights, **given, **outputs)
    assert all(result is out for result, out in zip(results, outputs.values()))
    assert_same_bits(results, expected)


def test_compiled_without_a_graph_break(device):
    shape = SHAPES[0]
    qkv, *weights = inputs(shape, torch.float32, device)

    def step(qkv):
        return flashinfer.fused_qk_rmsnorm_rope(qkv * 1, *weights, **arguments_of(shape))

    torch._dynamo.reset()
    assert_same_bits(torch.compile(step, backend="aot_eager", fullgraph=True)(qkv), step(qkv))


BAD = {
    "fp8": (ValueError, "output_fp8: found True, allowed: False", {"output_fp8": True}),
    "qkv is None": (TypeError, "qkv: found NoneType", {"qkv": None}),
    "qkv of other lanes": (ValueError, r"qkv: found shape \(1, 24, 384\)", {"num_heads_v": 3}),
    "qkv of other tokens": (ValueError, "qkv: found 24 tokens, allowed: 48 tokens", {"ppf": 4}),
    "ppf is 0": (ValueError, "ppf: found 0", {"ppf": 0}),
    "ppw is a float": (TypeError, "ppw: found float", {"ppw": 4.0}),
    "odd channels": (ValueError, "num_frame_channels: found 21", {"num_frame_channels": 21, "num_height_channels": 5}),
    "channels of another sum": (ValueError, "head_dim: found 32, allowed: 28", {"num_frame_channels": 16}),
    "a short weight": (ValueError, r"q_weight: found shape \(3,\)", {"q_weight": torch.ones(3)}),
    "no weight": (TypeError, "k_weight: found NoneType", {"k_weight": None}),
    "eps of 2": (ValueError, "eps: found 2", {"eps": 2.0}),
    "base is text": (TypeError, "base: found str", {"base": "1e4"}),
    "a factor of attention alone": (ValueError, "attention_factor: found 2.0, allowed: 1", {"attention_factor": 2.0}),
    "q_out of another shape": (ValueError, r"q_out: found shape \(4,\)", {"q_out": torch.empty(4)}),
    "v_out of another dtype": (ValueError, "v_out: found torch.float16", {"v_out": torch.empty(1, 24, 4, 32).half()}),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_arguments_are_named(name, device):
    kind, message, changed = BAD[name]
    shape = SHAPES[0]
    qkv, q_weight, k_weight = inputs(shape, torch.float32, device)
    given = {"qkv": qkv, "q_weight": q_weight, "k_weight": k_weight, **arguments_of(shape), **changed}
    given = {key: x.to(device) if isinstance(x, torch.Tensor) else x for key, x in given.items()}
    with pytest.raises(kind, match=message) as raised:
        flashinfer.fused_qk_rmsnorm_rope(**given)
    assert "\n" not in str(raised.value)
