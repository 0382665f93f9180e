"""transformers' caches, as far as a prologue may write to them itself.

Each `append_to_...` is given a cache that it knows and what the layer's prologue is to do, and gives the k and v that
attention is to look at, as the cache's own update would have: [batch, heads, tokens, head_dim]."""

import functools
import importlib
from typing import NamedTuple, Optional

import torch

from ropejit.dropin.hf import _known

_is_compiling = torch.compiler.is_compiling

_BATCHING = "transformers.generation.continuous_batching"
# Where transformers has the types that are known: (module, name).
PLACES = {
    "static_layer": ("transformers.cache_utils", "StaticLayer"),
    "cache": ("transformers.cache_utils", "Cache"),
    "static_cache": ("transformers.cache_utils", "StaticCache"),
    "paged": (f"{_BATCHING}.cache", "PagedAttentionCache"),
    "paged_full": (f"{_BATCHING}.cache_allocators.full_attention", "FullAttentionCacheAllocator"),
}


class Known(NamedTuple):
    """The types of caches whose code is known; None for those that this version of transformers does not have, or has
    otherwise."""

    static_layer: Optional[type]
    cache: Optional[type]
    static_cache: Optional[type]
    paged: Optional[type]
    paged_full: Optional[type]


@functools.lru_cache(maxsize=None)
def known():
    found = {}
    for name, (module, kind) in PLACES.items():
        try:
            found_type = getattr(importlib.import_module(module), kind)
        except (ImportError, AttributeError):
            found_type = None
        if found_type is not None and _known.why_unknown(f"{module}.{kind}.update", found_type.update) is not None:
            found_type = None
        found[name] = found_type
    return Known(**found)


# --- static caches ----------------------------------------------------------------------------------------------------


def static_layer_of(known, cache, index):
    """The layer of a static cache that a prologue may write to, or None."""
    if (type(cache) is not known.cache and type(cache) is not known.static_cache) or cache.offloading:
        return None
    if cache.layer_class_to_replicate is not None or index >= len(cache.layers):
        return None
    layer = cache.layers[index]
    return layer if type(layer) is known.static_layer else None


@functools.lru_cache(maxsize=64)
def _places(batch, tokens, device):
    """For each token of each sequence, place * batch + sequence of a cache whose pages are a token's places in all
    sequences: a place beyond the cache is then a slot beyond it, and never another sequence's."""
    places = torch.arange(tokens, device=device)[None, :] * batch + torch.arange(batch, device=device)[:, None]
    return places.reshape(-1)


def append_to_static(layer, launch, q, k, v, batch, tokens):
    """Writes k and v behind what a static layer has. launch(q, k, v, **where): the prologue."""
    heads, lanes = k.shape[-2], k.shape[-1]
    if not layer.is_initialized:
        layer.lazy_initialization(*(x.view(batch, tokens, heads, -1).transpose(1, 2) for x in (k, v)))
    filled = layer.cumulative_length
    if batch == 1 and tokens == 1:
        slots = filled.view(1)
    else:
        places = _places.__wrapped__ if _is_compiling() else _places
        slots = torch.add(places(batch, tokens, k.device), filled, alpha=batch)
    # [places, sequences, heads, lanes]: see _places.
    launch(q, k, v, k_cache=layer.keys.permute(2, 0, 1, 3), v_cache=layer.values.permute(2, 0, 1, 3), slots=slots)
    filled.add_(tokens)  # behind the launch, which may read it as a slot
    return layer.keys, layer.values


def takes(layer, k, v, batch):
    """Whether the layer's memory is as k and v want it; what it will be where it has none yet."""
    if not layer.is_initialized:
        return k.dtype == v.dtype
    return layer.keys.dtype == k.dtype and layer.values.dtype == v.dtype and layer.keys.shape[0] == batch


# --- the paged cache of continuous batching -----------------------------------------------------------------------------


class Appended:
    """In place of a paged cache, for an attention function that would update it: k and v are there already."""

    def __init__(self, cache, k_rows, v_rows):
        self.cache, self.k_rows, self.v_rows = cache, k_rows, v_rows

    def __getattr__(self, name):
        return getattr(self.cache, name)

    def update(self, key_states, value_states, layer_idx, read_index, write_index):
        group, _ = self.cache.layer_index_to_group_indices[layer_idx]
        read = read_index[group]
        if read.numel() == 0:
            return key_states.transpose(1, 2).squeeze(0), value_states.transpose(1, 2).squeeze(0)
        return self.k_rows.index_select(0, read), self.v_rows.index_select(0, read)


def paged_rows_of(known, cache, index, kwargs, is_updated_before):
    """(k's rows, v's, the write index, the read index) of a paged cache's full-attention layer that is written by index,
    as a prologue may do it; else None. Rows are [places, heads, head_dim]. is_updated_before: whether the model updates it
    (transformers 5.24), and not the attention function."""
    if _is_compiling():
        return None  # k's and v's rows are views of one tensor, which compilers copy in full where both are written
    if type(cache) is not known.paged or kwargs.get("block_table") is not None:
        return None
    if kwargs.get("write_index") is None or kwargs.get("read_index") is None:
        return None
    if hasattr(cache, "layer_to_allocator") != is_updated_before:
        return None  # 5.19 to 5.23: attention functions know it by its type, so that nothing can stand in for it
    if is_updated_before:
        allocator = cache.layer_to_allocator[index]
        if type(allocator) is not known.paged_full:
            return None
        rows, group = allocator._kv_token_views[index], allocator.index
    else:
        if cache.sliding_windows[index] != 1:
            return None
        group, number = cache.layer_index_to_group_indices[index]
        rows = cache.key_cache[number], cache.value_cache[number]
    return (*rows, kwargs["write_index"][group], kwargs["read_index"][group])


def append_to_paged(cache, found, index, launch, rows, kwargs, cache_name):
    """Writes k and v of the step's tokens to a paged cache. k, v and the attention function's further arguments."""
    k_rows, v_rows, write, read = found
    q, k, v = rows
    # Where nothing is read back, attention looks at the step's own tokens.
    is_alone = read.numel() == 0
    launch(
        q, k, v, k_cache=k_rows.unsqueeze(1), v_cache=v_rows.unsqueeze(1), slots=write, k_out=k if is_alone else None
    )
    keys, values = (x.transpose(0, 1).unsqueeze(0) for x in (k, v))
    if cache_name != "cache":
        return keys, values, {**kwargs, "cache": Appended(cache, k_rows, v_rows)}
    # As its update does.
    layer_type = cache.layer_to_allocator[index].layer_type
    kwargs["cu_seq_lens_k"] = kwargs["cu_seq_lens_k"][layer_type].to(torch.int32)
    kwargs["max_length_k"] = kwargs["max_length_k"][layer_type]
    if not is_alone:
        keys, values = (x.index_select(0, read).transpose(0, 1).unsqueeze(0) for x in (k_rows, v_rows))
    return keys, values, kwargs
