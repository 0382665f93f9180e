"""Liger-Kernel: liger_rotary_pos_emb."""

from ropejit.dropin._tables import dims_of, dtype_of, table_rotation, unaligned

_SAME = table_rotation("split_half", "full", "bhsd", "p1")
_FP32 = table_rotation("split_half", "full", "bhsd", "p3")


def liger_rotary_pos_emb(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    """q, k: [batch, heads, tokens, head_dim]; cos, sin: [tokens, rotary_dim], with a batch of 1 or as many in front, and
    with heads of 1 after that. Results are new tensors of q's
    dtype: Liger's are written over q and k where those lie as it likes. Where cos is of another dtype products and sums
    are rounded to fp32, otherwise to the dtype of both. position_ids is not used, there or here."""
    if unsqueeze_dim != 1:
        unaligned(unsqueeze_dim, "1 (Liger takes others and does not use them)")
    if dims_of(cos) == 4 and dims_of(sin) == 4:
        cos, sin = cos.squeeze(1), sin.squeeze(1)
    rope = _SAME if dtype_of(q) is dtype_of(cos) else _FP32
    return rope(q, k, None, cos, sin)
