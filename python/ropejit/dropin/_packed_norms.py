"""What vLLM's and SGLang's fused_qk_norm_rope share: norms of the heads of q and k and the rotation, over the rows that a
projection leaves."""

from ropejit.dropin import _heads
from ropejit.dropin._arguments import no_flag, no_number, no_tensor, not_shaped, renamed

_COUNTS = ("num_heads_q", "num_heads_k", "num_heads_v")


def over(of, qkv, counts, head_dim, q_weight, k_weight, positions, cos_sin_cache=None):
    """qkv: [tokens, lanes of the heads of q, k and v], of which those of q and k are written over; of: a Prologue."""
    lanes = sum(counts) * head_dim
    if qkv.dim() != 2 or qkv.size(1) != lanes:
        raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: [tokens, {lanes}], the lanes of all heads")
    heads = _heads.with_heads(_heads.written(qkv), head_dim)
    q, k = heads[:, : counts[0]], heads[:, counts[0] : counts[0] + counts[1]]
    of(q, k, None, positions, q_weight=q_weight.detach(), k_weight=k_weight.detach(), cos=cos_sin_cache)


def explained(error, qkv, counts, head_dim, eps, q_weight, k_weight, position_ids, **flags):
    """What to raise where it met `error`."""
    tensors = {"qkv": qkv, "q_weight": q_weight, "k_weight": k_weight, "position_ids": position_ids}
    numbers = {**dict(zip(_COUNTS, counts)), "head_dim": head_dim}
    wrong = no_tensor(**tensors) or no_number(int, **numbers) or no_number(float, eps=eps) or no_flag(**flags)
    if wrong is None:
        for name, number in numbers.items():
            least = 0 if name == "num_heads_v" else 1
            if number < least:
                return ValueError(f"{name}: found {number}, allowed: {least} or more")
    wrong = wrong or not_shaped(2, "[tokens, lanes of all heads]", qkv=qkv)
    names = {"q": "qkv", "k": "qkv", "cos": "cos_sin_cache", "positions": "position_ids", "rotary_dim": "cos_sin_cache"}
    return wrong or renamed(error, **{**names, "q.norm.eps": "eps", "k.norm.eps": "eps"})


def yarn_frequencies(base, lanes, factor, low, high):
    """The frequencies of an axis of so many lanes: its own up to pair `low`, those divided by factor from pair `high` on."""
    if abs(low - high) <= 1e-6:
        high += 0.001
    found = []
    for pair in range(lanes // 2):
        frequency = base ** (-2.0 * pair / lanes)
        ramp = min(max((pair - low) / (high - low), 0.0), 1.0)
        found.append(frequency / factor * ramp + frequency * (1.0 - ramp))
    return found
