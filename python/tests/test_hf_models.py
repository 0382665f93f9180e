"""Models of transformers with ropejit in them, beside the same models without."""

import pytest
import torch

from ropejit.dropin import hf
from shapes import assert_same_bits

transformers = pytest.importorskip("transformers")
from hf_models import MODELS, NORMS, VISION_MODELS, made, prompt  # noqa: E402

ALL = {**MODELS, **VISION_MODELS}
# OLMo 2 in fp32 and so on: the reciprocal root may be an ulp off (docs/prologue.md), which 16 bits do not show here.
CLOSE = {"rtol": 1e-5, "atol": 2e-6}


def generated(model, ids, tokens, **options):
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0,
                          eos_token_id=-1, **options)


def logits_and_tokens(model, family, device):
    """Logits of two sequences, 64 tokens behind them, and tokens by a static cache, of one sequence and of two."""
    ids = prompt(device)
    with torch.no_grad():
        results = [model(ids, use_cache=False).logits]
        if family in MODELS:
            results.append(generated(model, ids, 64))
        if family in MODELS and family != "gpt_neox":
            for one_or_two in (ids[:1], ids):
                results.append(generated(model, one_or_two, 6, cache_implementation="static", disable_compile=True))
    return results


def exactly(family, device):
    """What patch() is told so that every bit is the model's: on a GPU the root of a norm may be an ulp off else."""
    return {"same_bits": True} if device == "cuda" and ALL[family][3] == NORMS else {}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def families_and_dtypes():
    """Every family in bf16; in fp32 one of each kind of launch, and the others among what is slow."""
    kept = ("gpt_neox", "olmo2", "llama")
    for family in ALL:
        yield pytest.param(family, torch.bfloat16, id=f"{family}-bf16")
        yield pytest.param(family, torch.float32, id=f"{family}-fp32", marks=() if family in kept else pytest.mark.slow)


def served(patch):
    return sum(seam.served for seam in patch.seams.values())


@pytest.mark.parametrize("family, dtype", list(families_and_dtypes()))
def test_a_patched_model_gives_the_same_logits_and_tokens(family, dtype, device):
    model = made(family, device, dtype)
    plain = logits_and_tokens(model, family, device)
    keys = list(model.state_dict())
    options = {} if family.startswith("hunyuan") else exactly(family, device)
    with hf.patch(model, **options) as patch:
        assert list(model.state_dict()) == keys
        patched = logits_and_tokens(model, family, device)
    assert [row.does for row in patch.report] == [ALL[family][3]] * 2, str(patch)
    launches = served(patch)
    assert launches >= 2 * len(plain) and not any(seam.fallen_through for seam in patch.seams.values())
    if device == "cuda" and family.startswith("hunyuan"):
        torch.testing.assert_close(patched[0], plain[0], rtol=2e-2, atol=2e-2)
    elif dtype is torch.bfloat16 or options:
        assert_same_bits(patched, plain)
    else:
        torch.testing.assert_close(patched[0], plain[0], **CLOSE)
        assert_same_bits(patched[1:], plain[1:])
    assert_same_bits(logits_and_tokens(model, family, device), plain)
    assert served(patch) == launches, "leaving the block did not undo the patch"


