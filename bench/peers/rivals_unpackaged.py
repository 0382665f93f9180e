"""Formulas in PyTorch of kernels that no package of PyPI brings to a machine like this: those of flash-attention, vLLM,
FlashInfer, rope-triton-kernel and TransformerEngine.

Each is written here after what the kernel computes, from the tables that its users hand it, in fp32 and rounded once.
An eager one shows what PyTorch makes of that, a compiled one what the same arithmetic takes as a kernel of Inductor's.
"""

import torch

from rivals import same_layout
from rivals_torch import Formula
from tensors import THETA


def rotate(x, cos, sin, interleaved):
    """The first lanes of x, twice as many as cos has, [..., heads, head_dim] with cos and sin [..., 1, half]."""
    half = cos.shape[-1]
    turning, rest = x[..., : 2 * half].float(), x[..., 2 * half :]
    if interleaved:
        a, b = turning[..., ::2], turning[..., 1::2]
        turned = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    else:
        a, b = turning.chunk(2, dim=-1)
        turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    turned = turned.type_as(x)
    return torch.cat((turned, rest), dim=-1) if rest.shape[-1] else turned


class Unpackaged(Formula):
    """cos and sin, [batch or 1, tokens, 1, half], are made in every call of what the kernel is given."""

    def supports(self, cell):
        return same_layout(cell)

    def given(self, inputs):
        """The tensors that the kernel takes beside q and k."""
        raise NotImplementedError

    def cos_and_sin(self, *given):
        raise NotImplementedError

    def function(self, inputs):
        interleaved = inputs.interleaved

        def both(q, k, *given):
            cos, sin = (table.float() for table in self.cos_and_sin(*given))
            return rotate(q, cos, sin, interleaved), None if k is None else rotate(k, cos, sin, interleaved)

        return both, self.given(inputs)


class FlashAttention(Unpackaged):
    """Rows of cos and sin in the dtype, those of the tokens in turn."""

    def __init__(self, compiled):
        super().__init__("flash_attn", compiled)

    def given(self, inputs):
        return inputs.half(inputs.dtype)

    def cos_and_sin(self, cos, sin):
        return cos[None, :, None], sin[None, :, None]


class ByPositions(Unpackaged):
    """Rows of one table, cosines and then sines, gathered by position ids: of vLLM in the dtype, of FlashInfer in
    fp32."""

    def __init__(self, name, compiled, fp32):
        super().__init__(name, compiled)
        self.fp32 = fp32

    def given(self, inputs):
        return inputs.cos_sin(torch.float32 if self.fp32 else inputs.dtype), inputs.positions

    def cos_and_sin(self, table, positions):
        return table[positions][:, :, None].chunk(2, dim=-1)


class Angles(Unpackaged):
    """Angles from position ids, in fp32: FlashInfer without a table, and rope-triton-kernel."""

    def __init__(self, compiled):
        super().__init__("flashinfer", compiled)

    def given(self, inputs):
        half = inputs.shape.rotary // 2
        exponents = torch.arange(half, dtype=torch.float64, device=inputs.device) / half
        return (THETA**-exponents).float(), inputs.positions

    def cos_and_sin(self, frequencies, positions):
        angles = positions[:, :, None, None].float() * frequencies
        return angles.cos(), angles.sin()


class TransformerEngine(Unpackaged):
    """Angles in fp32 are given; their sines and cosines are taken in the call."""

    def __init__(self, compiled):
        super().__init__("transformer_engine", compiled)

    def given(self, inputs):
        half = inputs.shape.rotary // 2
        repeated = inputs.radians()  # each angle twice, as the layout has its pairs
        return [repeated[:, ::2] if inputs.interleaved else repeated[:, :half]]

    def cos_and_sin(self, radians):
        angles = radians[None, :, None]
        return angles.cos(), angles.sin()


RIVALS = [
    rival
    for compiled in (False, True)
    for rival in (
        FlashAttention(compiled),
        ByPositions("vllm", compiled, fp32=False),
        ByPositions("flashinfer_table", compiled, fp32=True),
        Angles(compiled),
        TransformerEngine(compiled),
    )
]
