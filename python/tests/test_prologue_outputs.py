"""A Prologue without caches whose k and v go to tensors of their own, as q goes to `out`."""

import pytest
import torch

import ropejit
from shapes import assert_close, assert_same_bits
from test_ops import exact
from test_prologue import DIM, K_HEADS, Q_HEADS, SPEC, TOKENS, UNTOUCHED, inputs, normed, weights


def outputs(device, dtype, lies):
    packed = torch.full((TOKENS, (Q_HEADS + 2 * K_HEADS) * DIM), UNTOUCHED, device=device, dtype=dtype)
    parts = packed.unflatten(-1, (-1, DIM)).split((Q_HEADS, K_HEADS, K_HEADS), dim=1)
    return parts if lies == "packed" else [x.contiguous() for x in parts]


@pytest.mark.parametrize("lies", ["apart", "packed"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_k_and_v_are_written_where_the_caller_says(dtype, lies, device):
    q, k, v = inputs(device, dtype, lies)
    q_weight, k_weight = weights(device, dtype)
    positions = torch.tensor([0, 5, 3, 70, 1, 2, 1000], device=device)
    before = [x.clone() for x in (q, k, v)]
    out, k_out, v_out = outputs(device, dtype, lies)
    of = ropejit.Prologue(SPEC)
    assert of(q, k, v, positions, q_weight=q_weight, k_weight=k_weight, out=out, k_out=k_out, v_out=v_out) is out
    wide = (normed(q, q_weight, 1e-6), normed(k, k_weight, 1e-5))
    assert_close((out, k_out), [exact(x[None], positions[None])[0].to(dtype) for x in wide])
    assert_same_bits([v_out, q, k, v], [before[2], *before])


def test_v_goes_to_a_tensor_while_q_and_k_are_written_over(device):
    q, k, v = inputs(device)
    v_out = torch.empty_like(v)
    q_weight, k_weight = weights(device)
    positions = torch.arange(TOKENS, device=device)
    again = q.clone(), k.clone()
    of = ropejit.Prologue(SPEC)
    of(q, k, v, positions, q_weight=q_weight, k_weight=k_weight, v_out=v_out)
    of(*again, None, positions, q_weight=q_weight, k_weight=k_weight)
    assert_same_bits([q, k, v_out], [*again, v])


def test_in_one_graph(device):
    q, k, v = inputs(device)
    q_weight, k_weight = weights(device)
    positions, of = torch.arange(TOKENS, device=device), ropejit.Prologue(SPEC)
    torch._dynamo.reset()

    def step(q, k, v):
        out = [torch.empty_like(x) for x in (q, k, v)]
        of(q, k, v, positions, q_weight=q_weight, k_weight=k_weight, out=out[0], k_out=out[1], v_out=out[2])
        return out

    assert_same_bits(torch.compile(step, backend="aot_eager", fullgraph=True)(q, k, v), step(q, k, v))


WRONG = {
    "k_out without out": ("k_out: found a tensor without k_cache, allowed: None where q is written over", {"out": None}),
    "out without k_out": ("k_cache: found None, allowed: a cache, or without one k_out", {"k_out": None}),
    "k_out of another shape": (r"k_out: found shape \(7, 1, 32\)", {"k_out": torch.empty(TOKENS, 1, DIM)}),
    "v_out of another shape": (r"v_out: found shape \(3, 2, 32\)", {"v_out": torch.empty(3, K_HEADS, DIM)}),
    "v_out without v": ("v_out: found a tensor without v", {"v": None}),
    "k_out without k": ("k_out: found a tensor without k", {"k": None}),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_is_wrong_is_named(case, device):
    words, changed = WRONG[case]
    q, k, v = inputs(device)
    out, k_out, v_out = outputs(device, torch.float32, "apart")
    given = {"q": q, "k": k, "v": v, "out": out, "k_out": k_out, "v_out": v_out, **changed}
    given = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in given.items()}
    q_weight, k_weight = weights(device)
    with pytest.raises(ValueError, match=words) as raised:
        ropejit.Prologue(SPEC)(**given, positions=torch.arange(TOKENS, device=device), q_weight=q_weight, k_weight=k_weight)
    assert "\n" not in str(raised.value)
