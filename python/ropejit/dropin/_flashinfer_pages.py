"""FlashInfer's append_paged_kv_cache, and the same behind the rotation, by the page table that FlashInfer keeps."""

import torch

from ropejit._page_table import PageTable
from ropejit.dropin import _prologues
from ropejit.dropin._arguments import ERRORS, no_flag, no_tensor, not_shaped, renamed

_LAYOUTS = ("NHD", "HND")
_NAMES = {
    "slots.pages": "kv_indices", "slots.first_entries": "kv_indptr", "slots.token_requests": "batch_indices",
    "slots.token_places": "positions", "k_cache": "paged_kv_cache", "v_cache": "paged_kv_cache", "cos": "cos_sin_cache",
}


def append_paged_kv_cache(
    append_key, append_value, batch_indices, positions, paged_kv_cache, kv_indices, kv_indptr, kv_last_page_len,
    kv_layout="NHD",
):
    """Writes append_key and append_value, [tokens, heads, head_dim] of any strides, to the places of the cache that the
    page table has for them. Returns None.

    batch_indices, positions: [tokens], the request of each token and its place there. kv_indices: the pages of all requests,
    one request's after another's; kv_indptr: [requests + 1], where each one's begin. int32; int64 ones are converted, which
    costs a kernel each. paged_kv_cache: a tuple of k's and v's, [pages, page_size, heads, head_dim] (HND: heads before
    page_size), or one tensor of [pages, 2, ...], of any strides, of append_key's dtype: fp8 is refused.

    A token of a negative request, or of a place beyond the pages of its request, is not written, where FlashInfer reads what
    lies beside the table. kv_last_page_len is not used, there or here."""
    try:
        k_cache, v_cache = _caches(paged_kv_cache, kv_layout, append_key)
        table = PageTable(_narrow(kv_indices), _narrow(kv_indptr), None, _narrow(batch_indices), positions)
        _prologues.APPEND(append_key, append_key, append_value, k_cache=k_cache, v_cache=v_cache, slots=table)
    except ERRORS as error:
        tensors = {"append_key": append_key, "append_value": append_value}
        wrong = _wrong(tensors, paged_kv_cache, kv_layout, kv_indices, kv_indptr, batch_indices, positions)
        raise wrong or renamed(error, **{**_NAMES, "q": "append_key", "k": "append_key", "v": "append_value"}) from None


def rope_append_paged_kv_cache(
    q, k, v, cos_sin_cache, pos_ids, paged_kv_cache, kv_indices, kv_indptr, batch_indices, positions, is_neox=True,
    kv_layout="NHD", q_out=None,
):
    """Rotates q and k by pos_ids, and appends k and v as append_paged_kv_cache does, in one launch: the form without fp8 of
    FlashInfer's rope_quantize_fp8_append_paged_kv_cache, which has none. Returns q_out, which is new where it is None.

    q, k, v: [tokens, heads, head_dim], of any strides; k and v stay as they are. cos_sin_cache: fp32 [rows, rotary_dim],
    cosines and then sines, for the first rotary_dim lanes; pos_ids: int32 or int64 [tokens]. What rotates need not be where
    a token stands in its request: positions says that. q is made for all tokens, also those that are not appended."""
    try:
        if cos_sin_cache.dtype is not torch.float32:
            raise ValueError(f"cos_sin_cache: found {cos_sin_cache.dtype}, allowed: torch.float32")
        k_cache, v_cache = _caches(paged_kv_cache, kv_layout, k)
        table = PageTable(_narrow(kv_indices), _narrow(kv_indptr), None, _narrow(batch_indices), positions)
        if q_out is None:
            q_out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
        _prologues.by_cache(bool(is_neox))(
            q, k, v, pos_ids, cos=cos_sin_cache, k_cache=k_cache, v_cache=v_cache, slots=table, out=q_out
        )
        return q_out
    except ERRORS as error:
        tensors = {"q": q, "k": k, "v": v, "cos_sin_cache": cos_sin_cache, "pos_ids": pos_ids}
        if q_out is not None:
            tensors["q_out"] = q_out
        wrong = _wrong(tensors, paged_kv_cache, kv_layout, kv_indices, kv_indptr, batch_indices, positions)
        wrong = wrong or no_flag(is_neox=is_neox) or not_shaped(3, "[tokens, heads, head_dim]", q=q, k=k, v=v)
        names = {**_NAMES, "positions": "pos_ids", "out": "q_out", "rotary_dim": "cos_sin_cache"}
        raise wrong or renamed(error, **names) from None


def _narrow(numbers):
    return numbers.int() if numbers.dtype is torch.int64 else numbers


def _caches(paged_kv_cache, kv_layout, key):
    """k's and v's, [pages, page_size, heads, head_dim] each."""
    if kv_layout not in _LAYOUTS:
        raise ValueError(f"kv_layout: found {kv_layout!r}, allowed: NHD or HND")
    if isinstance(paged_kv_cache, torch.Tensor):
        if paged_kv_cache.dim() != 5 or paged_kv_cache.size(1) != 2:
            found = f"shape {tuple(paged_kv_cache.shape)}"
            raise ValueError(f"paged_kv_cache: found {found}, allowed: [pages, 2, ...] of 5 dimensions, or two tensors")
        paged_kv_cache = paged_kv_cache.unbind(1)
    k_cache, v_cache = paged_kv_cache
    for cache in (k_cache, v_cache):
        if cache.dtype is not key.dtype:
            raise ValueError(f"paged_kv_cache: found {cache.dtype}, allowed: {key.dtype}, which the keys have")
        if cache.dim() != 4:
            raise ValueError(f"paged_kv_cache: found shape {tuple(cache.shape)}, allowed: 4 dimensions each, or one of 5")
    return (k_cache, v_cache) if kv_layout == "NHD" else (k_cache.transpose(1, 2), v_cache.transpose(1, 2))


def _wrong(tensors, paged_kv_cache, kv_layout, kv_indices, kv_indptr, batch_indices, positions):
    lists = {"kv_indices": kv_indices, "kv_indptr": kv_indptr, "batch_indices": batch_indices, "positions": positions}
    wrong = no_tensor(**tensors, **lists)
    if wrong is None and not isinstance(paged_kv_cache, torch.Tensor):
        if not isinstance(paged_kv_cache, (tuple, list)) or len(paged_kv_cache) != 2:
            return TypeError(f"paged_kv_cache: found {type(paged_kv_cache).__name__}, allowed: a tensor, or a tuple of two")
        k_cache, v_cache = paged_kv_cache
        wrong = no_tensor(paged_kv_cache=k_cache) or no_tensor(paged_kv_cache=v_cache)
    return wrong
