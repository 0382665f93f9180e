"""The cells: what is rotated, how many tokens of it, and where the result goes."""

import dataclasses

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
L2_SAFE = 24 << 20  # what stays in the L2 cache of an H100 between two launches
BEYOND_L2 = 384 << 20  # buffers of this size together leave nothing of the first in it when the last was touched


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    q_heads: int
    k_heads: int  # 0: q alone
    head_dim: int
    rotary: int
    layout: str = "split_half"  # or "interleaved"
    layout_out: str = ""  # "": the same
    dtype: str = "bf16"
    placement: str = "in_place"  # or "out_of_place"


@dataclasses.dataclass(frozen=True)
class Cell:
    """`tokens` of each of `batch` sequences, at positions 0, 1, 2, ..., theta 10000."""

    shape: Shape
    batch: int
    tokens: int
    group: str = "models"

    @property
    def name(self):
        return f"{self.shape.name} b{self.batch} t{self.tokens}"

    @property
    def in_place(self):
        return self.shape.placement == "in_place"

    @property
    def heads(self):
        return self.shape.q_heads + self.shape.k_heads

    @property
    def bytes(self):
        """Read and written by a kernel that touches nothing else: in place, lanes that stay are left alone."""
        lanes = self.shape.rotary if self.in_place else self.shape.head_dim
        return 2 * self.batch * self.tokens * self.heads * lanes * BYTES[self.shape.dtype]

    @property
    def footprint(self):
        """Bytes of the tensors, inputs and outputs."""
        once = self.batch * self.tokens * self.heads * self.shape.head_dim * BYTES[self.shape.dtype]
        return once if self.in_place else 2 * once

    @property
    def buffers(self):
        """How many sets of tensors to go round, so that a cell too large for L2 never finds anything there."""
        return 1 if self.footprint <= L2_SAFE else max(2, -(-BEYOND_L2 // self.footprint))


def _models():
    in_place = [
        Shape("32/8/128", 32, 8, 128, 128),
        Shape("32/8/128 inter", 32, 8, 128, 128, "interleaved"),
        Shape("28/4/128", 28, 4, 128, 128),
        Shape("71/1/64", 71, 1, 64, 64),
        Shape("16/2/256 r64", 16, 2, 256, 64),
        Shape("64/64/96 r24 fp16", 64, 64, 96, 24, dtype="fp16"),
        Shape("8/8/64", 8, 8, 64, 64),
        Shape("32/8/128 fp32", 32, 8, 128, 128, dtype="fp32"),
        Shape("64/8/128 fp16", 64, 8, 128, 128, dtype="fp16"),
    ]
    out = [
        Shape("32/8/128 out", 32, 8, 128, 128, placement="out_of_place"),
        Shape("32/8/128 inter out", 32, 8, 128, 128, "interleaved", placement="out_of_place"),
        Shape("16/2/256 r64 out", 16, 2, 256, 64, placement="out_of_place"),
        Shape("128/1/64 inter>split", 128, 1, 64, 64, "interleaved", "split_half", placement="out_of_place"),
        Shape("1/0/1024", 1, 0, 1024, 1024, placement="out_of_place"),
        Shape("1/0/4096 fp32", 1, 0, 4096, 4096, dtype="fp32", placement="out_of_place"),
    ]
    return in_place + out


def _fairseq2(pairs):
    """One head as wide as the model: its benchmark's [compile, S, B, E]. Both encoders, fp32 and bf16."""
    made = []
    for batch, tokens, width in pairs:
        for layout in ("split_half", "interleaved"):
            for dtype in ("fp32", "bf16"):
                name = f"fs2 1/0/{width} {'split' if layout == 'split_half' else 'inter'} {dtype}"
                shape = Shape(name, 1, 0, width, width, layout, dtype=dtype, placement="out_of_place")
                made.append(Cell(shape, batch, tokens, "fairseq2"))
    return made


def _rope_triton(token_counts):
    shape = Shape("rtk 8/8/64", 8, 8, 64, 64, "interleaved", dtype="fp32", placement="out_of_place")
    return [Cell(shape, 4, tokens, "rope-triton-kernel") for tokens in token_counts]


def gate():
    counts = (1, 64, 1024, 4096, 16384)
    made = [Cell(shape, 1, tokens) for shape in _models() for tokens in counts]
    made += [Cell(shape, 1, 65536) for shape in _models() if shape.name in ("32/8/128", "32/8/128 out", "8/8/64")]
    made += _fairseq2([(1, 2048, 1024), (4, 4096, 1024), (4, 4096, 4096), (8, 4096, 2048), (1, 16384, 4096)])
    return made + _rope_triton((128, 512, 2048))


def quick():
    wanted = ("32/8/128", "32/8/128 inter", "32/8/128 out", "16/2/256 r64")
    made = [Cell(shape, 1, tokens) for shape in _models() if shape.name in wanted for tokens in (1, 4096)]
    return made + _fairseq2([(4, 4096, 1024)])[:2] + _rope_triton((512,))


def sweep():
    """Fine steps of tokens for plots."""
    counts = [1 << i for i in range(17)]
    return [Cell(shape, 1, tokens) for shape in _models() for tokens in counts]


def tiny():
    """Every shape at a few tokens: for checks on a CPU."""
    return [Cell(shape, 2, 3) for shape in _models()] + _fairseq2([(2, 3, 64)]) + _rope_triton((3,))


SETS = {"gate": gate, "quick": quick, "sweep": sweep, "tiny": tiny}
