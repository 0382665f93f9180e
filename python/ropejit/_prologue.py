"""Prologue: what attention does to q, k and v before it looks at them, in one launch."""

import functools
import re

import torch

from ropejit import _autograd, _checks, _native, _plain, _stages, _templates, _torch, _traces
from ropejit._kind import Kind
from ropejit._operands import NAMES
from ropejit._rotation import FORCED, LAST, context_of
from ropejit._services import python_error

_is_compiling = torch.compiler.is_compiling


class Prologue(Kind):
    """Takes q, k and v through their stages, norms and the rotation among them, and appends k and v to a cache of pages.
    Immutable; calls may come from any thread.

    spec: a dict or JSON ("The spec as JSON"), such as model_ropes(config, prologue=True) has, without dtype, heads and
        head_dim, which the tensors say. An operand without "norm" gets none, and likewise of the other stages.
    form: as a Rotation's: "positions" is "ids" (default), "start", "offsets" or "ragged"; "angles" and so on. With
        "grouped_q" q is [tokens, groups, heads of a group, head_dim], with as many groups as k has heads, and so is `out`. With
        "norm_statistics" calls bring where statistics are written, with "norm_sums" sums of squares instead, and with
        "statistics_only" nothing else is written.
    """

    def __init__(self, spec, form=None):
        spec = _templates.read("spec", spec)
        form = _templates.checked_form(_templates.read("form", {} if form is None else form))
        super().__init__(spec, form, "shd", False)
        self.norms = tuple(_templates.norm_of(spec, name) for name in NAMES)
        self.heads, self.lanes = (_templates.sizes_of(spec, key) for key in ("heads", "head_dim"))
        self.brings = tuple(_stages.brings_of(spec, form, name) for name in NAMES)
        self.v_stage = _stages.first_of(spec, "v")
        more = {"brings": self.brings, "lanes": self.lanes}
        sites = (self._site(spec, form, in_place, **more) for in_place in (False, True))
        self._apart, self._over = (site.store for site in sites)

    def __repr__(self):
        return f"Prologue({self.spec}, {self.form})"

    def __reduce__(self):
        return prologue, (self.spec, self.form)

    def __call__(
        self, q, k=None, v=None, positions=None, *, q_weight=None, k_weight=None, v_weight=None, k_cache=None, v_cache=None,
        slots=None, out=None, k_out=None, v_out=None, cos=None, sin=None, cu_seqlens=None, start=0, q_statistic=None,
        k_statistic=None, v_statistic=None, q_statistic_out=None, k_statistic_out=None, v_statistic_out=None,
        q_norm_bias=None, k_norm_bias=None, v_norm_bias=None, q_bias=None, k_bias=None, v_bias=None, q_head_scales=None,
        k_head_scales=None, v_head_scales=None
    ):
        """Returns q, as its stages leave it: written over, or in `out`. k, likewise, and v are written to the cache; k to
        `k_out` too, if there is one. On torch's current stream; waits for nothing, and allocates nothing. No gradients.

        q, k, v: [tokens, heads, head_dim] or [tokens, heads * head_dim], of any strides, as slices of one tensor have
            them. The tokens of all sequences, one after another.
        positions: int32 or int64, [tokens]; what else a form takes is said at Rotation.
        q_weight, k_weight, v_weight: those of the norms, for the operands whose norm has weights: [head_dim], or where its
            "weight" is "heads" [heads, head_dim] or [heads * head_dim].
        k_cache, v_cache: [pages, block_size, heads, head_dim], of any strides, but for lanes side by side: NHD, HND as a
            permuted view, k's and v's halves of one tensor. bf16, fp16 or fp32. Without caches k is written over as q
            is, or goes to k_out, and v, if any, is left alone, or goes to v_out.
        slots: int32 or int64, [up to tokens], of any stride: for each of the first tokens the place in both caches, which
            is slot % block_size of page slot // block_size. A negative one is none, as are those beyond the cache, and
            tokens beyond the list have none. Slots must be distinct.
        out: a tensor like q, in any floating dtype; None: q is written over.
        k_out: with k_cache, where the k of every token is written as well, also of those without a place in the cache: k
            itself where q is written over, and with `out` a tensor like k, in the dtype of k_cache. Both stores have the
            same bits. None: nowhere. Without k_cache a tensor like k, in any floating dtype, which goes with `out`.
        v_out: without v_cache a tensor like v, in any floating dtype, that v is written to. None: nowhere.
        q_statistic, k_statistic, v_statistic: for the operands whose norm has "statistic": "given" in the spec, r of every
            token and head, the reciprocal root of the mean square: fp32, [tokens, heads], or [tokens, 1] of a norm whose
            "span" is "token". With "given_sum" the sums of squares.
        q_statistic_out, k_statistic_out, v_statistic_out: with "norm_statistics" in the form, for the operands whose norm
            computes its own: tensors of the same kind, which are written.
        q_norm_bias, k_norm_bias, v_norm_bias: for the operands whose norm has "bias": as the weights, and of their dtype.
        q_bias, k_bias, v_bias: for the operands with "bias": [heads, head_dim] or [heads * head_dim], of q's dtype.
        q_head_scales, k_head_scales, v_head_scales: for the operands with "head_scales": fp32, [heads].
        """
        operands = _operands_of(
            self, q, k, v, k_cache, v_cache, slots, out, k_out, v_out,
            (q_weight, q_statistic, q_statistic_out, q_norm_bias, q_bias, q_head_scales),
            (k_weight, k_statistic, k_statistic_out, k_norm_bias, k_bias, k_head_scales),
            (v_weight, v_statistic, v_statistic_out, v_norm_bias, v_bias, v_head_scales),
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


def _operands_of(of, q, k, v, k_cache, v_cache, slots, out, k_out, v_out, of_q, of_k, of_v):
    """(q, k, v) as Site.store takes them: each (tensor, where it is written or None, slots or None, where it is written
    beside its cache or None, and what its stages bring: _stages.KEYS), or () where it is not there."""
    q = (q, out, None, None, *of_q)
    if slots is not None:
        if k is None or k_cache is None:
            _refuse("k" if k is None else "k_cache", "None beside slots", "a tensor")
        if (v is None) != (v_cache is None):
            _refuse("v" if v is None else "v_cache", f"None beside {'v_cache' if v is None else 'v'}", "both or neither")
        if v_out is not None:
            _refuse("v_out", "a tensor beside slots", "None: v goes to its cache")
        if v is not None:
            return q, (k, k_cache, slots, k_out, *of_k), (v, v_cache, slots, None, *of_v)
        _refuse_all("v", of_v, "None where v is not written")
        return q, (k, k_cache, slots, k_out, *of_k), ()
    if k_cache is not None or v_cache is not None:
        _refuse("slots", "None beside a cache", "a tensor")
    return q, _without_cache(k, k_out, out, of_k), _v_without_cache(of, v, v_out, of_v)


def _without_cache(k, k_out, out, of_k):
    """k is written over as q is, or as q is to a tensor of its own."""
    if k is None:
        if k_out is not None:
            _refuse("k_out", "a tensor without k", "None")
        _refuse_all("k", of_k, "None without k")
        return ()
    if k_out is not None and out is None:
        _refuse("k_out", "a tensor without k_cache", "None where q is written over, as k is then, too")
    return k, k_out, None, None, *of_k


def _v_without_cache(of, v, v_out, of_v):
    """v goes to a tensor of its own, or is left alone, where its stages let that be."""
    if v_out is not None:
        if v is None:
            _refuse("v_out", "a tensor without v", "None")
        return v, v_out, None, None, *of_v
    if of.v_stage is not None and v is not None:
        _refuse("v_cache", "None", f"a cache, or v_out, since the spec's v has {of.v_stage}")
    _refuse_all("v", of_v, "None where v is not written")
    return ()


def _refuse_all(name, own, allowed):
    """Raises for the first of what an operand's stages bring that is there."""
    for key, tensor in zip(_stages.KEYS, own):
        if tensor is not None:
            _refuse(f"{name}_{key}", "a tensor", allowed)


def _traced(of, operands, positions, cos, sin, cu_seqlens, start):
    rest = map(_plain.resolved, (positions, cos, sin, cu_seqlens))
    torch.ops.ropejit.prologue(*_to_lists(operands), of.spec, of.form, *rest, start)


def _to_lists(operands):
    """As torch.ops.ropejit.prologue takes them: what is only read, what is written, slots, weights and all else that
    stages read, and which is whose: a word for each operand, its name and then "o" where it has an output, "s" where that
    is a cache, and a letter for each tensor that its stages bring (_stages.LETTERS). Of a k that is written beside its
    cache, "i" where that is over itself: it stands before its cache then, and is no input; "b" where that is the output
    behind all others of it."""
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
    return inputs, outputs, slots, weights, " ".join(words)


_OWN = "".join(letter + "?" for letter in _stages.LETTERS)
_WORD = re.compile(f"qo?{_OWN}|ko?{_OWN}|ks{_OWN}[ib]?|v[os]{_OWN}")


@functools.lru_cache(maxsize=64)
def _count(words):
    """How many inputs, outputs and weights words stand for, and whether there are slots."""
    split = words.split()
    names = {word[0] for word in split}
    if not all(map(_WORD.fullmatch, split)) or len(names) < len(split) or "q" not in names:
        _refuse("names", repr(words), "q, and with it k and v, each once, with o (output) or s (slots), and a letter of "
                f"{_stages.LETTERS} for what its stages bring, k's with slots also with i or b (over itself, or beside its cache)")
    flags = [word[1:] for word in split]
    outputs = len(outputs_of(words))
    inputs = sum(("o" in word or "s" in word) and "i" not in word for word in flags)
    weights = sum(letter in word for word in flags for letter in _stages.LETTERS if letter != "t")
    return inputs, outputs, weights, any("s" in word for word in flags)


def from_lists(inputs, outputs, slots, weights, words):
    """The operands that these lists of _to_lists stand for."""
    *wanted, with_slots = _count(words)
    for name, given, count in zip(("inputs", "outputs", "weights"), (inputs, outputs, weights), wanted):
        if len(given) != count:
            _refuse(name, len(given), f"{count} for names {words!r}")
    if (slots is not None) != with_slots:
        _refuse("slots", "None" if slots is None else "a tensor", f"the other for names {words!r}")
    inputs, outputs, weights = map(iter, (inputs, outputs, weights))
    found = {}
    for word in words.split():
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
    for name, flags in ((word[0], word[1:]) for word in words.split()):
        is_over = "o" not in flags and "s" not in flags
        if is_over or "i" in flags:
            found.append((name, is_over and "n" not in flags and "a" not in flags))
        if not is_over:
            found.append((_checks.written_name(name, "s" in flags), False))
        if "t" in flags:
            found.append((f"{name}_statistic_out", False))
        if "b" in flags:
            found.append((f"{name}_out", False))
    return found


def _in_memory(operand):
    """The same, with what memory does not show carried out (_plain), and numbers where a kernel reads them. Stages without
    biases take the negative of numbers to that of what they make of them, as a rotation does, so that negatives may be
    written over."""
    if not operand:
        return ()
    read, written, slots, beside, *own = operand
    is_over = written is None or beside is read
    read, was = _plain.written_to(read) if is_over else _plain.read_from(read), read
    beside = read if beside is was else _of_plain_type(beside)
    own = (_of_plain_type(x) if letter == "t" else _gapless(x) for letter, x in zip(_stages.LETTERS, own))
    return read, _of_plain_type(written), _gapless(slots), beside, *own


def _gapless(tensor):
    return None if tensor is None else _plain.read_from(tensor).contiguous()


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
            stages = (f"{name}_{key}" for key in _stages.KEYS)
            written = _checks.written_name(name, operand[2] is not None)
            named += zip((name, written, "slots", f"{name}_out", *stages), operand)
    named += zip(("positions", "cos", "sin", "cu_seqlens"), rest)
    for name, tensor in named:
        if tensor is not None and tensor.requires_grad:
            return ValueError(f"{name}: found a tensor that requires grad, allowed: one that does not, or torch.no_grad()")
    return ValueError("q: found a level of forward-mode tangents, allowed: none")
