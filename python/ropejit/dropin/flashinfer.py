"""FlashInfer: apply_rope_with_cos_sin_cache, apply_rope, apply_rope_pos_ids and apply_llama31_rope, with their _inplace
and _pos_ids forms; append_paged_kv_cache, and the rotation and it in one; fused_qk_rmsnorm_rope.

Arithmetic is fp32, with one rounding to query's dtype, as there. Angles that are computed are exact here at any
position, where FlashInfer's fast sines and powers drift away with it (hundredths at 100,000). What is otherwise: fp32
tensors, any head_dim; a token whose position has no row in the cache comes out NaN, where FlashInfer reads beyond it;
there are gradients, but of leaves in place: they are overwritten, and nothing is recorded, as by FlashInfer.
"""

import torch

from ropejit._rotation import Rotation, made_once
from ropejit.dropin import _heads
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed
from ropejit.dropin._flashinfer_dit import fused_qk_rmsnorm_rope  # noqa: F401  these are FlashInfer's, too
from ropejit.dropin._flashinfer_pages import append_paged_kv_cache, rope_append_paged_kv_cache  # noqa: F401

_BY_CACHE = tuple(Rotation(*_heads.by_cache("shd", is_neox)) for is_neox in (False, True))


def apply_rope_with_cos_sin_cache(positions, query, key, head_size, cos_sin_cache, is_neox=True):
    """query, key: [tokens, heads * head_size] or [tokens, heads, head_size]; positions: int32 or int64 [tokens];
    cos_sin_cache: fp32 [rows, rotary_dim], cosines and then sines. Returns new tensors of the same shapes."""
    try:
        _check_cache(cos_sin_cache)
        q, k = _heads.with_heads(query, head_size), _heads.with_heads(key, head_size)
        q, k = _BY_CACHE[1 if is_neox else 0](q, k, positions, cos_sin_cache)
        return q.view_as(query), k.view_as(key)
    except ERRORS as error:
        raise _heads.explained(error, positions, query, key, head_size, cos_sin_cache, 1, is_neox=is_neox) from None


def apply_rope_with_cos_sin_cache_inplace(positions, query, key, head_size, cos_sin_cache, is_neox=True):
    """The same, written over query and key. Returns None."""
    try:
        _check_cache(cos_sin_cache)
        q = _heads.with_heads(_heads.written(query), head_size)
        k = _heads.with_heads(_heads.written(key), head_size)
        _BY_CACHE[1 if is_neox else 0].in_place(q, k, positions, cos_sin_cache)
    except ERRORS as error:
        raise _heads.explained(error, positions, query, key, head_size, cos_sin_cache, 1, is_neox=is_neox) from None


def _check_cache(cos_sin_cache):
    if cos_sin_cache.dtype is not torch.float32:
        raise ValueError(f"cos_sin_cache: found {cos_sin_cache.dtype}, allowed: torch.float32")


@made_once
def _computed(kind, rotary_dim, interleave, rope_theta, rope_scale, *llama31):
    """llama31: nothing, or low_freq_factor, high_freq_factor and old_context_len."""
    spec = {"layout": "interleaved" if interleave else "split_half", "rotary_dim": rotary_dim, "rope_theta": rope_theta}
    if llama31:
        words = ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        spec["rope_scaling"] = {"rope_type": "llama3", "factor": rope_scale, **dict(zip(words, llama31))}
    elif rope_scale != 1.0:
        spec["rope_scaling"] = {"rope_type": "linear", "factor": rope_scale}
    return spec, {"positions": kind}, "shd"


def _rotate(in_place, q, k, where, rotary_dim, interleave, rope_scale, rope_theta, llama31=()):
    """where: ids, or indptr and offsets."""
    try:
        kind = "ids" if len(where) == 1 else "ragged"
        rotary_dim = q.size(-1) if rotary_dim is None else rotary_dim
        rope = _computed(kind, rotary_dim, bool(interleave), float(rope_theta), float(rope_scale), *llama31)
        if in_place:
            rope, q, k = rope.in_place, _heads.written(q), _heads.written(k)
        if kind == "ids":
            return rope(q, k, where[0])
        indptr, offsets = (numbers.int() if numbers.dtype is torch.int64 else numbers for numbers in where)
        return rope(q, k, offsets, None, None, indptr)
    except ERRORS as error:
        raise _explained(error, q, k, where, rotary_dim, interleave, rope_scale, rope_theta, llama31) from None


