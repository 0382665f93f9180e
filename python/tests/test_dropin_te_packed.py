"""ropejit.dropin.transformer_engine.apply_fused_qkv_rotary_pos_emb beside the formula of TransformerEngine."""

import pytest
import torch

from ropejit.dropin.transformer_engine import apply_fused_qkv_rotary_pos_emb
from shapes import DTYPES, assert_close, assert_same_bits, results_and_gradients
from test_dropin_transformer_engine import freqs_of, positions_of, rotated

# tokens (even: ranks can share them), batch, groups, heads of a group, d, width of freqs
SHAPES = [
    (2, 2, 3, 4, 64, 64),
    (8, 1, 2, 4, 128, 64),
    (6, 3, 4, 1, 16, 16),
    (4, 2, 1, 2, 256, 128),
    (10, 2, 2, 3, 40, 20),
]
IDS = ["x".join(map(str, shape[:5])) + f"-{shape[5]}" for shape in SHAPES]


def by_formula(qkv, angles, split, interleaved):
    q, k, v = qkv.split(split, dim=-1)
    q = q.reshape(*q.shape[:2], -1, split[1])
    return *(rotated(x, angle, interleaved, True) for x, angle in zip((q, k), angles)), v


@pytest.mark.parametrize("tables", ["one table", "two tables"])
@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd"])
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=IDS)
def test_results_and_gradients(number, tensor_format, interleaved, tables, device):
    tokens, batch, groups, heads, dim, width = SHAPES[number]
    dtype, cp_size = DTYPES[number % 3], (1, 2)[number % 2]
    cp_rank = cp_size - 1
    starts, start_positions = torch.zeros(batch, dtype=torch.int64), None
    if cp_size == 1:
        starts, start_positions = torch.arange(batch) * 3, torch.arange(batch, device=device, dtype=torch.int32) * 3
    rows = tokens * cp_size + 3 * batch
    freqs = [freqs_of(rows, width, interleaved, device), freqs_of(rows, width, interleaved, device, 500.0)]
    if tables == "one table":
        freqs[1] = freqs[0].view(freqs[0].shape)
    sizes = (tokens, batch) if tensor_format == "sbhd" else (batch, tokens)
    split = [heads * dim, dim, dim]
    qkv = torch.randn(*sizes, groups, sum(split), device=device).to(dtype)
    where = torch.stack([positions_of(tokens, start, cp_size, cp_rank) for start in starts]).to(device)
    angles = [x[where if tensor_format == "bshd" else where.t()][:, :, 0] for x in freqs]

    def ours(qkv):
        return apply_fused_qkv_rotary_pos_emb(
            qkv, *freqs, split, tensor_format, start_positions, interleaved, None, cp_size, cp_rank
        )

    results = results_and_gradients(ours, [qkv])
    assert all(x.is_contiguous() for x in results)
    assert_close(results, results_and_gradients(lambda qkv: by_formula(qkv, angles, split, interleaved), [qkv]))
    assert_same_bits(ours(qkv), results[:3])  # without gradients


def test_parts_of_a_wider_projection_and_values_of_another_size(device):
    wide, split = torch.randn(3, 2, 2, 2 * 32 + 32 + 20 + 5, device=device), (64, 32, 20)
    freqs = freqs_of(3, 32, False, device)
    qkv = wide[..., :-5]
    expected = by_formula(qkv, [freqs[:, :, 0, None].expand(3, 2, 1, 32)] * 2, split, False)
    assert_close(apply_fused_qkv_rotary_pos_emb(qkv, freqs, freqs, split), expected)


def test_compiled_without_a_graph_break(device):
    qkv, split = torch.randn(3, 2, 2, 128, device=device), [64, 32, 32]
    freqs = [freqs_of(3, 32, False, device, theta) for theta in (1e4, 100.0)]

    def step(qkv):
        return *apply_fused_qkv_rotary_pos_emb(qkv, *freqs, split), *apply_fused_qkv_rotary_pos_emb(
            qkv, freqs[0], freqs[0], split
        )

    torch._dynamo.reset()
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    assert_same_bits(compiled(qkv), step(qkv))
    assert_same_bits(results_and_gradients(compiled, [qkv]), results_and_gradients(step, [qkv]))


def bad_cases(device):
    qkv, freqs = torch.zeros(4, 2, 3, 96, device=device), freqs_of(8, 16, False, device)
    names = "qkv q_freqs k_freqs qkv_split_arg_list tensor_format start_positions interleaved cu_seqlens cp_size cp_rank"
    given = dict(zip(names.split(), (qkv, freqs, freqs, [64, 16, 16], "sbhd", None, False, None, 1, 0)))
    changes = {
        "qkv is None": (TypeError, "qkv: found NoneType", {"qkv": None}),
        "qkv of three dimensions": (ValueError, "qkv: found shape", {"qkv": qkv[0]}),
        "qkv of int": (TypeError, "qkv: found torch.int32", {"qkv": qkv.int()}),
        "thd": (ValueError, "tensor_format: found 'thd', allowed: sbhd or bshd", {"tensor_format": "thd"}),
        "a split of two": (ValueError, r"qkv_split_arg_list: found \[80, 16\]", {"qkv_split_arg_list": [80, 16]}),
        "a split of another sum": (ValueError, "qkv_split_arg_list: found", {"qkv_split_arg_list": [64, 16, 32]}),
        "a split within a head": (ValueError, "qkv_split_arg_list: found", {"qkv_split_arg_list": [56, 24, 16]}),
        "k_freqs are None": (TypeError, "k_freqs: found NoneType", {"k_freqs": None}),
        "k_freqs of another width": (
            ValueError, "k_freqs: found 8 angles a row", {"k_freqs": freqs_of(8, 8, False, device)}
        ),
        "k_freqs of two dimensions": (ValueError, "k_freqs: found shape", {"k_freqs": freqs[:, 0, 0]}),
        "few rows": (ValueError, "q_freqs: found 3 rows", {"q_freqs": freqs[:3], "k_freqs": freqs[:3]}),
        "few rows of k": (ValueError, "k_freqs: found 3 rows", {"k_freqs": freqs[:3]}),
        "wide freqs": (
            ValueError, "q_freqs: found 32", dict.fromkeys(("q_freqs", "k_freqs"), freqs_of(8, 32, False, device))
        ),
        "cp_size of 0": (ValueError, "cp_size: found 0", {"cp_size": 0}),
        "cp_rank of 2": (ValueError, "cp_rank: found 2", {"cp_size": 2, "cp_rank": 2}),
        "starts of fp32": (
            TypeError, "start_positions: found torch.float32", {"start_positions": torch.zeros(2, device=device)}
        ),
    }
    return {name: (kind, message, {**given, **changed}) for name, (kind, message, changed) in changes.items()}


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=message) as raised:
        apply_fused_qkv_rotary_pos_emb(**arguments)
    assert "\n" not in str(raised.value)
