"""Bad input: a TypeError or ValueError that names the argument, and never a crash."""

import os
import re
import subprocess
import sys

import pytest
import torch

import ropejit
from ropejit.dropin import hf, liger, meta, paper
from ropejit.dropin._tables import table_rotation

SPEC = {"layout": "split_half", "rope_theta": 10000.0}
IDS = ropejit.Rotation(SPEC)
START = ropejit.Rotation(SPEC, {"positions": "start"})
OFFSETS = ropejit.Rotation(SPEC, {"positions": "offsets"})
RAGGED = ropejit.Rotation(SPEC, {"positions": "ragged"}, "shd")
TABLE = ropejit.Rotation(SPEC, {"positions": "start", "angles": "half"})
GATHERED = table_rotation("split_half", "full", "bshd", "p1")
COMPLEX = ropejit.Rotation({"layout": "interleaved"}, {"positions": "ids", "angles": "complex"})


def cases(device):
    q = torch.zeros(2, 5, 4, 32, device=device)
    k = torch.zeros(2, 5, 2, 32, device=device)
    ids = torch.arange(5, device=device)
    half = torch.zeros(9, 16, device=device)
    full = torch.zeros(1, 5, 32, device=device)
    ends = torch.tensor([0, 2, 5], device=device, dtype=torch.int32)
    meta_q = torch.empty(2, 5, 4, 32, device="meta")
    sparse = torch.zeros(2, 5, device=device).to_sparse()
    return {
        "q is no tensor": (TypeError, "q: found list", IDS, ([1.0], k, ids)),
        "q is None": (TypeError, "q: found NoneType", IDS, (None, k, ids)),
        "k is no tensor": (TypeError, "k: found str", IDS, (q, "k", ids)),
        "ids are a list": (TypeError, "positions: found list", IDS, (q, k, [0, 1])),
        "cos is a number": (TypeError, "cos: found float", TABLE, (q, k, None, 1.0, half)),
        "start is a float": (TypeError, "start: found float", START, (q, k, None, None, None, None, 1.5)),
        "start is beyond 64 bits": (ValueError, "start: found", START, (q, k, None, None, None, None, 2**64)),
        "q of fp64": (TypeError, "q: found torch.float64", IDS, (q.double(), k, ids)),
        "q of int64": (TypeError, "q: found torch.int64", IDS, (q.long(), k, ids)),
        "k of another dtype": (TypeError, "k: found torch.bfloat16", IDS, (q, k.bfloat16(), ids)),
        "q is sparse": (ValueError, "q: found layout", IDS, (sparse, None, ids)),
        "q has three dimensions": (ValueError, r"q: found shape \(2, 5, 32\)", IDS, (q[:, :, 0], None, ids)),
        "q has nine dimensions": (ValueError, "q: found shape", IDS, (q.reshape(1, 1, 1, 1, 1, 2, 5, 4, 32), None, ids)),
        "q has no heads": (ValueError, "q: found no heads", IDS, (q[:, :, :0], None, ids)),
        "q has no lanes": (ValueError, "q: found no lanes", IDS, (q[..., :0], None, ids)),
        "q has an odd head_dim": (ValueError, "q.head_dim: found 31|rotary_dim|head_dim", IDS, (q[..., :31], None, ids)),
        "q has a head_dim beyond 4096": (ValueError, "head_dim", START, (torch.zeros(1, 1, 1, 5000, device=device),)),
        "k of another batch": (ValueError, "k: found 1 batch", IDS, (q, k[:1], ids)),
        "k of other tokens": (ValueError, "k: found 4 tokens", IDS, (q, k[:, :4], ids)),
        "k has three dimensions": (ValueError, "k: found shape", IDS, (q, k[0], ids)),
        "no ids": (ValueError, "positions: found None", IDS, (q, k)),
        "ids where a start is meant": (ValueError, "positions: found a tensor", START, (q, k, ids)),
        "ids of fp32": (TypeError, "positions: found torch.float32", IDS, (q, k, ids.float())),
        "too few ids": (ValueError, r"positions: found shape \(4,\)", IDS, (q, k, ids[:4])),
        "ids of another batch": (ValueError, "positions: found shape", IDS, (q, k, ids.expand(3, 5))),
        "a single id": (ValueError, r"positions: found shape \(\)", IDS, (q, k, ids[0])),
        "too many offsets": (ValueError, "positions: found shape", OFFSETS, (q, k, ids)),
        "no cu_seqlens": (ValueError, "cu_seqlens: found None", RAGGED, (q[0],)),
        "cu_seqlens where there are none": (ValueError, "cu_seqlens: found a tensor", START,
                                            (q, k, None, None, None, ends)),
        "cu_seqlens of int64": (TypeError, "cu_seqlens: found torch.int64", RAGGED,
                                (q[0], None, None, None, None, ends.long())),
        "cu_seqlens of one number": (ValueError, "cu_seqlens: found shape", RAGGED,
                                     (q[0], None, None, None, None, ends[:1])),
        "no cos": (ValueError, "cos: found None", TABLE, (q, k, None, None, half)),
        "no sin": (ValueError, "sin: found None", TABLE, (q, k, None, half)),
        "cos where angles are computed": (ValueError, "cos: found a tensor", IDS, (q, k, ids, half, half)),
        "cos of int64": (TypeError, "cos: found torch.int64", TABLE, (q, k, None, half.long(), half)),
        "cos of one dimension": (ValueError, r"cos: found shape \(16,\)", TABLE, (q, k, None, half[0], half)),
        "cos of a batch of three": (ValueError, "cos: found a batch of 3", TABLE,
                                    (q, k, None, half.expand(3, 9, 16), half)),
        "sin of another shape": (ValueError, "sin: found shape", TABLE, (q, k, None, half, half[:8])),
        "sin of another dtype": (TypeError, "sin: found torch.bfloat16", TABLE, (q, k, None, half, half.bfloat16())),
        "cos that requires grad": (ValueError, "cos: found a tensor that requires grad", TABLE,
                                   (q, k, None, half.clone().requires_grad_(), half)),
        "cos wider than the head": (ValueError, "rotary_dim", TABLE,
                                    (q, k, None, torch.zeros(9, 17, device=device), torch.zeros(9, 17, device=device))),
        "start behind the table": (ValueError, "start: found 5", TABLE, (q, k, None, half, half, None, 5)),
        "start before the table": (ValueError, "start: found -1", TABLE, (q, k, None, half, half, None, -1)),
        "fewer rows than tokens": (ValueError, "cos: found 4 rows", GATHERED, (q, k, None, full[:, :4], full[:, :4])),
        "a complex table of another width": (ValueError, "rotary_dim|layout", COMPLEX,
                                             (q, k, ids, torch.zeros(9, 17, device=device, dtype=torch.complex64))),
        "a meta tensor for ids": (ValueError, "positions: found a tensor on meta", IDS, (q, k, ids.to("meta"))),
        "a meta tensor for k": (ValueError, "k: found a tensor on meta", IDS, (q, torch.zeros_like(k, device="meta"), ids)),
        "a meta tensor for q": (ValueError, "k: found a tensor on|q: found a tensor on meta", IDS, (meta_q, k, ids)),
        "hf: unsqueeze_dim": (ValueError, "unsqueeze_dim: found 3", hf.apply_rotary_pos_emb, (q, k, full, full, 3)),
        "hf: no tensor": (TypeError, "q: found int", hf.apply_rotary_pos_emb, (1, k, full, full)),
        "liger: unsqueeze_dim": (ValueError, "unsqueeze_dim: found 2", liger.liger_rotary_pos_emb,
                                 (q, k, full, full, None, 2)),
        "paper: cos is None": (TypeError, "cos: found NoneType|cos: found None", paper.apply_rotary_pos_emb,
                               (q, k, None, full)),
        "meta: freqs_cis is real": (ValueError, "rotary_dim|head_dim|q", meta.apply_rotary_emb,
                                    (q, k, torch.zeros(5, 33, device=device))),
    }


