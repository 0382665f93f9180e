"""SGLang: apply_rope_with_cos_sin_cache_inplace, apply_rope_inplace and apply_rope_inplace_with_kvcache of
sglang.kernels.ops.attention.rope (sglang.jit_kernel.rope before that), and fused_qk_norm_rope of its fused_qknorm_rope.

Arithmetic is fp32 with one rounding to q's dtype, as there. What is otherwise: any even head_dim, any strides but for lanes
side by side, fp32 tensors, tables of any floating dtype where SGLang wants fp32, positions and rows of the cache each int32
or int64; the angles of fused_qk_norm_rope are exact at any position; a row below 0 or beyond the cache is none; a token
whose position has no row in the table comes out NaN. None of it has gradients but apply_rope_inplace, of what is no leaf.
"""

from typing import NamedTuple, Optional

import torch

from ropejit._rotation import Rotation
from ropejit.dropin import _heads, _packed_norms, _prologues
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed

_BY_CACHE = tuple(Rotation(*_heads.by_cache("shd", is_neox)) for is_neox in (False, True))


class FusedSetKVBufferArg(NamedTuple):
    """fused_args of apply_rope_with_cos_sin_cache_inplace, which takes SGLang's own as well. The scales stay None."""

    value: torch.Tensor
    k_buffer: torch.Tensor
    v_buffer: torch.Tensor
    cache_loc: torch.Tensor
    k_scale: Optional[float] = None
    v_scale: Optional[float] = None


def apply_rope_with_cos_sin_cache_inplace(q, k, cos_sin_cache, positions, *, is_neox, rope_dim=0, fused_args=None):
    """Without fused_args apply_rope_inplace, with them apply_rope_inplace_with_kvcache: their value, k_buffer, v_buffer and
    cache_loc are its v, k_cache, v_cache and out_loc."""
    if fused_args is None:
        return apply_rope_inplace(q, k, cos_sin_cache, positions, is_neox=is_neox, rope_dim=rope_dim)
    for name in ("value", "k_buffer", "v_buffer", "cache_loc"):
        if not hasattr(fused_args, name):
            raise TypeError(f"fused_args: found {type(fused_args).__name__} without {name}, allowed: a FusedSetKVBufferArg")
    for name in ("k_scale", "v_scale"):
        if getattr(fused_args, name, None) is not None:
            raise ValueError(f"fused_args.{name}: found {getattr(fused_args, name)!r}, allowed: None")
    names = {name: f"fused_args.{word}" for name, word in _FUSED_NAMES.items()}
    given = (fused_args.value, fused_args.k_buffer, fused_args.v_buffer)
    return _with_cache(q, k, *given, cos_sin_cache, positions, fused_args.cache_loc, is_neox, rope_dim, names)


_FUSED_NAMES = {"v": "value", "k_cache": "k_buffer", "v_cache": "v_buffer", "out_loc": "cache_loc"}


def apply_rope_inplace(q, k, cos_sin_cache, positions, *, is_neox, rope_dim=0):
    """Rotates q and k, [tokens, heads, head_dim], in place, and returns None. cos_sin_cache: [rows, rope_dim], cosines and
    then sines; positions: int32 or int64 [tokens]. The first rope_dim lanes rotate; 0: as many as a row has numbers."""
    try:
        _check_width(cos_sin_cache, rope_dim)
        _BY_CACHE[1 if is_neox else 0].in_place(_heads.written(q), _heads.written(k), positions, cos_sin_cache)
    except ERRORS as error:
        raise _explained(error, q, k, cos_sin_cache, positions, is_neox, rope_dim) from None


def apply_rope_inplace_with_kvcache(
    q, k, v, k_cache, v_cache, cos_sin_cache, positions, out_loc, *, is_neox, rope_dim=0
):
    """The same, and writes what k then is to k_cache and v to v_cache, [cache_size, heads * head_dim] or [cache_size, heads,
    head_dim] of k's dtype, at rows out_loc, [tokens]: all in one launch. Of tokens that share a row, such as those of
    padding in row 0, any one's k and v may be there."""
    return _with_cache(q, k, v, k_cache, v_cache, cos_sin_cache, positions, out_loc, is_neox, rope_dim, {})


def _with_cache(q, k, v, k_cache, v_cache, cos_sin_cache, positions, out_loc, is_neox, rope_dim, names):
    try:
        _check_width(cos_sin_cache, rope_dim)
        q_memory, k_memory = _heads.written(q), _heads.written(k)
        k_pages, v_pages = _pages("k_cache", k_cache, k), _pages("v_cache", v_cache, k)
        _prologues.by_cache(bool(is_neox))(
            q_memory, k_memory, v.view(k.shape), positions, cos=cos_sin_cache, k_cache=k_pages, v_cache=v_pages,
            slots=out_loc, k_out=k_memory,
        )
    except ERRORS as error:
        more = {"v": v, "k_cache": k_cache, "v_cache": v_cache, "out_loc": out_loc}
        wrong = _explained(error, q, k, cos_sin_cache, positions, is_neox, rope_dim, more)
        raise renamed(wrong, **names) from None


