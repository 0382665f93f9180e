"""flash-attn: apply_rotary_emb, apply_rotary_emb_qkv_ and apply_rotary_emb_kv_ of flash_attn.layers.rotary.

As there, arithmetic is fp32, with one rounding to x's dtype, whatever dtype cos and sin have. (Products and sums are
fused here, and mostly there: bits differ now and then.) As there too, a leaf that requires grad may be rotated in place:
the result then is another tensor of the same memory, whose gradient ends at the leaf. What is otherwise: gradients are
new tensors, where those of flash-attn's in-place functions are written over the incoming ones; a token before the first
row of cos (negative seqlen_offsets: padding on the left) stays as it was, where flash-attn reads what lies before cos;
with offsets or cu_seqlens on the device, a token beyond the last row of cos comes out NaN, where flash-attn leaves it
as it was. Any head_dim, and no limit on tokens but memory.
"""

import torch

from ropejit._rotation import Rotation
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed
from ropejit.dropin._over_leaf import WRITERS, OverLeaf, is_trained_leaf


def _rotations(positions, dims):
    """By direction, back (for gradients of leaves) after forth, and by interleaved."""
    form = {"positions": positions, "angles": "half", "padding": "rotate" if positions == "start" else "keep"}
    return tuple(
        tuple(Rotation({"layout": layout, "direction": direction}, form, dims) for layout in ("split_half", "interleaved"))
        for direction in ("forward", "adjoint")
    )


_BY_START = _rotations("start", "bshd")
_BY_OFFSETS = _rotations("offsets", "bshd")
_RAGGED = _rotations("ragged", "shd")


def apply_rotary_emb(x, cos, sin, interleaved=False, inplace=False, seqlen_offsets=0, cu_seqlens=None, max_seqlen=None):
    """x: [batch, seqlen, nheads, headdim], or with cu_seqlens (int32 [batch + 1]) [total, nheads, headdim]; cos, sin:
    [seqlen_rotary, rotary_dim / 2]; seqlen_offsets: an int, or an int32 or int64 tensor [batch]. Rotates the first
    rotary_dim lanes in a new tensor, or in x; returns that. cu_seqlens ends with total. max_seqlen may be left out:
    all tokens of each sequence are rotated."""
    return rotated(x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens, max_seqlen, False)


apply_rotary_emb_func = apply_rotary_emb


def rotated(x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens, max_seqlen, conjugate):
    """apply_rotary_emb, by the negative angle where `conjugate` says so."""
    try:
        if inplace and is_trained_leaf(x):
            return OverLeaf.apply("x", x, cos, sin, interleaved, True, seqlen_offsets, cu_seqlens, max_seqlen, conjugate)
        return _apply(x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens, max_seqlen, conjugate)
    except ERRORS as error:
        raise _explained(
            error, x, cos, sin, interleaved, seqlen_offsets, "x", inplace=inplace, max_seqlen=max_seqlen
        ) from None


def _apply(
    x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens=None, max_seqlen=None, conjugate=False, back=False
):
    positions, start = None, 0
    if cu_seqlens is not None:
        rope = _RAGGED
        positions, cos, sin = _of_ragged(seqlen_offsets, max_seqlen, cos, sin, cu_seqlens)
    elif isinstance(seqlen_offsets, torch.Tensor):
        rope, positions = _BY_OFFSETS, seqlen_offsets
    elif seqlen_offsets < 0:
        rope, positions = _BY_OFFSETS, _negative(seqlen_offsets, x.size(0), x.size(1), cos)
    else:
        rope, start = _BY_START, seqlen_offsets
    rope = rope[1 if back != conjugate else 0][1 if interleaved else 0]
    return (rope.in_place if inplace else rope)(x, None, positions, cos, sin, cu_seqlens, start)[0]


def _of_ragged(seqlen_offsets, max_seqlen, cos, sin, cu_seqlens):
    """Offsets are an int32 each; a single one for all is skipped in the tables."""
    if isinstance(seqlen_offsets, torch.Tensor):
        return seqlen_offsets.int() if seqlen_offsets.dtype is torch.int64 else seqlen_offsets, cos, sin
    if seqlen_offsets < 0:
        return _negative(seqlen_offsets, cu_seqlens.size(0) - 1, max_seqlen or 0, cos), cos, sin
    rows = cos.shape[0]
    last = rows - (0 if max_seqlen is None else max_seqlen)
    if seqlen_offsets > last:
        raise ValueError(
            f"seqlen_offsets: found {seqlen_offsets}, allowed: up to {last}: cos has {rows} rows, max_seqlen is {max_seqlen}"
        )
    return (None, cos[seqlen_offsets:], sin[seqlen_offsets:]) if seqlen_offsets else (None, cos, sin)


