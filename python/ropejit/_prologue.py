"""Prologue: what attention does to q, k and v before it looks at them, in one launch."""

import functools

import torch

from ropejit import _autograd, _native, _plain, _prologue_checks, _stages, _templates, _torch, _traces
from ropejit._kind import Kind
from ropejit._operands import NAMES
from ropejit._page_table import PageTable, flat
from ropejit._prologue_operands import operands_of, to_lists
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
        k_cache, v_cache: [pages, block_size, heads, head_dim], of any strides: NHD, HND as a permuted view, k's and v's
            halves of one tensor, and with lanes apart vLLM's value_cache as a permuted view. k_cache may also be vLLM's
            key_cache, [pages, heads, head_dim / x, block_size, x], whose x lanes have 16 bytes. bf16, fp16 or fp32. Without
            caches k is written over as q is, or goes to k_out, and v, if any, is left alone, or goes to v_out.
        slots: int32 or int64, [up to tokens], of any stride: for each of the first tokens the place in both caches, which
            is slot % block_size of page slot // block_size. A negative one is none, as are those beyond the cache, and
            tokens beyond the list have none. Slots must be distinct. Or a PageTable, by which a launch finds places itself.
        out: a tensor like q, in any floating dtype; None: q is written over.
        k_out: with k_cache, where the k of every token is written as well, also of those without a place in the cache: k
            itself where q is written over, and with `out` a tensor like k, in the dtype of k_cache. Both stores have the
            same bits. None: nowhere. Without k_cache a tensor like k, in any floating dtype, which goes with `out`.
        v_out: the same of v: with v_cache and `out` a tensor like v, in the dtype of v_cache, and where q is written over v
            itself, if it has stages; without v_cache a tensor like v, in any floating dtype. None: nowhere.
        q_statistic, k_statistic, v_statistic: for the operands whose norm has "statistic": "given" in the spec, r of every
            token and head, the reciprocal root of the mean square: fp32, [tokens, heads], or [tokens, 1] of a norm whose
            "span" is "token". With "given_sum" the sums of squares.
        q_statistic_out, k_statistic_out, v_statistic_out: with "norm_statistics" in the form, for the operands whose norm
            computes its own: tensors of the same kind, which are written.
        q_norm_bias, k_norm_bias, v_norm_bias: for the operands whose norm has "bias": as the weights, and of their dtype.
        q_bias, k_bias, v_bias: for the operands with "bias": [heads, head_dim] or [heads * head_dim], of q's dtype.
        q_head_scales, k_head_scales, v_head_scales: for the operands with "head_scales": fp32, [heads].
        """
        operands = operands_of(
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
        tensors = [tensor for operand in operands for tensor in flat(operand)] + list(rest[:4])
        _prologue_checks.check_prologue_types(operands, *rest)
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
        _prologue_checks.check_prologue(self, operands, *rest)
        if operands[0][0].is_meta:
            return
        *tensors, start = rest
        with context_of(operands[0][0]):
            ready = (*map(_in_memory, operands),)
            if not self._runs(FORCED | LAST, ready, *self._in_memory(*tensors), start):
                raise ValueError("q: found a combination of arguments that is not served")

    def _explained(self, error, operands, *rest):
        """The exception for what a call met: the checks' own words for it, if they have any."""
        _prologue_checks.check_prologue_types(operands, *rest)
        invalid = python_error(error) if isinstance(error, _native.NativeError) else error
        if isinstance(invalid, ValueError):
            _prologue_checks.check_prologue(self, operands, *rest)
        return invalid


@functools.lru_cache(maxsize=1024)
def prologue(spec, form):
    """The Prologue of these texts, made once. The most recent 1,024 are kept."""
    return Prologue(spec, form)


def _traced(of, operands, positions, cos, sin, cu_seqlens, start):
    rest = map(_plain.resolved, (positions, cos, sin, cu_seqlens))
    torch.ops.ropejit.prologue(*to_lists(operands), of.spec, of.form, *rest, start)


def _in_memory(operand):
    """The same, with what memory does not show carried out (_plain), and numbers where a kernel reads them. Stages without
    biases take the negative of numbers to that of what they make of them, as a rotation does, so that negatives may be
    written over."""
    if not operand:
        return ()
    read, written, slots, beside, *own = operand
    slots = PageTable(*map(_gapless, slots)) if isinstance(slots, PageTable) else _gapless(slots)
    is_over = written is None or beside is read
    read, was = _plain.written_to(read) if is_over else _plain.read_from(read), read
    beside = read if beside is was else _of_plain_type(beside)
    own = (_of_plain_type(x) if letter == "t" else _gapless(x) for letter, x in zip(_stages.LETTERS, own))
    return read, _of_plain_type(written), slots, beside, *own


def _gapless(tensor):
    return None if tensor is None else _plain.read_from(tensor).contiguous()


def _of_plain_type(written):
    if written is None or _plain.is_of_plain_type(written):
        return written
    return written.as_subclass(torch.Tensor)


def no_gradient(operands, *rest):
    """What to raise where autograd has to see a call."""
    named = []
    for name, operand in zip(NAMES, operands):
        if operand:
            stages = (f"{name}_{key}" for key in _stages.KEYS)
            written = _prologue_checks.written_name(name, operand[2] is not None)
            named += zip((name, written, "slots", f"{name}_out", *stages), operand)
    named += zip(("positions", "cos", "sin", "cu_seqlens"), rest)
    for name, tensor in named:
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
            return ValueError(f"{name}: found a tensor that requires grad, allowed: one that does not, or torch.no_grad()")
    return ValueError("q: found a level of forward-mode tangents, allowed: none")
