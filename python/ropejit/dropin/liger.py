"""Liger-Kernel: liger_rotary_pos_emb, liger_rotary_pos_emb_vision, liger_multimodal_rotary_pos_emb and
liger_llama4_text_rotary_pos_emb, liger_llama4_vision_rotary_pos_emb.

Results are new tensors, where Liger's are mostly written over q and k; gradients, too, where Liger's are written over the
incoming ones. Where cos is of q's dtype, products and sums are rounded to it; else to fp32.
"""

import torch

from ropejit.dropin import meta
from ropejit.dropin._arguments import ERRORS, no_tensor, not_shaped, renamed
from ropejit.dropin._axis_tables import rotated_by_axis
from ropejit.dropin._tables import dims_of, dtype_of, table_rotation, unaligned

_SAME = table_rotation("split_half", "full", "bhsd", "p1")
_FP32 = table_rotation("split_half", "full", "bhsd", "p3")
_TOKENS_FIRST = "[batch, tokens, heads, head_dim]"
_VISION = table_rotation("split_half", "full", "shd", "p3")


def liger_rotary_pos_emb(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    """q, k: [batch, heads, tokens, head_dim]; cos, sin: [tokens, rotary_dim], with a batch of 1 or as many in front, and
    with heads of 1 after that. position_ids is not used, there or here. k may be of another dtype than q, which costs a
    launch."""
    _check_unsqueeze_dim(unsqueeze_dim)
    if dims_of(cos) == 4 and dims_of(sin) == 4:
        cos, sin = cos.squeeze(1), sin.squeeze(1)
    return _each(lambda q, k: (_SAME if dtype_of(q) is dtype_of(cos) else _FP32)(q, k, None, cos, sin), q, k)


def liger_rotary_pos_emb_vision(q, k, cos, sin):
    """q, k: [tokens, heads, head_dim], of one dtype or two; cos, sin: [tokens, head_dim]. fp32 until the result, whatever
    dtype cos has."""
    return _each(lambda q, k: _VISION(q, k, None, cos, sin), q, k)


def liger_multimodal_rotary_pos_emb(q, k, cos, sin, mrope_section, unsqueeze_dim=1):
    """q, k: [batch, heads, tokens, head_dim]; cos, sin: [3, batch, tokens, rotary_dim], by axis; mrope_section: how many pairs
    turn by axis 0 and by axis 1: all others turn by axis 2, whatever its third number says, as there."""
    _check_unsqueeze_dim(unsqueeze_dim)
    try:
        if cos.dim() != 4 or cos.size(0) != 3:
            raise ValueError(f"cos: found shape {tuple(cos.shape)}, allowed: [3, batch, tokens, rotary_dim]")
        if sin.shape != cos.shape:
            raise ValueError(f"sin: found shape {tuple(sin.shape)}, allowed: {tuple(cos.shape)}, as cos has")

        def rotated(q, k):
            rounding = "p1" if q.dtype is cos.dtype else "p3"
            return rotated_by_axis(q, k, cos, sin, mrope_section, rounding, "bhsd")

        return _each(rotated, q, k)
    except ERRORS as error:
        wrong = no_tensor(q=q, k=k, cos=cos, sin=sin) or _no_sections(mrope_section)
        wrong = wrong or not_shaped(4, "[batch, heads, tokens, head_dim]", q=q, k=k)
        raise wrong or renamed(error, positions="cos", axes="mrope_section") from None


def _no_sections(sections):
    if isinstance(sections, (list, tuple)) and len(sections) >= 2 and all(type(pairs) is int for pairs in sections):
        return None if min(sections) >= 0 else ValueError(f"mrope_section: found {sections!r}, allowed: numbers from 0 on")
    return TypeError(f"mrope_section: found {sections!r}, allowed: a list of 3 ints")


def liger_llama4_text_rotary_pos_emb(xq, xk, freqs_cis):
    """xq, xk: [batch, tokens, heads, head_dim]; freqs_cis: complex64 [tokens or more, head_dim / 2], or with a batch of 1 or as
    many in front. The second result is of xq's dtype, too. With a batch in front each sequence has its own angles, where
    Liger takes those of the first for all."""
    try:
        if not freqs_cis.is_complex():
            raise TypeError(f"freqs_cis: found {freqs_cis.dtype}, allowed: torch.complex64")
        return meta.apply_rotary_emb(xq, xk.to(xq.dtype), freqs_cis[..., : xq.size(1), :])
    except ERRORS as error:
        wrong = no_tensor(xq=xq, xk=xk, freqs_cis=freqs_cis) or not_shaped(4, _TOKENS_FIRST, xq=xq, xk=xk)
        raise wrong or renamed(error, q="xq", k="xk", cos="freqs_cis", rotary_dim="freqs_cis") from None


def liger_llama4_vision_rotary_pos_emb(query, key, freqs_ci):
    """The same of freqs_ci [tokens, head_dim / 2], [tokens, 1, head_dim / 2] or [1, tokens, 1, head_dim / 2]. Those that are not
    complex any more, after a cast of the model to another dtype, are taken for numbers without imaginary parts, as there."""
    try:
        tokens, pairs = query.size(1), query.size(3) // 2
        if tuple(freqs_ci.shape) not in ((tokens, pairs), (tokens, 1, pairs), (1, tokens, 1, pairs)):
            allowed = f"({tokens}, {pairs}), or ({tokens}, 1, {pairs}) or (1, {tokens}, 1, {pairs})"
            raise ValueError(f"freqs_ci: found shape {tuple(freqs_ci.shape)}, allowed: {allowed}")
        freqs_ci = freqs_ci.reshape(tokens, pairs)
        if not freqs_ci.is_complex():
            freqs_ci = freqs_ci.to(torch.complex64)
        return _each(lambda q, k: meta.apply_rotary_emb(q, k, freqs_ci), query, key)
    except ERRORS as error:
        wrong = no_tensor(query=query, key=key, freqs_ci=freqs_ci) or not_shaped(4, _TOKENS_FIRST, query=query, key=key)
        raise wrong or renamed(error, q="query", k="key", cos="freqs_ci", rotary_dim="freqs_ci") from None


def _each(rotated, q, k):
    """rotated(q, k), or where k is a tensor of another dtype each alone."""
    if dtype_of(q) is dtype_of(k) or dtype_of(q) is None or dtype_of(k) is None:
        return rotated(q, k)
    q = rotated(q, None)[0]
    try:
        return q, rotated(k, None)[0]
    except ERRORS as error:
        raise renamed(error, q="k") from None


def _check_unsqueeze_dim(unsqueeze_dim):
    if unsqueeze_dim != 1:
        unaligned(unsqueeze_dim, "1 (Liger takes others and does not use them)")
