"""Rotation.store: operands as a list, among them one that does not rotate, to tensors of the caller's and to rows of a
cache."""

import pytest
import torch

import ropejit
from ropejit import Operand
from shapes import assert_close
from test_ops import SPEC, exact

START = {"positions": "start"}


def tensors(device, dtype=torch.float32, batch=2, tokens=5, dim=32, v_dim=24):
    sizes = ((4, dim), (2, dim), (2, v_dim))
    return [torch.randn(batch, tokens, heads, lanes, device=device).to(dtype) for heads, lanes in sizes]


def rotated(x, start=0):
    batch, tokens = x.shape[:2]
    return exact(x, (torch.arange(tokens, device=x.device) + start).expand(batch, -1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_new_tensors_of_q_k_and_v(dtype, device):
    q, k, v = tensors(device, dtype)
    before = [x.clone() for x in (q, k, v)]
    outs = [torch.full_like(x, 7) for x in (q, k, v)]
    rope = ropejit.Rotation(SPEC, START)
    operands = [Operand(name, x, out) for name, x, out in zip("qkv", (q, k, v), outs)]
    assert rope.store(reversed(operands), start=3) is None
    assert_close(outs[:2], [rotated(q, 3), rotated(k, 3)])
    assert torch.equal(outs[2], v)
    assert all(torch.equal(x, was) for x, was in zip((q, k, v), before))


@pytest.mark.parametrize("q_in_place", [True, False])
@pytest.mark.parametrize("width", [torch.int32, torch.int64], ids=str)
def test_k_and_v_to_rows_of_a_cache(width, q_in_place, device):
    q, k, v = tensors(device)
    k_cache = torch.full((20, 2, 32), 7.0, device=device)
    v_cache = torch.full((20, 2, 24), 7.0, device=device)
    rows = torch.tensor([[3, 9, -1, 0, 19], [5, 4, 11, 12, 2]], device=device, dtype=width)
    out = None if q_in_place else torch.empty_like(q)
    expected = rotated(q)
    ropejit.Rotation(SPEC, START).store(
        [Operand("q", q, out), Operand("k", k, k_cache, rows), Operand("v", v, v_cache, rows)]
    )
    assert_close([q if q_in_place else out], [expected])
    wanted_k, wanted_v = torch.full_like(k_cache, 7), torch.full_like(v_cache, 7)
    turned = rotated(k)
    for b in range(2):
        for s in range(5):
            if rows[b, s] >= 0:
                wanted_k[rows[b, s]], wanted_v[rows[b, s]] = turned[b, s], v[b, s]
    assert_close([k_cache], [wanted_k])
    assert torch.equal(v_cache, wanted_v)


def test_slices_of_packed_tensors_and_caches_with_gaps(device):
    packed = torch.randn(2, 5, 8, 32, device=device, dtype=torch.bfloat16)
    q, k, v = packed.split((4, 2, 2), dim=2)
    cache = torch.zeros(20, 2, 2, 32, device=device, dtype=torch.bfloat16)  # rows, k and v, heads, lanes
    rows = torch.randperm(20, device=device)[:10]
    new_q = torch.empty(2, 4, 5, 32, device=device, dtype=torch.bfloat16).transpose(1, 2)
    ropejit.Rotation(SPEC, START).store(
        [Operand("q", q, new_q), Operand("k", k, cache[:, 0], rows), Operand("v", v, cache[:, 1], rows)]
    )
    assert_close([new_q, cache[rows, 0]], [rotated(q), rotated(k).flatten(0, 1)])
    assert torch.equal(cache[rows, 1], v.flatten(0, 1))


def test_another_dtype_is_written_where_the_output_has_it(device):
    q, k, v = tensors(device)
    outs = [torch.empty_like(x, dtype=dtype) for x, dtype in ((q, torch.float16), (k, torch.bfloat16), (v, torch.float16))]
    ropejit.Rotation(SPEC, START).store([Operand(n, x, out) for n, x, out in zip("qkv", (q, k, v), outs)])
    torch.testing.assert_close(outs[0], rotated(q).half(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(outs[1], rotated(k).bfloat16(), rtol=1e-2, atol=1e-2)
    assert torch.equal(outs[2], v.half())


def test_v_alone_with_q_and_layouts_of_other_orders(device):
    q = torch.randn(5, 4, 32, device=device)
    v = torch.randn(5, 3, 16, device=device)
    out = torch.empty_like(v)
    ropejit.Rotation(SPEC, START, "shd").store([Operand("v", v, out), Operand("q", q)])
    assert torch.equal(out, v)
    flat, flat_out = torch.randn(5, 32, device=device), torch.empty(5, 32, device=device)
    ropejit.Rotation(SPEC, START, "sd").store([Operand("q", flat, flat_out)])
    assert_close([flat_out], [rotated(flat[None, :, None])[0, :, 0]])


def test_empty_tensors_and_lazy_ones(device):
    q, k, v = tensors(device, tokens=0)
    ropejit.Rotation(SPEC, START).store([Operand("q", q), Operand("k", k), Operand("v", v, torch.empty_like(v))])
    q, k, v = tensors(device)
    negative, out, v_out = torch._neg_view(q), torch.empty_like(q), torch.empty_like(v)
    ropejit.Rotation(SPEC, START).store([Operand("q", negative, out), Operand("v", torch._neg_view(v), v_out)])
    assert_close([out], [rotated(-q)])
    assert torch.equal(v_out, -v)


def test_traces_take_it_as_one_operator(device):
    q, k, v = tensors(device)
    rope = ropejit.Rotation(SPEC, START)
    rows = torch.randperm(20, device=device)[:10]

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step(q, k, v, k_cache, v_cache, rows):
        q = q * 1
        rope.store([Operand("q", q), Operand("k", k, k_cache, rows), Operand("v", v, v_cache, rows)], start=2)
        return q + 1

    k_cache, v_cache = torch.zeros(20, 2, 32, device=device), torch.zeros(20, 2, 24, device=device)
    assert_close([step(q, k, v, k_cache, v_cache, rows)], [rotated(q, 2) + 1])
    assert_close([k_cache[rows]], [rotated(k, 2).flatten(0, 1)])
    assert torch.equal(v_cache[rows], v.flatten(0, 1))


def test_the_operator_passes_torchs_own_checks(device):
    q, k, v = tensors(device)
    rope = ropejit.Rotation(SPEC, START)
    rows = torch.randperm(20, device=device)[:10]
    k_cache = torch.zeros(20, 2, 32, device=device)
    arguments = ([k, v], [q, k_cache, torch.empty_like(v)], [rows], "q kor vo", rope.spec, rope.form, rope.dims)
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.ropejit.store.default, arguments, test_utils=tests)


def test_gradients_are_refused_and_no_grad_is_fine(device):
    q, k, v = tensors(device)
    rope = ropejit.Rotation(SPEC, START)
    q.requires_grad_(True)
    operands = [Operand("q", q, torch.empty_like(q)), Operand("v", v, torch.empty_like(v))]
    with pytest.raises(ValueError, match="operands: found a tensor that requires grad, allowed: "):
        rope.store(operands)
    with torch.no_grad():
        rope.store(operands)
    assert torch.equal(operands[1].output, v)


def test_versions_of_what_is_written_go_up(device):
    q, k, v = tensors(device)
    cache = torch.zeros(20, 2, 24, device=device)
    rows = torch.arange(10, device=device)
    before = q._version, v._version, cache._version
    ropejit.Rotation(SPEC, START).store([Operand("q", q), Operand("v", v, cache, rows)])
    assert (q._version > before[0], v._version, cache._version > before[2]) == (True, before[1], True)


@pytest.mark.parametrize(
    "name, change",
    [
        ("operands", lambda q, k, v, out: [Operand("k", k)]),
        ("operands", lambda q, k, v, out: [Operand("q", q), Operand("q", q)]),
        ("operands", lambda q, k, v, out: [Operand("w", q)]),
        ("operands", lambda q, k, v, out: [("q", q)]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v)]),
        ("k.output", lambda q, k, v, out: [Operand("q", q, out), Operand("k", k)]),
        ("k.output", lambda q, k, v, out: [Operand("q", q), Operand("k", k, torch.empty_like(k))]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v, torch.empty_like(v)[:1])]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v, torch.empty_like(v).long())]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v, 3)]),
        ("v.rows", lambda q, k, v, out: [Operand("q", q), Operand("v", v, v.new_empty(9, 2, 24), v)]),
        ("v.rows", lambda q, k, v, out: [Operand("q", q), Operand("v", v, v.new_empty(9, 2, 24), torch.arange(9))]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v, v.new_empty(9, 2, 8), torch.arange(10))]),
        ("v", lambda q, k, v, out: [Operand("q", q), Operand("v", v[:, :4], torch.empty_like(v))]),
        ("v", lambda q, k, v, out: [Operand("q", q), Operand("v", v.half(), torch.empty_like(v))]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v, v[:, :, :1].expand(-1, -1, 2, -1))]),
        ("v", lambda q, k, v, out: [Operand("q", q), Operand("v", None, torch.empty_like(v))]),
        ("v.output", lambda q, k, v, out: [Operand("q", q), Operand("v", v, v)]),
        ("q.rows", lambda q, k, v, out: [Operand("q", q, out, torch.arange(10))]),
        ("v", lambda q, k, v, out: [Operand("q", q), Operand("v", v[:, :, :0], v[:, :, :0].clone())]),
        ("k_out", lambda q, k, v, out: [Operand("q", q, out), Operand("k", k, out[:, :, :2])]),
    ],
)
def test_what_is_wrong_is_refused_by_name(name, change, device):
    torch.set_default_device(device)
    try:
        q, k, v = tensors(device)
        operands = change(q, k, v, torch.empty_like(q))
    finally:
        torch.set_default_device(None)
    with pytest.raises((TypeError, ValueError), match=rf"{name}[\w ]*: "):
        ropejit.Rotation(SPEC, START).store(operands)


