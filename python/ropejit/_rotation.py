"""Rotation: one kind of rotation of torch tensors, and its gradient."""

import functools
import operator

import torch

from ropejit import _checks, _native, _templates, _torch
from ropejit._services import python_error

_is_compiling = torch.compiler.is_compiling
_FORCED, _LAST = 1, 2  # flags of Site.run


class Rotation:
    """Rotates q and k, or q alone, by their positions. Immutable; calls may come from any thread.

    spec: a dict or JSON ("The spec as JSON"), without dtype, heads and head_dim, which the tensors say.
    form: likewise: "positions" is "ids" (default), "start", "offsets" or "ragged"; "angles", "padding" and
        "context_parallel" as there, the last with "ranks", how many share each sequence, and "rank", which this is.
    dims: the order of the tensors' dimensions: batch, sequence (tokens), heads, dim (lanes) as letters b, s, h and d;
        b, h or both may be absent.
    """

    def __init__(self, spec, form=None, dims="bshd", *, _gathered=False):
        spec = _templates.read("spec", spec)
        form = _templates.checked_form(_templates.read("form", {} if form is None else form))
        if not isinstance(dims, str):
            raise TypeError(f"dims: found {type(dims).__name__}, allowed: a str")
        _templates.output_dtype(spec)
        self.spec = _templates.as_text(spec)
        self.form = _templates.as_text(form)
        self.dims = dims
        self.kind = form["positions"]
        self.angles = form.get("angles", "computed")
        self.tables = _templates.tables_of(form)
        axes = spec.get("axes") or {}
        self.axes = len(axes.get("sections", ())) if self.kind == "ids" else 0
        self.gathered = _gathered
        self.ranks, self.rank = _templates.ranks_of(form)
        self._run = self._site(spec, form, False).run
        self._run_in_place = self._site(spec, form, True).run
        self._adjoints = {}
        self._of_k = None

    def __repr__(self):
        return f"Rotation({self.spec}, {self.form}, {self.dims!r})"

    def __reduce__(self):
        return rotation, (self.spec, self.form, self.dims, self.gathered)

    def _site(self, spec, form, in_place):
        return _native.Site(
            order=self.dims,
            positions=self.kind,
            in_place=in_place,
            axes=self.axes > 0,
            gathered=self.gathered,
            tables=self.tables,
            ranks=self.ranks,
            rank=self.rank,
            make=functools.partial(_templates.make_kernel, spec, form, in_place),
        )

    def __call__(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        """New tensors (q, k), k None where none was given; q and k stay as they are. On torch's current stream; waits
        for nothing.

        positions: int32 or int64; ids [tokens] or [batch, tokens] (with axes: an axis in front), or offsets [batch].
        cos, sin: of the forms that read a table: [rows, numbers] or [batch, rows, numbers]; of one tensor it is cos.
        cu_seqlens: int32 [sequences + 1], for "ragged". start: the first token's position, for "start".
        """
        if _is_compiling():
            return _traced(self, q, k, positions, cos, sin, cu_seqlens, start)
        try:
            result = self._run(q, k, positions, cos, sin, cu_seqlens, start, 0)
        except (_native.NativeError, TypeError, OverflowError) as error:
            raise self._explained(error, False, q, k, positions, cos, sin, cu_seqlens, start) from None
        if result is not None:
            return result
        return self._long_way(q, k, positions, cos, sin, cu_seqlens, start)

    def in_place(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        """The same, written over q and k, which are returned."""
        if _is_compiling():
            return _traced_in_place(self, q, k, positions, cos, sin, cu_seqlens, start)
        try:
            result = self._run_in_place(q, k, positions, cos, sin, cu_seqlens, start, 0)
        except (_native.NativeError, TypeError, OverflowError) as error:
            raise self._explained(error, True, q, k, positions, cos, sin, cu_seqlens, start) from None
        if result is not None:
            return result
        return self._long_way(q, k, positions, cos, sin, cu_seqlens, start, in_place=True)

    def forced(self, in_place, *arguments):
        """What arguments that were checked come to, whatever autograd and modes may say."""
        q = arguments[0]
        run = self._run_in_place if in_place else self._run
        try:
            result = run(*arguments, _FORCED)
            if result is None:
                _checks.check_types(*arguments)
                _checks.check(self, in_place, *arguments)
                with _context_of(q):
                    result = run(*arguments, _FORCED | _LAST)
        except (_native.NativeError, TypeError, OverflowError) as error:
            raise self._explained(error, in_place, *arguments) from None
        if result is None:
            raise ValueError("q: found a combination of arguments that is not served")
        return result

    def adjoint(self, dtype, of_k=False):
        """The Rotation that turns gradients of the results into gradients of inputs of `dtype`; of k alone, if
        wanted."""
        key = dtype, of_k
        if key not in self._adjoints:
            spec = _templates.read("spec", self.spec)
            spec = _templates.adjoint_of(_templates.k_alone(spec) if of_k else spec, dtype)
            self._adjoints[key] = rotation(_templates.as_text(spec), self.form, self.dims, self.gathered)
        return self._adjoints[key]

    def of_k(self):
        """The Rotation of k without q."""
        if self._of_k is None:
            spec = _templates.k_alone(_templates.read("spec", self.spec))
            self._of_k = rotation(_templates.as_text(spec), self.form, self.dims, self.gathered)
        return self._of_k

    def _explained(self, error, in_place, *arguments):
        """The exception for what the short path met: the checks' own words for it, if they have any."""
        _checks.check_types(*arguments)
        if isinstance(error, _native.NativeError):
            invalid = python_error(error)
            if isinstance(invalid, ValueError):
                _checks.check(self, in_place, *arguments)
            return invalid
        return error

    def _long_way(self, *arguments, in_place=False):
        q, k, _, cos, sin = arguments[:5]
        plain = q is not None and _is_plain(q) and _is_plain(k)
        if plain and not in_place and torch.is_grad_enabled() and not _torch.is_watched():
            # Training: _Rotate checks what is left to check.
            trained = q.requires_grad or (k is not None and k.requires_grad)
            if trained and not getattr(cos, "requires_grad", False) and not getattr(sin, "requires_grad", False):
                return _Rotate.apply(self, *arguments)
        _checks.check_types(*arguments)
        tensors = [value for value in arguments if isinstance(value, torch.Tensor)]
        if _torch.is_transformed():
            # Operators of torch.library have no gradient under torch.func's transforms; autograd.Function has.
            if in_place:
                raise NotImplementedError("in_place: found under a transform of torch.func, allowed: out of place")
            return _RotateUnderTransform.apply(self, *arguments)
        if _torch.is_watched() or not all(map(_is_plain, tensors)):
            traced = _traced_in_place if in_place else _traced
            return traced(self, *arguments)
        _checks.check(self, in_place, *arguments)
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            return _trained_in_place(self, *arguments) if in_place else _Rotate.apply(self, *arguments)
        return self.forced(in_place, *arguments)


def _is_plain(value):
    return value is None or type(value) in (torch.Tensor, torch.nn.Parameter)


class _context_of:  # noqa: N801  a context manager, not a type to make objects of elsewhere
    """Makes q's device current, with a CUDA context: a thread that has not used CUDA yet has none."""

    def __init__(self, q):
        self.guard = torch.cuda.device(q.device) if q.is_cuda else None

    def __enter__(self):
        if self.guard is not None:
            self.guard.__enter__()
            torch.cuda.mem_get_info()  # any call of the runtime makes a context current; this one may be captured

    def __exit__(self, *error):
        if self.guard is not None:
            self.guard.__exit__(*error)


@functools.lru_cache(maxsize=1024)
def rotation(spec, form, dims, gathered=False):
    """The Rotation of these texts, made once. The most recent 1,024 are kept."""
    return Rotation(spec, form, dims, _gathered=gathered)


class Traced:
    """What a trace needs of a Rotation: made within one, of a Rotation's texts, which a trace takes for constants."""

    def __init__(self, spec, form, dims):
        self.spec, self.form, self.dims, self.gathered = spec, form, dims, False

    def __call__(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        return _traced(self, q, k, positions, cos, sin, cu_seqlens, start)

    def in_place(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        return _traced_in_place(self, q, k, positions, cos, sin, cu_seqlens, start)


def made_once(make):
    """A function of plain values that gives the Rotation of make's (spec, form, dims) for them, in traces too. The most
    recent 1,024 are kept."""

    @functools.lru_cache(maxsize=1024)
    def made(*values):
        return Rotation(*make(*values))

    def texts(*values):
        of = made(*(float.fromhex(value[0]) if type(value) is tuple else value for value in values))
        return of.spec, of.form, of.dims

    _torch.constant_in_traces(texts)

    def pick(*values):
        if not _is_compiling():
            return made(*values)
        return Traced(*texts(*[_settled(value) for value in values]))

    return pick


def _settled(value):
    """A trace may leave a number open; these two ways settle it. A float becomes a tuple of its text."""
    if type(value) is float:
        return (value.hex(),)
    return operator.index(value) if type(value) is int else value


def _traced(of, q, k, positions, cos, sin, cu_seqlens, start):
    rest = (of.spec, of.form, of.dims, of.gathered, positions, cos, sin, cu_seqlens, start)
    if k is None:
        return torch.ops.ropejit.rope.one(q, *rest), None
    return torch.ops.ropejit.rope.default(q, k, *rest)


def _traced_in_place(of, q, k, positions, cos, sin, cu_seqlens, start):
    if torch.is_grad_enabled() and (q.requires_grad or (k is not None and k.requires_grad)):
        new_q, new_k = _traced(of, q, k, positions, cos, sin, cu_seqlens, start)
        return q.copy_(new_q), None if k is None else k.copy_(new_k)
    torch.ops.ropejit.rope_(q, k, of.spec, of.form, of.dims, of.gathered, positions, cos, sin, cu_seqlens, start)
    return q, k


def gradients(of, dtype, grad_q, grad_k, positions, cos, sin, cu_seqlens, start):
    """Of q and k, in new tensors: None for each that is None."""
    if grad_q is None:
        if grad_k is None:
            return None, None
        return None, of.adjoint(dtype, of_k=True)(grad_k, None, positions, cos, sin, cu_seqlens, start)[0]
    return of.adjoint(dtype)(grad_q, grad_k, positions, cos, sin, cu_seqlens, start)


def _keep(ctx, of, q, k, positions, cos, sin, cu_seqlens, start):
    ctx.set_materialize_grads(False)
    ctx.of, ctx.dtype, ctx.start = of, q.dtype, start
    ctx.save_for_backward(positions, cos, sin, cu_seqlens)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, of, *arguments):
        _keep(ctx, of, *arguments)
        return of.forced(False, *arguments)

    @staticmethod
    def backward(ctx, grad_q, grad_k=None):
        needed = ctx.needs_input_grad
        grads = (grad_q if needed[1] else None, grad_k if needed[2] else None)
        grads = gradients(ctx.of, ctx.dtype, *grads, *ctx.saved_tensors, ctx.start)
        return (None, *grads, None, None, None, None, None)


class _RotateInPlace(_Rotate):
    """Gives q alone where there is no k: torch writes into views by functions of one result only."""

    @staticmethod
    def forward(ctx, of, *arguments):
        _keep(ctx, of, *arguments)
        ctx.mark_dirty(*(tensor for tensor in arguments[:2] if tensor is not None))
        q, k = of.forced(True, *arguments)
        return q if k is None else (q, k)


def _trained_in_place(of, q, k, *rest):
    if k is None:
        return _RotateInPlace.apply(of, q, None, *rest), None
    if not q._is_view() and not k._is_view():
        return _RotateInPlace.apply(of, q, k, *rest)
    q, _ = of.in_place(q, None, *rest)
    k, _ = of.of_k().in_place(k, None, *rest)
    return q, k


class _RotateUnderTransform(_Rotate):
    """In the form that torch.func asks for, which costs another 15 us a call."""

    @staticmethod
    def forward(of, *arguments):
        return of.forced(False, *arguments)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _keep(ctx, *inputs)
