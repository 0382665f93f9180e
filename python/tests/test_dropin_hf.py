"""ropejit.dropin.hf beside transformers' own functions and models."""

import pytest
import torch

from ropejit.dropin import hf
from shapes import DTYPES, IDS, SHAPES, angles, assert_close, assert_same_bits, results_and_gradients, tensors

transformers = pytest.importorskip("transformers")
from transformers.models.deepseek_v3 import modeling_deepseek_v3  # noqa: E402
from transformers.models.gpt_neox import modeling_gpt_neox  # noqa: E402
from transformers.models.llama import modeling_llama  # noqa: E402
from transformers.models.qwen3 import modeling_qwen3  # noqa: E402

CASES = {
    "llama": (modeling_llama.apply_rotary_pos_emb, hf.apply_rotary_pos_emb),
    "qwen3": (modeling_qwen3.apply_rotary_pos_emb, hf.apply_rotary_pos_emb),
    "gpt_neox": (modeling_gpt_neox.apply_rotary_pos_emb, hf.apply_rotary_pos_emb),
    "deepseek_v3": (modeling_deepseek_v3.apply_rotary_pos_emb_interleave, hf.apply_rotary_pos_emb_interleave),
}


def tables(shape, rotary_dim, dtype, device):
    half = angles(shape[0] if shape[0] % 2 else 1, shape[1], rotary_dim // 2, device)
    full = torch.cat((half, half), dim=-1)
    return full.cos().to(dtype), full.sin().to(dtype)


@pytest.mark.parametrize("family", CASES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_the_bits_are_those_of_transformers(family, dtype, shape, device):
    theirs, ours = CASES[family]
    dim = shape[4]
    rotary_dim = dim // 4 // 2 * 2 if family == "gpt_neox" and dim >= 8 else dim
    inputs = tensors(shape, dtype, device)
    cos, sin = tables(shape, rotary_dim, dtype, device)
    assert_same_bits(results_and_gradients(ours, inputs, cos, sin), results_and_gradients(theirs, inputs, cos, sin))


@pytest.mark.parametrize("dtypes", [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16),
                                    (torch.float16, torch.bfloat16), (torch.float16, torch.float32)], ids=str)
@pytest.mark.parametrize("family", CASES)
def test_dtypes_that_differ_are_promoted_as_torch_does(family, dtypes, device):
    theirs, ours = CASES[family]
    inputs = tensors(SHAPES[2], dtypes[0], device)
    cos, sin = tables(SHAPES[2], SHAPES[2][4], dtypes[1], device)
    assert_same_bits(ours(*inputs, cos, sin), theirs(*inputs, cos, sin))
    assert_close(results_and_gradients(ours, inputs, cos, sin), results_and_gradients(theirs, inputs, cos, sin))


@pytest.mark.parametrize("family", CASES)
def test_unsqueeze_dim_2_takes_tokens_before_heads(family, device):
    theirs, ours = CASES[family]
    q, k = (tensor.transpose(1, 2) for tensor in tensors(SHAPES[2], torch.bfloat16, device))
    cos, sin = tables(SHAPES[2], 64, torch.bfloat16, device)
    assert_same_bits(ours(q, k, cos, sin, unsqueeze_dim=2), theirs(q, k, cos, sin, unsqueeze_dim=2))


LIES = {
    "columns": lambda t: t.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every other": lambda t: torch.stack((t, t), dim=-1)[..., 0],
    "a part of wider rows": lambda t: torch.cat((t, t), dim=-1)[..., : t.shape[-1]],
    "gapless": lambda t: t,
}


@pytest.mark.parametrize("lies", [(a, b) for a in LIES for b in LIES if (a, b) != ("gapless", "gapless")], ids=", ".join)
def test_tables_of_any_strides(lies, device):
    inputs = tensors(SHAPES[3], torch.bfloat16, device)
    cos, sin = (LIES[lie](t) for lie, t in zip(lies, tables(SHAPES[3], 64, torch.bfloat16, device)))
    ours = results_and_gradients(hf.apply_rotary_pos_emb, inputs, cos, sin)
    assert_same_bits(ours, results_and_gradients(modeling_llama.apply_rotary_pos_emb, inputs, cos, sin))


@pytest.mark.parametrize("rank, unsqueeze_dim", [(3, 1), (3, 2), (3, -3), (3, -2), (2, 0), (2, 1), (2, -3), (2, -2)])
def test_unsqueeze_dim_counts_as_torch_does(rank, unsqueeze_dim, device):
    # As many tokens as heads: where heads are taken for tokens, shapes do not tell.
    shape = (1, 4, 4, 4, 64, "bshd")
    inputs = tensors(shape, torch.bfloat16, device)
    cos, sin = (t if rank == 3 else t[0] for t in tables(shape, 64, torch.bfloat16, device))
    arguments = (*inputs, cos, sin, unsqueeze_dim)
    assert_same_bits(hf.apply_rotary_pos_emb(*arguments), modeling_llama.apply_rotary_pos_emb(*arguments))


def test_results_lie_as_the_inputs_do(device):
    for shape in SHAPES:
        if shape[5] not in ("bshd", "bhsd", "sbhd"):
            continue
        q, k = tensors(shape, torch.bfloat16, device)
        cos, sin = tables(shape, shape[4], torch.bfloat16, device)
        assert [x.stride() for x in hf.apply_rotary_pos_emb(q, k, cos, sin)] == [q.stride(), k.stride()]