def test_an_output_dtype_of_one_operand_alone_is_refused_in_calls(device):
    q, k, _ = tensors(device)
    for spec in ({"q": {"dtype_out": "bf16"}}, {"k": {"dtype_out": "bf16"}}):
        with pytest.raises(ValueError, match="spec.k.dtype_out: found another one than q's"):
            ropejit.Rotation({**SPEC, **spec}, START)(q, k)
    assert ropejit.Rotation({**SPEC, "q": {"dtype_out": "bf16"}}, START)(q)[0].dtype == torch.bfloat16


def test_null_counts_as_absent_and_other_things_are_refused(device):
    q, k, _ = tensors(device)
    expected = [rotated(q), rotated(k)]
    for spec in ({"q": {"dtype_out": None}}, {"v": None}, {"k": None}, {"q": None}):
        assert_close(ropejit.Rotation({**SPEC, **spec}, START)(q, k), expected)
    with pytest.raises(ValueError, match="spec.v: found 3, allowed: an object"):
        ropejit.Rotation({**SPEC, "v": 3}, START)


def test_keys_that_do_not_rotate_are_copied_and_have_gradients(device):
    rope = ropejit.Rotation({**SPEC, "k": {"rotates": False}}, START)
    for wanted in (0, 1):
        q, k, _ = tensors(device)
        q.requires_grad_()
        k.requires_grad_()
        results = rope(q, k, start=2)
        assert torch.equal(results[1], k)
        grad = torch.randn_like(results[wanted])
        results[wanted].backward(grad)
        assert ((q, k)[1 - wanted].grad is None) or not (q, k)[1 - wanted].grad.any()
        if wanted == 1:
            assert torch.equal(k.grad, grad)
        else:
            torch.testing.assert_close(q.grad, rotated_back(grad, 2), rtol=1e-5, atol=1e-5)


