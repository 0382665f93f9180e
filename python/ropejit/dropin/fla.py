"""flash-linear-attention: rotary_embedding and RotaryEmbedding of fla.modules.rotary.

As there, arithmetic is fp32, with one rounding to x's dtype, and of a token before the first row of cos (negative
seqlen_offsets: padding on the left) the lanes that rotate come out 0, or in place as they were. What is otherwise: gradients
are new tensors; with offsets or cu_seqlens on the device a token beyond the last row of cos comes out NaN, where fla gives 0;
cos and sin may be of another dtype than x; any head_dim; RotaryEmbedding turns q and k in one launch.
"""

import torch

from ropejit._rotation import Rotation
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed
from ropejit.dropin._over_leaf import WRITERS, OverLeaf, is_trained_leaf


def _rotations(positions, padding):
    """By direction, back (for gradients of leaves) after forth, and by interleaved."""
    form = {"positions": positions, "angles": "half", "padding": padding}
    return tuple(
        tuple(Rotation({"layout": layout, "direction": direction}, form, "bshd") for layout in ("split_half", "interleaved"))
        for direction in ("forward", "adjoint")
    )


_BY_START = _rotations("start", "rotate")
# New tensors, and in place.
_BY_OFFSETS = tuple(_rotations("offsets", padding) for padding in ("zero", "keep"))
_RAGGED = tuple(_rotations("ragged", padding) for padding in ("zero", "keep"))


def rotary_embedding(
    x, cos, sin, interleaved=False, inplace=False, seqlen_offsets=0, cu_seqlens=None, chunk_indices=None
):
    """x: [batch, tokens, heads, head_dim], with cu_seqlens (int32 or int64 [sequences + 1], the second with a kernel more) of
    a batch of 1; cos, sin: [rows, rotary_dim / 2]; seqlen_offsets: an int, or int32 or int64 [sequences]. Rotates the first
    rotary_dim lanes in a new tensor, or in x; returns that. chunk_indices is not used."""
    try:
        arguments = cos, sin, interleaved, seqlen_offsets, cu_seqlens
        if inplace and is_trained_leaf(x):
            return OverLeaf.apply("fla", x, *arguments)
        return _over(x, *arguments) if inplace else _apply(x, None, *arguments)[0]
    except ERRORS as error:
        raise _explained(error, {"x": x}, cos, sin, seqlen_offsets, cu_seqlens, interleaved, inplace) from None


def _over(x, *arguments, back=False):
    return _apply(x, None, *arguments, inplace=True, back=back)[0]


WRITERS["fla"] = _over


def _apply(q, k, cos, sin, interleaved, seqlen_offsets, cu_seqlens, inplace=False, back=False):
    positions, start = None, 0
    if cu_seqlens is not None:
        rope, positions, cu_seqlens = _RAGGED[1 if inplace else 0], _offsets(seqlen_offsets, cu_seqlens), _narrow(cu_seqlens)
    elif isinstance(seqlen_offsets, torch.Tensor):
        rope, positions = _BY_OFFSETS[1 if inplace else 0], seqlen_offsets
    else:
        if seqlen_offsets + q.size(1) > cos.size(0):
            last = cos.size(0) - q.size(1)
            raise ValueError(f"seqlen_offsets: found {seqlen_offsets}, allowed: up to {last}: cos has {cos.size(0)} rows")
        if seqlen_offsets < 0:
            rope, positions = _BY_OFFSETS[1 if inplace else 0], _full(seqlen_offsets, q.size(0), q.device)
        else:
            rope, start = _BY_START, seqlen_offsets
    rope = rope[1 if back else 0][1 if interleaved else 0]
    return (rope.in_place if inplace else rope)(q, k, positions, cos, sin, cu_seqlens, start)


def _offsets(seqlen_offsets, cu_seqlens):
    """None, or an int32 for each sequence."""
    if isinstance(seqlen_offsets, torch.Tensor):
        return _narrow(seqlen_offsets)
    return None if seqlen_offsets == 0 else _full(seqlen_offsets, cu_seqlens.size(0) - 1, cu_seqlens.device)


def _narrow(numbers):
    return numbers.int() if numbers.dtype is torch.int64 else numbers


def _full(offset, sequences, device):
    return torch.full((sequences,), offset, dtype=torch.int32, device=device)


def _explained(error, tensors, cos, sin, seqlen_offsets, cu_seqlens, interleaved, inplace):
    tables = {"cos": cos, "sin": sin}
    more = {} if cu_seqlens is None else {"cu_seqlens": cu_seqlens}
    wrong = no_tensor(**tensors, **tables, **more) or not_shaped(2, "[rows, rotary_dim / 2]", **tables)
    wrong = wrong or not_shaped(4, "[batch, tokens, heads, head_dim]", **tensors)
    wrong = wrong or no_flag(interleaved=interleaved, inplace=inplace)
    if not isinstance(seqlen_offsets, torch.Tensor):
        wrong = wrong or no_number(int, seqlen_offsets=seqlen_offsets)
    if wrong is None and sin.shape != cos.shape:
        wrong = ValueError(f"sin: found shape {tuple(sin.shape)}, allowed: {tuple(cos.shape)}, as cos has")
    name = next(iter(tensors))
    return wrong or renamed(error, q=name, rotary_dim="cos", positions="seqlen_offsets", start="seqlen_offsets")


