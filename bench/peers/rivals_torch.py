"""Formulas in PyTorch, eager and compiled: Hugging Face's own functions, fairseq2's two encoders, Meta's complex form.

fairseq2's and Meta's are written here after what they compute, in the same operations: the packages are not needed.
"""

import importlib

import torch

from rivals import Rival, Unavailable, same_layout


class Formula(Rival):
    """A function of (q, k, tables...), eager or compiled. Compiled ones are specialised to the cell."""

    needs_gpu = False

    def __init__(self, name, compiled):
        self.name = f"{name}_{'compile' if compiled else 'eager'}"
        self.compiled = compiled

    def version(self):
        return f"torch {torch.__version__}"

    def function(self, inputs):
        """f(q, k) -> (q, k) and the tables that it closes over, as f(q, k, *tables)."""
        raise NotImplementedError

    def prepare(self, inputs, buffers):
        kept = inputs.__dict__.setdefault("functions", {})
        if self.name not in kept:
            function, tables = self.function(inputs)
            if self.compiled:
                function = torch.compile(function, dynamic=False, fullgraph=True)
            kept[self.name] = function, tables
        function, tables = kept[self.name]
        q, k = self.arguments(buffers)
        return lambda: self.results(*function(q, k, *tables))

    def arguments(self, buffers):
        return buffers.q, buffers.k

    def results(self, q, k):
        return q, k


class HuggingFace(Formula):
    """transformers' apply_rotary_pos_emb, on [batch, heads, tokens, head_dim] views as its attention has them, with cos
    and sin in the dtype. The function is that of a model with the cell's layout and partial rotation."""

    def __init__(self, compiled):
        super().__init__("hf", compiled)

    def version(self):
        try:
            return f"transformers {importlib.import_module('transformers').__version__}, {super().version()}"
        except ImportError as error:
            raise Unavailable(str(error)) from error

    def supports(self, cell):
        shape = cell.shape
        return shape.k_heads > 0 and (not shape.layout_out or shape.rotary == shape.head_dim)

    def function(self, inputs):
        shape = inputs.shape
        name = "apply_rotary_pos_emb"
        if shape.layout_out:
            family, name = "deepseek_v3", "apply_rotary_pos_emb_interleave"
        elif shape.layout == "interleaved":
            family = "glm"
        else:
            family = "llama" if shape.rotary == shape.head_dim else "phi3"
        module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
        return getattr(module, name), inputs.full(inputs.dtype)

    def arguments(self, buffers):
        return buffers.q.transpose(1, 2), buffers.k.transpose(1, 2)

    def results(self, q, k):
        return q.transpose(1, 2), k.transpose(1, 2)


def rotate_halves(x, cos, sin):
    wide = x.float()
    left, right = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-right, left), dim=-1) * sin).type_as(x)


def rotate_complex(x, freqs):
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * freqs).flatten(-2).type_as(x)


class Fairseq2(Formula):
    """The encoder whose layout is the cell's: the reference one (halves, two fp32 tables of full rows) or the default
    one (adjacent pairs, a complex table). Each is called once for q and once for k, as its attention does."""

    def __init__(self, compiled):
        super().__init__("fairseq2", compiled)

    def supports(self, cell):
        return same_layout(cell) and cell.shape.rotary == cell.shape.head_dim

    def function(self, inputs):
        if inputs.interleaved:
            rotate, tables = rotate_complex, [inputs.freqs_cis()[None, :, None]]
        else:
            rotate, tables = rotate_halves, [t[:, :, None] for t in inputs.full(torch.float32)]

        def both(q, k, *tables):
            return rotate(q, *tables), None if k is None else rotate(k, *tables)

        return both, tables


class MetaComplex(Formula):
    """Llama's reference code: q and k as complex numbers in fp32, times freqs_cis."""

    def __init__(self, compiled):
        super().__init__("meta_complex", compiled)

    def supports(self, cell):
        shape = cell.shape
        full = shape.rotary == shape.head_dim and shape.k_heads > 0
        return shape.layout == "interleaved" and same_layout(cell) and full

    def function(self, inputs):
        def both(q, k, freqs):
            wide_q = torch.view_as_complex(q.float().reshape(*q.shape[:-1], -1, 2))
            wide_k = torch.view_as_complex(k.float().reshape(*k.shape[:-1], -1, 2))
            q_out = torch.view_as_real(wide_q * freqs).flatten(3)
            k_out = torch.view_as_real(wide_k * freqs).flatten(3)
            return q_out.type_as(q), k_out.type_as(k)

        return both, [inputs.freqs_cis()[None, :, None]]


RIVALS = [make(compiled) for make in (HuggingFace, Fairseq2, MetaComplex) for compiled in (False, True)]