def rotated_back(x, start):
    positions = (torch.arange(x.shape[1], device=x.device) + start).expand(x.shape[0], -1)
    return exact(x, -positions)


def test_lazy_negatives_are_read_and_written_over_but_no_outputs(device):
    q, k, v = tensors(device)
    rope = ropejit.Rotation(SPEC, START)
    expected = rotated(-q)
    negative = torch._neg_view(q.clone())
    rope.store([Operand("q", negative)])
    assert_close([negative], [expected])
    for name, operand in (("q", [Operand("q", q, torch._neg_view(torch.zeros_like(q)))]),
                          ("v", [Operand("q", q.clone()), Operand("v", v, torch._neg_view(torch.zeros_like(v)))])):
        with pytest.raises(ValueError, match=f"{name}.output: found a lazily negated tensor"):
            rope.store(operand)
    out, texts = torch.zeros_like(q), (rope.spec, rope.form, rope.dims)
    torch.ops.ropejit.store([torch._neg_view(q)], [out], [], "qo", *texts)
    assert_close([out], [expected])
    negative = torch._neg_view(q.clone())
    torch.ops.ropejit.store([], [negative], [], "q", *texts)
    assert_close([negative], [expected])
    with pytest.raises(ValueError, match="q.output: found a lazily negated tensor"):
        torch.ops.ropejit.store([q], [torch._neg_view(out)], [], "qo", *texts)


@pytest.mark.parametrize(
    "names, inputs, outputs, rows",
    [("k", 0, 1, 0), ("x", 0, 1, 0), ("q x", 0, 2, 0), ("q q", 0, 2, 0), ("qfoo", 0, 1, 0), ("qr", 1, 1, 1),
     ("qo", 1, 2, 0), ("qo", 0, 1, 0), ("qo", 2, 1, 0), ("q kor", 1, 2, 0), ("q", 0, 1, 1)],
)
def test_lists_of_the_operator_that_do_not_fit_its_names_are_refused(names, inputs, outputs, rows, device):
    q = tensors(device)[0]
    rope = ropejit.Rotation(SPEC, START)
    lists = [q] * inputs, [q.clone() for _ in range(outputs)], [torch.arange(10, device=device)] * rows
    with pytest.raises(ValueError, match="(names|inputs|outputs|rows): found .*, allowed: "):
        torch.ops.ropejit.store(*lists, names, rope.spec, rope.form, rope.dims)


def test_meta_tensors_pass_and_transforms_are_refused(device):
    q, v = torch.empty(2, 5, 4, 32, device="meta"), torch.empty(2, 5, 2, 24, device="meta")
    rope = ropejit.Rotation(SPEC, START)
    rope.store([Operand("q", q), Operand("v", v, torch.empty_like(v))])
    x = torch.randn(3, 2, 5, 4, 32, device=device)
    with pytest.raises(NotImplementedError, match="operands: found a transform of torch.func"):
        torch.func.vmap(lambda x: rope.store([Operand("q", x)]) or x)(x)
