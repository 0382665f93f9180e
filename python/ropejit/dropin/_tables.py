"""What the drop-ins that are given cos and sin share."""

import functools

import torch

from ropejit._rotation import Rotation

_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}


@functools.lru_cache(maxsize=None)
def table_rotation(layout, angles, dims, rounding, layout_out=None, dtype_out=None):
    """A Rotation by a table that has a row for each token."""
    spec = {"layout": layout, "rounding": rounding}
    if layout_out is not None:
        spec["layout_out"] = layout_out
    if dtype_out is not None:
        spec["q"] = spec["k"] = {"dtype_out": dtype_out}
    return Rotation(spec, {"positions": "start", "angles": angles}, dims, _gathered=True)


class AsTorchRounds:
    """Picks the Rotation that rounds where x * cos + turned(x) * sin does in torch: everything in the dtype of both, or
    where x and cos differ in fp32, which the results are then of."""

    def __init__(self, layout, angles, dims, layout_out=None):
        self.same = table_rotation(layout, angles, dims, "p1", layout_out)
        self.promoted = table_rotation(layout, angles, dims, "p3", layout_out, "fp32")
        self.from_fp32 = table_rotation(layout, angles, dims, "p3", layout_out)

    def pick(self, q, cos):
        x, table = getattr(q, "dtype", None), getattr(cos, "dtype", None)
        if x is table:
            return self.same
        return self.from_fp32 if x is torch.float32 else self.promoted


def unaligned(value, allowed):
    raise ValueError(f"unsqueeze_dim: found {value!r}, allowed: {allowed}")
