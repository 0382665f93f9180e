"""What torch hangs on a tensor besides its numbers: each argument of each function, with each of them, gives what plain
tensors of the same numbers give, or an error that names the argument; eagerly and compiled."""

import pytest
import torch
from torch.autograd import forward_ad

import ropejit
from ropejit.dropin import flash_attn, flashinfer, hf, liger, meta, paper, rope_triton, transformer_engine, vllm
from shapes import assert_close

IDS = ropejit.Rotation({"layout": "split_half"})
RAGGED = ropejit.Rotation({"layout": "split_half"}, {"positions": "ragged"}, "shd")
HALF = ropejit.Rotation({"layout": "split_half"}, {"positions": "ids", "angles": "half"})


class Labelled(torch.Tensor):
    """A subclass that means nothing by it."""


class Closed(torch.Tensor):
    """A subclass that takes no operator."""

    @staticmethod
    def __new__(cls, tensor):
        return torch.Tensor._make_wrapper_subclass(cls, tensor.shape, dtype=tensor.dtype, device=tensor.device)

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        return NotImplemented


def negative(tensor):
    return torch._neg_view(-tensor)


def negative_part(tensor):
    """The imaginary part of a conjugate, which is how programs come by lazy negatives."""
    return torch.complex(torch.zeros_like(tensor, dtype=torch.float32), -tensor.float()).conj().imag


def conjugate(tensor):
    return tensor.conj().resolve_conj().conj()


def without_memory(tensor):
    result = tensor.clone()
    result.untyped_storage().resize_(0)
    return result


def left_behind(tensor):
    kept = []
    torch.func.vmap(lambda row: kept.append(row) or row)(tensor[None])
    return kept[0]


# What each makes of a tensor; None where it cannot be made of such a one.
RESOLVED = {
    "negative": negative,
    "negative part": lambda t: negative_part(t) if t.dtype is torch.float32 else None,
    "conjugate": lambda t: conjugate(t) if t.is_complex() else None,
    "negative conjugate": lambda t: negative(conjugate(t)) if t.is_complex() else None,
    "subclass": lambda t: t.as_subclass(Labelled),
    "parameter": lambda t: torch.nn.Parameter(t, requires_grad=False),
    "copy on write": torch._lazy_clone,
}
NAMED = {
    "subclass that takes no operator": Closed,
    "without memory": without_memory,
    "sparse": lambda t: t.to_sparse(),
    "nested": lambda t: torch.nested.nested_tensor([t, t]),
    "jagged": lambda t: torch.nested.nested_tensor([t, t], layout=torch.jagged),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.quint8) if t.dtype is torch.float32 else None,
    "on meta alone": lambda t: t.to("meta"),
    "left behind by vmap": left_behind,
}


def functions(device):
    """Name: function, arguments, names of the arguments that are tensors, whether it writes over the first ones."""
    q, k = torch.randn(2, 5, 4, 32, device=device), torch.randn(2, 5, 2, 32, device=device)
    ids = torch.arange(5, device=device)
    ends, offsets = (torch.tensor(x, device=device, dtype=torch.int32) for x in ([0, 2, 5], [3, 0]))
    angle = torch.randn(9, 16, device=device)
    half, full = (angle.cos(), angle.sin()), torch.cat((angle, angle), -1)[None, :5]
    turns, cache = torch.polar(torch.ones_like(angle), angle)[:5], torch.cat(half, -1)
    full = full.cos(), full.sin()
    heads_first = q.transpose(1, 2).contiguous(), k.transpose(1, 2).contiguous()
    flat = q[0].reshape(5, -1).clone(), k[0].reshape(5, -1).clone()
    radians = torch.cat((angle, angle), -1)[:, None, None]
    return {
        "Rotation": (IDS, (q, k, ids), ("q", "k", "positions"), False),
        "in_place": (IDS.in_place, (q, k, ids), ("q", "k", "positions"), 2),
        "ragged": (RAGGED, (q[0], k[0], offsets, None, None, ends), ("q", "k", "positions", 0, 0, "cu_seqlens"), False),
        "table": (HALF, (q, k, ids, *half), ("q", "k", "positions", "cos", "sin"), False),
        "hf": (hf.apply_rotary_pos_emb, (*heads_first, *full), ("q", "k", "cos", "sin"), False),
        "liger": (liger.liger_rotary_pos_emb, (*heads_first, *full), ("q", "k", "cos", "sin"), False),
        "paper": (paper.apply_rotary_pos_emb, (*heads_first, *full), ("q", "k", "cos", "sin"), False),
        "meta": (meta.apply_rotary_emb, (q, k, turns), ("q", "k", "cos"), False),
        "rope_triton": (rope_triton.rope_triton, (q, q * 2, 5), ("q", "k"), False),
        "flash_attn": (flash_attn.apply_rotary_emb, (q, *half, False, False, offsets),
                       ("x", "cos", "sin", 0, 0, "seqlen_offsets"), False),
        "flash_attn, in place": (flash_attn.apply_rotary_emb, (q, *half, False, True), ("x", "cos", "sin"), 1),
        "transformer_engine": (transformer_engine.apply_rotary_pos_emb, (q, radians, "bshd"), ("t", "freqs"), False),
        "vllm": (vllm.rotary_embedding, (ids, *flat, 32, cache, True),
                 ("positions", "query", "key", 0, "cos_sin_cache"), 3),
        "flashinfer": (flashinfer.apply_rope_with_cos_sin_cache, (ids, *flat, 32, cache),
                       ("positions", "query", "key", 0, "cos_sin_cache"), False),
        "flashinfer, computed": (flashinfer.apply_rope, (q[0], k[0], ends, offsets), ("q", "k", "indptr", "offsets"),
                                 False),
    }


