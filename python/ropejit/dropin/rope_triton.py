"""rope-triton-kernel: rope_triton, which computes angles from theta."""

import functools

import torch

from ropejit._rotation import Rotation
from ropejit.dropin._arguments import ERRORS, no_tensor, not_shaped


@functools.lru_cache(maxsize=256)
def _rotation(theta, head_dim, device):
    # There is nothing to rotate on meta, nor anything to read.
    device = torch.device("cpu") if device.type == "meta" else device
    # Powers as that device's torch has them, which the original's tests compare with: an exact frequency differs by an
    # ulp or two, and at a thousand tokens that is more than they allow.
    powers = torch.arange(0, head_dim, 2, device=device).float() / head_dim
    scaling = {"rope_type": "inv_freq", "inv_freq": (1.0 / theta**powers).tolist()}
    spec = {"layout": "interleaved", "rope_scaling": scaling, "angle": "fp32", "rounding": "p3"}
    return Rotation(spec, {"positions": "start"})


def rope_triton(q, k, seq_len, theta=10000.0):
    """q, k: [batch, tokens, heads, head_dim], rotated from position 0 on, in new tensors. Angles are rounded to fp32,
    as the original's are. seq_len is not used, there or here. With gradients, which the original has not. The first
    call with a theta, head_dim and device waits for the device."""
    try:
        rope = _rotation(float(theta), q.shape[-1], q.device)
    except ERRORS as error:
        raise no_tensor(q=q) or (not_shaped(4, "4 dimensions", q=q) if q.dim() == 0 else error) from None
    return rope(q, k)
