"""quack: apply_rotary, apply_rotary_emb, apply_rotary_emb_qkv_ and apply_rotary_emb_kv_ of quack.rotary.

They are flash_attn's with arguments in quack's order, and with what quack has beyond those: the angle negated (conjugate),
packed qkv that is ragged, and packed qkv whose heads and lanes are one dimension. What ropejit.dropin.flash_attn says of
rounding, of rows that are not there and of gradients holds here. Any even head_dim and rotary_dim, where quack wants
multiples of 8.
"""

import torch

from ropejit.dropin import flash_attn
from ropejit.dropin._arguments import ERRORS, no_flag
from ropejit.dropin._over_leaf import OverLeaf, is_trained_leaf


def apply_rotary(
    x, cos, sin, seqlen_offsets=None, cu_seqlens=None, max_seqlen=None, interleaved=False, inplace=False, conjugate=False
):
    """x: [batch, seqlen, nheads, headdim], or with cu_seqlens (int32 [batch + 1]) [total, nheads, headdim]; cos, sin:
    [seqlen_rotary, rotary_dim / 2]; seqlen_offsets: int32 or int64 [batch], None: 0. Rotates the first rotary_dim lanes, by
    the negative angle where `conjugate` says so, in a new tensor or in x; returns that."""
    offsets = 0 if seqlen_offsets is None else seqlen_offsets
    if (wrong := no_flag(conjugate=conjugate)) is not None:
        raise wrong
    return flash_attn.rotated(x, cos, sin, interleaved, inplace, offsets, cu_seqlens, max_seqlen, bool(conjugate))


def apply_rotary_emb(
    x, cos, sin, interleaved=False, inplace=False, seqlen_offsets=None, cu_seqlens=None, max_seqlen=None
):
    """apply_rotary with its arguments in another order, and not conjugate."""
    return apply_rotary(x, cos, sin, seqlen_offsets, cu_seqlens, max_seqlen, interleaved, inplace)


apply_rotary_emb_func = apply_rotary_emb


def apply_rotary_emb_qkv_(
    qkv, cos, sin, interleaved=False, seqlen_offsets=None, num_heads_q=None, cu_seqlens=None, max_seqlen=None, headdim=None
):
    """qkv: [batch, seqlen, 3, nheads, headdim], or with num_heads_q [batch, seqlen, num_heads_q + 2 * num_heads_k, headdim],
    or with cu_seqlens [total, num_heads_q + 2 * num_heads_k, headdim]. With headdim its last two dimensions are one, and
    with cu_seqlens too a batch may be in front. q and k of it are rotated in place. Returns qkv."""
    offsets = 0 if seqlen_offsets is None else seqlen_offsets
    arguments = cos, sin, None, None, interleaved, offsets, num_heads_q, cu_seqlens, max_seqlen, headdim
    if isinstance(qkv, torch.Tensor) and is_trained_leaf(qkv):
        return OverLeaf.apply("qkv", qkv, *arguments)
    flash_attn.over_qkv(qkv, *arguments)
    return qkv


def apply_rotary_emb_kv_(kv, cos, sin, interleaved=False, seqlen_offsets=None):
    """kv: [batch, seqlen, 2, nheads, headdim], of which k is rotated in place. Returns kv."""
    return flash_attn.apply_rotary_emb_kv_(kv, cos, sin, interleaved, 0 if seqlen_offsets is None else seqlen_offsets)
