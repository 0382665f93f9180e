"""What vLLM's and FlashInfer's functions share: heads that lie flat in the last dimension, one table of cosines and
sines."""

from ropejit.dropin._arguments import no_flag, no_tensor, renamed


def by_cache(dims, is_neox, first_lane=0, direction="forward"):
    """The spec, form and dims of a Rotation by rows of [cosines, sines] at ids."""
    spec = {"layout": "split_half" if is_neox else "interleaved", "direction": direction}
    if first_lane != 0:
        spec["q"] = spec["k"] = {"first_lane": first_lane}
    return spec, {"positions": "ids", "angles": "cos_sin"}, dims


def with_heads(tensor, head_size):
    """A view [tokens, heads, head_size] of [tokens, heads * head_size], or of itself."""
    if tensor.dim() == 3 and tensor.size(2) == head_size:
        return tensor
    return tensor.view(tensor.size(0), tensor.size(1) // head_size, head_size)


def with_heads_and_batch(tensor, head_size):
    """The same with a batch in front of both."""
    if tensor.dim() == 4 and tensor.size(3) == head_size:
        return tensor
    return tensor.view(tensor.size(0), tensor.size(1), tensor.size(2) // head_size, head_size)


def written(tensor):
    """What to rotate in place, where the original's kernel knows nothing of gradients: a leaf that requires grad is
    overwritten, and nothing of it is recorded."""
    if tensor is not None and tensor.requires_grad and tensor.is_leaf:
        return tensor.detach()
    return tensor


def explained(error, positions, query, key, head_size, cos_sin_cache, front, key_may_be_none=False, **flags):
    """What to raise where rotating these met `error`; front: how many dimensions are before the heads."""
    tensors = {"positions": positions, "query": query, "key": key, "cos_sin_cache": cos_sin_cache}
    if key is None and key_may_be_none:
        tensors.pop("key")
    wrong = no_tensor(**tensors) or no_flag(**flags)
    if wrong is not None:
        return wrong
    if type(head_size) is not int or head_size <= 0:
        return (ValueError if type(head_size) is int else TypeError)(
            f"head_size: found {head_size!r}, allowed: an int from 2 on"
        )
    for name in ("query", "key"):
        if name in tensors:
            shape = tuple(tensors[name].shape)
            flat, deep = len(shape) == front + 1, len(shape) == front + 2
            if not (flat and shape[-1] % head_size == 0 or deep and shape[-1] == head_size):
                allowed = f"{front} dimensions, and then heads * {head_size} or heads and {head_size} lanes"
                return ValueError(f"{name}: found shape {shape}, allowed: {allowed}")
    names = {"q.first_lane": "rope_dim_offset", "rotary_dim": "cos_sin_cache"}
    return renamed(error, q="query", k="key", cos="cos_sin_cache", **names)