FUNCTIONS = functions("cpu")
PLACES = [(name, place) for name, (_, _, names, _) in FUNCTIONS.items() for place, word in enumerate(names) if word]
IDENTIFIERS = [f"{name}, {FUNCTIONS[name][2][place]}" for name, place in PLACES]


def called(function, arguments, written):
    """What came of it, as plain tensors: the arguments that may have been written to, or else the results."""
    results = function(*arguments)
    if written:
        results = [a for a in arguments[:written] if isinstance(a, torch.Tensor)]
    results = results if isinstance(results, (tuple, list)) else (results,)
    return [r.as_subclass(torch.Tensor).resolve_neg() for r in results if r is not None]


def prepared(name, device):
    function, arguments, names, written = functions(device)[name]
    own = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
    return function, own, names, written, called(function, [a.clone() if torch.is_tensor(a) else a for a in own], written)


@pytest.mark.parametrize("name, place", PLACES, ids=IDENTIFIERS)
def test_what_can_be_resolved_is(name, place, device):
    for kind, make in RESOLVED.items():
        function, arguments, _, written, expected = prepared(name, device)
        made = make(arguments[place])
        if made is None:
            continue
        arguments[place] = made
        ours = called(function, arguments, written)
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True)), kind


@pytest.mark.parametrize("name, place", PLACES, ids=IDENTIFIERS)
def test_what_cannot_is_named(name, place, device):
    for kind, make in NAMED.items():
        function, arguments, names, written, _ = prepared(name, device)
        try:
            made = make(arguments[place])
        except (RuntimeError, NotImplementedError, TypeError):  # of such a tensor torch makes none
            continue
        if made is None:
            continue
        arguments[place] = made
        with pytest.raises((ValueError, TypeError, NotImplementedError)) as caught:
            function(*arguments)
        # A drop-in's own views of the tensor may be what torch refuses; it names the class then.
        assert "found " in str(caught.value) or Closed.__qualname__ in str(caught.value), (kind, caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_can_be_resolved_is_when_compiled(name, device):
    function, arguments, names, written, expected = prepared(name, device)
    compiled = torch.compile(function, backend="aot_eager")
    for place in (place for place, word in enumerate(names) if word):
        made = [a.clone() if torch.is_tensor(a) else a for a in arguments]
        made[place] = conjugate(made[place]) if made[place].is_complex() else negative(made[place])
        assert_close(called(compiled, made, written), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_meta_tensors_give_shapes(name, device):
    function, arguments, _, written, expected = prepared(name, device)
    on_meta = [a.to("meta") if torch.is_tensor(a) else a for a in arguments]
    results = function(*on_meta)
    if written:
        return
    results = results if isinstance(results, (tuple, list)) else (results,)
    for result, one in zip((r for r in results if r is not None), expected, strict=True):
        assert result.is_meta and result.shape == one.shape and result.dtype == one.dtype


TRAINED = {name: row for name, row in FUNCTIONS.items() if not row[3]}


def first_tensors(names):
    return [place for place, word in enumerate(names) if word in ("q", "k", "x", "t", "query", "key")]


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_that_are_lazy(name, device):
    function, arguments, names, _, _ = prepared(name, device)
    places = first_tensors(names)
    for place in places:
        arguments[place].requires_grad_()
    results = function(*arguments)
    results = [r for r in (results if isinstance(results, (tuple, list)) else (results,)) if r is not None]
    inputs, grads = [arguments[p] for p in places], [torch.randn_like(r) for r in results]
    expected = torch.autograd.grad(results, inputs, grads, retain_graph=True)
    for make in (negative, negative_part, lambda t: t.as_subclass(Labelled)):
        ours = torch.autograd.grad(results, inputs, [make(g) for g in grads], retain_graph=True)
        assert_close([x.as_subclass(torch.Tensor) for x in ours], expected)
    zeros = [torch._efficientzerotensor(g.shape, device=g.device) for g in grads]
    assert all((x == 0).all() for x in torch.autograd.grad(results, inputs, zeros, retain_graph=True))


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents_are_rotated_too(name, trained, device):
    function, arguments, names, written, expected = prepared(name, device)
    with forward_ad.dual_level():
        for place in first_tensors(names):
            tangent = arguments[place] * 2
            primal = arguments[place].requires_grad_() * 1 if trained else arguments[place]
            arguments[place] = forward_ad.make_dual(primal, tangent.detach().clone())
        for result, one in zip(called(function, arguments, written), expected, strict=True):
            if not result.is_floating_point():
                continue
            primal, tangent = forward_ad.unpack_dual(result)
            assert tangent is not None
            assert_close([primal.detach(), tangent.detach()], [one, one * 2])


@pytest.mark.parametrize("name, place", [p for p in PLACES if FUNCTIONS[p[0]][2][p[1]] in
                                         ("cos", "sin", "cos_sin_cache", "freqs")])
def test_tables_with_tangents_are_named(name, place, device):
    function, arguments, names, _, _ = prepared(name, device)
    with forward_ad.dual_level():
        arguments[place] = forward_ad.make_dual(arguments[place], torch.ones_like(arguments[place]))
        with pytest.raises(NotImplementedError, match=f"^{names[place]}: found a tensor with a tangent"):
            function(*arguments)


def test_zeros_that_are_lazy_are_read_and_not_written(device):
    zeros = torch._efficientzerotensor((2, 5, 4, 32), device=device)
    ids = torch.arange(5, device=device)
    result, _ = IDS(zeros, None, ids)
    assert (result == 0).all() and result.data_ptr() != 0
    with pytest.raises(ValueError, match="^q: found a lazy tensor of zeros"):
        IDS.in_place(zeros, None, ids)


def test_transforms_of_torch_func(device):
    q, ids = torch.randn(3, 2, 5, 4, 32, device=device), torch.arange(5, device=device)
    ours = torch.func.vmap(lambda x: IDS(x, None, ids)[0], in_dims=1, out_dims=1)(q.transpose(0, 1))
    expected = torch.stack([IDS(x, None, ids)[0] for x in q])
    assert torch.equal(ours.transpose(0, 1), expected)

    def written(x):
        x = x * 1
        IDS.in_place(x, None, ids)
        return x

    assert torch.equal(torch.func.vmap(written)(q), expected)
    assert torch.equal(torch.func.functionalize(written)(q[0]), expected[0])
    _, tangent = torch.func.jvp(lambda x: IDS(x, None, ids)[0], (q[0],), (q[1],))
    assert_close([tangent], [expected[1]])
    few = q[0, :1, :2, :1]
    forwards, backwards = (take(lambda x: IDS(x, None, ids[:2])[0].pow(2))(few)
                           for take in (torch.func.jacfwd, torch.func.jacrev))
    assert_close([forwards], [backwards])


def test_tables_that_require_grad_are_named_when_compiled(device):
    q, k = torch.randn(1, 2, 5, 32, device=device), torch.randn(1, 2, 5, 32, device=device)
    cos = torch.ones(1, 5, 32, device=device, requires_grad=True)
    with pytest.raises(Exception, match="cos: found a tensor that requires grad"):
        torch.compile(hf.apply_rotary_pos_emb, backend="aot_eager")(q, k, cos, cos.detach())