def _explained(error, q, k, where, rotary_dim, interleave, rope_scale, rope_theta, llama31):
    names = ("pos_ids",) if len(where) == 1 else ("indptr", "offsets")
    both = {"q": q} if k is None else {"q": q, "k": k}
    wrong = no_tensor(**both, **dict(zip(names, where))) or not_shaped(3, "[tokens, heads, head_dim]", **both)
    wrong = wrong or no_flag(interleave=interleave)
    wrong = wrong or no_number(int, rotary_dim=0 if rotary_dim is None else rotary_dim)
    numbers = dict(zip(("low_freq_factor", "high_freq_factor", "old_context_len"), llama31))
    wrong = wrong or no_number(float, rope_scale=rope_scale, rope_theta=rope_theta, **numbers)
    scaling = {"rope_scaling." + name: name for name in ("low_freq_factor", "high_freq_factor")}
    scaling["rope_scaling.factor"] = "rope_scale"
    scaling["rope_scaling.original_max_position_embeddings"] = "old_context_len"
    return wrong or renamed(error, positions=names[-1], cu_seqlens="indptr", **scaling)


def apply_rope(q, k, indptr, offsets, rotary_dim=None, interleave=False, rope_scale=1, rope_theta=1e4):
    """q, k: [tokens, heads, head_dim], sequences one after another: sequence i is from indptr[i] to indptr[i + 1], and
    its first token is at position offsets[i]. Both int32 (int64 ones are converted, which costs a kernel each). Angles
    are those of position / rope_scale. Returns new tensors."""
    return _rotate(False, q, k, (indptr, offsets), rotary_dim, interleave, rope_scale, rope_theta)


def apply_rope_inplace(q, k, indptr, offsets, rotary_dim=None, interleave=False, rope_scale=1, rope_theta=1e4):
    """The same, written over q and k. Returns None."""
    _rotate(True, q, k, (indptr, offsets), rotary_dim, interleave, rope_scale, rope_theta)


def apply_rope_pos_ids(q, k, pos_ids, rotary_dim=None, interleave=False, rope_scale=1, rope_theta=1e4):
    """The same with an int32 or int64 position for each token."""
    return _rotate(False, q, k, (pos_ids,), rotary_dim, interleave, rope_scale, rope_theta)


def apply_rope_pos_ids_inplace(q, k, pos_ids, rotary_dim=None, interleave=False, rope_scale=1, rope_theta=1e4):
    """The same, written over q and k. Returns None."""
    _rotate(True, q, k, (pos_ids,), rotary_dim, interleave, rope_scale, rope_theta)


def apply_llama31_rope(
    q, k, indptr, offsets, rotary_dim=None, interleave=False, rope_scale=8, rope_theta=5e5, low_freq_factor=1,
    high_freq_factor=4, old_context_len=8192,
):
    """apply_rope with Llama 3.1's scaling."""
    llama31 = low_freq_factor, high_freq_factor, old_context_len
    return _rotate(False, q, k, (indptr, offsets), rotary_dim, interleave, rope_scale, rope_theta, llama31)


def apply_llama31_rope_inplace(
    q, k, indptr, offsets, rotary_dim=None, interleave=False, rope_scale=8, rope_theta=5e5, low_freq_factor=1,
    high_freq_factor=4, old_context_len=8192,
):
    """The same, written over q and k. Returns None."""
    llama31 = low_freq_factor, high_freq_factor, old_context_len
    _rotate(True, q, k, (indptr, offsets), rotary_dim, interleave, rope_scale, rope_theta, llama31)


def apply_llama31_rope_pos_ids(
    q, k, pos_ids, rotary_dim=None, interleave=False, rope_scale=8, rope_theta=5e5, low_freq_factor=1,
    high_freq_factor=4, old_context_len=8192,
):
    """apply_rope_pos_ids with Llama 3.1's scaling."""
    llama31 = low_freq_factor, high_freq_factor, old_context_len
    return _rotate(False, q, k, (pos_ids,), rotary_dim, interleave, rope_scale, rope_theta, llama31)


def apply_llama31_rope_pos_ids_inplace(
    q, k, pos_ids, rotary_dim=None, interleave=False, rope_scale=8, rope_theta=5e5, low_freq_factor=1,
    high_freq_factor=4, old_context_len=8192,
):
    """The same, written over q and k. Returns None."""
    llama31 = low_freq_factor, high_freq_factor, old_context_len
    _rotate(True, q, k, (pos_ids,), rotary_dim, interleave, rope_scale, rope_theta, llama31)
