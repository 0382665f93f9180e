"""The operators of torch.library, and functions of the same names:

    ropejit::rope(q, k, spec, form, dims, ...) -> (Tensor, Tensor)
    ropejit::rope.one(q, spec, form, dims, ...) -> Tensor
    ropejit::rope_(q, k or None, spec, form, dims, ...) -> ()

Spec and form go by value, as text: compile caches outlive processes. Eager calls do not come this way (Rotation has a
shorter one); traces, modes and subclasses of tensors do.
"""

import torch

from ropejit import _templates
from ropejit._rotation import Rotation, gradients, rotation

_REST = (
    "str spec, str form, str dims, bool gathered=False, Tensor? positions=None, Tensor? cos=None, Tensor? sin=None, "
    "Tensor? cu_seqlens=None, SymInt start=0"
)
_tags = (torch.Tag.pt2_compliant_tag,)
torch.library.define("ropejit::rope", f"(Tensor q, Tensor k, {_REST}) -> (Tensor, Tensor)", tags=_tags)
torch.library.define("ropejit::rope.one", f"(Tensor q, {_REST}) -> Tensor", tags=_tags)
torch.library.define("ropejit::rope_", f"(Tensor(a!) q, Tensor(b!)? k, {_REST}) -> ()", tags=_tags)


def _run(in_place, q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start):
    of = rotation(spec, form, dims, gathered)
    return of.forced(in_place, q, k, positions, cos, sin, cu_seqlens, int(start))


@torch.library.impl("ropejit::rope", ("cpu", "cuda"))
def _rope(q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    return _run(False, q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start)


@torch.library.impl("ropejit::rope.one", ("cpu", "cuda"))
def _rope_one(q, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    return _run(False, q, None, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start)[0]


@torch.library.impl("ropejit::rope_", ("cpu", "cuda"))
def _rope_in_place(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    _run(True, q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start)


def _like(tensor, spec):
    return torch.empty_like(tensor, dtype=_templates.output_dtype(_templates.read("spec", spec)))


@torch.library.register_fake("ropejit::rope")
def _fake(q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    return _like(q, spec), _like(k, spec)


@torch.library.register_fake("ropejit::rope.one")
def _fake_one(q, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    return _like(q, spec)


@torch.library.register_fake("ropejit::rope_")
def _fake_in_place(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    return None


def _keep(ctx, q, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start):
    ctx.of = rotation(spec, form, dims, gathered)
    ctx.dtype, ctx.start = q.dtype, start
    ctx.save_for_backward(positions, cos, sin, cu_seqlens)


def _setup_context(ctx, inputs, output):
    _keep(ctx, inputs[0], *inputs[2:])


def _setup_context_of_one(ctx, inputs, output):
    _keep(ctx, *inputs)


def _backward(ctx, grad_q, grad_k):
    return (*gradients(ctx.of, ctx.dtype, grad_q, grad_k, *ctx.saved_tensors, ctx.start), *[None] * 9)


def _backward_of_one(ctx, grad_q):
    return (gradients(ctx.of, ctx.dtype, grad_q, None, *ctx.saved_tensors, ctx.start)[0], *[None] * 9)


torch.library.register_autograd("ropejit::rope", _backward, setup_context=_setup_context)
torch.library.register_autograd("ropejit::rope.one", _backward_of_one, setup_context=_setup_context_of_one)


def _of(spec, form, dims):
    if isinstance(spec, Rotation):
        return spec
    form = _templates.checked_form(_templates.read("form", {} if form is None else form))
    return rotation(_templates.as_text(_templates.read("spec", spec)), _templates.as_text(form), dims)


def rope(q, k, spec, form=None, dims="bshd", positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    """Rotation(spec, form, dims)(q, k, ...), for calls that are not in a hurry."""
    return _of(spec, form, dims)(q, k, positions, cos, sin, cu_seqlens, start)


def rope_(q, k, spec, form=None, dims="bshd", positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    """The same, written over q and k."""
    return _of(spec, form, dims).in_place(q, k, positions, cos, sin, cu_seqlens, start)
