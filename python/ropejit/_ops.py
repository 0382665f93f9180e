"""The operators of torch.library, and functions of the same names:

    ropejit::rope(q, k, spec, form, dims, ...) -> (Tensor, Tensor)
    ropejit::rope.one(q, spec, form, dims, ...) -> Tensor
    ropejit::rope_(q, k or None, spec, form, dims, ...) -> ()
    ropejit::store(inputs, outputs, rows, names, spec, form, dims, ...) -> ()
    ropejit::prologue(inputs, outputs, slots or None, weights, names, spec, form, ...) -> ()

Spec and form go by value, as text: compile caches outlive processes. Eager calls do not come this way (Rotation has a
shorter one); traces, modes and subclasses of tensors do. torch leaves off trailing arguments that have their defaults:
_complete puts them back.
"""

import torch

from ropejit import _operands, _plain, _prologue, _prologue_operands, _templates
from ropejit._autograd import RotateByOperator, differentiates
from ropejit._rotation import Rotation, rotation
from ropejit._traces import copied

_REST = (
    "str spec, str form, str dims, bool gathered=False, Tensor? positions=None, Tensor? cos=None, Tensor? sin=None, "
    "Tensor? cu_seqlens=None, SymInt start=0"
)
_REST_OF_PROLOGUE = (
    "str spec, str form, Tensor? positions=None, Tensor? cos=None, Tensor? sin=None, Tensor? cu_seqlens=None, SymInt start=0"
)
_tags = (torch.Tag.pt2_compliant_tag,)
torch.library.define("ropejit::rope", f"(Tensor q, Tensor k, {_REST}) -> (Tensor, Tensor)", tags=_tags)
torch.library.define("ropejit::rope.one", f"(Tensor q, {_REST}) -> Tensor", tags=_tags)
torch.library.define("ropejit::rope_", f"(Tensor(a!) q, Tensor(b!)? k, {_REST}) -> ()", tags=_tags)
torch.library.define(
    "ropejit::store", f"(Tensor[] inputs, Tensor(a!)[] outputs, Tensor[] rows, str names, {_REST}) -> ()", tags=_tags
)

torch.library.define(
    "ropejit::prologue",
    f"(Tensor[] inputs, Tensor(a!)[] outputs, Tensor? slots, Tensor[] weights, str names, {_REST_OF_PROLOGUE}) -> ()",
    tags=_tags,
)


