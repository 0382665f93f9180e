"""Operands of a Prologue: as a call brings them, as Site.store takes them, and as lists for torch.ops.ropejit.prologue."""

import functools
import re

from ropejit import _prologue_checks, _stages
from ropejit._operands import NAMES
from ropejit._page_table import LETTERS as TABLE
from ropejit._page_table import PageTable


def refuse(name, found, allowed):
    raise ValueError(f"{name}: found {found}, allowed: {allowed}")


def operands_of(of, q, k, v, k_cache, v_cache, slots, out, k_out, v_out, of_q, of_k, of_v):
    """(q, k, v) as Site.store takes them: each (tensor, where it is written or None, slots or None, where it is written
    beside its cache or None, and what its stages bring: _stages.KEYS), or () where it is not there."""
    q = (q, out, None, None, *of_q)
    if slots is not None:
        if k is None or k_cache is None:
            refuse("k" if k is None else "k_cache", "None beside slots", "a tensor")
        if (v is None) != (v_cache is None):
            refuse("v" if v is None else "v_cache", f"None beside {'v_cache' if v is None else 'v'}", "both or neither")
        if v is not None:
            if v_out is not None and out is None and of.v_stage is None:
                refuse("v_out", "a tensor beside a cache", "None where q is written over and the spec's v has no stages")
            return q, (k, k_cache, slots, k_out, *of_k), (v, v_cache, slots, v_out, *of_v)
        if v_out is not None:
            refuse("v_out", "a tensor without v", "None")
        _refuse_all("v", of_v, "None where v is not written")
        return q, (k, k_cache, slots, k_out, *of_k), ()
    if k_cache is not None or v_cache is not None:
        refuse("slots", "None beside a cache", "a tensor")
    return q, _without_cache(k, k_out, out, of_k), _v_without_cache(of, v, v_out, of_v)


def _without_cache(k, k_out, out, of_k):
    """k is written over as q is, or as q is to a tensor of its own."""
    if k is None:
        if k_out is not None:
            refuse("k_out", "a tensor without k", "None")
        _refuse_all("k", of_k, "None without k")
        return ()
    if k_out is not None and out is None:
        refuse("k_out", "a tensor without k_cache", "None where q is written over, as k is then, too")
    return k, k_out, None, None, *of_k


def _v_without_cache(of, v, v_out, of_v):
    """v goes to a tensor of its own, or is left alone, where its stages let that be."""
    if v_out is not None:
        if v is None:
            refuse("v_out", "a tensor without v", "None")
        return v, v_out, None, None, *of_v
    if of.v_stage is not None and v is not None:
        refuse("v_cache", "None", f"a cache, or v_out, since the spec's v has {of.v_stage}")
    _refuse_all("v", of_v, "None where v is not written")
    return ()


def _refuse_all(name, own, allowed):
    """Raises for the first of what an operand's stages bring that is there."""
    for key, tensor in zip(_stages.KEYS, own):
        if tensor is not None:
            refuse(f"{name}_{key}", "a tensor", allowed)


def to_lists(operands):
    """As torch.ops.ropejit.prologue takes them: what is only read, what is written, slots, weights and all else that
    stages read, and which is whose: a word for each operand, its name and then "o" where it has an output, "s" where that
    is a cache, and a letter for each tensor that its stages bring (_stages.LETTERS). Of a k that is written beside its
    cache, "i" where that is over itself: it stands before its cache then, and is no input; "b" where that is the output
    behind all others of it. Behind the words of operands, for a page table in place of slots, "@" and a letter for each of
    its tensors (_page_table.LETTERS), which stand behind all weights."""
    inputs, outputs, weights, words, slots = [], [], [], [], None
    for name, operand in zip(NAMES, operands):
        if not operand:
            continue
        read, written, own_slots, beside, *own = operand
        word = name
        (outputs if written is None or beside is read else inputs).append(read)
        if written is not None:
            outputs.append(written)
            word += "o" if own_slots is None else "s"
        if own_slots is not None:
            slots = own_slots
        for letter, tensor in zip(_stages.LETTERS, own):
            if tensor is not None:
                (outputs if letter == "t" else weights).append(tensor)
                word += letter
        if beside is not None:
            word += "i" if beside is read else "b"
            if beside is not read:
                outputs.append(beside)
        words.append(word)
    if isinstance(slots, PageTable):
        words.append("@" + "".join(letter for letter, tensor in zip(TABLE, slots) if tensor is not None))
        weights += [tensor for tensor in slots if tensor is not None]
        slots = None
    return inputs, outputs, slots, weights, " ".join(words)