def _negative(offset, sequences, tokens, cos):
    """One offset for all sequences, as a tensor: what lies before position 0 is padding."""
    last = cos.shape[0] - tokens
    if not -(2**31) <= offset <= last:
        raise ValueError(f"seqlen_offsets: found {offset}, allowed: -2^31 to {last}: cos has {cos.shape[0]} rows")
    return torch.full((sequences,), offset, dtype=torch.int32, device=cos.device)


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
    arguments = cos, sin, cos_k, sin_k, interleaved, seqlen_offsets, num_heads_q
    if isinstance(qkv, torch.Tensor) and is_trained_leaf(qkv):
        return OverLeaf.apply("qkv", qkv, *arguments)
    over_qkv(qkv, *arguments)
    return qkv


def over_qkv(
    qkv, cos, sin, cos_k, sin_k, interleaved, seqlen_offsets, num_heads_q, cu_seqlens=None, max_seqlen=None, headdim=None,
    back=False,
):
    """apply_rotary_emb_qkv_ of what is no leaf; with cu_seqlens (int32 [batch + 1]) [total, num_heads_q + 2 * num_heads_k,
    headdim], and with headdim those without their last two dimensions apart, as quack has them."""
    rest = cu_seqlens, max_seqlen
    try:
        parts = _queries_and_keys(_with_heads(qkv, cu_seqlens, headdim), num_heads_q, cos_k is None and sin_k is None)
        _apply(parts[0], cos, sin, interleaved, True, seqlen_offsets, *rest, back=back)
    except ERRORS as error:
        raise _explained(error, qkv, cos, sin, interleaved, seqlen_offsets, "qkv", max_seqlen=max_seqlen) from None
    if len(parts) == 1:
        return
    cos_k, sin_k = (cos if cos_k is None else cos_k), (sin if sin_k is None else sin_k)
    try:
        _apply(parts[1], cos_k, sin_k, interleaved, True, seqlen_offsets, *rest, back=back)
    except ERRORS as error:
        raise _explained(error, qkv, cos_k, sin_k, interleaved, seqlen_offsets, "qkv", "cos_k", "sin_k") from None


def _with_heads(qkv, cu_seqlens, headdim):
    """A view of qkv with heads and lanes apart, and of ragged tokens without a batch."""
    if headdim is not None:
        if type(headdim) is not int or headdim <= 0 or qkv.shape[-1] % headdim != 0:
            raise ValueError(f"headdim: found {headdim!r}, allowed: a number that divides the {qkv.shape[-1]} lanes of qkv")
        qkv = qkv.unflatten(-1, (-1, headdim))
        if cu_seqlens is not None and qkv.dim() == 4:
            qkv = qkv.flatten(0, 1)
    if (qkv.dim() == 3) != (cu_seqlens is not None):
        allowed = "4 or 5 dimensions" if cu_seqlens is None else "with cu_seqlens [total, nheads, headdim]"
        raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: {allowed}")
    return qkv


def _queries_and_keys(qkv, num_heads_q, together):
    """Views of qkv: of the heads of q and k in one, where `together` says so and strides let it; else of either."""
    if qkv.dim() == 5:
        if qkv.shape[2] != 3:
            raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: 3 in the middle, for q, k and v")
        if together and qkv.stride(2) == qkv.shape[3] * qkv.stride(3):
            return (qkv[:, :, :2].flatten(2, 3),)
        return qkv[:, :, 0], qkv[:, :, 1]
    if qkv.dim() not in (3, 4):
        raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: 4 or 5 dimensions")
    heads = qkv.shape[-2]
    if type(num_heads_q) is not int or not 0 < num_heads_q < heads or (heads - num_heads_q) % 2 != 0:
        allowed = f"a number of the {heads} heads that leaves as many to k as to v"
        raise ValueError(f"num_heads_q: found {num_heads_q!r}, allowed: {allowed}")
    last = (heads + num_heads_q) // 2
    return (qkv[..., :last, :],) if together else (qkv[..., :num_heads_q, :], qkv[..., num_heads_q:last, :])


def apply_rotary_emb_kv_(kv, cos, sin, interleaved=False, seqlen_offsets=0):
    """kv: [batch, seqlen, 2, nheads, headdim], of which k is rotated in place. Returns kv."""
    arguments = cos, sin, interleaved, seqlen_offsets
    if isinstance(kv, torch.Tensor) and is_trained_leaf(kv):
        return OverLeaf.apply("kv", kv, *arguments)
    _over_kv(kv, *arguments)
    return kv


def _over_kv(kv, cos, sin, interleaved, seqlen_offsets, back=False):
    try:
        if kv.dim() != 5 or kv.shape[2] != 2:
            raise ValueError(f"kv: found shape {tuple(kv.shape)}, allowed: [batch, seqlen, 2, nheads, headdim]")
        _apply(kv[:, :, 0], cos, sin, interleaved, True, seqlen_offsets, back=back)
    except ERRORS as error:
        raise _explained(error, kv, cos, sin, interleaved, seqlen_offsets, "kv") from None


WRITERS.update({"x": _apply, "qkv": over_qkv, "kv": _over_kv})
