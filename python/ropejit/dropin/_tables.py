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


def dtype_of(x):
    """None of what is no tensor, which is refused later. Without getattr's third argument, which traces before PyTorch 2.5
    do not take."""
    return x.dtype if isinstance(x, torch.Tensor) else None


def dims_of(x):
    """How many dimensions: of what is no tensor as many as of cos and sin with a batch."""
    return x.ndim if isinstance(x, torch.Tensor) else 3


class AsTorchRounds:
    """Picks the Rotation that rounds where x * cos + turned(x) * sin does in torch: everything in the dtype of both, or
    where x and cos differ in fp32, which the results are then of."""

    def __init__(self, layout, angles, dims, layout_out=None):
        self.same = table_rotation(layout, angles, dims, "p1", layout_out)
        self.promoted = table_rotation(layout, angles, dims, "p3", layout_out, "fp32")
        self.from_fp32 = table_rotation(layout, angles, dims, "p3", layout_out)

    def pick(self, q, cos):
        x, table = dtype_of(q), dtype_of(cos)
        if x is table:
            return self.same
        return self.from_fp32 if x is torch.float32 else self.promoted


class ByUnsqueezeDim:
    """transformers' apply_rotary_pos_emb: unsqueeze_dim is where cos and sin get a dimension for the heads, and so says
    whether heads come before tokens or after them."""

    def __init__(self, layout, angles, layout_out=None):
        self.heads_first = AsTorchRounds(layout, angles, "bhsd", layout_out)
        self.tokens_first = AsTorchRounds(layout, angles, "bshd", layout_out)

    def __call__(self, q, k, cos, sin, unsqueeze_dim):
        dims = dims_of(cos) + 1  # once they have it
        if unsqueeze_dim in (dims - 3, -3):
            rope = self.heads_first.pick(q, cos)
        elif unsqueeze_dim in (dims - 2, -2):
            rope = self.tokens_first.pick(q, cos)
        else:
            unaligned(unsqueeze_dim, f"{dims - 3}, {dims - 2}, -3 or -2")
        return rope(q, k, None, cos, sin)


def unaligned(value, allowed):
    raise ValueError(f"unsqueeze_dim: found {value!r}, allowed: {allowed}")