def _complete(spec, form, dims, gathered=False, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    """The Rotation, and the arguments of a call of it after the operands."""
    return rotation(spec, form, dims, gathered), (positions, cos, sin, cu_seqlens, start)


def _run(in_place, q, k, *rest):
    of, (*tensors, start) = _complete(*rest)
    return of.forced(in_place, q, k, *tensors, int(start))


@torch.library.impl("ropejit::rope", ("cpu", "cuda"))
def _rope(q, k, *rest):
    return _run(False, q, k, *rest)


@torch.library.impl("ropejit::rope.one", ("cpu", "cuda"))
def _rope_one(q, *rest):
    return _run(False, q, None, *rest)[0]


@torch.library.impl("ropejit::rope_", ("cpu", "cuda"))
def _rope_in_place(q, k, *rest):
    _run(True, q, k, *rest)


@torch.library.impl("ropejit::store", ("cpu", "cuda"))
def _store(inputs, outputs, rows, names, *rest):
    of, (*tensors, start) = _complete(*rest)
    of.forced_store(_operands.from_lists(inputs, outputs, rows, names), *tensors, int(start))


@torch.library.register_fake("ropejit::rope")
def _fake(q, k, *rest):
    return _complete(*rest)[0].shaped(q, k)


@torch.library.register_fake("ropejit::rope.one")
def _fake_one(q, *rest):
    return _complete(*rest)[0].shaped(q, None)[0]


@torch.library.register_fake("ropejit::rope_")
def _fake_in_place(q, k, *rest):
    return None


@torch.library.register_fake("ropejit::store")
def _fake_store(inputs, outputs, rows, names, *rest):
    return None


# torch's own handling of the lazy bits takes no operator that writes over what may be None.
@torch.library.impl("ropejit::rope_", ("Conjugate", "Negative"))
def _rope_in_place_of_lazy(q, k, spec, form, dims, gathered=False, *rest):
    _, (*tensors, start) = _complete(spec, form, dims, gathered, *rest)
    memory = _plain.negated_back(q), _plain.negated_back(k)
    torch.ops.ropejit.rope_.default(*memory, spec, form, dims, gathered, *map(_plain.resolved, tensors), start)


@torch.library.impl("ropejit::store", ("Conjugate", "Negative"))
def _store_of_lazy(inputs, outputs, rows, names, spec, form, dims, gathered=False, *rest):
    _, (*tensors, start) = _complete(spec, form, dims, gathered, *rest)
    over = [word[1:] == "" for word in names.split()]
    outputs = [_plain.negated_back(x) if in_place else x for x, in_place in zip(outputs, over)]
    _operands.refuse_lazy(names, outputs)
    lists = [_plain.resolved(x) for x in inputs], outputs, rows, names
    torch.ops.ropejit.store.default(*lists, spec, form, dims, gathered, *map(_plain.resolved, tensors), start)


def _differentiated(q, k, *rest):
    of, (positions, cos, sin, cu_seqlens, start) = _complete(*rest)
    for name, table in (("cos", cos), ("sin", sin)):
        if torch.is_grad_enabled() and table is not None and table.requires_grad:
            raise ValueError(f"{name}: found a tensor that requires grad, allowed: one that does not")
    return RotateByOperator.apply(of, q, k, positions, cos, sin, cu_seqlens, start)


def _tables(*rest):
    return _complete(*rest)[1][1:3]


@torch.library.impl("ropejit::rope", "Autograd")
def _rope_and_gradient(q, k, *rest):
    if differentiates(q, k, *_tables(*rest)):
        return _differentiated(q, k, *rest)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.ropejit.rope.default(q, k, *rest)


@torch.library.impl("ropejit::rope.one", "Autograd")
def _rope_one_and_gradient(q, *rest):
    if differentiates(q, *_tables(*rest)):
        return _differentiated(q, None, *rest)[0]
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.ropejit.rope.one(q, *rest)


@torch.library.impl("ropejit::rope_", "Autograd")
def _rope_in_place_and_gradient(q, k, *rest):
    if differentiates(q, k, *_tables(*rest)):
        of, others = _complete(*rest)
        copied(q, k, *of.by_operator(q, k, *others))
        return
    with torch._C._AutoDispatchBelowAutograd():
        torch.ops.ropejit.rope_.default(q, k, *rest)


@torch.library.impl("ropejit::store", "Autograd")
def _store_without_gradient(inputs, outputs, rows, names, *rest):
    if differentiates(*inputs, *outputs, *_tables(*rest)):
        raise _operands.no_gradient()
    with torch._C._AutoDispatchBelowAutograd():
        torch.ops.ropejit.store.default(inputs, outputs, rows, names, *rest)


# The lists of a prologue's operands, and then what _complete_prologue takes.


def _complete_prologue(spec, form, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
    """The Prologue, and the arguments of a call of it after the operands."""
    return _prologue.prologue(spec, form), (positions, cos, sin, cu_seqlens, start)


@torch.library.impl("ropejit::prologue", ("cpu", "cuda"))
def _run_prologue(inputs, outputs, slots, weights, names, *rest):
    of, (*tensors, start) = _complete_prologue(*rest)
    of.forced(_prologue_operands.from_lists(inputs, outputs, slots, weights, names), *tensors, int(start))


@torch.library.register_fake("ropejit::prologue")
def _fake_prologue(inputs, outputs, slots, weights, names, *rest):
    return None


@torch.library.impl("ropejit::prologue", ("Conjugate", "Negative"))
def _prologue_of_lazy(inputs, outputs, slots, weights, names, spec, form, *rest):
    _, (*tensors, start) = _complete_prologue(spec, form, *rest)
    over = [is_over for _, is_over in _prologue_operands.outputs_of(names)]
    outputs = [_plain.negated_back(x) if is_over else x for x, is_over in zip(outputs, over)]
    _prologue_operands.refuse_lazy(names, outputs)
    inputs, weights = ([_plain.resolved(x) for x in given] for given in (inputs, weights))
    lists = inputs, outputs, _plain.resolved(slots), weights, names
    torch.ops.ropejit.prologue.default(*lists, spec, form, *map(_plain.resolved, tensors), start)


@torch.library.impl("ropejit::prologue", "Autograd")
def _prologue_without_gradient(inputs, outputs, slots, weights, names, *rest):
    tensors = _complete_prologue(*rest)[1][:4]
    if differentiates(*inputs, *outputs, *weights, *tensors):
        raise _prologue.no_gradient(_prologue_operands.from_lists(inputs, outputs, slots, weights, names), *tensors)
    with torch._C._AutoDispatchBelowAutograd():
        torch.ops.ropejit.prologue.default(inputs, outputs, slots, weights, names, *rest)


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
