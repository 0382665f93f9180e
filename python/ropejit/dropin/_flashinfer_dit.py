"""FlashInfer's fused_qk_rmsnorm_rope, of video generation: norms over the token, positions of three axes."""

import operator

import torch

from ropejit.dropin import _prologues
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, renamed
from ropejit.dropin._kept import kept
from ropejit.dropin._packed_norms import yarn_frequencies

_SIZES = ("ppf", "pph", "ppw")
_CHANNELS = ("num_frame_channels", "num_height_channels", "num_width_channels")
_HEADS = ("num_heads_q", "num_heads_k", "num_heads_v")


def fused_qk_rmsnorm_rope(
    qkv, q_weight, k_weight, *, ppf, pph, ppw, num_frame_channels, num_height_channels, num_width_channels, num_heads_q,
    num_heads_k, num_heads_v, head_dim, eps=1e-6, base=10000.0, interleave=True, factor=1.0, low=0.0, high=0.0,
    attention_factor=1.0, is_qk_norm=True, output_fp8=False, output_quant_scale=1.0, v_quant_scale=1.0, q_out=None, k_out=None,
    v_out=None,
):
    """q and k divided by the root of the mean square of all of a token's lanes, times their weights, rotated by where the
    token stands among ppf frames of pph by ppw; and v, copied. Returns (q_out, k_out, v_out), each [batch, tokens, heads,
    head_dim] where qkv is [batch, tokens, lanes], and [tokens, heads, head_dim] where it is [tokens, lanes].

    qkv: the heads of q, k and v side by side; tokens are those of whole videos, ppf * pph * ppw each. q_weight, k_weight:
    [heads * head_dim]. The num_..._channels are the lanes of each head that turn by a token's frame, row and column, even
    numbers that add up to head_dim. eps: 1e-20 to 1.
    factor, low, high, attention_factor: YaRN's, where factor is not 1. q_out, k_out, v_out: gapless, of qkv's dtype; None:
    new ones. output_fp8 is refused, and so the two scales have nothing to scale.

    A norm is rounded to qkv's dtype once its weight is in, as there, and what is rotated once more. Angles are exact,
    where FlashInfer takes fast sines. bf16 there; fp16 and fp32 as well here, any even head_dim, up to 256 heads. No
    gradients."""
    try:
        if output_fp8:
            raise ValueError(f"output_fp8: found {output_fp8!r}, allowed: False")
        if factor == 1 and attention_factor != 1:
            raise ValueError(f"attention_factor: found {attention_factor}, allowed: 1, where factor is 1")
        ppf, pph, ppw = operator.index(ppf), operator.index(pph), operator.index(ppw)
        counts = num_heads_q, num_heads_k, num_heads_v
        tokens = _tokens_of(qkv, sum(counts) * head_dim, ppf * pph * ppw)
        channels = num_frame_channels, num_height_channels, num_width_channels
        yarn = (1.0 * factor, 1.0 * low, 1.0 * high, 1.0 * attention_factor) if factor != 1.0 else ()
        of = _dit(bool(interleave), 1.0 * base, 1.0 * eps if is_qk_norm else None, head_dim, *channels, *yarn)
        heads = qkv.view(tokens, sum(counts), head_dim)
        parts = heads.split(counts, dim=1)
        written = [
            torch.empty(*qkv.shape[:-1], count, head_dim, dtype=qkv.dtype, device=qkv.device) if out is None else out
            for out, count in zip((q_out, k_out, v_out), counts)
        ]
        flat = [_flat(name, out, qkv, count, head_dim) for name, out, count in zip(("q", "k", "v"), written, counts)]
        weights = {}
        if is_qk_norm:
            weights = {"q_weight": q_weight.detach(), "k_weight": k_weight.detach()}
        positions = _positions_of(tokens, ppf, pph, ppw, qkv.device)
        of(*parts, positions, out=flat[0], k_out=flat[1], v_out=flat[2], **weights)
        return tuple(written)
    except ERRORS as error:
        numbers = dict(zip(_SIZES + _CHANNELS + _HEADS, (
            ppf, pph, ppw, num_frame_channels, num_height_channels, num_width_channels, num_heads_q, num_heads_k, num_heads_v
        )))
        reals = {"eps": eps, "base": base, "factor": factor, "low": low, "high": high, "attention_factor": attention_factor}
        flags = {"interleave": interleave, "is_qk_norm": is_qk_norm}
        outputs = {"q_out": q_out, "k_out": k_out, "v_out": v_out}
        tensors = {"qkv": qkv, "q_weight": q_weight, "k_weight": k_weight}
        tensors |= {name: out for name, out in outputs.items() if out is not None}
        wrong = no_tensor(**tensors) or no_number(int, **numbers, head_dim=head_dim) or no_number(float, **reals)
        wrong = wrong or no_flag(**flags, output_fp8=output_fp8) or _wrong_sizes(numbers, head_dim, factor)
        names = {"q": "qkv", "k": "qkv", "v": "qkv", "out": "q_out", "rope_theta": "base"}
        raise wrong or renamed(error, **names, **{"q.norm.eps": "eps", "k.norm.eps": "eps"}) from None


