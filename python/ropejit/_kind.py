"""What Rotation and Prologue have in common: a spec and a form, without what tensors say themselves."""

import functools

from ropejit import _native, _operands, _plain, _templates


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
