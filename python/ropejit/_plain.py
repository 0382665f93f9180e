"""What torch hangs on a tensor besides its numbers. A kernel reads and writes memory, so what memory does not show is
carried out here first: lazy conjugation and negation, lazy zeros, subclasses, tables of strides that no kernel reads."""

import torch

_TYPES = (torch.Tensor, torch.nn.Parameter)
_is_functorch_wrapped = getattr(getattr(torch._C, "_functorch", None), "is_functorch_wrapped_tensor", lambda tensor: False)


def is_of_plain_type(value):
    """Whether memory says all, or None was given: subclasses may mean something else by it."""
    return value is None or type(value) in _TYPES


def is_wrapped(value):
    """Whether this holds another tensor, and has no memory of its own, although its type is torch.Tensor."""
    return value is not None and (torch._is_functional_tensor(value) or _is_functorch_wrapped(value))


def is_plain(value):
    return is_of_plain_type(value) and not is_wrapped(value)


def read_from(tensor):
    """The same numbers, in memory as they are."""
    if tensor is None:
        return None
    if type(tensor) not in _TYPES:
        tensor = tensor.as_subclass(torch.Tensor)
    if tensor._is_zerotensor():
        return tensor.clone()
    return tensor.resolve_conj().resolve_neg()


def written_to(tensor):
    """The memory of a tensor that is rotated in place. Rotating the negative of numbers and rotating them come to the
    same memory, so a lazy negation stays as it is."""
    if tensor is None:
        return None
    if type(tensor) not in _TYPES:
        tensor = tensor.as_subclass(torch.Tensor)
    return torch._neg_view(tensor) if tensor.is_neg() else tensor


def alike(cos, sin):
    """Tables as a kernel reads them: rows without gaps, and both with the same strides. Copies where they are not."""
    if cos is None or (_has_whole_rows(cos) and (sin is None or _strides(cos) == _strides(sin))):
        return cos, sin
    return _laid_out(cos), None if sin is None else _laid_out(sin)


def _has_whole_rows(table):
    return table.shape[-1] == 1 or table.stride(-1) == 1


def _strides(table):
    return [stride for size, stride in zip(table.shape, table.stride()) if size != 1]


def gapless(numbers, kind):
    """Positions of that kind, or the ends of sequences, as a kernel reads them."""
    return numbers.contiguous() if kind == "ragged" and numbers is not None else numbers


def _laid_out(table):
    return table.clone(memory_format=torch.contiguous_format)
