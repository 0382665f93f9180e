"""The tensors of a cell, cos and sin in every shape that a rival takes, and what is right."""

import functools

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
THETA = 10000.0
BOUND = 2e-2  # of a result, over the norm of its pair: 16-bit tables and rounding pass, a wrong rotation does not
CHECKED = 256  # tokens that are compared


class Buffers:
    """One set of q, k and outputs, [batch, tokens, heads, head_dim] without gaps; k follows q in one allocation."""

    def __init__(self, cell, device, seed):
        shape, dtype = cell.shape, DTYPES[cell.shape.dtype]
        rows = cell.batch * cell.tokens
        self.q_count, k_count = (rows * heads * shape.head_dim for heads in (shape.q_heads, shape.k_heads))
        count = self.q_count + k_count
        generator = torch.Generator(device).manual_seed(seed)
        self.flat = torch.empty(count, dtype=dtype, device=device).normal_(generator=generator)
        self.flat_out = torch.empty_like(self.flat) if not cell.in_place else None
        self.cell = cell
        self.q, self.k = self._parts(self.flat)
        self.q_out, self.k_out = self._parts(self.flat_out) if self.flat_out is not None else (None, None)

    def _parts(self, flat):
        shape, lead = self.cell.shape, (self.cell.batch, self.cell.tokens)
        q = flat[: self.q_count].view(*lead, shape.q_heads, shape.head_dim)
        if shape.k_heads == 0:
            return q, None
        return q, flat[self.q_count :].view(*lead, shape.k_heads, shape.head_dim)


class Inputs:
    """All that a rival may want for a cell. Tables have a row for each of the cell's tokens."""

    def __init__(self, cell, device, buffers=None):
        self.cell, self.device = cell, torch.device(device)
        self.shape, self.dtype = cell.shape, DTYPES[cell.shape.dtype]
        self.sets = [Buffers(cell, self.device, seed) for seed in range(buffers or cell.buffers)]
        self.interleaved = cell.shape.layout == "interleaved"

    @functools.cached_property
    def angles(self):
        """[tokens, rotary / 2] in fp64."""
        half = self.shape.rotary // 2
        exponents = torch.arange(half, dtype=torch.float64, device=self.device) / half
        return torch.arange(self.cell.tokens, dtype=torch.float64, device=self.device)[:, None] * THETA**-exponents

    def half(self, dtype):
        """cos and sin, [tokens, rotary / 2]."""
        return self._tables(("half", dtype), lambda: (self.angles.cos().to(dtype), self.angles.sin().to(dtype)))

    def full(self, dtype):
        """cos and sin as Hugging Face has them, [1, tokens, rotary]: the right half repeats the left."""
        return self._tables(("full", dtype), lambda: tuple(torch.cat([t, t], -1)[None] for t in self.half(dtype)))

    def cos_sin(self, dtype):
        """One table of cosines and then sines, [tokens, rotary]."""
        return self._tables(("cos_sin", dtype), lambda: torch.cat(self.half(dtype), -1))

    def freqs_cis(self):
        """complex64, [tokens, rotary / 2]."""
        return self._tables("complex", lambda: torch.complex(*self.half(torch.float32)))

    def radians(self):
        """Angles in fp32, [tokens, rotary]: repeated as the layout has its pairs."""

        def make():
            angles = self.angles.float()
            return angles.repeat_interleave(2, -1) if self.interleaved else torch.cat([angles, angles], -1)

        return self._tables("radians", make)

    @functools.cached_property
    def positions(self):
        """int64 ids, [batch, tokens]."""
        row = torch.arange(self.cell.tokens, device=self.device)
        return row.expand(self.cell.batch, -1).contiguous()

    def _tables(self, key, make):
        kept = self.__dict__.setdefault("_kept", {})
        if key not in kept:
            kept[key] = make()
        return kept[key]


class Check:
    """Compares one call with the rotation in fp64. Made before the call, for the call may overwrite its input."""

    def __init__(self, inputs, buffers):
        self.inputs, cell = inputs, inputs.cell
        rows = cell.batch * cell.tokens
        self.rows = torch.linspace(0, rows - 1, min(rows, CHECKED), device=inputs.device).long().unique()
        self.before = [self._pick(x) for x in (buffers.q, buffers.k) if x is not None]

    def _pick(self, x):
        """The compared tokens of a tensor [batch, tokens, heads, head_dim], whatever its strides."""
        tokens = self.inputs.cell.tokens
        return x[self.rows // tokens, self.rows % tokens].double()

    def error(self, results):
        """The largest error over the norm of its pair; of lanes that only travel, infinity if one changed."""
        shape = self.inputs.shape
        angles = self.inputs.angles[self.rows % self.inputs.cell.tokens][:, None]
        cos, sin = angles.cos(), angles.sin()
        worst = 0.0
        results = [x for x in results if x is not None]
        assert len(results) == len(self.before), "a result is missing"
        for x, result in zip(self.before, results):
            y = self._pick(result)
            assert y.shape == x.shape, f"found {list(y.shape)}, allowed: {list(x.shape)}"
            if not torch.equal(y[..., shape.rotary :], x[..., shape.rotary :]):
                return float("inf")
            a, b = _pairs(x, shape.rotary, shape.layout)
            c, d = _pairs(y, shape.rotary, shape.layout_out or shape.layout)
            error = torch.maximum((c - (a * cos - b * sin)).abs(), (d - (b * cos + a * sin)).abs())
            error = error / torch.hypot(a, b).clamp_min(1e-3)
            if error.isnan().any():
                return float("inf")
            worst = max(worst, float(error.max()))
        return worst


def _pairs(x, rotary, layout):
    half = rotary // 2
    if layout == "interleaved":
        return x[..., 0:rotary:2], x[..., 1:rotary:2]
    return x[..., :half], x[..., half:rotary]
