"""transformers' functions that rotate, by ropejit's kernels."""

from ropejit.dropin._tables import ByUnsqueezeDim

_HALVES = ByUnsqueezeDim("split_half", "full")
_INTERLEAVED = ByUnsqueezeDim("interleaved", "full", "split_half")


def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
    """q, k: [batch, heads, tokens, head_dim], or with unsqueeze_dim 2 [batch, tokens, heads, head_dim]; cos, sin:
    [batch or 1, tokens, rotary_dim], or without a batch, where unsqueeze_dim is one less; negative ones (-3, -2) count
    from the end, as torch's do. Lanes from rotary_dim on are copied (GPT-NeoX)."""
    return _HALVES(q, k, cos, sin, unsqueeze_dim)


def apply_rotary_pos_emb_interleave(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    """DeepSeek-V3's: reads adjacent pairs, writes halves. position_ids is not used, there or here."""
    return _INTERLEAVED(q, k, cos, sin, unsqueeze_dim)


_OF_HALF_TABLES = ByUnsqueezeDim("split_half", "half")


def apply_rotary_emb_of_half_tables(q, k, cos, sin, unsqueeze_dim=1):
    """gpt-oss': cos and sin have rotary_dim / 2 lanes."""
    return _OF_HALF_TABLES(q, k, cos, sin, unsqueeze_dim)


def apply_rotary_in_own_dtype(q, k, cos, sin, unsqueeze_dim=1):
    """OLMo 2's: cos and sin are fp32, and results are rounded to the dtypes of q and k."""
    q_dtype, k_dtype = q.dtype, k.dtype
    q, k = _HALVES(q, k, cos, sin, unsqueeze_dim)
    return q.to(q_dtype), k.to(k_dtype)
