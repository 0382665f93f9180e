"""The operators of torch.library, and functions of the same names:

    ropejit::rope(q, k, spec, form, dims, ...) -> (Tensor, Tensor)
    ropejit::rope.one(q, spec, form, dims, ...) -> Tensor
    ropejit::rope_(q, k or None, spec, form, dims, ...) -> ()

Spec and form go by value, as text: compile caches outlive processes. Eager calls do not come this way (Rotation has a
shorter one); traces, modes and subclasses of tensors do.
"""

import torch

from ropejit import _templates
from ropejit._autograd import RotateByOperator, differentiates
from ropejit._rotation import Rotation, rotation
from ropejit._traces import copied

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


@torch.library.register_fake("ropejit::rope")
def _fake(q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    return rotation(spec, form, dims, gathered).shaped(q, k)


@torch.library.register_fake("ropejit::rope.one")
def _fake_one(q, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    return rotation(spec, form, dims, gathered).shaped(q, None)[0]


@torch.library.register_fake("ropejit::rope_")
def _fake_in_place(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    return None


def _differentiated(q, k, spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start):
    for name, table in (("cos", cos), ("sin", sin)):
        if torch.is_grad_enabled() and table is not None and table.requires_grad:
            raise ValueError(f"{name}: found a tensor that requires grad, allowed: one that does not")
    of = rotation(spec, form, dims, gathered)
    return RotateByOperator.apply(of, q, k, positions, cos, sin, cu_seqlens, start)


@torch.library.impl("ropejit::rope", "Autograd")
def _rope_and_gradient(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    rest = spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start
    if differentiates(q, k, cos, sin):
        return _differentiated(q, k, *rest)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.ropejit.rope.default(q, k, *rest)


@torch.library.impl("ropejit::rope.one", "Autograd")
def _rope_one_and_gradient(
    q, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    rest = spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start
    if differentiates(q, cos, sin):
        return _differentiated(q, None, *rest)[0]
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.ropejit.rope.one(q, *rest)


@torch.library.impl("ropejit::rope_", "Autograd")
def _rope_in_place_and_gradient(
    q, k, spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0
):
    rest = spec, form, dims, gathered, positions, cos, sin, cu_seqlens, start
    if differentiates(q, k, cos, sin):
        copied(q, k, *rotation(spec, form, dims, gathered).by_operator(q, k, *rest[4:]))
        return
    with torch._C._AutoDispatchBelowAutograd():
        torch.ops.ropejit.rope_.default(q, k, *rest)


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
