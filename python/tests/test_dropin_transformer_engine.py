"""ropejit.dropin.transformer_engine beside the formulas of TransformerEngine."""

import pytest
import torch

from ropejit.dropin.transformer_engine import apply_rotary_pos_emb
from shapes import DTYPES, assert_close, results_and_gradients


def freqs_of(rows, width, interleaved, device, theta=10000.0):
    """[rows, 1, 1, width], as TransformerEngine's RotaryPositionEmbedding makes them."""
    half = torch.arange(rows, device=device)[:, None] * theta ** (-torch.arange(0, width, 2, device=device) / width)
    full = half.repeat_interleave(2, dim=-1) if interleaved else torch.cat((half, half), dim=-1)
    return full[:, None, None]


def positions_of(tokens, start, cp_size, cp_rank):
    """Of a sequence of `tokens` on this rank."""
    if cp_size == 1:
        return start + torch.arange(tokens)
    part = tokens // 2
    last = 2 * cp_size - 1 - cp_rank
    return start + torch.cat((torch.arange(part) + cp_rank * part, torch.arange(part) + last * part))


def rotated(t, angle, interleaved, fused):
    """t: [..., h, d]; angle: [..., 1, width], of the tokens. Fused: in fp32; else each step in t's dtype."""
    dtype = torch.float32 if fused else t.dtype
    turned, rest = t[..., : angle.shape[-1]].to(dtype), t[..., angle.shape[-1] :]
    if interleaved:
        other = torch.stack((-turned[..., 1::2], turned[..., 0::2]), dim=-1).flatten(-2)
    else:
        left, right = turned.chunk(2, dim=-1)
        other = torch.cat((-right, left), dim=-1)
    result = turned * angle.cos().to(dtype) + other * angle.sin().to(dtype)
    return torch.cat((result.to(t.dtype), rest), dim=-1)


def assert_like_the_original(ours, theirs):
    for result in ours:
        assert result.is_contiguous()
    assert_close(ours, theirs)


# tokens, batch, heads, d, width of freqs; tokens are even, so that ranks can share them
SHAPES = [
    (2, 1, 32, 128, 128),
    (8, 2, 32, 128, 128),
    (16, 2, 8, 64, 64),
    (6, 3, 4, 64, 32),
    (34, 1, 12, 128, 128),
    (10, 2, 71, 64, 64),
    (4, 4, 28, 128, 64),
    (18, 2, 16, 256, 64),
    (64, 1, 3, 96, 24),
    (2, 5, 6, 80, 80),
    (12, 1, 5, 40, 40),
    (6, 2, 2, 6, 6),
    (6, 2, 2, 2, 2),
    (2, 1, 1, 512, 512),
    (2, 7, 16, 72, 72),
    (14, 2, 9, 112, 112),
    (128, 1, 2, 32, 32),
    (22, 2, 24, 64, 64),
    (4, 3, 40, 160, 160),
    (20, 1, 64, 192, 64),
    (8, 2, 7, 20, 8),
    (10, 6, 14, 16, 16),
]
IDS = ["x".join(map(str, shape[:4])) + f"-{shape[4]}" for shape in SHAPES]


@pytest.mark.parametrize("fused", [False, True], ids=["unfused", "fused"])
@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd"])
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=IDS)
def test_batches(number, tensor_format, interleaved, fused, device):
    tokens, batch, heads, dim, width = SHAPES[number]
    dtype, cp_size = DTYPES[number % 3], (1, 2, 1, 4)[(number + fused) % 4]
    cp_rank = number % cp_size
    if number % 2:
        starts, start_positions = torch.arange(batch) * 3, torch.arange(batch, device=device, dtype=torch.int32) * 3
    else:
        starts, start_positions = torch.zeros(batch, dtype=torch.int64), None
    freqs = freqs_of(tokens * cp_size + 3 * batch, width, interleaved, device)
    sizes = (tokens, batch) if tensor_format == "sbhd" else (batch, tokens)
    if number % 5 == 4:
        t = torch.randn(heads, *sizes, dim, device=device).to(dtype).permute(1, 2, 0, 3)
    else:
        t = torch.randn(*sizes, heads, dim, device=device).to(dtype)
    rows = torch.stack([positions_of(tokens, start, cp_size, cp_rank) for start in starts]).to(device)
    angle = freqs[rows if tensor_format == "bshd" else rows.t()][:, :, 0]

    def ours(t):
        return (
            apply_rotary_pos_emb(
                t, freqs, tensor_format, start_positions, interleaved, fused, cp_size=cp_size, cp_rank=cp_rank
            ),
        )

    def theirs(t):
        return (rotated(t, angle, interleaved, fused),)

    result, gradient = results_and_gradients(ours, [t])
    assert result.is_contiguous()
    assert_close([result, gradient], results_and_gradients(theirs, [t]))


