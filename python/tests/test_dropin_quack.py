"""ropejit.dropin.quack beside the formulas of quack, where it has more than flash-attn has."""

import pytest
import torch

from ropejit.dropin import quack
from shapes import DTYPES, assert_close, assert_same_bits, results_and_gradients
from test_dropin_fla import rotated, tables

ENDS = [0, 2, 3, 7]
PLACES = [[0, 1, 0, 0, 1, 2, 3]]


@pytest.mark.parametrize("conjugate", [False, True], ids=["forward", "conjugate"])
@pytest.mark.parametrize("inplace", [False, True], ids=["new tensor", "in place"])
@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_apply_rotary(dtype, interleaved, inplace, conjugate, device):
    x = torch.randn(2, 6, 3, 32, device=device).to(dtype)
    cos, sin = tables(12, 16, device, torch.float32)
    offsets = torch.tensor([3, 1], device=device)
    places = torch.arange(6, device=device) + offsets[:, None]
    turned = -sin if conjugate else sin

    def ours(x):
        return [quack.apply_rotary(x * 1 if inplace else x, cos, sin, offsets, None, None, interleaved, inplace, conjugate)]

    theirs = results_and_gradients(lambda x: [rotated(x, cos, turned, places, interleaved)], [x])
    assert_close(results_and_gradients(ours, [x]), theirs)


def test_a_leaf_in_place_by_the_negative_angle(device):
    x = torch.randn(2, 6, 3, 32, device=device, requires_grad=True)
    cos, sin = tables(6, 32, device, torch.float32)
    before = x.detach().clone().requires_grad_()
    gradient = torch.randn_like(before)
    result = quack.apply_rotary(x, cos, sin, inplace=True, conjugate=True)
    expected = quack.apply_rotary(before, cos, sin, conjugate=True)
    assert result.data_ptr() == x.data_ptr()
    assert_same_bits([result.detach()], [expected.detach()])
    assert_same_bits(
        torch.autograd.grad(result, x, gradient.clone()), torch.autograd.grad(expected, before, gradient)
    )


def test_apply_rotary_emb_has_its_own_order(device):
    x, (cos, sin) = torch.randn(7, 3, 32, device=device), tables(12, 32, device, torch.float32)
    ends, offsets = torch.tensor(ENDS, device=device, dtype=torch.int32), torch.tensor([4, 0, 1], device=device)
    places = torch.tensor(PLACES, device=device) + torch.tensor([[4, 4, 0, 1, 1, 1, 1]], device=device)
    result = quack.apply_rotary_emb(x, cos, sin, True, False, offsets, ends, 4)
    assert_close([result], [rotated(x[None], cos, sin, places, True)[0]])
    assert_same_bits([quack.apply_rotary_emb_func(x, cos, sin, True, False, offsets, ends, 4)], [result])


@pytest.mark.parametrize("gradients", [False, True], ids=["no gradients", "a leaf"])
@pytest.mark.parametrize(
    "lies", ["of three", "gqa", "flat", "ragged", "ragged and flat", "ragged, flat, with a batch"]
)
def test_qkv(lies, gradients, device):
    q_heads, heads, dim = (2, 2, 32) if lies == "of three" else (4, 2, 32)
    dtype = torch.bfloat16
    ragged = lies.startswith("ragged")
    cos, sin = tables(12, 16, device, dtype)
    qkv = torch.randn(1 if ragged else 2, 7, q_heads + 2 * heads, dim, device=device).to(dtype)
    places = torch.tensor(PLACES, device=device) if ragged else torch.arange(7, device=device).expand(2, 7)
    ends = {"cu_seqlens": torch.tensor(ENDS, device=device, dtype=torch.int32), "max_seqlen": 4} if ragged else {}

    def formula(qkv):
        turned = rotated(qkv[:, :, : q_heads + heads], cos, sin, places, False)
        return [torch.cat((turned, qkv[:, :, q_heads + heads :]), dim=2)]

    shapes = {
        "of three": (2, 7, 3, heads, dim), "gqa": qkv.shape, "flat": (2, 7, -1), "ragged": (7, -1, dim),
        "ragged and flat": (7, -1), "ragged, flat, with a batch": (1, 7, -1),
    }
    more = {"headdim": dim} if "flat" in lies else {}
    number = {} if lies == "of three" else {"num_heads_q": q_heads}
    expected, gradient = results_and_gradients(formula, [qkv])
    given = qkv.clone().view(shapes[lies]).requires_grad_(gradients)
    result = quack.apply_rotary_emb_qkv_(given, cos, sin, **number, **ends, **more)
    assert result.data_ptr() == given.data_ptr() and result.shape == given.shape
    assert_close([result.detach().view(expected.shape)], [expected.detach()])
    if gradients:
        generator = torch.Generator(device="cpu").manual_seed(1)
        incoming = torch.randn(qkv.shape, generator=generator).to(qkv).view(result.shape)
        assert_close([x.view(qkv.shape) for x in torch.autograd.grad(result, given, incoming)], [gradient])


def test_kv(device):
    kv = torch.randn(2, 7, 2, 3, 32, device=device)
    cos, sin = tables(12, 32, device, torch.float32)
    before = kv.clone()
    assert quack.apply_rotary_emb_kv_(kv, cos, sin) is kv
    places = torch.arange(7, device=device).expand(2, 7)
    assert_close([kv[:, :, 0]], [rotated(before[:, :, 0], cos, sin, places, False)])
    assert_same_bits([kv[:, :, 1]], [before[:, :, 1]])


def test_compiled_without_a_graph_break(device):
    cos, sin = tables(12, 32, device, torch.float32)

    def step(qkv):
        qkv = qkv * 1
        quack.apply_rotary_emb_qkv_(qkv, cos, sin, num_heads_q=4, headdim=32)
        return quack.apply_rotary(qkv.unflatten(-1, (-1, 32)), cos, sin, conjugate=True)

    qkv = torch.randn(2, 7, 8 * 32, device=device)
    torch._dynamo.reset()
    assert_same_bits([torch.compile(step, backend="aot_eager", fullgraph=True)(qkv)], [step(qkv)])


def test_bad_arguments_are_named(device):
    cos, sin = tables(12, 32, device, torch.float32)
    qkv, ends = torch.zeros(2, 7, 8, 32, device=device), torch.tensor([0, 7], device=device, dtype=torch.int32)
    x = qkv[:, :, :3]
    cases = [
        (TypeError, "x: found NoneType", lambda: quack.apply_rotary(None, cos, sin)),
        (TypeError, "conjugate: found Tensor", lambda: quack.apply_rotary(x, cos, sin, conjugate=cos)),
        (ValueError, "num_heads_q: found None", lambda: quack.apply_rotary_emb_qkv_(qkv, cos, sin)),
        (ValueError, "num_heads_q: found 3", lambda: quack.apply_rotary_emb_qkv_(qkv, cos, sin, num_heads_q=3)),
        (ValueError, "headdim: found 7", lambda: quack.apply_rotary_emb_qkv_(qkv.flatten(2), cos, sin, num_heads_q=4, headdim=7)),
        (ValueError, "qkv: found shape .*with cu_seqlens",
         lambda: quack.apply_rotary_emb_qkv_(qkv, cos, sin, num_heads_q=4, cu_seqlens=ends, max_seqlen=7)),
        (TypeError, "max_seqlen: found str",
         lambda: quack.apply_rotary_emb_qkv_(qkv[0], cos, sin, num_heads_q=4, cu_seqlens=ends, max_seqlen="7")),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