_OWN = "".join(letter + "?" for letter in _stages.LETTERS)
_WORD = re.compile(f"qo?{_OWN}|ko?{_OWN}|ks{_OWN}[ib]?|vo{_OWN}|vs{_OWN}[ib]?")
_TABLE_WORD = re.compile("@" + TABLE[0] + "".join(letter + "?" for letter in TABLE[1:]))


def _split(words):
    """The words of operands, and that of a page table, "" where there is none."""
    split = words.split()
    return (split[:-1], split[-1]) if split and split[-1].startswith("@") else (split, "")


@functools.lru_cache(maxsize=64)
def _count(words):
    """How many inputs, outputs and weights words stand for, and whether there are slots."""
    split, table = _split(words)
    names = {word[0] for word in split}
    good = all(map(_WORD.fullmatch, split)) and len(names) == len(split) and "q" in names
    with_slots = any("s" in word[1:] for word in split)
    if not good or (table and not (with_slots and _TABLE_WORD.fullmatch(table))):
        allowed = (
            "q, and with it k and v, each once, with o (output) or s (slots), and a letter of "
            f"{_stages.LETTERS} for what its stages bring, with slots also i or b (over itself, or beside its cache), and "
            f"last @ and letters of {TABLE} for a page table"
        )
        refuse("names", repr(words), allowed)
    flags = [word[1:] for word in split]
    outputs = len(outputs_of(words))
    inputs = sum(("o" in word or "s" in word) and "i" not in word for word in flags)
    weights = sum(letter in word for word in flags for letter in _stages.LETTERS if letter != "t")
    return inputs, outputs, weights + len(table[1:]), with_slots and not table


def from_lists(inputs, outputs, slots, weights, words):
    """The operands that these lists of _to_lists stand for."""
    *wanted, with_slots = _count(words)
    for name, given, count in zip(("inputs", "outputs", "weights"), (inputs, outputs, weights), wanted):
        if len(given) != count:
            refuse(name, len(given), f"{count} for names {words!r}")
    if (slots is not None) != with_slots:
        refuse("slots", "None" if slots is None else "a tensor", f"the other for names {words!r}")
    split, table = _split(words)
    if table:
        own = iter(weights[len(weights) - len(table[1:]) :])
        slots = PageTable(*(next(own) if letter in table else None for letter in TABLE))
    inputs, outputs, weights = map(iter, (inputs, outputs, weights))
    found = {}
    for word in split:
        name, flags = word[0], word[1:]
        is_over = "o" not in flags and "s" not in flags
        read = next(outputs if is_over or "i" in flags else inputs)
        written = None if is_over else next(outputs)
        own = [
            next(outputs if letter == "t" else weights) if letter in flags else None for letter in _stages.LETTERS
        ]
        beside = read if "i" in flags else next(outputs) if "b" in flags else None
        found[name] = (read, written, slots if "s" in flags else None, beside, *own)
    return tuple(found.get(name, ()) for name in NAMES)


def outputs_of(words):
    """Of each output that words stand for, what callers call it and whether its negative may be written over: not where a
    cache takes the same numbers, nor where biases are added to them."""
    found = []
    for name, flags in ((word[0], word[1:]) for word in _split(words)[0]):
        is_over = "o" not in flags and "s" not in flags
        if is_over or "i" in flags:
            found.append((name, is_over and "n" not in flags and "a" not in flags))
        if not is_over:
            found.append((_prologue_checks.written_name(name, "s" in flags), False))
        if "t" in flags:
            found.append((f"{name}_statistic_out", False))
        if "b" in flags:
            found.append((f"{name}_out", False))
    return found


def refuse_lazy(words, outputs):
    """Raises for an output that is the lazy negative of its memory."""
    for (name, _), written in zip(outputs_of(words), outputs):
        if written.is_neg():
            refuse(name, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