# Lengths of the sequences; with ranks they are 4 times as long.
RAGGED = [
    (1,),
    (7,),
    (3, 5),
    (5, 3, 1),
    (1, 1, 1, 1),
    (17, 2),
    (9, 0, 4),
    (31, 33),
    (2, 6),
    (11,),
    (4, 4, 4, 4),
    (13,),
    (6, 1),
    (1, 64),
    (10, 20, 30),
    (2, 2),
    (21,),
    (3, 1, 4, 1, 5),
    (8, 16),
    (0, 7),
    (19, 12),
    (40, 2, 17, 2),
]


@pytest.mark.parametrize("fused", [False, True], ids=["unfused", "fused"])
@pytest.mark.parametrize("cp_size", [1, 2])
@pytest.mark.parametrize("number", range(len(RAGGED)), ids=["+".join(map(str, lengths)) for lengths in RAGGED])
def test_sequences_one_after_another(number, cp_size, fused, device):
    lengths = [4 * n if cp_size > 1 else n for n in RAGGED[number]]
    _, _, heads, dim, width = SHAPES[number]
    dtype, interleaved = DTYPES[number % 3], number % 4 < 2
    starts = [3 * i for i in range(len(lengths))] if number % 2 else [0] * len(lengths)
    start_positions = torch.tensor(starts, device=device, dtype=torch.int32) if number % 2 else None
    freqs = freqs_of(max(lengths) + 3 * len(lengths), width, interleaved, device)
    cu_seqlens = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], device=device, dtype=torch.int32)
    t = torch.randn(sum(lengths) // cp_size, heads, dim, device=device).to(dtype)
    for cp_rank in range(cp_size):
        rows = [positions_of(n // cp_size, start, cp_size, cp_rank) for n, start in zip(lengths, starts)]
        angle = freqs[torch.cat(rows).to(device)][:, 0]

        def ours(t):
            return (
                apply_rotary_pos_emb(
                    t, freqs, "thd", start_positions, interleaved, fused, cu_seqlens, cp_size, cp_rank
                ),
            )

        def theirs(t):
            return (rotated(t, angle, interleaved, fused),)

        assert_close(results_and_gradients(ours, [t]), results_and_gradients(theirs, [t]))


@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd"])
def test_angles_of_each_sequence(tensor_format, device):
    tokens, batch, heads, dim = 6, 3, 2, 16
    freqs = torch.randn(tokens + 2, batch, 1, dim // 2, device=device)
    freqs = torch.cat((freqs, freqs), dim=-1)
    t = torch.randn(*((tokens, batch) if tensor_format == "sbhd" else (batch, tokens)), heads, dim, device=device)
    angle = freqs[:tokens] if tensor_format == "sbhd" else freqs[:tokens].transpose(0, 1)
    assert_close([apply_rotary_pos_emb(t, freqs, tensor_format)], [rotated(t, angle, False, False)])


def test_angles_of_other_dtypes_and_start_positions_of_int64(device):
    t = torch.randn(4, 2, 3, 16, device=device)
    freqs = freqs_of(9, 16, False, device)
    for dtype in (torch.bfloat16, torch.float64):
        expected = apply_rotary_pos_emb(t, freqs.to(dtype).float(), fused=True)
        assert torch.equal(apply_rotary_pos_emb(t, freqs.to(dtype), fused=True), expected)
    ends = torch.tensor([0, 3, 4], device=device, dtype=torch.int32)
    starts = torch.tensor([4, 2], device=device)
    for arguments in ((t, freqs, "sbhd"), (t[:, 0], freqs, "thd")):
        results = [apply_rotary_pos_emb(*arguments, numbers, cu_seqlens=ends) for numbers in (starts, starts.int())]
        assert torch.equal(*results)


def test_unfused_bf16_has_the_bits_of_the_original(device):
    """But where a cosine or sine is next to the border between two numbers."""
    t = torch.randn(512, 2, 4, 128, device=device).bfloat16()
    freqs = freqs_of(512, 128, False, device)
    ours, theirs = apply_rotary_pos_emb(t, freqs), rotated(t, freqs[:, 0][:, None], False, False)
    assert (ours != theirs).float().mean() < 1e-3


def bad_cases(device):
    t, freqs = torch.zeros(6, 2, 4, 32, device=device), torch.zeros(12, 1, 1, 32, device=device)
    thd, ends = t[:, 0], torch.tensor([0, 2, 6], device=device, dtype=torch.int32)
    starts = torch.zeros(2, device=device, dtype=torch.int32)
    return {
        "t is None": (TypeError, "t: found NoneType", (None, freqs), {}),
        "t of fp64": (TypeError, "t: found torch.float64", (t.double(), freqs), {}),
        "t of three dimensions": (ValueError, "t: found shape", (thd, freqs), {}),
        "t of four dimensions": (ValueError, "t: found shape", (t, freqs, "thd"), {"cu_seqlens": ends}),
        "freqs are None": (TypeError, "freqs: found NoneType", (t, None), {}),
        "freqs of two dimensions": (ValueError, "freqs: found shape", (t, freqs[:, 0, 0]), {}),
        "freqs of another batch": (ValueError, "freqs: found a batch of 3", (t, freqs.expand(12, 3, 1, 32)), {}),
        "freqs on another device": (ValueError, "freqs: found a tensor on meta", (t, freqs.to("meta")), {}),
        "freqs wider than t": (ValueError, "freqs: found 40", (t, torch.zeros(12, 1, 1, 40, device=device)), {}),
        "an odd width": (ValueError, "freqs: found 31", (t, freqs[..., :31]), {}),
        "too few rows": (ValueError, "freqs: found 5 rows, allowed: 6 or more", (t, freqs[:5]), {}),
        "too few rows, interleaved": (
            ValueError,
            "freqs: found 5 rows, allowed: 6 or more",
            (t, freqs[:5], "sbhd", None, True),
            {},
        ),
        "too few rows for all ranks": (
            ValueError,
            "freqs: found 12 rows, allowed: 18 or more",
            (t, freqs),
            {"cp_size": 3},
        ),
        "freqs that require grad": (
            ValueError,
            "freqs: found a tensor that requires grad",
            (t, freqs.clone().requires_grad_()),
            {},
        ),
        "another format": (ValueError, "tensor_format: found 'bhsd'", (t, freqs, "bhsd"), {}),
        "a format that is none": (ValueError, r"tensor_format: found \[\]", (t, freqs, []), {}),
        "thd without cu_seqlens": (ValueError, "cu_seqlens: found None", (thd, freqs, "thd"), {}),
        "cu_seqlens are a list": (TypeError, "cu_seqlens: found list", (thd, freqs, "thd"), {"cu_seqlens": [0, 6]}),
        "cu_seqlens of int64": (
            TypeError,
            "cu_seqlens: found torch.int64",
            (thd, freqs, "thd"),
            {"cu_seqlens": ends.long()},
        ),
        "start_positions are a list": (TypeError, "start_positions: found list", (t, freqs, "sbhd", [0, 0]), {}),
        "start_positions of fp32": (
            TypeError,
            "start_positions: found torch.float32",
            (t, freqs, "sbhd", starts.float()),
            {},
        ),
        "too many start_positions": (ValueError, "start_positions: found shape", (t, freqs, "bshd", starts), {}),
        "start_positions for others": (
            ValueError,
            "start_positions: found shape",
            (thd, freqs, "thd", starts[:1]),
            {"cu_seqlens": ends},
        ),
        "cp_size is 0": (ValueError, "cp_size: found 0", (t, freqs), {"cp_size": 0}),
        "cp_size is a list": (TypeError, "cp_size: found list", (t, freqs), {"cp_size": [2]}),
        "cp_rank is beyond": (
            ValueError,
            "cp_rank: found 2, allowed: 0 to 1",
            (t, freqs),
            {"cp_size": 2, "cp_rank": 2},
        ),
        "an odd part": (ValueError, "t: found 3", (t[:3], freqs), {"cp_size": 2}),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, arguments, rest = bad_cases(device)[name]
    with pytest.raises(kind, match=f"^(?:{message})"):
        apply_rotary_pos_emb(*arguments, **rest)


def test_compiled_without_a_graph_break(device):
    t, freqs = torch.randn(6, 2, 4, 32, device=device), freqs_of(12, 32, True, device)
    ends = torch.tensor([0, 2, 6], device=device, dtype=torch.int32)
    compiled = torch.compile(apply_rotary_pos_emb, backend="aot_eager", fullgraph=True)
    wide = freqs_of(40, 16, False, device)
    for arguments in (
        (t, freqs),
        (t, freqs, "bshd", None, True, True),
        (t, freqs, "sbhd", None, False, True, None, 2, 1),
        (t, wide, "sbhd", None, False, True, None, 3, 1),
        (t, wide, "sbhd", None, False, True, None, 6, 5),
        (t[:, 0], freqs, "thd", None, True, False, ends),
    ):
        assert_close([compiled(*arguments)], [apply_rotary_pos_emb(*arguments)])
