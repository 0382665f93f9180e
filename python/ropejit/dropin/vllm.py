"""vLLM: rotary_embedding, fused_qk_norm_rope, reshape_and_cache and reshape_and_cache_flash, as in vllm._custom_ops and
torch.ops._C, and the rotation with either of the last two in one.

Arithmetic is fp32, with one rounding to query's dtype, whatever dtype the cache has, as in vLLM's kernel. (Products and
sums are fused here, and mostly there: bits differ now and then.) What is otherwise: positions may be int32 too; a token
whose position has no row in the cache comes out NaN, where vLLM reads beyond it; rotary_embedding has gradients, but of
leaves: they are overwritten, and nothing is recorded, as by vLLM. The others have none, as theirs.
"""

from ropejit._rotation import Rotation, made_once
from ropejit.dropin import _heads, _packed_norms, _prologues
from ropejit.dropin._arguments import ERRORS, no_number, no_tensor
from ropejit.dropin._vllm_cache import (  # noqa: F401  they are vLLM's, too
    fused_rotary_embedding_and_reshape_cache, reshape_and_cache, reshape_and_cache_flash, rotary_embedding_and_cache_flash,
)

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


def fused_qk_norm_rope(
    qkv, num_heads_q, num_heads_k, num_heads_v, head_dim, eps, q_weight, k_weight, cos_sin_cache, is_neox, position_ids
):
    """Norms the heads of q and k by the root of their mean square and rotates them, in place, and returns None. qkv:
    [tokens, (num_heads_q + num_heads_k + num_heads_v) * head_dim], of any stride between tokens; q_weight, k_weight:
    [head_dim]; cos_sin_cache: [rows, rotary_dim], cosines and then sines, of any floating dtype; position_ids: int64 or
    int32 [tokens]. eps: 1e-20 to 1, used as fp32.

    fp32 from load to store with one rounding, as there. Any even head_dim up to 1,024, where vLLM has 64, 128 and 256."""
    counts = num_heads_q, num_heads_k, num_heads_v
    try:
        of = _prologues.by_cache(bool(is_neox), 1.0 * eps, 1.0 * eps)
        _packed_norms.over(of, qkv, counts, head_dim, q_weight, k_weight, position_ids, cos_sin_cache)
    except ERRORS as error:
        wrong = no_tensor(qkv=qkv, cos_sin_cache=cos_sin_cache)
        raise wrong or _packed_norms.explained(
            error, qkv, counts, head_dim, eps, q_weight, k_weight, position_ids, is_neox=is_neox
        ) from None
