"""ropejit as one more contestant, through its C ABI."""

import ctypes

import ropejit_c
from rivals import Rival, same_layout


def spec_of(shape):
    spec = {
        "schema": 1,
        "dtype": shape.dtype,
        "layout": shape.layout,
        "rope_theta": 10000.0,
        "rotary_dim": shape.rotary,
        "q": {"heads": shape.q_heads, "head_dim": shape.head_dim, "first_lane": 0},
    }
    if shape.layout_out:
        spec["layout_out"] = shape.layout_out
    if shape.k_heads > 0:
        spec["k"] = {"heads": shape.k_heads, "head_dim": shape.head_dim, "first_lane": 0}
    return spec


class Ours(Rival):
    """angles: "computed" (exact, int64 positions) or "half" (from an fp32 table that the caller made)."""

    needs_gpu = False

    def __init__(self, rope, angles):
        self.rope, self.angles = rope, angles
        self.name = "ropejit" if angles == "computed" else "ropejit_table"

    def version(self):
        return f"ropejit {self.rope.version()}"

    def supports(self, cell):
        return self.angles == "computed" or same_layout(cell)

    def prepare(self, inputs, buffers):
        cell = inputs.cell
        form = {"placement": cell.shape.placement, "positions": "ids64", "angles": self.angles}
        table = None
        if self.angles != "computed":
            table = inputs.half(inputs.angles.float().dtype)
            form["table_dtype"] = "fp32"
        q_out, k_out = (None, None) if cell.in_place else (buffers.q_out, buffers.k_out)
        tensors = {"q_out": q_out, "k_out": k_out, "positions": inputs.positions, "table": table}
        args = ropejit_c.args_of(cell.batch, cell.tokens, buffers.q, buffers.k, **tensors)
        kernel = self.kernel(inputs, form)
        launch, reference, q = self.rope.library.ropejit_launch, ctypes.byref(args), buffers.q
        results = (buffers.q, buffers.k) if cell.in_place else (q_out, k_out)

        def call():
            if launch(kernel, reference, ropejit_c.current_stream(q)) != 0:
                self.rope.check(1)
            return results

        return call

    def kernel(self, inputs, form):
        kept = inputs.__dict__.setdefault("kernels", {})
        if self.angles not in kept:
            kept[self.angles] = self.rope.kernel(spec_of(inputs.shape), form)
        return kept[self.angles]
