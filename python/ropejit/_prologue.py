"""Prologue: what attention does to q, k and v before it looks at them, in one launch."""

import functools

import torch

from ropejit import _autograd, _checks, _native, _plain, _templates, _torch, _traces
from ropejit._kind import Kind
from ropejit._operands import NAMES
from ropejit._rotation import FORCED, LAST, context_of
from ropejit._services import python_error

_is_compiling = torch.compiler.is_compiling


class Prologue(Kind):
    """Norms the heads of q and k, rotates them, and appends k and v to a cache of pages. Immutable; calls may come from
    any thread.

    spec: a dict or JSON ("The spec as JSON"), such as model_ropes(config, prologue=True) has, without dtype, heads and
        head_dim, which the tensors say. An operand without "norm" gets none.
    form: as a Rotation's: "positions" is "ids" (default), "start", "offsets" or "ragged"; "angles" and so on.
    """

    def __init__(self, spec, form=None):
        spec = _templates.read("spec", spec)
        form = _templates.checked_form(_templates.read("form", {} if form is None else form))
        super().__init__(spec, form, "shd", False)
        self.norms = tuple(_templates.norm_of(spec, name) for name in NAMES)
        self.heads, self.lanes = (_templates.sizes_of(spec, key) for key in ("heads", "head_dim"))
        normed, given = (
            sum(1 << number for number, norm in enumerate(self.norms) if is_so(norm))
            for is_so in (lambda norm: norm is not None, _templates.is_given_statistic)
        )
        more = {"norms": normed, "lanes": self.lanes, "given": given}
        sites = (self._site(spec, form, in_place, **more) for in_place in (False, True))
        self._apart, self._over = (site.store for site in sites)

    def __repr__(self):
        return f"Prologue({self.spec}, {self.form})"

    def __reduce__(self):
        return prologue, (self.spec, self.form)

    def __call__(
        self, q, k=None, v=None, positions=None, *, q_weight=None, k_weight=None, v_weight=None, k_cache=None, v_cache=None,
        slots=None, out=None, k_out=None, cos=None, sin=None, cu_seqlens=None, start=0, q_statistic=None, k_statistic=None,
        v_statistic=None
    ):
        """Returns q, normed and rotated: written over, or in `out`. k, likewise, and v are written to the cache; k to
        `k_out` too, if there is one. On torch's current stream; waits for nothing, and allocates nothing. No gradients.

        q, k, v: [tokens, heads, head_dim] or [tokens, heads * head_dim], of any strides, as slices of one tensor have
            them. The tokens of all sequences, one after another.
        positions: int32 or int64, [tokens]; what else a form takes is said at Rotation.
        q_weight, k_weight, v_weight: those of the norms, [head_dim], for the operands that the spec has one for.
        k_cache, v_cache: [pages, block_size, heads, head_dim], of any strides, but for lanes side by side: NHD, HND as a
            permuted view, k's and v's halves of one tensor. bf16, fp16 or fp32. Without caches k is written over as q
            is, and v, if any, is left alone.
        slots: int32 or int64, [up to tokens], of any stride: for each of the first tokens the place in both caches, which
            is slot % block_size of page slot // block_size. A negative one is none, as are those beyond the cache, and
            tokens beyond the list have none. Slots must be distinct.
        out: a tensor like q, in any floating dtype; None: q is written over.
        k_out: with k_cache, where the k of every token is written as well, also of those without a place in the cache: k
            itself where q is written over, and with `out` a tensor like k, in the dtype of k_cache. Both stores have the
            same bits. None: nowhere.
        q_statistic, k_statistic, v_statistic: for the operands whose norm has "statistic": "given" in the spec, r of every
            token and head, the reciprocal root of the mean square: fp32, [tokens, heads].
        """
        operands = _operands_of(
            self, q, k, v, q_weight, k_weight, v_weight, k_cache, v_cache, slots, out, k_out,
            (q_statistic, k_statistic, v_statistic),
        )
        if _is_compiling():
            _traced(self, operands, positions, cos, sin, cu_seqlens, start)
        elif not self._runs(0, operands, positions, cos, sin, cu_seqlens, start):
            self._slowly(operands, positions, cos, sin, cu_seqlens, start)
        return q if out is None else out

    def _runs(self, flags, operands, *rest):
        """Runs what is a plain case. False: it is none, and nothing was done."""
        run = self._over if operands[0][1] is None else self._apart
        try:
            return run(*operands, *rest, flags) is not None
        except (_native.NativeError, OverflowError, TypeError, ValueError) as error:
            raise self._explained(error, operands, *rest) from None

    def _slowly(self, operands, *rest):
        tensors = [tensor for operand in operands for tensor in operand] + list(rest[:4])
        _checks.check_prologue_types(operands, *rest)
        if _autograd.differentiates(*tensors):
            raise no_gradient(operands, *rest)
        if _torch.is_transformed():
            raise NotImplementedError("q: found a transform of torch.func, allowed: none")
        if _torch.is_watched() or not all(map(_plain.is_of_plain_type, tensors)):
            _traced(self, operands, *rest)
        else:
            self.forced(operands, *rest)

    def forced(self, operands, *rest):
        """What operands come to, whatever autograd and modes may say."""
        if self._runs(FORCED, operands, *rest):
            return
        _checks.check_prologue(self, operands, *rest)
        if operands[0][0].is_meta:
            return
        *tensors, start = rest
        with context_of(operands[0][0]):
            ready = (*map(_in_memory, operands),)
            if not self._runs(FORCED | LAST, ready, *self._in_memory(*tensors), start):
                raise ValueError("q: found a combination of arguments that is not served")

    def _explained(self, error, operands, *rest):
        """The exception for what a call met: the checks' own words for it, if they have any."""
        _checks.check_prologue_types(operands, *rest)
        invalid = python_error(error) if isinstance(error, _native.NativeError) else error
        if isinstance(invalid, ValueError):
            _checks.check_prologue(self, operands, *rest)
        return invalid


