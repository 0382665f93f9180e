"""The form of the RoFormer paper: lanes 2i and 2i + 1 turn together, and cos and sin have every number twice."""

from ropejit.dropin._tables import ByUnsqueezeDim

_REPEATED = ByUnsqueezeDim("interleaved", "repeated")


def apply_rotary_pos_emb(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    """x * cos + rotate_every_two(x) * sin, where rotate_every_two makes (-x1, x0, -x3, x2, ...) of (x0, x1, x2, x3,
    ...). Arguments and rounding as in ropejit.dropin.hf; cos and sin are (c0, c0, c1, c1, ...)."""
    return _REPEATED(q, k, cos, sin, unsqueeze_dim)
