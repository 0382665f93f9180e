"""The form of the RoFormer paper: lanes 2i and 2i + 1 turn together, and cos and sin have every number twice."""

from ropejit.dropin._tables import AsTorchRounds, unaligned

_BHSD = AsTorchRounds("interleaved", "repeated", "bhsd")
_BSHD = AsTorchRounds("interleaved", "repeated", "bshd")


def apply_rotary_pos_emb(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    """x * cos + rotate_every_two(x) * sin, where rotate_every_two makes (-x1, x0, -x3, x2, ...) of (x0, x1, x2, x3,
    ...). Arguments and rounding as in ropejit.dropin.hf; cos and sin are (c0, c0, c1, c1, ...)."""
    if unsqueeze_dim == 1:
        rope = _BHSD.pick(q, cos)
    elif unsqueeze_dim == 2:
        rope = _BSHD.pick(q, cos)
    else:
        unaligned(unsqueeze_dim, "1 or 2")
    return rope(q, k, None, cos, sin)
