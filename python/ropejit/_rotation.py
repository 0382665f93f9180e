"""Rotation: one kind of rotation of torch tensors."""

import functools

import torch

from ropejit import _autograd, _checks, _native, _operands, _plain, _stages, _templates, _torch, _traces
from ropejit._kind import Kind, made_once_of
from ropejit._services import python_error

_is_compiling = torch.compiler.is_compiling
FORCED, LAST = 1, 2  # flags of Site.run


class Rotation(Kind):
    """Rotates q and k, or q alone, by their positions. Immutable; calls may come from any thread.

    spec: a dict or JSON ("The spec as JSON"), without dtype, heads and head_dim, which the tensors say.
    form: likewise: "positions" is "ids" (default), "start", "offsets" or "ragged"; "angles", "padding" and
        "context_parallel" as there, the last with "ranks", how many share each sequence, and "rank", which this is.
        "grouped_q": of `store` alone, where q has a dimension of groups, as many as k has heads, before its heads.
    dims: the order of the tensors' dimensions: batch, sequence (tokens), heads, dim (lanes) as letters b, s, h and d;
        b, h or both may be absent.
    """

    def __init__(self, spec, form=None, dims="bshd", *, _gathered=False):
        spec = _templates.read("spec", spec)
        form = _templates.checked_form(_templates.read("form", {} if form is None else form))
        if not isinstance(dims, str):
            raise TypeError(f"dims: found {type(dims).__name__}, allowed: a str")
        _templates.output_dtype(spec)
        super().__init__(spec, form, dims, _gathered)
        for name in _operands.NAMES:
            if (key := _stages.first_of(spec, name)) is not None:
                raise ValueError(f"spec.{name}.{key}: found one, allowed: none, since ropejit.Prologue is for specs with {key}")
        self.k_rotates = _templates.operand_of(spec, "k").get("rotates") is not False
        apart, over = self._site(spec, form, False), self._site(spec, form, True)
        self._run, self._run_in_place = apart.run, over.run
        self._store, self._store_in_place = apart.store, over.store
        self._adjoints = {}
        self._of_k = None

    def __repr__(self):
        return f"Rotation({self.spec}, {self.form}, {self.dims!r})"

    def __reduce__(self):
        return rotation, (self.spec, self.form, self.dims, self.gathered)

    def __call__(self, q, k=None, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        """New tensors (q, k), k None where none was given; q and k stay as they are. On torch's current stream; waits
        for nothing.

        positions: int32 or int64; ids [tokens] or [batch, tokens] (with axes: an axis in front), or offsets [batch].
        cos, sin: of the forms that read a table: [rows, numbers] or [batch, rows, numbers]; of one tensor it is cos.
        cu_seqlens: int32 [sequences + 1], for "ragged". start: the first token's position, for "start".
        """
        if _is_compiling():
            return _traces.traced(self, q, k, positions, cos, sin, cu_seqlens, start)
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
            return _traces.traced_in_place(self, q, k, positions, cos, sin, cu_seqlens, start)
        try:
            result = self._run_in_place(q, k, positions, cos, sin, cu_seqlens, start, 0)
        except (_native.NativeError, TypeError, OverflowError) as error:
            raise self._explained(error, True, q, k, positions, cos, sin, cu_seqlens, start) from None
        if result is not None:
            return result
        return self._long_way(q, k, positions, cos, sin, cu_seqlens, start, in_place=True)

    def store(self, operands, positions=None, cos=None, sin=None, cu_seqlens=None, start=0):
        """Rotates q and k and copies v to where a list of Operand says: into tensors of the caller's, or to rows of a
        cache, in one launch. No gradients. The other arguments are those of a call."""
        operands = _operands.by_name(operands)
        if _is_compiling():
            return _traces.traced_store(self, operands, positions, cos, sin, cu_seqlens, start)
        run = self._store_in_place if operands[0][1] is None else self._store
        try:
            if run(*operands, positions, cos, sin, cu_seqlens, start, 0) is None:
                self._store_slowly(operands, positions, cos, sin, cu_seqlens, start)
        except (_native.NativeError, TypeError, OverflowError) as error:
            raise self._store_explained(error, operands, positions, cos, sin, cu_seqlens, start) from None
        return None

    def _store_slowly(self, operands, *rest):
        tensors = [tensor for operand in operands for tensor in operand] + list(rest[:4])
        _checks.check_store_types(operands, *rest)
        if _autograd.differentiates(*tensors):
            raise _operands.no_gradient()
        if _torch.is_transformed():
            raise NotImplementedError("operands: found a transform of torch.func, allowed: none; call the Rotation there")
        if _torch.is_watched() or not all(map(_plain.is_of_plain_type, tensors)):
            return _traces.traced_store(self, operands, *rest)
        return self.forced_store(operands, *rest)

    def forced_store(self, operands, *rest):
        """What operands come to, whatever autograd and modes may say."""
        _checks.check_store(self, operands, *rest)
        if operands[0][0].is_meta:
            return
        ready = _operands.in_memory(operands)
        *tensors, start = rest
        run = self._store_in_place if operands[0][1] is None else self._store
        try:
            with context_of(operands[0][0]):
                done = run(*ready, *self._in_memory(*tensors), start, FORCED | LAST)
        except _native.NativeError as error:
            raise python_error(error) from None
        if done is None:
            raise ValueError("operands: found a combination of arguments that is not served")

    def _store_explained(self, error, operands, *rest):
        _checks.check_store_types(operands, *rest)
        if not isinstance(error, _native.NativeError):
            return error
        invalid = python_error(error)
        if isinstance(invalid, ValueError):
            _checks.check_store(self, operands, *rest)
        return invalid

    def forced(self, in_place, *arguments):
        """What arguments come to, whatever autograd and modes may say."""
        run = self._run_in_place if in_place else self._run
        try:
            result = run(*arguments, FORCED)
            return self._forced_slowly(run, in_place, *arguments) if result is None else result
        except (_native.NativeError, TypeError, OverflowError) as error:
            raise self._explained(error, in_place, *arguments) from None

    def _forced_slowly(self, run, in_place, *arguments):
        """The same for tensors that memory does not show, as _plain has them, and for meta tensors."""
        if any(map(_plain.is_wrapped, arguments[:6])):
            return _traces.dispatched(self, in_place, *arguments)
        _checks.check_types(*arguments)
        _checks.check(self, in_place, *arguments)
        q, k, positions, cos, sin, cu_seqlens, start = arguments
        if q.is_meta:
            return (q, k) if in_place else self.shaped(q, k)
        prepared = _plain.written_to if in_place else _plain.read_from
        ready_q, ready_k, rest = prepared(q), prepared(k), self._in_memory(positions, cos, sin, cu_seqlens)
        _checks.check_memory(ready_q, ready_k, *rest)
        with context_of(q):
            result = run(ready_q, ready_k, *rest, start, FORCED | LAST)
        if result is None:
            raise ValueError("q: found a combination of arguments that is not served")
        return (q, k) if in_place else result

    def shaped(self, q, k):
        """New tensors of the results' shapes and dtypes, with anything in them."""
        dtype = _templates.output_dtype(_templates.read("spec", self.spec))
        return tuple(None if tensor is None else torch.empty_like(tensor, dtype=dtype) for tensor in (q, k))

    def by_operator(self, *arguments):
        """The same by torch.ops.ropejit.rope."""
        return _traces.traced(self, *arguments)

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
        plain = q is not None and all(map(_plain.is_of_plain_type, arguments[:6]))
        watched = _torch.is_watched()
        if plain and not in_place and not watched and torch.is_grad_enabled():
            # Training: Rotate checks what is left to check.
            trained = q.requires_grad or (k is not None and k.requires_grad)
            if trained and not getattr(cos, "requires_grad", False) and not getattr(sin, "requires_grad", False):
                return _autograd.Rotate.apply(self, *arguments)
        _checks.check_types(*arguments)
        tensors = arguments[:6]
        if in_place and _torch.is_transformed():
            return _traces.copied(q, k, *self._long_way(*arguments))
        if _torch.is_transformed() and not _torch.is_functionalized():
            # Operators of torch.library have no gradient under torch.func's transforms; autograd.Function has.
            return _autograd.RotateUnderTransform.apply(self, *arguments)
        if watched or not plain:
            return _traces.dispatched(self, in_place, *arguments)
        _checks.check(self, in_place, *arguments)
        if not _autograd.differentiates(*tensors):
            return self.forced(in_place, *arguments)
        if not in_place:
            return _autograd.Rotate.apply(self, *arguments)
        if _torch.has_tangents():
            return _traces.copied(q, k, *_autograd.Rotate.apply(self, *arguments))
        return _autograd.rotate_in_place(self, *arguments)


class context_of:  # noqa: N801  a context manager, not a type to make objects of elsewhere
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


def made_once(make):
    """A function of plain values that gives the Rotation of make's (spec, form, dims) for them, in traces too. The most
    recent 1,024 are kept."""
    return made_once_of(make, Rotation, _traces.Traced, "dims")
