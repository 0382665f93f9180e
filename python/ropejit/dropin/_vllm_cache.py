"""vLLM's writes to a paged cache, alone and with the rotation before them."""

import torch

from ropejit.dropin import _heads, _prologues
from ropejit.dropin._arguments import ERRORS, no_tensor, not_shaped, renamed

_FLASH = "[blocks, block_size, heads, head_size]"
_SPLIT = "[blocks, heads, head_size / x, block_size, x]"
_TURNED = "[blocks, heads, head_size, block_size]"


def reshape_and_cache_flash(key, value, key_cache, value_cache, slot_mapping, kv_cache_dtype, k_scale, v_scale):
    """Writes key and value, [tokens, heads, head_size], to key_cache and value_cache, [blocks, block_size, heads,
    head_size] of any strides (NHD, HND as a permuted view), where slot_mapping says: int64 or
    int32 [up to tokens]; a negative one is none, as is one beyond the cache, where vLLM writes all the same. Returns None.

    kv_cache_dtype: "auto": caches of key's dtype; k_scale and v_scale are then not used, there or here. Others, fp8 among
    them, are refused."""
    try:
        _check_cache_dtype(kv_cache_dtype, key, key_cache, value_cache)
        arguments = {"k_cache": key_cache, "v_cache": value_cache, "slots": slot_mapping}
        _prologues.APPEND(key, key, value, **arguments)
    except ERRORS as error:
        raise _explained(error, key, value, key_cache, value_cache, slot_mapping) from None


def reshape_and_cache(key, value, key_cache, value_cache, slot_mapping, kv_cache_dtype, k_scale, v_scale):
    """The same with caches whose lanes are split and turned: key_cache [blocks, heads, head_size / x, block_size, x], x
    lanes of 16 bytes, and value_cache [blocks, heads, head_size, block_size], which is written lane by lane."""
    try:
        _check_cache_dtype(kv_cache_dtype, key, key_cache, value_cache)
        turned = _turned(value_cache)
        _prologues.APPEND(key, key, value, k_cache=_split(key_cache), v_cache=turned, slots=slot_mapping)
    except ERRORS as error:
        raise _explained(error, key, value, key_cache, value_cache, slot_mapping, True) from None


def rotary_embedding_and_cache_flash(
    positions, query, key, value, head_size, cos_sin_cache, is_neox, key_cache, value_cache, slot_mapping,
    kv_cache_dtype="auto", k_scale=None, v_scale=None, write_key=True,
):
    """rotary_embedding and then reshape_and_cache_flash, in one launch: query and key are rotated in place, and what key
    then is and value go to the caches. The arguments are those of both, whose names and order these are. Returns None.

    Tokens beyond slot_mapping, or without a slot, are rotated all the same. write_key=False leaves key as it was, for an
    attention that reads keys of the cache alone, and saves a write."""
    caches = key_cache, value_cache, slot_mapping, kv_cache_dtype
    _rotated(positions, query, key, value, head_size, cos_sin_cache, is_neox, *caches, write_key, False)


def fused_rotary_embedding_and_reshape_cache(
    positions, query, key, value, key_cache, value_cache, kv_cache_dtype, cos_sin_cache, slot_mapping, head_size, k_scale,
    v_scale, is_neox,
):
    """rotary_embedding and then reshape_and_cache, in one launch, with the arguments that AMD's vLLM has in this order. query
    and key are rotated in place, too. Returns None."""
    caches = key_cache, value_cache, slot_mapping, kv_cache_dtype
    _rotated(positions, query, key, value, head_size, cos_sin_cache, is_neox, *caches, True, True)


def _rotated(
    positions, query, key, value, head_size, cos_sin_cache, is_neox, key_cache, value_cache, slot_mapping, kv_cache_dtype,
    write_key, is_split,
):
    try:
        _check_cache_dtype(kv_cache_dtype, key, key_cache, value_cache)
        query_memory, key_memory = _heads.written(query), _heads.written(key) if write_key else key.detach()
        ids, q, k, v = _prologues.in_one_list(positions, query_memory, key_memory, value, head_size=head_size)
        k_cache, v_cache = (_split(key_cache), _turned(value_cache)) if is_split else (key_cache, value_cache)
        _prologues.by_cache(bool(is_neox))(
            q, k, v, ids, cos=cos_sin_cache, k_cache=k_cache, v_cache=v_cache, slots=slot_mapping,
            k_out=k if write_key else None,
        )
    except ERRORS as error:
        wrong = _heads.explained(
            error, positions, query, key, head_size, cos_sin_cache, 2 if _are_batched(positions) else 1,
            is_neox=is_neox, write_key=write_key,
        )
        raise _explained(wrong, key, value, key_cache, value_cache, slot_mapping, is_split) from None


def _split(key_cache):
    if key_cache.dim() != 5:
        raise ValueError(f"key_cache: found shape {tuple(key_cache.shape)}, allowed: {_SPLIT}")
    return key_cache


def _turned(value_cache):
    """[blocks, block_size, heads, head_size] of [blocks, heads, head_size, block_size]."""
    if value_cache.dim() != 4:
        raise ValueError(f"value_cache: found shape {tuple(value_cache.shape)}, allowed: {_TURNED}")
    return value_cache.permute(0, 3, 1, 2)


def _are_batched(positions):
    return isinstance(positions, torch.Tensor) and positions.dim() == 2


def _check_cache_dtype(kv_cache_dtype, key, key_cache, value_cache):
    if kv_cache_dtype != "auto":
        found = f"{kv_cache_dtype!r}" if isinstance(kv_cache_dtype, str) else type(kv_cache_dtype).__name__
        raise ValueError(f"kv_cache_dtype: found {found}, allowed: 'auto', whose caches have key's dtype")
    for name, cache in (("key_cache", key_cache), ("value_cache", value_cache)):
        if cache.dtype is not key.dtype:
            raise ValueError(f"{name}: found {cache.dtype}, allowed: {key.dtype}, which key has, with kv_cache_dtype 'auto'")


def _explained(error, key, value, key_cache, value_cache, slot_mapping, is_split=False):
    tensors = {"key": key, "value": value, "key_cache": key_cache, "value_cache": value_cache, "slot_mapping": slot_mapping}
    wrong = no_tensor(**tensors)
    if not is_split:
        wrong = wrong or not_shaped(4, _FLASH, key_cache=key_cache, value_cache=value_cache)
    names = {"q": "key", "k": "key", "v": "value", "k_cache": "key_cache", "v_cache": "value_cache", "slots": "slot_mapping"}
    return wrong or renamed(error, **names)
