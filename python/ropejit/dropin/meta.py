"""Meta's Llama reference code: apply_rotary_emb, with angles as complex numbers."""

from ropejit.dropin._tables import table_rotation

_ROPE = table_rotation("interleaved", "complex", "bshd", "p3")


def apply_rotary_emb(xq, xk, freqs_cis):
    """xq, xk: [batch, tokens, heads, head_dim]; freqs_cis: complex64 [tokens, head_dim / 2], or with a batch of 1 or
    as many in front. Rounded to fp32, and then to xq's dtype."""
    return _ROPE(xq, xk, None, freqs_cis)
