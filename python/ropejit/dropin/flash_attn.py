"""flash-attn: apply_rotary_emb, apply_rotary_emb_qkv_ and apply_rotary_emb_kv_ of flash_attn.layers.rotary.

As there, arithmetic is fp32, with one rounding to x's dtype, whatever dtype cos and sin have. (Products and sums are
fused here, and mostly there: bits differ now and then.) What is otherwise: gradients are new tensors, where those of
flash-attn's in-place functions are written over the incoming ones; in place, a leaf that requires grad is refused; with
offsets or cu_seqlens on the device, a token beyond the last row of cos comes out NaN, where flash-attn leaves it as it
was. Any head_dim, and no limit on tokens but memory.
"""

import torch

from ropejit._rotation import Rotation
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed


def _both_layouts(positions, dims):
    form = {"positions": positions, "angles": "half"}
    return tuple(Rotation({"layout": layout}, form, dims) for layout in ("split_half", "interleaved"))


_BY_START = _both_layouts("start", "bshd")
_BY_OFFSETS = _both_layouts("offsets", "bshd")
_RAGGED = _both_layouts("ragged", "shd")


def apply_rotary_emb(x, cos, sin, interleaved=False, inplace=False, seqlen_offsets=0, cu_seqlens=None, max_seqlen=None):
    """x: [batch, seqlen, nheads, headdim], or with cu_seqlens (int32 [batch + 1]) [total, nheads, headdim]; cos, sin:
    [seqlen_rotary, rotary_dim / 2]; seqlen_offsets: an int, or an int32 or int64 tensor [batch]. Rotates the first
    rotary_dim lanes in a new tensor, or in x; returns that. cu_seqlens ends with total. max_seqlen may be left out:
    all tokens of each sequence are rotated."""
    try:
        return _apply(x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens, max_seqlen)
    except ERRORS as error:
        raise _explained(
            error, x, cos, sin, interleaved, seqlen_offsets, "x", inplace=inplace, max_seqlen=max_seqlen
        ) from None


apply_rotary_emb_func = apply_rotary_emb


def _apply(x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens=None, max_seqlen=None):
    positions, start = None, 0
    if not (cos.is_contiguous() and sin.is_contiguous()):
        cos, sin = _alike(cos, sin)
    if cu_seqlens is not None:
        rope = _RAGGED
        positions, cos, sin = _of_ragged(seqlen_offsets, max_seqlen, cos, sin)
    elif isinstance(seqlen_offsets, torch.Tensor):
        rope, positions = _BY_OFFSETS, seqlen_offsets
    else:
        rope, start = _BY_START, seqlen_offsets
    rope = rope[1 if interleaved else 0]
    return (rope.in_place if inplace else rope)(x, None, positions, cos, sin, cu_seqlens, start)[0]


def _alike(cos, sin):
    """A Rotation reads both with the same strides, and rows without gaps."""
    return (cos, sin) if cos.stride() == sin.stride() and cos.stride(-1) == 1 else (cos.contiguous(), sin.contiguous())


def _of_ragged(seqlen_offsets, max_seqlen, cos, sin):
    """Offsets are an int32 each; a single one for all is skipped in the tables."""
    if isinstance(seqlen_offsets, torch.Tensor):
        if seqlen_offsets.dtype is torch.int64:
            seqlen_offsets = seqlen_offsets.int()
        return seqlen_offsets.contiguous(), cos, sin
    rows = cos.shape[0]
    last = rows - (0 if max_seqlen is None else max_seqlen)
    if not 0 <= seqlen_offsets <= last:
        allowed = f"0 to {last}: cos has {rows} rows, max_seqlen is {max_seqlen}"
        raise ValueError(f"seqlen_offsets: found {seqlen_offsets}, allowed: {allowed}")
    return (None, cos[seqlen_offsets:], sin[seqlen_offsets:]) if seqlen_offsets else (None, cos, sin)


def _explained(
    error, x, cos, sin, interleaved, seqlen_offsets, name, cos_name="cos", sin_name="sin", inplace=False, max_seqlen=0
):
    tables = {cos_name: cos, sin_name: sin}
    wrong = no_tensor(**{name: x}, **tables) or not_shaped(2, "[seqlen_rotary, rotary_dim / 2]", **tables)
    wrong = wrong or no_flag(interleaved=interleaved, inplace=inplace)
    if not isinstance(seqlen_offsets, torch.Tensor):
        wrong = wrong or no_number(int, seqlen_offsets=seqlen_offsets)
    wrong = wrong or no_number(int, max_seqlen=0 if max_seqlen is None else max_seqlen)
    offsets = "seqlen_offsets"
    return wrong or renamed(error, q=name, cos=cos_name, sin=sin_name, positions=offsets, start=offsets)


def apply_rotary_emb_qkv_(qkv, cos, sin, cos_k=None, sin_k=None, interleaved=False, seqlen_offsets=0, num_heads_q=None):
    """qkv: [batch, seqlen, 3, nheads, headdim], or with num_heads_q [batch, seqlen, num_heads_q + 2 * num_heads_k,
    headdim]; q and k of it are rotated in place, k after q, and by cos_k and sin_k where they are given. Returns
    qkv."""
    try:
        parts = _queries_and_keys(qkv, num_heads_q, cos_k is None and sin_k is None)
        _apply(parts[0], cos, sin, interleaved, True, seqlen_offsets)
    except ERRORS as error:
        raise _explained(error, qkv, cos, sin, interleaved, seqlen_offsets, "qkv") from None
    if len(parts) == 1:
        return qkv
    cos_k, sin_k = (cos if cos_k is None else cos_k), (sin if sin_k is None else sin_k)
    try:
        _apply(parts[1], cos_k, sin_k, interleaved, True, seqlen_offsets)
    except ERRORS as error:
        raise _explained(error, qkv, cos_k, sin_k, interleaved, seqlen_offsets, "qkv", "cos_k", "sin_k") from None
    return qkv


def _queries_and_keys(qkv, num_heads_q, together):
    """Views of qkv: of the heads of q and k in one, where `together` says so and strides let it; else of either."""
    if qkv.dim() == 5:
        if qkv.shape[2] != 3:
            raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: 3 in the middle, for q, k and v")
        if together and qkv.stride(2) == qkv.shape[3] * qkv.stride(3):
            return (qkv[:, :, :2].flatten(2, 3),)
        return qkv[:, :, 0], qkv[:, :, 1]
    if qkv.dim() != 4:
        raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: 4 or 5 dimensions")
    heads = qkv.shape[2]
    if type(num_heads_q) is not int or not 0 < num_heads_q < heads or (heads - num_heads_q) % 2 != 0:
        allowed = f"a number of the {heads} heads that leaves as many to k as to v"
        raise ValueError(f"num_heads_q: found {num_heads_q!r}, allowed: {allowed}")
    last = (heads + num_heads_q) // 2
    return (qkv[:, :, :last],) if together else (qkv[:, :, :num_heads_q], qkv[:, :, num_heads_q:last])


def apply_rotary_emb_kv_(kv, cos, sin, interleaved=False, seqlen_offsets=0):
    """kv: [batch, seqlen, 2, nheads, headdim], of which k is rotated in place. Returns kv."""
    try:
        if kv.dim() != 5 or kv.shape[2] != 2:
            raise ValueError(f"kv: found shape {tuple(kv.shape)}, allowed: [batch, seqlen, 2, nheads, headdim]")
        _apply(kv[:, :, 0], cos, sin, interleaved, True, seqlen_offsets)
    except ERRORS as error:
        raise _explained(error, kv, cos, sin, interleaved, seqlen_offsets, "kv") from None
    return kv
