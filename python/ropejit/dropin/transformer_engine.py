"""TransformerEngine: apply_rotary_pos_emb of transformer_engine.pytorch.

freqs are fp32 angles, whose cosines and sines the kernel takes, within 1.5e-7. As there, fused=True computes in fp32
and rounds once, to t's dtype; fused=False rounds cos, sin, both products and their sum to it. So 16-bit results have
the bits of the unfused original but where a cosine or sine lies next to the border between two numbers. Neither waits
for the device, where TransformerEngine's unfused thd does. What is otherwise: a token beyond the last row of freqs
comes out NaN, where the original reads on; freqs get no gradient, and of another dtype are converted to fp32 first.
"""

import torch

from ropejit._rotation import made_once
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed

_DIMS = {"sbhd": "sbhd", "bshd": "bshd", "thd": "shd"}
_TOKEN = {"sbhd": 0, "bshd": 1, "thd": 0}


@made_once
def _rotation(kind, dims, rotary_dim, interleaved, fused, cp_size, cp_rank):
    spec = {
        "layout": "interleaved" if interleaved else "split_half",
        "rotary_dim": rotary_dim,
        "rounding": "exact" if fused else "p1",
    }
    form = {"positions": kind, "angles": "radians"}
    if cp_size != 1:
        form.update(context_parallel="zigzag", ranks=cp_size, rank=cp_rank)
    return spec, form, dims


def apply_rotary_pos_emb(
    t, freqs, tensor_format="sbhd", start_positions=None, interleaved=False, fused=False, cu_seqlens=None, cp_size=1,
    cp_rank=0,
):
    """t: [s, b, h, d], [b, s, h, d] or [t, h, d], as tensor_format says; freqs: [s2, 1, 1, d2] (unfused also [s2, b, 1,
    d2]), whose right half repeats the left, or, interleaved, each number its neighbour. Returns a new tensor without
    gaps, whose lanes from d2 on are t's. start_positions: int32 [b], an offset for each sequence.

    cu_seqlens: int32 [b + 1], for thd; with cp_size above 1, of the whole sequences with their padding, whose lengths
    are multiples of 2 * cp_size. cp_size, cp_rank: t has the cp_rank-th of 2 * cp_size parts of each sequence, and
    after it the cp_rank-th from the end.

    interleaved costs a copy of the rows of freqs: the kernel reads the angle of a pair once."""
    try:
        token = _TOKEN[tensor_format]
        if freqs.dim() != 4 or freqs.size(2) != 1:
            raise ValueError(f"freqs: found shape {tuple(freqs.shape)}, allowed: [s2, 1, 1, d2] or [s2, b, 1, d2]")
        positions = start_positions
        if tensor_format == "thd":
            kind = "ragged"
            if positions is not None and positions.dtype is torch.int64:
                positions = positions.int()
        else:
            kind = "start" if positions is None else "offsets"
            cu_seqlens = None
        rope = _rotation(kind, _DIMS[tensor_format], freqs.size(3), bool(interleaved), bool(fused), cp_size, cp_rank)
        if kind == "start" and interleaved:
            freqs = freqs[: t.size(token) * cp_size]
        result = rope(t, None, positions, _table(freqs, interleaved), None, cu_seqlens)[0]
    except ERRORS as error:
        flags = {"interleaved": interleaved, "fused": fused}
        raise _explained(error, t, freqs, tensor_format, start_positions, cp_size, cp_rank, flags) from None
    return result if result.is_contiguous() else result.contiguous()


def _table(freqs, interleaved):
    """[s2, d2], or [b, s2, d2]; interleaved, half as many numbers a row."""
    if freqs.size(1) == 1:
        table = freqs.view(freqs.size(0), freqs.size(3))
    else:
        table = freqs.squeeze(2).transpose(0, 1)
    if interleaved:
        table = table[..., ::2].contiguous()
    return table if table.dtype is torch.float32 else table.float()


def _explained(error, t, freqs, tensor_format, start_positions, cp_size, cp_rank, flags):
    tensors = {"t": t, "freqs": freqs}
    if start_positions is not None:
        tensors["start_positions"] = start_positions
    wrong = no_tensor(**tensors) or no_flag(**flags) or no_number(int, cp_size=cp_size, cp_rank=cp_rank)
    if wrong is not None:
        return wrong
    if not isinstance(tensor_format, str) or tensor_format not in _DIMS:
        return ValueError(f"tensor_format: found {tensor_format!r}, allowed: sbhd, bshd or thd")
    if not 1 <= cp_size <= 65536:
        return ValueError(f"cp_size: found {cp_size!r}, allowed: 1 to 65536")
    if cp_size > 1 and not 0 <= cp_rank < cp_size:
        return ValueError(f"cp_rank: found {cp_rank!r}, allowed: 0 to {cp_size - 1}")
    wrong = not_shaped(len(_DIMS[tensor_format]), f"that of tensor_format {tensor_format}", t=t)
    if wrong is None and tensor_format != "thd":
        wrong = _not_covered(t.size(_TOKEN[tensor_format]), freqs, start_positions, cp_size)
    return wrong or renamed(error, q="t", cos="freqs", positions="start_positions", start="freqs", rotary_dim="freqs")


def _not_covered(tokens, freqs, start_positions, cp_size):
    if cp_size > 1 and tokens % 2 != 0:
        return ValueError(f"t: found {tokens} tokens, allowed: an even number, for two parts of each sequence")
    if start_positions is None and freqs.dim() == 4 and freqs.size(0) < tokens * cp_size:
        return ValueError(f"freqs: found {freqs.size(0)} rows, allowed: {tokens * cp_size} or more, one for each token")
    return None