@functools.lru_cache(maxsize=1024)
def prologue(spec, form):
    """The Prologue of these texts, made once. The most recent 1,024 are kept."""
    return Prologue(spec, form)


def _refuse(name, found, allowed):
    raise ValueError(f"{name}: found {found}, allowed: {allowed}")


def _operands_of(of, q, k, v, q_weight, k_weight, v_weight, k_cache, v_cache, slots, out, k_out, statistics):
    """(q, k, v) as Site.store takes them: each (tensor, where it is written or None, slots or None, weights or None, where
    it is written beside its cache or None, its norm's given statistic or None), or () where it is not there."""
    q_statistic, k_statistic, v_statistic = statistics
    of_q = (q, out, None, q_weight, None, q_statistic)
    if slots is not None:
        if k is None or k_cache is None:
            _refuse("k" if k is None else "k_cache", "None beside slots", "a tensor")
        if (v is None) != (v_cache is None):
            _refuse("v" if v is None else "v_cache", f"None beside {'v_cache' if v is None else 'v'}", "both or neither")
        if v is not None:
            of_v = (v, v_cache, slots, v_weight, None, v_statistic)
            return of_q, (k, k_cache, slots, k_weight, k_out, k_statistic), of_v
    elif k_cache is not None or v_cache is not None:
        _refuse("slots", "None beside a cache", "a tensor")
    elif k_out is not None:
        _refuse("k_out", "a tensor without k_cache", "None (without caches k is written over, as q is)")
    elif of.norms[2] is not None and v is not None:
        _refuse("v_cache", "None", "a cache, since the spec's v has a norm")
    if v_weight is not None:
        _refuse("v_weight", "a tensor", "None where v is not written")
    if v_statistic is not None:
        _refuse("v_statistic", "a tensor", "None where v is not written")
    if k is not None:
        return of_q, (k, k_cache, slots, k_weight, k_out, k_statistic), ()
    for name, tensor in (("k_weight", k_weight), ("k_statistic", k_statistic)):
        if tensor is not None:
            _refuse(name, "a tensor", "None without k")
    return of_q, (), ()


def _traced(of, operands, positions, cos, sin, cu_seqlens, start):
    rest = map(_plain.resolved, (positions, cos, sin, cu_seqlens))
    torch.ops.ropejit.prologue(*_to_lists(operands), of.spec, of.form, *rest, start)


def _to_lists(operands):
    """As torch.ops.ropejit.prologue takes them: what is only read, what is written, slots, weights, and which is whose: a
    word for each operand, its name and then "o" where it has an output, "s" where that is a cache, "w" where it has
    weights, and "r" where its norm's statistic stands behind those. Of a k that is written beside its cache, "i" where
    that is over itself: it stands before its cache then, and is no input; "b" where that is the output behind its
    cache."""
    inputs, outputs, weights, words, slots = [], [], [], [], None
    for name, operand in zip(NAMES, operands):
        if not operand:
            continue
        read, written, own_slots, weight, beside, statistic = operand
        word = name
        (outputs if written is None or beside is read else inputs).append(read)
        if written is not None:
            outputs.append(written)
            word += "o" if own_slots is None else "s"
        if own_slots is not None:
            slots = own_slots
        if weight is not None:
            weights.append(weight)
            word += "w"
        if statistic is not None:
            weights.append(statistic)
            word += "r"
        if beside is not None:
            word += "i" if beside is read else "b"
            if beside is not read:
                outputs.append(beside)
        words.append(word)
    return inputs, outputs, slots, weights, " ".join(words)


_WORDS = {
    name: [name + store + norm + beside for store, besides in stores for norm in ("", "w", "wr") for beside in besides]
    for name, stores in (("q", (("", ("",)), ("o", ("",)))), ("k", (("", ("",)), ("s", ("", "i", "b")))), ("v", (("s", ("",)),)))
}


