"""Rotation and the operators: positions of all kinds, gradients, traces, modes, threads."""

import copy
import pickle
import threading

import pytest
import torch

import ropejit
from ropejit import _native
from shapes import assert_close

SPEC = {"layout": "split_half", "rope_theta": 10000.0}


def exact(x, positions, theta=10000.0, interleaved=False, rotary_dim=None):
    """x: [batch, tokens, heads, dim], positions: [batch, tokens]; in fp64."""
    dim = rotary_dim or x.shape[-1]
    frequencies = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64, device=x.device) / dim)
    angles = positions.double()[..., None, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    wide = x.double()
    y = wide.clone()
    a = wide[..., 0:dim:2] if interleaved else wide[..., : dim // 2]
    b = wide[..., 1:dim:2] if interleaved else wide[..., dim // 2 : dim]
    new_a, new_b = a * cos - b * sin, b * cos + a * sin
    y[..., :dim] = torch.stack((new_a, new_b), -1).flatten(-2) if interleaved else torch.cat((new_a, new_b), -1)
    return y.to(x.dtype)


def pair(device, batch=2, tokens=5, dtype=torch.float32, dim=32):
    return (torch.randn(batch, tokens, 4, dim, device=device).to(dtype),
            torch.randn(batch, tokens, 2, dim, device=device).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("interleaved", [False, True], ids=["split_half", "interleaved"])
@pytest.mark.parametrize("kind", ["ids64", "ids32", "shared ids", "start", "offsets64", "offsets32"])
def test_positions_of_every_kind(kind, interleaved, dtype, device):
    q, k = pair(device, dtype=dtype)
    width = torch.int32 if kind.endswith("32") else torch.int64
    spec = {**SPEC, "layout": "interleaved" if interleaved else "split_half"}
    rope = ropejit.Rotation(spec, {"positions": kind.replace("shared ", "").removesuffix("64").removesuffix("32")})
    if kind == "start":
        given, meant = {"start": 9}, (torch.arange(5, device=device) + 9).expand(2, -1)
    elif kind.startswith("offsets"):
        offsets = torch.tensor([3, -4], device=device, dtype=width)
        given, meant = {"positions": offsets}, offsets[:, None] + torch.arange(5, device=device)
    elif kind == "shared ids":
        ids = torch.tensor([4, 0, 7, 7, 100], device=device)
        given, meant = {"positions": ids}, ids.expand(2, -1)
    else:
        ids = torch.randint(0, 1000, (2, 5), device=device, dtype=width)
        given, meant = {"positions": ids}, ids
    expected = [exact(q, meant, interleaved=interleaved), exact(k, meant, interleaved=interleaved)]
    assert_close(rope(q, k, **given), expected)
    assert_close(ropejit.rope(q, None, spec, rope.form, **given)[:1], expected[:1])
    new_q, new_k = q.clone(), k.clone()
    assert rope.in_place(new_q, new_k, **given)[0] is new_q
    assert_close([new_q, new_k], expected)


def test_ragged_sequences(device):
    q = torch.randn(9, 4, 32, device=device)
    ends = torch.tensor([0, 2, 2, 9], device=device, dtype=torch.int32)
    rope = ropejit.Rotation(SPEC, {"positions": "ragged"}, "shd")
    meant = torch.tensor([[0, 1, 0, 1, 2, 3, 4, 5, 6]], device=device)
    assert_close(rope(q, cu_seqlens=ends)[:1], [exact(q[None], meant)[0]])
    offsets = torch.tensor([10, 0, 100], device=device, dtype=torch.int32)
    meant = torch.tensor([[10, 11, 100, 101, 102, 103, 104, 105, 106]], device=device)
    assert_close(rope(q, cu_seqlens=ends, positions=offsets)[:1], [exact(q[None], meant)[0]])


def test_several_axes(device):
    q = torch.randn(2, 5, 4, 12, device=device)
    ids = torch.randint(0, 50, (3, 2, 5), device=device)
    rope = ropejit.Rotation({**SPEC, "axes": {"sections": [1, 2, 3]}})
    by_axis = [exact(q, ids[axis]) for axis in range(3)]
    expected = q.clone()
    for pair_, axis in enumerate([0, 1, 1, 2, 2, 2]):
        for lane in (pair_, pair_ + 6):
            expected[..., lane] = by_axis[axis][..., lane]
    assert_close(rope(q, positions=ids)[:1], [expected])


@pytest.mark.parametrize("dims", ["bshd", "bhsd", "sbhd", "hdbs"])
def test_dimensions_in_any_order(dims, device):
    q, _ = pair(device)
    ids = torch.arange(5, device=device)
    turned = q.permute(*("bshd".index(letter) for letter in dims))
    expected = exact(q, ids.expand(2, -1)).permute(*("bshd".index(letter) for letter in dims))
    assert_close(ropejit.rope(turned, None, SPEC, None, dims, ids)[:1], [expected])
    assert_close(ropejit.rope(turned.contiguous(), None, SPEC, None, dims, ids)[:1], [expected])


def test_partial_rotation_and_other_output_dtypes(device):
    q, k = pair(device, dtype=torch.bfloat16)
    ids = torch.arange(5, device=device)
    spec = {**SPEC, "rotary_dim": 8, "q": {"dtype_out": "fp32"}, "k": {"dtype_out": "fp32"}}
    results = ropejit.rope(q, k, spec, positions=ids)
    assert_close(results, [exact(x.float(), ids.expand(2, -1), rotary_dim=8) for x in (q, k)])


@pytest.mark.parametrize("which", ["q and k", "q", "k", "only q"])
def test_gradients_are_the_adjoint(which, device):
    q, k = pair(device)
    q.requires_grad_(which != "k")
    k.requires_grad_(which != "q")
    ids = torch.arange(5, device=device) * 3
    inputs = [x for x in (q, k) if x.requires_grad and (which != "only q" or x is q)]
    ours = ropejit.rope(q, None if which == "only q" else k, SPEC, positions=ids)
    theirs = [exact(x, ids.expand(2, -1)) for x in (q, k)]
    loss = sum((o.square() * 0.5).sum() for o in ours if o is not None)
    expected = sum((t.square() * 0.5).sum() for t in theirs[: 1 if which == "only q" else 2])
    assert_close(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs))


def test_a_result_that_is_not_used_gets_no_gradient(device):
    q, k = (x.requires_grad_() for x in pair(device))
    ids = torch.arange(5, device=device)
    new_q, new_k = ropejit.rope(q, k, SPEC, positions=ids)
    grad_q, grad_k = torch.autograd.grad(new_k.sum(), (q, k), allow_unused=True, retain_graph=True)
    assert grad_q is None
    assert_close([grad_k], torch.autograd.grad(exact(k, ids.expand(2, -1)).sum(), k))
    assert torch.autograd.grad(new_q.sum(), (q, k), allow_unused=True)[1] is None


def test_gradients_of_gradients(device):
    q = torch.randn(1, 3, 2, 8, device=device, dtype=torch.float32, requires_grad=True)
    ids = torch.tensor([0, 5, 9], device=device)
    (first,) = torch.autograd.grad(ropejit.rope(q, None, SPEC, positions=ids)[0].pow(3).sum(), q, create_graph=True)
    (expected,) = torch.autograd.grad(exact(q, ids[None]).pow(3).sum(), q, create_graph=True)
    ours, theirs = (torch.autograd.grad(g.square().sum(), q)[0] for g in (first, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_in_place_under_autograd(device):
    x = torch.randn(1, 3, 2, 8, device=device, requires_grad=True)
    ids = torch.tensor([0, 5, 9], device=device)
    ours = x * 2
    ropejit.rope_(ours, None, SPEC, positions=ids)
    theirs = exact(x * 2, ids[None])
    grad = torch.randn_like(ours)
    assert_close([ours, *torch.autograd.grad(ours, x, grad)], [theirs, *torch.autograd.grad(theirs, x, grad)])


def test_in_place_tells_autograd_that_saved_values_changed(device):
    weight = torch.randn(1, 3, 2, 8, device=device, requires_grad=True)
    value = torch.randn(1, 3, 2, 8, device=device)
    product = weight * value
    ropejit.rope_(value, None, SPEC, {"positions": "start"})
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_the_operators_pass_torchs_own_checks(device):
    q, k = (x.requires_grad_() for x in pair(device))
    rope = ropejit.Rotation(SPEC)
    arguments = (q, k, rope.spec, rope.form, rope.dims)
    rest = {"positions": torch.arange(5, device=device)}
    torch.library.opcheck(torch.ops.ropejit.rope.default, arguments, rest)
    arguments = (q.detach().clone(), k.detach().clone(), *arguments[2:])
    torch.library.opcheck(torch.ops.ropejit.rope_.default, arguments, rest)


INDUCTOR = pytest.param("inductor", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", INDUCTOR])
def test_compiled_without_a_graph_break(backend, device):
    from ropejit.dropin import hf

    rope = ropejit.Rotation(SPEC)
    ids = torch.arange(5, device=device)

    def function(q, k):
        q, k = rope(q * 1.0, k * 1.0, ids)
        rope.in_place(q, k, positions=ids)
        cos = sin = torch.ones(1, 5, 32, device=device)
        return hf.apply_rotary_pos_emb(q.transpose(1, 2), k.transpose(1, 2), cos, sin)

    compiled = torch.compile(function, backend=backend, fullgraph=True)
    for grad in (False, True):
        inputs = [x.requires_grad_(grad) for x in pair(device)]
        ours, theirs = compiled(*inputs), function(*inputs)
        assert_close(ours, theirs)
        if grad:
            assert_close(torch.autograd.grad([x.sum() for x in ours], inputs),
                         torch.autograd.grad([x.sum() for x in theirs], inputs))


def test_modes_and_transforms_see_the_operator(device):
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            seen.append(str(function))
            return function(*arguments, **(keywords or {}))

    q, k = pair(device)
    with Watch():
        ropejit.rope(q, k, SPEC, {"positions": "start"})
    assert "ropejit.rope.default" in seen

    def loss(x):
        return ropejit.rope(x, None, SPEC, {"positions": "start"})[0].pow(3).sum()

    x = q.clone().requires_grad_()
    assert_close([torch.func.grad(loss)(q)], torch.autograd.grad(loss(x), x))


def test_fake_tensors_have_the_results_shape(device):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        q = torch.empty(2, 5, 4, 32, device=device, dtype=torch.bfloat16).transpose(1, 2)
        spec = {**SPEC, "q": {"dtype_out": "fp32"}}
        result, none = ropejit.rope(q, None, spec, {"positions": "start"}, "bhsd")
    assert none is None and result.shape == q.shape and result.stride() == q.stride()
    assert result.dtype == torch.float32


def test_nothing_to_rotate(device):
    for shape in ((0, 5, 4, 32), (2, 0, 4, 32)):
        q = torch.empty(shape, device=device)
        assert ropejit.rope(q, None, SPEC, {"positions": "start"})[0].shape == q.shape
        ropejit.rope_(q, None, SPEC, {"positions": "start"})


def test_a_thread_that_is_new_to_the_device(device):
    q, _ = pair(device)
    expected = exact(q, torch.arange(5, device=device).expand(2, -1))
    rope = ropejit.Rotation(SPEC, {"positions": "start"})
    results = []
    threads = [threading.Thread(target=lambda: results.append(rope(q)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        assert_close([result], [expected])
    assert len(results) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_torchs_stream_and_graphs(device):
    q, k = pair(device, dtype=torch.bfloat16)
    ids = torch.arange(5, device=device)
    rope = ropejit.Rotation(SPEC)
    expected = [x.clone() for x in rope(q, k, ids)]
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late = q.clone().zero_()
        late.copy_(q)
        on_stream = rope(late, k, ids)
    stream.synchronize()
    assert torch.equal(on_stream[0], expected[0])
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = rope(q, k, ids)
    for x in captured:
        x.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(captured, expected))


def test_without_the_exchange_api(device, monkeypatch):
    from ropejit import _torch

    q, k = pair(device, dtype=torch.bfloat16)
    ids = torch.arange(5, device=device)
    expected = [x.clone() for x in ropejit.rope(q, k, SPEC, positions=ids)]
    given = {**_torch.SETUP, "exchange": None}
    assert _native.setup(given) is False
    try:
        results = ropejit.rope(q, k, SPEC, positions=ids)
    finally:
        assert _native.setup(_torch.SETUP) is _torch.READS_BY_EXCHANGE
    assert all(torch.equal(a, b) for a, b in zip(results, expected))


def test_rotations_are_copied_and_pickled(device):
    q, _ = pair(device)
    rope = ropejit.Rotation({**SPEC, "rotary_dim": 16}, {"positions": "start"})
    for other in (copy.deepcopy(rope), pickle.loads(pickle.dumps(rope))):
        assert (other.spec, other.form, other.dims) == (rope.spec, rope.form, rope.dims)
        assert torch.equal(other(q)[0], rope(q)[0])


@pytest.mark.parametrize("order", ["contiguous", "zigzag"])
@pytest.mark.parametrize("kind", ["start", "offsets", "ragged"])
def test_ranks_that_share_sequences(kind, order, device):
    ranks, tokens, dims = 3, 12, "shd" if kind == "ragged" else "bshd"
    q, k = pair(device, tokens=tokens, batch=1 if kind == "ragged" else 2)
    form = {"positions": kind, "context_parallel": order, "ranks": ranks}
    whole = ropejit.Rotation(SPEC, {"positions": kind}, dims)
    arguments = {
        "start": (None, None, None, None, 7),
        "offsets": (torch.tensor([4, 9], device=device),),
        "ragged": (None, None, None, torch.tensor([0, tokens], device=device, dtype=torch.int32)),
    }[kind]
    if kind == "ragged":
        q, k = q[0], k[0]
    axis = dims.index("s")
    expected = whole(q, k, *arguments)
    for rank in range(ranks):
        parts = [2 * rank, 2 * rank + 1] if order == "contiguous" else [rank, 2 * ranks - 1 - rank]
        held = torch.cat([torch.arange(2, device=device) + 2 * part for part in parts])
        of = ropejit.Rotation(SPEC, {**form, "rank": rank}, dims)
        mine = [x.index_select(axis, held).requires_grad_() for x in (q, k)]
        results = of(*mine, *arguments)
        assert_close(results, [x.index_select(axis, held) for x in expected])
        # The gradient goes the same way back.
        back = torch.autograd.grad(results, mine, [r.detach() for r in results])
        assert_close(back, [x.detach() for x in mine])
        assert_close(pickle.loads(pickle.dumps(of))(*[x.detach() for x in mine], *arguments), results)


def test_views_are_rotated_in_place_under_autograd(device):
    packed = torch.randn(2, 5, 6, 32, device=device, requires_grad=True)
    rope = ropejit.Rotation(SPEC, {"positions": "start"})
    base = packed * 1
    q, k = base[:, :, :4], base[:, :, 4:]
    results = rope.in_place(q, k)
    expected, _ = rope(packed, None)
    assert_close([torch.cat(results, dim=2), base], [expected, expected])
    gradient = torch.autograd.grad((base**3).sum(), packed)
    assert_close(gradient, torch.autograd.grad((expected**3).sum(), packed))


def test_drop_ins_compile_without_a_graph_break(device):
    from ropejit.dropin import liger, meta, paper

    q, k = pair(device)
    heads_first = q.transpose(1, 2), k.transpose(1, 2)
    table = torch.ones(1, 5, 32, device=device)
    turns = torch.ones(5, 16, device=device, dtype=torch.complex64)
    for function, arguments in ((liger.liger_rotary_pos_emb, (*heads_first, table, table)),
                                (paper.apply_rotary_pos_emb, (*heads_first, table, table)),
                                (meta.apply_rotary_emb, (q, k, turns))):
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        assert_close(compiled(*arguments), function(*arguments))
