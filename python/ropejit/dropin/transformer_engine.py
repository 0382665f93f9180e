"""TransformerEngine: apply_rotary_pos_emb and apply_fused_qkv_rotary_pos_emb of transformer_engine.pytorch.

freqs are fp32 angles, whose cosines and sines the kernel takes, within 1.5e-7. As there, fused=True computes in fp32
and rounds once, to t's dtype; fused=False rounds cos, sin, both products and their sum to it. So 16-bit results have
the bits of the unfused original but where a cosine or sine lies next to the border between two numbers. Neither waits
for the device, where TransformerEngine's unfused thd does. What is otherwise: a token beyond the last row of freqs
comes out NaN, where the original reads on; freqs get no gradient, and of another dtype are converted to fp32 first.
"""

import torch

from ropejit._rotation import made_once
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed
from ropejit.dropin._te_packed import apply_fused_qkv_rotary_pos_emb  # noqa: F401  it is TransformerEngine's, too
from ropejit.dropin._te_tables import FREQS, freqs_table, not_covered, wrong_ranks

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
        positions = start_positions
        if tensor_format == "thd":
            kind = "ragged"
            if positions is not None and positions.dtype is torch.int64:
                positions = positions.int()
        else:
            kind = "start" if positions is None else "offsets"
            cu_seqlens = None
        rope = _rotation(kind, _DIMS[tensor_format], freqs.size(3), bool(interleaved), bool(fused), cp_size, cp_rank)
        rows = t.size(token) * cp_size if kind == "start" else None
        result = rope(t, None, positions, freqs_table(freqs, interleaved, rows), None, cu_seqlens)[0]
    except ERRORS as error:
        flags = {"interleaved": interleaved, "fused": fused}
        raise _explained(error, t, freqs, tensor_format, start_positions, cp_size, cp_rank, flags) from None
    return result if result.is_contiguous() else result.contiguous()


def _explained(error, t, freqs, tensor_format, start_positions, cp_size, cp_rank, flags):
    tensors = {"t": t, "freqs": freqs}
    if start_positions is not None:
        tensors["start_positions"] = start_positions
    wrong = no_tensor(**tensors) or no_flag(**flags) or no_number(int, cp_size=cp_size, cp_rank=cp_rank)
    if wrong is not None:
        return wrong
    if not isinstance(tensor_format, str) or tensor_format not in _DIMS:
        return ValueError(f"tensor_format: found {tensor_format!r}, allowed: sbhd, bshd or thd")
    wrong = wrong_ranks(cp_size, cp_rank)
    if wrong is not None:
        return wrong
    wrong = not_shaped(len(_DIMS[tensor_format]), f"that of tensor_format {tensor_format}", t=t)
    wrong = wrong or not_shaped(4, FREQS, freqs=freqs)
    if wrong is None and tensor_format != "thd":
        wrong = not_covered("t", "freqs", t.size(_TOKEN[tensor_format]), freqs, start_positions, cp_size)
    return wrong or renamed(error, q="t", cos="freqs", positions="start_positions", start="freqs", rotary_dim="freqs")
