"""What Rotation and Prologue have in common: a spec and a form, without what tensors say themselves."""

import functools
import operator

import torch

from ropejit import _native, _operands, _plain, _templates, _torch

_is_compiling = torch.compiler.is_compiling


class Kind:
    """spec and form as text; kind: that of the positions; tables: how many tensors cos and sin are."""

    def __init__(self, spec, form, dims, gathered):
        """spec and form: dicts. Raises for what is wrong with either without any tensors."""
        for name in _operands.NAMES:
            _templates.operand_of(spec, name)
        self.spec = _templates.as_text(spec)
        self.form = _templates.as_text(form)
        self.dims = dims
        self.kind = form["positions"]
        self.angles = form.get("angles", "computed")
        self.tables = _templates.tables_of(form)
        axes = spec.get("axes") or {}
        self.axes = len(axes.get("sections", ())) if self.kind == "ids" else 0
        self.gathered = gathered
        self.grouped = form.get("grouped_q") is True
        self.ranks, self.rank = _templates.ranks_of(form)

    def _site(self, spec, form, in_place, **more):
        return _native.Site(
            order=self.dims,
            positions=self.kind,
            in_place=in_place,
            axes=self.axes > 0,
            gathered=self.gathered,
            tables=self.tables,
            ranks=self.ranks,
            rank=self.rank,
            grouped=self.grouped,
            make=functools.partial(_templates.make_kernel, spec, form, in_place, "slots" if more else "rows"),
            **more,
        )

    def _in_memory(self, *tensors):
        """Positions, cos, sin and cu_seqlens as a kernel reads them."""
        positions, cos, sin, cu_seqlens = map(_plain.read_from, tensors)
        return _plain.gapless(positions, self.kind), *_plain.alike(cos, sin), _plain.gapless(cu_seqlens, "ragged")


def made_once_of(make, kind, traced, third):
    """A function of plain values that gives the `kind` of make's arguments for them; in traces `traced`, of that one's
    spec, form and attribute `third`, which a trace takes for constants. The most recent 1,024 are kept."""

    @functools.lru_cache(maxsize=1024)
    def made(*values):
        return kind(*make(*values))

    def texts(*values):
        of = made(*(float.fromhex(value[0]) if type(value) is tuple else value for value in values))
        return of.spec, of.form, getattr(of, third)

    _torch.constant_in_traces(texts)

    def pick(*values):
        if not _is_compiling():
            return made(*values)
        return traced(*texts(*[_settled(value) for value in values]))

    return pick


def _settled(value):
    """A trace may leave a number open; these two ways settle it. A float becomes a tuple of its text."""
    if type(value) is float:
        return (value.hex(),)
    return operator.index(value) if type(value) is int else value
