"""Rotations as operators of torch.library: for traces, modes, and subclasses of tensors that say themselves what an
operator does to them."""

import re

import torch

from ropejit import _operands, _plain
from ropejit._services import Error

_NAMES = ("q", "k", "positions", "cos", "sin", "cu_seqlens")


class Traced:
    """What a trace needs of a Rotation: made within one, of a Rotation's texts, which a trace takes for constants."""

    def __init__(self, spec, form, dims):
        self.spec, self.form, self.dims, self.gathered = spec, form, dims, False

    def __call__(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        return traced(self, q, k, positions, cos, sin, cu_seqlens, start)

    def in_place(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        return traced_in_place(self, q, k, positions, cos, sin, cu_seqlens, start)

    def store(self, operands, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        return traced_store(self, _operands.by_name(operands), positions, cos, sin, cu_seqlens, start)


def traced(of, q, k, positions, cos, sin, cu_seqlens, start):
    rest = (of.spec, of.form, of.dims, of.gathered, positions, cos, sin, cu_seqlens, start)
    if k is None:
        return torch.ops.ropejit.rope.one(q, *rest), None
    return torch.ops.ropejit.rope.default(q, k, *rest)


def traced_in_place(of, q, k, positions, cos, sin, cu_seqlens, start):
    if torch.is_grad_enabled() and (q.requires_grad or (k is not None and k.requires_grad)):
        return copied(q, k, *traced(of, q, k, positions, cos, sin, cu_seqlens, start))
    # What torch makes of a writing operator in a trace takes no lazy bits. Those of q and k it refuses itself.
    rest = map(_plain.resolved, (positions, cos, sin, cu_seqlens))
    torch.ops.ropejit.rope_(q, k, of.spec, of.form, of.dims, of.gathered, *rest, start)
    return q, k


def traced_store(of, operands, positions, cos, sin, cu_seqlens, start):
    rest = map(_plain.resolved, (positions, cos, sin, cu_seqlens))
    torch.ops.ropejit.store(*_operands.to_lists(operands), of.spec, of.form, of.dims, of.gathered, *rest, start)


def copied(q, k, new_q, new_k):
    """q and k, overwritten."""
    return q.copy_(new_q), None if k is None else k.copy_(new_k)


def dispatched(of, in_place, *arguments):
    """traced or traced_in_place; where a tensor that is no plain one does not take the operator, an error
    that names it."""
    try:
        return (traced_in_place if in_place else traced)(of, *arguments)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        strange = [(name, value) for name, value in zip(_NAMES, arguments) if not _plain.is_plain(value)]
        if not strange or isinstance(error, (Error, torch.OutOfMemoryError)) or re.match(r"[\w.]+: found ", str(error)):
            raise
        name, kind = strange[0][0], type(strange[0][1])
        found = f"a {kind.__module__}.{kind.__qualname__}"
        if _plain.is_of_plain_type(strange[0][1]):
            found = "a tensor that stands for another, as transforms of torch.func leave them behind"
        allowed = "a torch.Tensor, or a subclass of it that takes torch.ops.ropejit.rope"
        raise NotImplementedError(f"{name}: found {found}, allowed: {allowed}") from error
