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


SMALL = {"vocab_size": 99, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 96, "max_position_embeddings": 256}
MODELS = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {"num_key_value_heads": 2}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {"num_key_value_heads": 2, "head_dim": 32}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {"rotary_pct": 0.25, "hidden_size": 128}),
    "deepseek_v3": ("DeepseekV3ForCausalLM", "DeepseekV3Config", {
        "num_key_value_heads": 4, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 16,
        "qk_nope_head_dim": 16, "v_head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
        "topk_group": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1}),
}


def made(family, device, dtype=torch.float32):
    name, config, extra = MODELS[family]
    torch.manual_seed(0)
    config = getattr(transformers, config)(**{**SMALL, **extra}, attn_implementation="eager")
    return getattr(transformers, name)(config).to(device=device, dtype=dtype)


def prompt(device):
    return torch.randint(1, 99, (2, 12), generator=torch.Generator().manual_seed(3)).to(device)


class Counted:
    """The kernels that ran while it was entered."""

    def __init__(self, monkeypatch):
        self.calls = 0
        for name in ("apply_rotary_pos_emb", "apply_rotary_pos_emb_interleave"):
            monkeypatch.setitem(hf._REPLACEMENTS, name, self.counted(hf._REPLACEMENTS[name]))

    def counted(self, function):
        def count(*arguments, **keywords):
            self.calls += 1
            return function(*arguments, **keywords)

        return count


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", MODELS)
def test_a_patched_model_gives_the_same_logits_and_tokens(family, dtype, device, monkeypatch):
    model = made(family, device, dtype).eval()
    counted = Counted(monkeypatch)
    ids = prompt(device)

    def run():
        with torch.no_grad():
            logits = model(ids).logits
            tokens = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, do_sample=False,
                                    pad_token_id=0, eos_token_id=-1)
        return logits, tokens

    plain = run()
    assert counted.calls == 0
    with hf.patch(model):
        patched = run()
    assert counted.calls == 2 * 65
    assert_same_bits(patched, plain)
    run()
    assert counted.calls == 2 * 65, "leaving the block did not undo the patch"


@pytest.mark.parametrize("family", [pytest.param(name, marks=[pytest.mark.slow] * (name != "qwen3")) for name in MODELS])
def test_a_patched_model_learns_the_same(family, device):
    def losses(patched):
        model = made(family, device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        ids = prompt(device)
        patch = hf.patch(model) if patched else hf.Patch()
        with patch:
            result = []
            for _ in range(50):
                loss = model(ids, labels=ids).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                result.append(loss.item())
        return torch.tensor(result)

    plain, patched = losses(False), losses(True)
    assert plain[-1] < plain[0]
    torch.testing.assert_close(patched, plain, rtol=1e-4, atol=1e-5)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="^model: found Linear"):
        hf.patch(torch.nn.Linear(2, 2))