@pytest.mark.parametrize("dtype", [slow(torch.float32), torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", ["olmo2", "qwen3", slow("gemma3"), slow("glm4_moe"), slow("llama")])
def test_with_roots_of_torchs_own_every_bit_is_the_models(family, dtype, device):
    model = made(family, device, dtype)
    plain = logits_and_tokens(model, family, device)
    with hf.patch(model, same_bits=True) as patch:
        assert all(row.does for row in patch.report)
        assert_same_bits(logits_and_tokens(model, family, device), plain)


def test_norms_behind_the_rotation_keep_their_own_code_where_every_bit_is_asked_for(device):
    with hf.patch(made("hunyuan_v1_dense", device), same_bits=True) as patch:
        assert all(row.does is None and row.reason.startswith("same_bits: ") for row in patch.report)


@pytest.mark.parametrize("family", [
    "deepseek_v3", "gpt_neox", "qwen3", slow("gpt_oss"), slow("hunyuan_v1_dense"), slow("olmo2"),
])
def test_a_patched_model_learns_the_same(family, device):
    def losses(patched):
        model = made(family, device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        ids, found = prompt(device), []
        patch = hf.patch(model) if patched else None
        for _ in range(50):
            loss = model(ids, labels=ids).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        assert patch is None or served(patch) >= 100
        return torch.tensor(found)

    plain, patched = losses(False), losses(True)
    assert plain[-1] < plain[0]
    torch.testing.assert_close(patched, plain, rtol=1e-4, atol=1e-5)


def decoded(model, run, ids, steps, capacity):
    """Logits of a prompt and of steps behind it, by a static cache."""
    config = model.config.get_text_config()
    cache = transformers.StaticCache(config=config, max_cache_len=capacity)
    name = "cache" if "cache" in type(model).forward.__wrapped__.__code__.co_varnames else "past_key_values"
    found, token = [], ids[:, :1]
    with torch.no_grad():
        found.append(model(ids, use_cache=True, **{name: cache}).logits)
        for _ in range(steps):
            found.append(run(token, use_cache=True, **{name: cache}).logits.clone())
    return found, cache


@pytest.mark.parametrize("family, batch", [
    ("qwen3", 1), ("llama", 2), ("gemma3", 2), slow("qwen3", 2), slow("llama", 1), slow("gemma3", 1),
])
def test_a_model_compiled_before_is_compiled_anew(family, batch, device):
    torch._dynamo.reset()
    model, ids = made(family, device, torch.bfloat16), prompt(device, batch)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    plain, _ = decoded(model, compiled, ids, 3, 32)
    with hf.patch(compiled, **exactly(family, device)) as patch:
        before = [seam.served for seam in patch.seams.values()]
        seen = Operators()
        with seen:
            patched, _ = decoded(model, compiled, ids, 3, 32)
        assert before == [0]
        assert seen.count > 0, "the compiled model did not come to ropejit"
    assert_same_bits(patched, plain)
    seen = Operators()
    with seen:
        assert_same_bits(decoded(model, compiled, ids, 3, 32)[0], plain)
    assert seen.count == 0, "undone, the compiled model still came to ropejit"


@pytest.mark.parametrize("family", ["qwen3", "gpt_neox", slow("deepseek_v3")])
def test_a_patched_model_is_compiled_with_its_gradients(family, device):
    torch._dynamo.reset()
    model, ids = made(family, device).train(), prompt(device)

    def gradients(run):
        model.zero_grad()
        run(ids, labels=ids, use_cache=False).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    plain = gradients(model)
    with hf.patch(model):
        compiled = torch.compile(model, backend="aot_eager")
        torch.testing.assert_close(gradients(compiled), plain, rtol=1e-4, atol=1e-5)
        model.eval()
        with torch.no_grad():
            expected = model(ids, use_cache=False).logits
            torch.testing.assert_close(compiled(ids, use_cache=False).logits, expected, **CLOSE)


class Operators:
    """How often torch.ops.ropejit.prologue was carried out while it was entered."""

    def __enter__(self):
        from ropejit._prologue import Prologue

        self.count, self.usual = 0, Prologue.forced

        def forced(of, *arguments):
            self.count += 1
            return self.usual(of, *arguments)

        Prologue.forced = forced

    def __exit__(self, *error):
        from ropejit._prologue import Prologue

        Prologue.forced = self.usual


@pytest.mark.parametrize("batch", [1, 2])
def test_a_static_cache_has_the_same_bits_and_nothing_beyond_its_end(batch, device):
    model, ids = made("qwen3", device, torch.bfloat16), prompt(device, batch)
    _, plain = decoded(model, model, ids, 4, 16)
    with hf.patch(model, **exactly("qwen3", device)):
        _, patched = decoded(model, model, ids, 4, 16)
        for ours, theirs in zip(patched.layers, plain.layers):
            assert_same_bits((ours.keys, ours.values), (theirs.keys, theirs.values))
            assert ours.cumulative_length == theirs.cumulative_length == 16
        # One token more than there is room for: transformers' own index is out of range.
        before = [layer.keys.clone() for layer in patched.layers]
        name = "cache" if "cache" in type(model).forward.__wrapped__.__code__.co_varnames else "past_key_values"
        with torch.no_grad():
            model(ids[:, :1], use_cache=True, attention_mask=torch.ones(batch, 16, device=device), **{name: patched})
        assert_same_bits([layer.keys for layer in patched.layers], before)


def test_tables_shared_by_all_sequences_and_tables_of_each(device):
    model, ids = made("qwen3", device, torch.bfloat16), prompt(device, 3)
    places = torch.arange(12, device=device)
    for positions in (places[None], places[None].expand(3, -1), torch.stack((places, places + 5, places * 2))):
        with torch.no_grad():
            plain = model(ids, position_ids=positions).logits
            with hf.patch(model, **exactly("qwen3", device)):
                assert_same_bits(model(ids, position_ids=positions).logits, plain)