@_prologues.made_once
def _dit(interleave, base, eps, head_dim, frame, height, width, *yarn):
    operand = {"head_dim": head_dim}
    if eps is not None:
        operand["norm"] = {"span": "token", "weight": "heads", "eps": eps}
    spec = {
        "layout": "interleaved" if interleave else "split_half", "rope_theta": base, "round_after": ["weight"] if eps else [],
        "axes": {"sections": [frame // 2, height // 2, width // 2], "frequencies": "restarted"},
        "q": operand, "k": operand, "v": {"head_dim": head_dim},
    }
    if yarn:
        *ramp, attention_factor = yarn
        inv_freq = [w for lanes in (frame, height, width) for w in yarn_frequencies(base, lanes, *ramp)]
        spec["axes"]["frequencies"] = "shared"
        spec["rope_scaling"] = {"rope_type": "inv_freq", "inv_freq": inv_freq, "attention_factor": attention_factor}
    return spec, {"positions": "ids"}


@kept
def _positions_of(tokens, ppf, pph, ppw, device):
    """Frame, row and column of each token: int32 [3, tokens]."""
    numbers = torch.arange(tokens, dtype=torch.int32, device=device)
    return torch.stack((numbers // (pph * ppw) % ppf, numbers // ppw % pph, numbers % ppw))


def _tokens_of(qkv, lanes, video):
    if qkv.dim() not in (2, 3) or qkv.size(-1) != lanes:
        allowed = f"[tokens, {lanes}] or [batch, tokens, {lanes}], the lanes of all heads"
        raise ValueError(f"qkv: found shape {tuple(qkv.shape)}, allowed: {allowed}")
    if qkv.size(-2) != video if qkv.dim() == 3 else qkv.size(0) % video != 0:
        allowed = f"{video} tokens, which are ppf * pph * ppw" + (", or a multiple of them" if qkv.dim() == 2 else "")
        raise ValueError(f"qkv: found {qkv.size(-2)} tokens, allowed: {allowed}")
    return qkv.size(0) if qkv.dim() == 2 else qkv.size(0) * qkv.size(1)


def _flat(name, out, qkv, count, head_dim):
    """[tokens, heads, head_dim] of what is written."""
    shape = (*qkv.shape[:-1], count, head_dim)
    if out.shape != shape:
        raise ValueError(f"{name}_out: found shape {tuple(out.shape)}, allowed: {tuple(shape)}")
    if out.dtype is not qkv.dtype:
        raise ValueError(f"{name}_out: found {out.dtype}, allowed: {qkv.dtype}, which qkv has")
    if not out.is_contiguous():
        raise ValueError(f"{name}_out: found a tensor with gaps, allowed: one without")
    return out.view(-1, count, head_dim)


def _wrong_sizes(numbers, head_dim, factor):
    for name, number in numbers.items():
        least = 0 if name in _CHANNELS else 1
        if number < least or (name in _CHANNELS and number % 2 != 0):
            allowed = "an even number" if name in _CHANNELS else f"{least} or more"
            return ValueError(f"{name}: found {number}, allowed: {allowed}")
    channels = sum(numbers[name] for name in _CHANNELS)
    if channels != head_dim:
        return ValueError(f"head_dim: found {head_dim}, allowed: {channels}, to which the channels of the axes add up")
    if factor <= 0:
        return ValueError(f"factor: found {factor}, allowed: a number above 0")
    return None