class RotaryEmbedding(torch.nn.Module):
    """fla's module: tables of cosines and sines of q's dtype that grow with the longest sequence seen, and the rotation of q
    and k by them. scale_base: XPos's, by which q and k have tables of their own, and a launch each."""

    def __init__(self, dim, base=10000.0, scale_base=None, interleaved=False, pos_idx_in_fp32=True, device=None):
        super().__init__()
        self.dim, self.base, self.scale_base = dim, float(base), scale_base
        self.interleaved, self.pos_idx_in_fp32, self.device = interleaved, pos_idx_in_fp32, device
        self.register_buffer("inv_freq", torch.empty((dim + 1) // 2, device=device), persistent=False)
        scale = None if scale_base is None else torch.empty((dim + 1) // 2, device=device)
        self.register_buffer("scale", scale, persistent=False)
        self._seq_len_cached = 0
        self._cos_cached = self._sin_cached = self._cos_k_cached = self._sin_k_cached = None
        self.reset_parameters()

    def reset_parameters(self):
        with torch.no_grad():
            self.inv_freq.copy_(self._inv_freq(self.inv_freq.device))
            if self.scale is not None:
                self.scale.copy_((self._lanes(self.scale.device) + 0.4 * self.dim) / (1.4 * self.dim))

    def extra_repr(self):
        scale = "" if self.scale_base is None else f"scale_base={self.scale_base}, "
        words = f"dim={self.dim}, base={self.base}, interleaved={self.interleaved}, {scale}"
        return f"{words}pos_idx_in_fp32={self.pos_idx_in_fp32}"

    def _lanes(self, device):
        return torch.arange(0, self.dim, 2, device=device, dtype=torch.float32)

    def _inv_freq(self, device):
        return 1.0 / (self.base ** (self._lanes(device) / self.dim))

    def _update_cos_sin_cache(self, seqlen, device=None, dtype=None):
        """Makes tables of seqlen rows, unless those there are do."""
        cos = self._cos_cached
        if cos is not None and seqlen <= self._seq_len_cached and (cos.device, cos.dtype) == (device, dtype):
            # Tables of inference mode are of no use to gradients; a trace cannot ask, and needs not.
            if torch.compiler.is_compiling() or not (self.training and cos.is_inference()):
                return
        self._seq_len_cached = seqlen
        inv_freq = self.inv_freq
        if self.pos_idx_in_fp32 and inv_freq.dtype is not torch.float32:
            inv_freq = self._inv_freq(device)
        angle = torch.outer(torch.arange(seqlen, device=device, dtype=inv_freq.dtype), inv_freq)
        cos, sin = angle.cos(), angle.sin()
        if self.scale is None:
            self._cos_cached, self._sin_cached = cos.to(dtype), sin.to(dtype)
            return
        place = torch.arange(seqlen, device=self.scale.device, dtype=self.scale.dtype) - seqlen // 2
        scale = self.scale ** (place / self.scale_base)[:, None]
        self._cos_cached, self._sin_cached = (cos * scale).to(dtype), (sin * scale).to(dtype)
        self._cos_k_cached, self._sin_k_cached = (cos / scale).to(dtype), (sin / scale).to(dtype)

    def forward(self, q, k, seqlen_offset=0, cu_seqlens=None, max_seqlen=None, chunk_indices=None):
        """q, k: [batch, tokens, heads, head_dim]; seqlen_offset and cu_seqlens as rotary_embedding has them. Tables reach to
        max_seqlen, or without it to the tokens and an offset that is an int. Returns new tensors (q, k)."""
        try:
            if max_seqlen is not None:
                self._update_cos_sin_cache(max_seqlen, device=q.device, dtype=q.dtype)
            elif isinstance(seqlen_offset, int):
                self._update_cos_sin_cache(q.size(1) + seqlen_offset, device=q.device, dtype=q.dtype)
            tables = self._cos_cached, self._sin_cached
            rest = self.interleaved, seqlen_offset, cu_seqlens
            if self.scale is None and q.dtype is k.dtype:
                return _apply(q, k, *tables, *rest)
            k_tables = tables if self.scale is None else (self._cos_k_cached, self._sin_k_cached)
            return _apply(q, None, *tables, *rest)[0], _apply(k, None, *k_tables, *rest)[0]
        except ERRORS as error:
            tensors = {"q": q, "k": k}
            wrong = no_tensor(**tensors)
            if wrong is None and self._cos_cached is None:
                wrong = ValueError("max_seqlen: found None, allowed: an int, with offsets on the device and no tables yet")
            tables = self._cos_cached, self._sin_cached
            rest = seqlen_offset, cu_seqlens, self.interleaved, False
            wrong = wrong or _explained(error, tensors, *tables, *rest)
            raise renamed(wrong, seqlen_offsets="seqlen_offset") from None