@functools.lru_cache(maxsize=64)
def _read_words(words):
    """How many inputs, outputs and weights words stand for, and whether there are slots; and of q, k and v where in those
    lists each has its own: (input or None, its first output, whether it has slots, weight or None, "i" or "b" where it is
    written beside its cache, statistic or None), or None."""
    inputs, outputs, weights, found = 0, 0, 0, {}
    for word in words.split():
        if word not in _WORDS.get(word[0], ()) or word[0] in found:
            _refuse("names", repr(words), "q, and with it k and v, each once, with o (output) or s (slots), and w (weights) or "
                    "wr (and a statistic), k's with slots also with i or b (over itself, or beside its cache)")
        has_slots, has_weight, has_statistic = ("s" in word, "w" in word, "r" in word)
        beside = word[-1] if word[-1] in "ib" else None
        is_input = ("o" in word or has_slots) and beside != "i"
        norm = (weights if has_weight else None, weights + 1 if has_statistic else None)
        found[word[0]] = inputs if is_input else None, outputs, has_slots, norm[0], beside, norm[1]
        inputs, outputs = inputs + is_input, outputs + 1 + (beside is not None)
        weights += has_weight + has_statistic
    if "q" not in found:
        _refuse("names", repr(words), "q, and with it k and v")
    return inputs, outputs, weights, any(places[2] for places in found.values()), tuple(map(found.get, NAMES))


def from_lists(inputs, outputs, slots, weights, words):
    """The operands that these lists of _to_lists stand for."""
    *wanted, with_slots, places = _read_words(words)
    for name, given, count in zip(("inputs", "outputs", "weights"), (inputs, outputs, weights), wanted):
        if len(given) != count:
            _refuse(name, len(given), f"{count} for names {words!r}")
    if (slots is not None) != with_slots:
        _refuse("slots", "None" if slots is None else "a tensor", f"the other for names {words!r}")
    operands = []
    for place in places:
        if place is None:
            operands.append(())
            continue
        read, written, has_slots, *of_norm, beside, statistic = place
        weight, statistic = (None if at is None else weights[at] for at in (*of_norm, statistic))
        own_slots = slots if has_slots else None
        if beside == "i":
            operands.append((outputs[written], outputs[written + 1], own_slots, weight, outputs[written], statistic))
        elif read is None:
            operands.append((outputs[written], None, None, weight, None, statistic))
        else:
            apart = outputs[written + 1] if beside == "b" else None
            operands.append((inputs[read], outputs[written], own_slots, weight, apart, statistic))
    return tuple(operands)


def outputs_of(words):
    """Of each output that words stand for, what callers call it and whether its negative may be written over: not where a
    cache takes the same numbers."""
    found = []
    for word in words.split():
        is_over = not set(word) & set("os")
        if is_over or "i" in word:
            found.append((word[0], is_over))
        if not is_over:
            found.append((_checks.written_name(word[0]), False))
        if "b" in word:
            found.append((f"{word[0]}_out", False))
    return found


def _in_memory(operand):
    """The same, with what memory does not show carried out (_plain), and numbers where a kernel reads them. A norm takes
    the negative of numbers to that of their norm, as a rotation does, so that negatives may be written over."""
    if not operand:
        return ()
    read, written, slots, weight, beside, statistic = operand
    is_over = written is None or beside is read
    read, was = _plain.written_to(read) if is_over else _plain.read_from(read), read
    written = _of_plain_type(written)
    beside = read if beside is was else _of_plain_type(beside)
    slots, weight, statistic = (
        None if tensor is None else _plain.read_from(tensor).contiguous() for tensor in (slots, weight, statistic)
    )
    return read, written, slots, weight, beside, statistic


def _of_plain_type(written):
    if written is None or _plain.is_of_plain_type(written):
        return written
    return written.as_subclass(torch.Tensor)


def refuse_lazy(words, outputs):
    """Raises for an output that is the lazy negative of its memory."""
    for (name, _), written in zip(outputs_of(words), outputs):
        if written.is_neg():
            _refuse(name, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")


def no_gradient(operands, *rest):
    """What to raise where autograd has to see a call."""
    named = []
    for name, operand in zip(NAMES, operands):
        if operand:
            own = (name, _checks.written_name(name), "slots", f"{name}_weight", f"{name}_out", f"{name}_statistic")
            named += zip(own, operand)
    named += zip(("positions", "cos", "sin", "cu_seqlens"), rest)
    for name, tensor in named:
        if tensor is not None and tensor.requires_grad:
            return ValueError(f"{name}: found a tensor that requires grad, allowed: one that does not, or torch.no_grad()")
    return ValueError("q: found a level of forward-mode tangents, allowed: none")
