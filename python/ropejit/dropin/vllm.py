"""vLLM: rotary_embedding, as in vllm._custom_ops.

Arithmetic is fp32, with one rounding to query's dtype, whatever dtype the cache has, as in vLLM's kernel. (Products and
sums are fused here, and mostly there: bits differ now and then.) What is otherwise: positions may be int32 too; a token
whose position has no row in the cache comes out NaN, where vLLM reads beyond it; there are gradients, but of leaves:
they are overwritten, and nothing is recorded, as by vLLM.
"""

from ropejit._rotation import Rotation, made_once
from ropejit.dropin import _heads
from ropejit.dropin._arguments import ERRORS, no_number

_FLAT = tuple(Rotation(*_heads.by_cache("shd", is_neox)) for is_neox in (False, True))
_BATCHED = tuple(Rotation(*_heads.by_cache("bshd", is_neox)) for is_neox in (False, True))


@made_once
def _unusual(dims, is_neox, first_lane, inverse):
    if type(first_lane) is not int or first_lane < 0:
        raise ValueError(f"rope_dim_offset: found {first_lane!r}, allowed: 0 or more")
    return _heads.by_cache(dims, is_neox, first_lane, "adjoint" if inverse else "forward")


def rotary_embedding(positions, query, key, head_size, cos_sin_cache, is_neox, rope_dim_offset=0, inverse=False):
    """Rotates query and key, which may be None, in place, and returns None. positions: int32 or int64 [tokens] or
    [batch, tokens]; query, key: [tokens, heads * head_size] or [tokens, heads, head_size], with a batch in front where
    positions have one; cos_sin_cache: [rows, rotary_dim], cosines and then sines. The lanes from rope_dim_offset on
    rotate, rotary_dim of them; inverse: the other way round."""
    batched = False
    try:
        batched = positions.dim() == 2
        split, ropes = (_heads.with_heads_and_batch, _BATCHED) if batched else (_heads.with_heads, _FLAT)
        if rope_dim_offset == 0 and not inverse:
            rope = ropes[1 if is_neox else 0]
        else:
            rope = _unusual("bshd" if batched else "shd", bool(is_neox), rope_dim_offset, bool(inverse))
        query_memory, key_memory = _heads.written(query), _heads.written(key)
        q, k = split(query_memory, head_size), None if key is None else split(key_memory, head_size)
        rope.in_place(q, k, positions, cos_sin_cache)
    except ERRORS as error:
        error = no_number(int, rope_dim_offset=rope_dim_offset) or error
        flags = {"key_may_be_none": True, "is_neox": is_neox, "inverse": inverse}
        raise _heads.explained(error, positions, query, key, head_size, cos_sin_cache, 1 + batched, **flags) from None
