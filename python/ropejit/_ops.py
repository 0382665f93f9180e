"""The operators ropejit::rope and ropejit::rope_ of torch.library, and functions of the same names.

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
torch.library.define("ropejit::rope", f"(Tensor q, Tensor? k, {_REST}) -> Tensor[]", tags=_tags)
torch.library.define("ropejit::rope_", f"(Tensor(a!) q, Tensor(b!)? k, {_REST}) -> ()", tags=_tags)


def _run(in_place, q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start):
    of = rotation(spec, form, dims, gathered)
    return of.forced(in_place, q, k, positions, cos, sin, cu_seqlens, int(start))


@torch.library.impl("ropejit::rope", ("cpu", "cuda"))
def _rope(q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    results = _run(False, q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start)
    return [result for result in results if result is not None]


@torch.library.impl("ropejit::rope_", ("cpu", "cuda"))
def _rope_in_place(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    _run(True, q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start)


@torch.library.register_fake("ropejit::rope")
def _fake(q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    dtype = _templates.output_dtype(_templates.read("spec", spec))
    return [torch.empty_like(tensor, dtype=dtype) for tensor in (q, k) if tensor is not None]


@torch.library.register_fake("ropejit::rope_")
def _fake_in_place(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    return None


def _setup_context(ctx, inputs, output):
    q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start = inputs
    ctx.of = rotation(spec, form, dims, gathered)
    ctx.dtype, ctx.start, ctx.has_k = q.dtype, start, k is not None
    ctx.save_for_backward(positions, cos, sin, cu_seqlens)


def _backward(ctx, grads):
    grad_q, grad_k = grads[0], grads[1] if ctx.has_k else None
    grad_q, grad_k = gradients(ctx.of, ctx.dtype, grad_q, grad_k, *ctx.saved_tensors, ctx.start)
    return (grad_q, grad_k, *[None] * 9)


torch.library.register_autograd("ropejit::rope", _backward, setup_context=_setup_context)


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
