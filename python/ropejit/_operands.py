"""Operands of a launch as a list: what is read, where it is written, and which rows of a cache its tokens go to."""

from typing import NamedTuple, Optional

import torch

from ropejit import _plain

NAMES = ("q", "k", "v")


class Operand(NamedTuple):
    """One tensor of Rotation.store, as ropejit_operand of ropejit.h.

    name: "q", "k" or "v". q and k rotate; v is copied.
    input: in the order of the Rotation's dims, all of one dtype; with "grouped_q" in the form q has its heads as two
        dimensions, groups and heads of a group, and so has its output.
    output: a tensor of the input's shape that is written, in any floating dtype; with rows the cache, [rows, heads,
        head_dim]; None: the input is written over, q and k together (a k with rows apart), v never.
    rows: int32 or int64, as many as there are tokens, side by side: for each the row of the cache, -1 for none. Rows
        must be distinct.
    """

    name: str
    input: torch.Tensor
    output: Optional[torch.Tensor] = None
    rows: Optional[torch.Tensor] = None


def by_name(operands):
    """(q, k, v) as Site.store takes them: each (input, output, rows), or () where it is not there."""
    found = {}
    for operand in operands:
        if not isinstance(operand, Operand):
            raise TypeError(f"operands: found {type(operand).__name__}, allowed: ropejit.Operand")
        if operand.name not in NAMES:
            raise ValueError(f"operands: found name {operand.name!r}, allowed: q, k, v")
        if operand.name in found:
            raise ValueError(f"operands: found {operand.name} twice, allowed: each once")
        if operand.output is operand.input and operand.output is not None:
            raise ValueError(f"{operand.name}.output: found the input, allowed: another tensor, or None for in place")
        found[operand.name] = (operand.input, operand.output, operand.rows)
    if "q" not in found:
        raise ValueError("operands: found none of name q, allowed: q, and with it k and v")
    return tuple(found.get(name, ()) for name in NAMES)


def to_lists(operands):
    """As torch.ops.ropejit.store takes them: what is only read, what is written, rows, and which is whose: a word for
    each operand, its name and then "o" where it has an output of its own, "r" where it has rows."""
    inputs, outputs, rows, words = [], [], [], []
    for name, operand in zip(NAMES, operands):
        if not operand:
            continue
        read, written, own_rows = operand
        if written is None:
            outputs.append(read)
        else:
            inputs.append(read)
            outputs.append(written)
        if own_rows is not None:
            rows.append(own_rows)
        words.append(name + ("" if written is None else "o") + ("" if own_rows is None else "r"))
    return inputs, outputs, rows, " ".join(words)


def from_lists(inputs, outputs, rows, words):
    """The operands that these lists of to_lists stand for."""
    found = {}
    split = words.split()
    for word in split:
        if word[0] not in NAMES or word[1:] not in ("", "o", "or") or word[0] in found:
            raise ValueError(f"names: found {words!r}, allowed: q, k, v, each once, with o (output) or or (and rows) after it")
        found[word[0]] = word[1:]
    if "q" not in found:
        raise ValueError(f"names: found {words!r}, allowed: q, and with it k and v")
    apart = sum(flags != "" for flags in found.values())
    with_rows = sum(flags == "or" for flags in found.values())
    for name, given, wanted in (("inputs", inputs, apart), ("outputs", outputs, len(found)), ("rows", rows, with_rows)):
        if len(given) != wanted:
            raise ValueError(f"{name}: found {len(given)}, allowed: {wanted} for names {words!r}")
    inputs, outputs, rows = iter(inputs), iter(outputs), iter(rows)
    for name, flags in found.items():
        written = next(outputs)
        read = next(inputs) if flags else written
        found[name] = (read, written if flags else None, next(rows) if flags == "or" else None)
    return tuple(found.get(name, ()) for name in NAMES)


def in_memory(operands):
    """The same, with what memory does not show carried out (_plain)."""
    ready = []
    for operand in operands:
        if not operand:
            ready.append(())
            continue
        read, written, rows = operand
        read = _plain.written_to(read) if written is None else _plain.read_from(read)
        rows = None if rows is None else _plain.read_from(rows).contiguous()
        if written is not None and not _plain.is_of_plain_type(written):
            written = written.as_subclass(torch.Tensor)
        ready.append((read, written, rows))
    return tuple(ready)


def refuse_lazy(names, outputs):
    """Raises for an output that is the lazy negative of its memory."""
    for word, written in zip(names.split(), outputs):
        if written.is_neg():
            found = "a lazily negated tensor, which cannot be written to"
            raise ValueError(f"{word[0]}.output: found {found}, allowed: another, such as a clone of it")


def no_gradient():
    return ValueError("operands: found a tensor that requires grad, allowed: ones that do not, or torch.no_grad()")