def _check_width(cos_sin_cache, rope_dim):
    if rope_dim not in (0, cos_sin_cache.size(-1)):
        found = f"{cos_sin_cache.size(-1)} numbers a row"
        raise ValueError(f"cos_sin_cache: found {found}, allowed: {rope_dim!r}, which rope_dim is")


def _pages(name, cache, k):
    """Rows of heads as pages of one token."""
    if cache.dtype is not k.dtype:
        raise ValueError(f"{name}: found {cache.dtype}, allowed: {k.dtype}, which k has")
    heads, lanes = k.shape[1:]
    if cache.dim() not in (2, 3) or cache[:1].numel() not in (0, heads * lanes):
        allowed = f"[cache_size, {heads * lanes}] or [cache_size, {heads}, {lanes}], as k has them"
        raise ValueError(f"{name}: found shape {tuple(cache.shape)}, allowed: {allowed}")
    return cache.view(cache.size(0), 1, heads, lanes)


def _explained(error, q, k, cos_sin_cache, positions, is_neox, rope_dim, more=None):
    tensors = {"q": q, "k": k, "cos_sin_cache": cos_sin_cache, "positions": positions, **(more or {})}
    wrong = no_tensor(**tensors) or no_flag(is_neox=is_neox) or no_number(int, rope_dim=rope_dim)
    wrong = wrong or not_shaped(3, "[tokens, heads, head_dim]", q=q, k=k)
    if wrong is None and more is not None and more["v"].numel() != k.numel():
        wrong = ValueError(f"v: found shape {tuple(more['v'].shape)}, allowed: as many numbers as k, {tuple(k.shape)}")
    return wrong or renamed(error, cos="cos_sin_cache", rotary_dim="cos_sin_cache", slots="out_loc")


@_prologues.made_once
def _normed(is_neox, head_dim, rotary_dim, eps, base, factor, low, high, attention_factor):
    operand = {"head_dim": head_dim, "norm": {"eps": eps}}
    layout = "split_half" if is_neox else "interleaved"
    spec = {"layout": layout, "rotary_dim": rotary_dim, "rope_theta": base, "q": operand, "k": operand}
    if factor != 1.0 or attention_factor != 1.0:
        inv_freq = _packed_norms.yarn_frequencies(base, rotary_dim, factor, low, high)
        spec["rope_scaling"] = {"rope_type": "inv_freq", "inv_freq": inv_freq, "attention_factor": attention_factor}
    return spec, {"positions": "ids"}


def fused_qk_norm_rope(
    qkv, num_heads_q, num_heads_k, num_heads_v, head_dim, eps, q_weight, k_weight, base, is_neox, position_ids, factor, low,
    high, attention_factor, rotary_dim=None,
):
    """Norms the heads of q and k by the root of their mean square and rotates their first rotary_dim lanes (None: all), in
    place, and returns None. qkv: [tokens, (num_heads_q + num_heads_k + num_heads_v) * head_dim], of any stride between
    tokens; q_weight, k_weight: [head_dim]; position_ids: int32 or int64 [tokens]; base, and with a factor other than 1 low
    and high, which are pairs: YaRN's; attention_factor: of what rotates. fp32 with one rounding."""
    counts = num_heads_q, num_heads_k, num_heads_v
    try:
        width = head_dim if rotary_dim is None else rotary_dim
        numbers = (1.0 * eps, 1.0 * base, 1.0 * factor, 1.0 * low, 1.0 * high, 1.0 * attention_factor)
        of = _normed(bool(is_neox), head_dim, width, *numbers)
        _packed_norms.over(of, qkv, counts, head_dim, q_weight, k_weight, position_ids)
    except ERRORS as error:
        reals = {"base": base, "factor": factor, "low": low, "high": high, "attention_factor": attention_factor}
        wrong = no_number(float, **reals) or no_number(int, rotary_dim=0 if rotary_dim is None else rotary_dim)
        if wrong is None and factor <= 0:
            wrong = ValueError(f"factor: found {factor}, allowed: a number above 0")
        wrong = wrong or _packed_norms.explained(
            error, qkv, counts, head_dim, eps, q_weight, k_weight, position_ids, is_neox=is_neox
        )
        names = {"cos_sin_cache": "rotary_dim", "rope_theta": "base", "rope_scaling.attention_factor": "attention_factor"}
        raise renamed(wrong, **names) from None


def fused_qk_norm_rope_out(
    qkv, q_weight, k_weight, position_ids, num_heads_q, num_heads_k, num_heads_v, head_dim, eps, base, is_neox, factor, low,
    high, attention_factor, rotary_dim,
):
    """The same with its arguments in the order of SGLang's operator."""
    fused_qk_norm_rope(
        qkv, num_heads_q, num_heads_k, num_heads_v, head_dim, eps, q_weight, k_weight, base, is_neox, position_ids, factor, low,
        high, attention_factor, rotary_dim,
    )
