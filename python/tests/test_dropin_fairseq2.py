"""ropejit.dropin.fairseq2 beside the formulas of fairseq2's encoders."""

import dataclasses

import pytest
import torch

from ropejit.dropin.fairseq2 import ReferenceRotaryEncoder, RotaryEncoder
from shapes import DTYPES, assert_close


@dataclasses.dataclass
class Layout:
    """Of fairseq2's BatchLayout what encoders read."""

    width: int
    max_seq_len: int
    packed: bool = False
    padded: bool = False
    position_indices: torch.Tensor = None


@dataclasses.dataclass
class StateBag:
    step_nr: int


def half_frequencies(encoder):
    count = encoder.encoding_dim // 2
    return 3.0 ** (-torch.arange(count, dtype=torch.float32, device=encoder.freqs.device) / count)


def formula(seqs, rows, frequencies, impl):
    """rows: row of the table for each token, row 0 being zeros and row p + 1 position p; [batch or 1, tokens], packed
    [tokens]."""
    angles = (rows - 1).clamp(min=0)[..., None] * frequencies
    cos, sin = (torch.where(rows[..., None] == 0, 0.0, part) for part in (angles.cos(), angles.sin()))
    while cos.dim() < seqs.dim():
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
    x = seqs.float()
    if impl == "llama":
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(seqs.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(seqs.dtype)


# shape of seqs, batch first
SHAPES = [(1, 1, 64), (2, 5, 64), (4, 16, 1024), (1, 3, 2048), (2, 7, 8, 64), (3, 9, 4, 128), (1, 31, 2, 80),
          (2, 6, 2, 3, 32), (5, 1, 16, 64), (2, 2, 6), (1, 12, 512), (8, 3, 96), (2, 11, 5, 48), (1, 64, 1, 256),
          (3, 3, 3, 22), (2, 4, 4096), (1, 9, 12, 192), (6, 2, 7, 40), (2, 13, 2), (1, 100, 4, 16)]


@pytest.mark.parametrize("impl", ["llama", "reference"])
@pytest.mark.parametrize("encoder_class", [RotaryEncoder, ReferenceRotaryEncoder])
@pytest.mark.parametrize("case", ["plain", "step", "training", "padded", "padded step", "packed"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_encoders_give_what_fairseq2s_do(shape, case, encoder_class, impl, device):
    dtype = DTYPES[(len(case) + sum(shape)) % 3]
    batch, tokens, dim = shape[0], shape[1], shape[-1]
    encoder = encoder_class(dim, 128, impl=impl, theta=5000.0, device=device).train(case == "training")
    exponents = torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim
    # Each as its original has it: angles in fp32 tell the two apart.
    if encoder_class is RotaryEncoder:
        frequencies = 1.0 / (5000.0**exponents)
    else:
        frequencies = 5000.0 ** (-2.0 * torch.arange(dim // 2, dtype=torch.float32, device=device) / dim)
    bag = StateBag(7) if case in ("step", "training", "padded step") else None
    step = 7 if case in ("step", "padded step") else 0
    shape = (tokens, *shape[2:]) if case == "packed" else shape
    rows = (torch.arange(tokens, device=device) + 1 + step)[None]
    layout = Layout(tokens, tokens)
    if case.startswith("padded"):
        indices = torch.arange(tokens, device=device).repeat(batch, 1)
        indices[0, tokens // 2 + 1 :] = -1
        layout, rows = Layout(tokens, tokens, padded=True, position_indices=indices), indices + 1 + step
    if case == "packed":
        indices = torch.arange(tokens, device=device) % (tokens // 2 + 1)
        layout, rows = Layout(tokens, tokens // 2 + 1, packed=True, position_indices=indices), indices + 1
    seqs = torch.randn(shape, device=device).to(dtype).requires_grad_()
    ours = encoder(seqs, layout, state_bag=bag)
    theirs = formula(seqs, rows, frequencies, impl)
    grad = torch.randn_like(ours)
    assert_close([ours, *torch.autograd.grad(ours, seqs, grad)], [theirs, *torch.autograd.grad(theirs, seqs, grad)])
    if case == "padded" and tokens > 2:
        assert (ours[0, -1] == 0).all()


def test_frequencies_can_be_given(device):
    encoder = RotaryEncoder(16, 32, freqs_init_fn=half_frequencies, device=device)
    seqs = torch.randn(2, 9, 4, 16, device=device)
    rows = (torch.arange(9, device=device) + 1)[None]
    assert_close([encoder(seqs, Layout(9, 9))], [formula(seqs, rows, half_frequencies(encoder), "llama")])


def test_what_fairseq2_refuses_is_refused(device):
    with pytest.raises(ValueError, match="^encoding_dim: found 7"):
        RotaryEncoder(7, 32)
    with pytest.raises(ValueError, match="^impl: found 'other'"):
        ReferenceRotaryEncoder(8, 32, impl="other")
    encoder = RotaryEncoder(8, 32, device=device).eval()
    with pytest.raises(ValueError, match="^seqs: found a sequence of 33 tokens"):
        encoder(torch.zeros(1, 33, 8, device=device), Layout(33, 33))
    with pytest.raises(ValueError, match="^seqs: found a sequence of 33 tokens"):
        encoder(torch.zeros(1, 3, 8, device=device), Layout(3, 3), state_bag=StateBag(30))