@pytest.mark.parametrize("name", cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = cases(device)[name]
    for in_place in (False, True):
        call = function.in_place if in_place and isinstance(function, ropejit.Rotation) else function
        try:
            call(*arguments)
        except (ValueError, TypeError) as error:
            if name == "paper: cos is None":
                continue
            assert type(error) is kind, error
            assert re.search(message, str(error)), error
        else:
            pytest.fail("nothing was raised")


def test_aliasing_that_is_not_supported(device):
    q = torch.zeros(2, 5, 4, 32, device=device)
    start = ropejit.Rotation(SPEC, {"positions": "start"})
    with pytest.raises(ValueError, match="^q: found an expanded tensor"):
        start.in_place(q[:, :, :1].expand(2, 5, 4, 32))
    with pytest.raises(ValueError, match="overlap"):
        start.in_place(q, q)
    with pytest.raises(ValueError, match="overlap"):
        start.in_place(q, q[:, :, 1:3])
    packed = torch.zeros(2, 5, 6, 32, device=device)
    start.in_place(packed[:, :, :4], packed[:, :, 4:])
    start(q, q)
    leaf = torch.zeros(2, 5, 4, 32, device=device, requires_grad=True)
    with pytest.raises(ValueError, match="^q: found a leaf that requires grad"):
        start.in_place(leaf)
    overlapping = torch.zeros(200, device=device).as_strided((2, 5, 1, 8), (3, 5, 8, 1))
    with pytest.raises(ValueError, match="overlap|q"):
        start.in_place(overlapping)


@pytest.mark.parametrize("spec, form, dims, error, message", [
    ([], None, "bshd", TypeError, "^spec: found list"),
    ("{", None, "bshd", ValueError, "^spec: found text that is not JSON"),
    (SPEC, "[]", "bshd", TypeError, "^form: found list"),
    (SPEC, {"placement": "in_place"}, "bshd", ValueError, "^form.placement"),
    (SPEC, {"positions": "nowhere"}, "bshd", ValueError, "^form.positions: found 'nowhere'"),
    (SPEC, {"positions": 3}, "bshd", ValueError, "^form.positions: found 3"),
    (SPEC, {"angles": "oblique"}, "bshd", ValueError, "^form.angles: found 'oblique'"),
    (SPEC, None, "bshx", ValueError, '^dims: found "bshx"'),
    (SPEC, None, "bbsd", ValueError, '^dims: found "bbsd"'),
    (SPEC, None, "bsh", ValueError, '^dims: found "bsh"'),
    (SPEC, None, 4, TypeError, "^dims: found int"),
    (SPEC, {"ranks": 2}, "bshd", ValueError, "^form.ranks: found 2, allowed: 1 to 1"),
    (SPEC, {"context_parallel": "zigzag", "ranks": 0}, "bshd", ValueError, "^form.ranks: found 0, allowed: 1 to 65536"),
    (SPEC, {"context_parallel": "zigzag", "ranks": "2"}, "bshd", ValueError, "^form.ranks: found '2'"),
    (SPEC, {"context_parallel": "zigzag", "ranks": 2, "rank": 2}, "bshd", ValueError, "^form.rank: found 2, allowed: 0 to 1"),
    ({"q": {"dtype_out": "fp8"}}, None, "bshd", ValueError, "^spec.q.dtype_out: found 'fp8'"),
])
def test_bad_specs_and_forms_are_named(spec, form, dims, error, message):
    with pytest.raises(error, match=message):
        ropejit.Rotation(spec, form, dims)


@pytest.mark.parametrize("spec, message", [
    ({"rope_theta": -1.0}, "rope_theta|theta"),
    ({"unknown": 1}, "unknown"),
    ({"dtype": "bf16"}, "^spec.dtype: found 'bf16'"),
    ({"q": {"heads": 5}}, "^spec.q.heads: found 5"),
    ({"rotary_dim": 34}, "rotary_dim"),
    ({"layout": "diagonal"}, "layout"),
])
def test_specs_that_tensors_disagree_with_are_named(spec, message, device):
    with pytest.raises(ValueError, match=message):
        ropejit.rope(torch.zeros(1, 2, 4, 32, device=device), None, spec, {"positions": "start"})


def test_gradients_of_other_directions_are_not_built(device):
    q = torch.zeros(1, 2, 4, 32, device=device, requires_grad=True)
    result, _ = ropejit.rope(q, None, {**SPEC, "direction": "inverse"}, {"positions": "start"})
    with pytest.raises(NotImplementedError, match="^spec.direction: found inverse"):
        result.sum().backward()


def test_cpu_tensors_are_refused_unless_asked_for(device):
    q = torch.zeros(1, 2, 4, 32)
    before = ropejit.serve_host(False)
    try:
        for function in (START, START.in_place):
            with pytest.raises(ValueError, match="^q: found a tensor on cpu"):
                function(q)
        with pytest.raises(ValueError, match="^q: found a tensor on cpu"):
            torch.ops.ropejit.rope(q, None, START.spec, START.form, START.dims)
    finally:
        ropejit.serve_host(before)


def test_a_table_beyond_its_rows_gives_nan_and_reads_nothing(device):
    table = torch.ones(4, 16, device=device)
    rope = ropejit.Rotation(SPEC, {"positions": "ids", "angles": "half"})
    result, _ = rope(torch.ones(1, 3, 1, 32, device=device), None, torch.tensor([0, 4, 2**40], device=device), table, table)
    assert not result[0, 0].isnan().any() and result[0, 1:].isnan().all()


def test_no_random_arguments_crash():
    """In a process of its own, so that a crash is told from a failure."""
    program = """
import random, sys, torch, ropejit
sys.path.insert(0, sys.argv[1])
import test_bad_input as bad
from ropejit.dropin import flash_attn, flashinfer, transformer_engine, vllm
random.seed(4)
device = sys.argv[2]
values = [None, 0, "x", 2**70, [], object()]
values += [v for case in bad.cases(device).values() for v in case[3]]
functions = [bad.IDS, bad.START, bad.OFFSETS, bad.RAGGED, bad.TABLE, bad.GATHERED, bad.COMPLEX]
functions += [f.in_place for f in functions]
for module in (flash_attn, flashinfer, transformer_engine, vllm):
    functions += [value for name, value in vars(module).items() if name.startswith(("apply_", "rotary_"))]
good = 0
for _ in range(6000):
    function = random.choice(functions)
    with torch.no_grad():
        try:
            function(*random.choices(values, k=random.randrange(1, 8)))
            good += 1
        except (TypeError, ValueError, NotImplementedError):
            pass
print(good)
"""
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", program, folder, "cuda" if torch.cuda.is_available() else "cpu"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 0
