"""fairseq2: RotaryEncoder and ReferenceRotaryEncoder, with the `impl` of its pull request 1213.

They need nothing of fairseq2: of a layout they read packed, padded, width, max_seq_len and position_indices, of a state
bag step_nr. Tables, their names and their zero row for padding are fairseq2's; results are rounded to fp32, and then to
the dtype of seqs.
"""

import torch

from ropejit._rotation import Rotation

_LAYOUTS = {"llama": "interleaved", "reference": "split_half"}


def _rotations(layout, angles):
    """By what positions are and by how the tensors lie."""
    spec = {"layout": layout, "rounding": "p3"}
    return {
        (kind, dims): Rotation(spec, {"positions": kind, "angles": angles}, dims)
        for kind in ("start", "ids")
        for dims in ("sd", "shd", "bsd", "bshd")
    }


_BY_COMPLEX = {impl: _rotations(layout, "complex") for impl, layout in _LAYOUTS.items()}
_BY_TABLES = {"llama": _rotations("interleaved", "repeated"), "reference": _rotations("split_half", "full")}


class _Encoder(torch.nn.Module):
    """What both have in common."""

    def __init__(self, encoding_dim, max_seq_len, theta, impl):
        super().__init__()
        if encoding_dim % 2 != 0:
            raise ValueError(f"encoding_dim: found {encoding_dim}, allowed: an even number")
        if impl not in _LAYOUTS:
            raise ValueError(f"impl: found {impl!r}, allowed: 'llama' or 'reference'")
        self.encoding_dim = encoding_dim
        self.max_seq_len = max_seq_len
        self.theta = theta
        self.impl = impl

    def reset_parameters(self):
        self.reset_non_persistent_buffers()

    def extra_repr(self):
        return (
            f"encoding_dim={self.encoding_dim}, max_seq_len={self.max_seq_len}, theta={self.theta}, impl={self.impl}"
        )

    def _rotate(self, rotations, seqs, seqs_layout, state_bag, cos, sin):
        step = state_bag.step_nr if state_bag is not None and not self.training else 0
        length = step + seqs_layout.max_seq_len
        if length > self.max_seq_len:
            raise ValueError(f"seqs: found a sequence of {length} tokens, allowed: {self.max_seq_len}, max_seq_len")
        if seqs.shape[-1] != self.encoding_dim:
            raise ValueError(f"seqs: found {seqs.shape[-1]} lanes, allowed: {self.encoding_dim}, encoding_dim")
        shape = seqs.shape
        front = 1 if seqs_layout.packed else 2
        if seqs.dim() > front + 2:
            seqs = seqs.flatten(front, -2)
        dims = ("b" if front == 2 else "") + "s" + ("h" if seqs.dim() == front + 2 else "") + "d"
        # Row 0 of a table is padding's, and row p + 1 position p's.
        if seqs_layout.packed or seqs_layout.padded:
            result, _ = rotations["ids", dims](seqs, None, seqs_layout.position_indices + (1 + step), cos, sin)
        else:
            result, _ = rotations["start", dims](seqs, None, None, cos, sin, None, 1 + step)
        return result.view(shape)


class RotaryEncoder(_Encoder):
    """Adjacent pairs (impl "llama") or halves ("reference"), by a table of complex numbers."""

    def __init__(self, encoding_dim, max_seq_len, *, theta=10000.0, freqs_init_fn=None, device=None, impl="llama"):
        super().__init__(encoding_dim, max_seq_len, theta, impl)
        self.freqs_init_fn = freqs_init_fn
        freqs = torch.empty((max_seq_len + 1, encoding_dim // 2, 2), device=device, dtype=torch.float32)
        self.register_buffer("freqs", freqs, persistent=False)
        self.reset_parameters()

    def reset_non_persistent_buffers(self):
        options = {"device": self.freqs.device, "dtype": torch.float32}
        if self.freqs_init_fn is None:
            exponents = torch.arange(0, self.encoding_dim, step=2, **options) / self.encoding_dim
            frequencies = 1.0 / self.theta**exponents
        else:
            frequencies = self.freqs_init_fn(self)
        angles = torch.arange(self.max_seq_len, **options)[:, None] * frequencies
        self.freqs[0] = 0.0
        self.freqs[1:] = torch.view_as_real(torch.polar(torch.ones_like(angles), angles))

    def forward(self, seqs, seqs_layout, *, state_bag=None):
        """A rotated copy of seqs: [batch, tokens, ..., encoding_dim], without batch where the layout is packed."""
        freqs = torch.view_as_complex(self.freqs)
        return self._rotate(_BY_COMPLEX[self.impl], seqs, seqs_layout, state_bag, freqs, None)

    def extra_repr(self):
        init = self.freqs_init_fn
        return super().extra_repr() + ("" if init is None else f", freqs_init_fn={getattr(init, '__name__', init)}")


class ReferenceRotaryEncoder(_Encoder):
    """Halves (impl "reference") or adjacent pairs ("llama"), by a table of cosines and one of sines."""

    def __init__(self, encoding_dim, max_seq_len, *, theta=10000.0, device=None, impl="reference"):
        super().__init__(encoding_dim, max_seq_len, theta, impl)
        for name in ("cos_freqs", "sin_freqs"):
            table = torch.empty((max_seq_len + 1, encoding_dim), device=device, dtype=torch.float32)
            self.register_buffer(name, table, persistent=False)
        self.reset_parameters()

    def reset_non_persistent_buffers(self):
        options = {"device": self.cos_freqs.device, "dtype": torch.float32}
        frequencies = self.theta ** (-2.0 * torch.arange(self.encoding_dim // 2, **options) / self.encoding_dim)
        angles = torch.arange(self.max_seq_len, **options)[:, None] * frequencies
        if self.impl == "reference":
            angles = torch.cat((angles, angles), dim=-1)
        else:
            angles = angles.repeat_interleave(2, dim=-1)
        for table, values in ((self.cos_freqs, angles.cos()), (self.sin_freqs, angles.sin())):
            table[0] = 0.0
            table[1:] = values

    def forward(self, seqs, seqs_layout, *, state_bag=None):
        """A rotated copy of seqs: [batch, tokens, ..., encoding_dim], without batch where the layout is packed."""
        return self._rotate(_BY_TABLES[self.impl], seqs, seqs_layout, state_bag, self.cos_freqs, self.sin_freqs)
