"""cos and sin by axis: [axes, batch, tokens, numbers], of which each pair reads the row of its own axis (M-RoPE of Qwen2-VL).

No tensor is put together of the parts: the rows of all axes are one table, and a token's position on an axis is the number
of its row."""

import torch

from ropejit._rotation import made_once
from ropejit.dropin._kept import kept


@made_once
def _rotation(first, second, third, rounding, dims):
    spec = {"layout": "split_half", "rounding": rounding, "axes": {"sections": [first, second, third]}}
    return spec, {"positions": "ids", "angles": "full"}, dims


@kept
def _rows_of(axes, batch, tokens, device):
    """The number of each row of the table: [axes, batch, tokens]."""
    return torch.arange(axes * batch * tokens, device=device).view(axes, batch, tokens)


def rotated_by_axis(q, k, cos, sin, mrope_section, rounding, dims):
    """q and k, or q alone, turned by cos and sin of [3, batch, tokens, numbers]: the first mrope_section[0] pairs by axis 0,
    mrope_section[1] by axis 1, and what is left by axis 2."""
    first, second = mrope_section[0], mrope_section[1]
    third = cos.size(3) // 2 - first - second
    if third < 0:
        found, pairs = list(mrope_section), cos.size(3) // 2
        raise ValueError(f"mrope_section: found {found}, allowed: {pairs} pairs in all, which cos has")
    axes, batch, tokens, width = cos.shape
    rope = _rotation(first, second, third, rounding, dims)
    return rope(q, k, _rows_of(axes, batch, tokens, cos.device), cos.reshape(-1, width), sin.reshape(-1, width))
