"""patch(model): which layers it takes, which it leaves and why, and how it is undone."""

import copy
import inspect
import os
import pathlib
import subprocess
import sys
import types

import pytest
import torch

from ropejit import adapt
from ropejit.dropin import hf
from shapes import assert_same_bits

transformers = pytest.importorskip("transformers")
from transformers.models.qwen3 import modeling_qwen3  # noqa: E402

from hf_models import NORMS, made, prompt  # noqa: E402


def attention(model, layer=0):
    return model.model.layers[layer].self_attn


def logits(model, device, **options):
    with torch.no_grad():
        return model(prompt(device), **options).logits


def attributes(model):
    """Every attribute of every module, by what it is."""
    return {
        name: {"class": type(module), **{key: id(value) for key, value in vars(module).items()}}
        for name, module in model.named_modules()
    }


class Wrapped(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) * 1.0


def with_hook(layer, device):
    layer.q_norm.register_forward_hook(lambda *_: None)


def with_pre_hook(layer, device):
    layer.k_norm.register_forward_pre_hook(lambda *_: None)


def with_wrapper(layer, device):
    layer.q_norm = Wrapped(layer.q_norm)


def with_an_own_class(layer, device):
    layer.k_norm.__class__ = type("Qwen3RMSNorm", (modeling_qwen3.Qwen3RMSNorm,), {})


def with_parametrization(layer, device):
    torch.nn.utils.parametrizations.weight_norm(layer.q_norm, dim=None)


def with_an_own_forward(layer, device):
    layer.q_norm.forward = types.MethodType(lambda self, x: x, layer.q_norm)


def with_a_patched_attention(layer, device):
    layer.forward = types.MethodType(type(layer).forward, layer)


def with_int8_weights(layer, device):
    layer.k_norm.weight = torch.nn.Parameter(layer.k_norm.weight.detach().to(torch.int8), requires_grad=False)


def with_weights_on_meta(layer, device):
    layer.q_norm.weight = torch.nn.Parameter(torch.empty(32, device="meta"))


def with_all_on_meta(layer, device):
    layer.to("meta")


def with_a_subclass(layer, device):
    class Packed(torch.Tensor):
        pass

    layer.q_norm.weight = torch.nn.Parameter(layer.q_norm.weight.detach().as_subclass(Packed))


def with_dtensor(layer, device):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, distribute_tensor

    mesh = init_device_mesh(torch.device(device).type, (1,))
    layer.k_norm.weight = torch.nn.Parameter(distribute_tensor(layer.k_norm.weight.detach(), mesh, [Replicate()]))


def with_another_epsilon(layer, device):
    layer.q_norm.variance_epsilon = 1e-3


def with_a_projection_on_meta(layer, device):
    layer.v_proj.to("meta")


def with_no_projection(layer, device):
    del layer.k_proj


REASONS = {
    "a hook": (with_hook, "q_norm._forward_hooks: found some"),
    "a hook before it": (with_pre_hook, "k_norm._forward_pre_hooks: found some"),
    "a wrapper, as adapters have": (with_wrapper, "q_norm: found test_hf_patch.Wrapped, allowed: Qwen3RMSNorm itself"),
    "a class that is derived": (with_an_own_class, "k_norm: found"),
    "a parametrization": (with_parametrization, "q_norm: found"),
    "a forward of its own, as offloading sets": (with_an_own_forward, "q_norm.forward: found one of its own"),
    "an attention that is patched": (with_a_patched_attention, "forward: found one of its own"),
    "quantised weights": (with_int8_weights, "k_norm.weight: found a weight of torch.int8"),
    "weights on meta": (with_weights_on_meta, "q_norm.weight: found a weight on meta"),
    "a layer on meta": (with_all_on_meta, "device: found meta"),
    "a tensor of another kind": (with_a_subclass, "q_norm.weight: found a"),
    "a distributed tensor": (with_dtensor, "k_norm.weight: found a DTensor"),
    "another epsilon": (with_another_epsilon, "q_norm: found an epsilon of 0.001"),
    "a projection elsewhere": (with_a_projection_on_meta, "v_proj: found a parameter on meta"),
    "a projection that is missing": (with_no_projection, "k_proj: found none"),
}


@pytest.fixture
def one_rank(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("case", REASONS)
def test_a_layer_keeps_its_own_code_for_a_reason_and_the_others_do_not(case, device, request):
    change, reason = REASONS[case]
    if change is with_dtensor:
        request.getfixturevalue("one_rank")
    model = made("qwen3", device, torch.bfloat16)
    change(attention(model), device)
    before = attributes(model)
    with hf.patch(model) as patch:
        left, taken = patch.report
        assert left.does is None and left.reason.startswith(reason) and "\n" not in left.reason
        assert taken.does == NORMS and taken.reason is None
        assert attributes(model)["model.layers.0.self_attn"] == before["model.layers.0.self_attn"]
        assert left.reason in str(patch)
    assert attributes(model) == before


def test_a_layer_that_keeps_its_own_code_has_its_own_result(device):
    model = made("qwen3", device, torch.bfloat16)
    seen = []
    attention(model).q_norm.register_forward_hook(lambda module, inputs, result: seen.append(1) or result * 2)
    plain = logits(model, device)
    with hf.patch(model):
        assert_same_bits(logits(model, device), plain)
    assert len(seen) == 2


def test_adapters_on_projections_are_served(device):
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(made("qwen3", device, torch.bfloat16), peft.LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)).eval()
    plain = logits(adapted, device)
    with hf.patch(adapted) as patch:
        assert [row.does for row in patch.report] == [NORMS] * 2
        assert_same_bits(logits(adapted, device), plain)
        assert patch.seams["qwen3"].served == 2


@pytest.mark.parametrize("change", [with_hook, with_wrapper, with_an_own_forward, with_a_subclass])
def test_what_is_put_on_a_norm_after_the_patch_is_not_lost(change, device):
    model = made("qwen3", device, torch.bfloat16)
    with hf.patch(model) as patch:
        change(attention(model), device)
        patched = logits(model, device)
        seam = patch.seams["qwen3"]
        # A tensor of another kind makes what comes behind it one, too.
        assert sum(seam.fallen_through.values()) == (2 if change is with_a_subclass else 1) == 2 - seam.served
    assert_same_bits(patched, logits(model, device))


def test_a_hook_on_a_projection_keeps_what_it_saw(device):
    model, kept = made("qwen3", device, torch.bfloat16), []
    attention(model).q_proj.register_forward_hook(lambda module, inputs, result: kept.append(result))
    logits(model, device)
    with hf.patch(model):
        logits(model, device)
    assert_same_bits(kept[1], kept[0])


def test_of_two_models_of_a_family_one_is_patched(device):
    one, other = made("qwen3", device, torch.bfloat16), made("qwen3", device, torch.bfloat16)
    of_module, of_other = dict(vars(modeling_qwen3)), attributes(other)
    with hf.patch(one) as patch:
        logits(other, device)
        assert patch.seams["qwen3"].served == 0
        assert attributes(other) == of_other and dict(vars(modeling_qwen3)) == of_module
        with hf.patch(other) as second:
            logits(other, device)
            assert second.seams["qwen3"].served == 2 and patch.seams["qwen3"].served == 0
        logits(one, device)
        assert patch.seams["qwen3"].served == 2


def raising(monkeypatch):
    from ropejit._prologue import Prologue

    def fail(*arguments, **keywords):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(Prologue, "__call__", fail)


@pytest.mark.parametrize("options", [{}, {"shadow": 2}, {"policy": "auto"}], ids=str)
def test_a_kernel_that_cannot_be_launched_leaves_the_model_as_it_was(options, device, monkeypatch):
    model, ids = made("qwen3", device, torch.bfloat16), prompt(device)

    def tokens():
        return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, do_sample=False, pad_token_id=0,
                              eos_token_id=-1, cache_implementation="static", disable_compile=True)

    plain = tokens()
    with hf.patch(model, **options) as patch:
        raising(monkeypatch)
        with pytest.warns(UserWarning, match="no such kernel") as warned:
            assert_same_bits(tokens(), plain)
        assert len([each for each in warned if "ropejit does not serve" in str(each.message)]) == 1
        assert "RuntimeError: no such kernel" in patch.seams["qwen3"].reason


def autocast(model, device):
    return torch.autocast(torch.device(device).type, torch.bfloat16)


CHANGES = {
    "autocast over fp32": lambda model, device: autocast(model, device),
    "another epsilon": lambda model, device: setattr(attention(model).q_norm, "variance_epsilon", 0.5),
    "fp64": lambda model, device: model.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_after_the_patch_has_the_models_own_result(change, device):
    def changed(patched):
        model = made("qwen3", device)
        patch = hf.patch(model) if patched else None
        done = CHANGES[change](model, device)
        with done if change.startswith("autocast") else torch.no_grad():
            found = logits(model, device)
        assert not patched or sum(patch.seams["qwen3"].fallen_through.values()) > 0
        return found

    if change == "another epsilon":  # the other layer is served: its root may be an ulp off
        torch.testing.assert_close(changed(True), changed(False), rtol=1e-4, atol=1e-5)
    else:
        assert_same_bits(changed(True), changed(False))


def test_a_trace_and_a_transform_have_the_models_own_code(device):
    model, ids = made("llama", device), prompt(device, 1, 4)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids):
            return self.model(ids, use_cache=False, attention_mask=torch.ones_like(ids)).logits

    with torch.no_grad():
        plain = Logits()(ids)
        with hf.patch(model) as patch:
            traced = torch.jit.trace(Logits(), (ids,), check_trace=False)
            assert patch.seams["llama"].served == 0
        torch.testing.assert_close(traced(ids), plain)


def test_gradients_that_come_from_elsewhere_than_the_layer(device):
    def gradient(patched):
        model = made("qwen3", device).requires_grad_(False)
        learned = torch.nn.Parameter(torch.full((attention(model).q_proj.out_features,), 0.1, device=device))
        attention(model).q_proj.register_forward_hook(lambda module, inputs, result: result + learned)
        with hf.patch(model) if patched else torch.enable_grad():
            model(prompt(device), use_cache=False).logits.sum().backward()
        return learned.grad

    torch.testing.assert_close(gradient(True), gradient(False), rtol=1e-4, atol=1e-4)


def test_a_projection_whose_rows_are_parts_of_wider_ones(device):
    class Padded(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return torch.nn.functional.pad(self.inner(x), (0, 0, 0, 3))[:, : x.shape[1]]

    model = made("qwen3", device, torch.bfloat16)
    for name in ("q_proj", "k_proj", "v_proj"):
        setattr(attention(model), name, Padded(getattr(attention(model), name)))
    plain = logits(model, device)
    with hf.patch(model) as patch:
        assert_same_bits(logits(model, device), plain)
        assert patch.seams["qwen3"].served == 2


def test_tables_that_are_written_over_are_read_anew(device):
    model, ids = made("qwen3", device, torch.bfloat16), prompt(device)
    table = torch.zeros(2, 1, 12, 32, device=device, dtype=torch.bfloat16)
    usual = model.model.rotary_emb.forward

    def filled(x, position_ids, *rest, **more):
        for own, made_now in zip(table, usual(x, position_ids[:1], *rest, **more)):
            own.copy_(made_now)
        return table[0], table[1]

    def results():
        with torch.no_grad():
            return [model(ids, use_cache=False, position_ids=torch.arange(12, device=device)[None] + first).logits
                    for first in (0, 100)]

    model.model.rotary_emb.forward = filled
    plain = results()
    with hf.patch(model):
        assert_same_bits(results(), plain)


def test_a_replica_has_its_own_weights(device):
    model = made("qwen3", device, torch.bfloat16)
    with hf.patch(model):
        replica = copy.copy(attention(model))
        replica._modules = dict(replica._modules)
        replica._modules["q_proj"] = copy.deepcopy(replica.q_proj)
        with torch.no_grad():
            replica.q_proj.weight.mul_(2)
        model.model.layers[0].self_attn = replica
        patched = logits(model, device)
        replica.__class__ = modeling_qwen3.Qwen3Attention
        assert_same_bits(patched, logits(model, device))


def test_a_patch_and_a_cache_keep_nothing_alive(device):
    import weakref

    model, ids = made("qwen3", device, torch.bfloat16), prompt(device)
    patch = hf.patch(model)
    cache = transformers.StaticCache(config=model.config, max_cache_len=16)
    takes = inspect.signature(modeling_qwen3.Qwen3Attention.forward).parameters
    name = "cache" if "cache" in takes else "past_key_values"
    with torch.no_grad():
        model(ids, use_cache=True, **{name: cache})
    keys, weight = weakref.ref(cache.layers[0].keys), weakref.ref(attention(model).q_proj.weight)
    del cache
    assert keys() is None
    del model
    assert weight() is None and patch.report
    patch.undo()


@pytest.mark.parametrize("family", ["qwen3", "gpt_neox"])
def test_undo_restores_every_attribute_and_keys_of_weights_do_not_change(family, device):
    model = made(family, device)
    before, keys = attributes(model), list(model.state_dict())
    patch = hf.patch(model)
    assert attributes(model) != before and list(model.state_dict()) == keys
    model.load_state_dict(copy.deepcopy(model.state_dict()))
    patch.undo()
    assert attributes(model) == before
    patch.undo()
    assert attributes(model) == before


def test_a_copy_of_a_patched_model_is_patched_on_its_own(device):
    model = made("qwen3", device, torch.bfloat16)
    with hf.patch(model) as patch:
        copied = copy.deepcopy(model)
        with torch.no_grad():
            copied.model.layers[0].self_attn.q_norm.weight.mul_(3)
        changed = logits(copied, device)
        assert patch.seams["qwen3"].served == 2
    assert not torch.equal(changed, logits(model, device))


def test_patching_twice_leaves_the_first_in_place(device):
    model = made("qwen3", device)
    with hf.patch(model):
        second = hf.patch(model)
        assert all(row.does is None and row.reason.startswith("forward: found ropejit's") for row in second.report)
        second.undo()
        assert type(attention(model)) is not modeling_qwen3.Qwen3Attention
    assert type(attention(model)) is modeling_qwen3.Qwen3Attention


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="^model: found Linear"):
        hf.patch(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("options, named", [({"policy": "best"}, "policy"), ({"shadow": -1}, "shadow")])
def test_wrong_options_are_named_and_leave_nothing_behind(options, named, device):
    model = made("qwen3", device)
    before = attributes(model)
    with pytest.raises(ValueError, match=f"^{named}: found"):
        hf.patch(model, **options)
    assert attributes(model) == before


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "hf", "hf.qwen3"])
def test_with_the_variable_set_models_run_as_if_ropejit_were_not_there(value, device, monkeypatch):
    model = made("qwen3", device)
    plain, before = logits(model, device), attributes(model)
    monkeypatch.setenv("ROPEJIT_DISABLE", value)
    with hf.patch(model) as patch:
        assert attributes(model) == before
        assert all(row.does is None and "ROPEJIT_DISABLE" in row.reason for row in patch.report)
        assert_same_bits(logits(model, device), plain)


def replaced(name):
    def with_one_argument_more(q, k, cos, sin, unsqueeze_dim=1, scale=1.0):
        return getattr(modeling_qwen3, f"{name}_before")(q, k, cos, sin, unsqueeze_dim)

    return with_one_argument_more


def test_code_that_is_wrapped_by_others_is_other_code(device, monkeypatch):
    import functools

    usual = modeling_qwen3.Qwen3RMSNorm.forward

    @functools.wraps(usual)
    def doubled(norm, x):
        return usual(norm, x) * 2

    monkeypatch.setattr(modeling_qwen3.Qwen3RMSNorm, "forward", doubled)
    model = made("qwen3", device)
    plain = logits(model, device)
    with pytest.warns(UserWarning, match="qwen3.Qwen3RMSNorm.forward: found other code"), hf.patch(model):
        assert_same_bits(logits(model, device), plain)


def test_a_rotation_with_one_argument_more_turns_its_family_off_with_one_line(device, monkeypatch):
    usual = modeling_qwen3.apply_rotary_pos_emb
    monkeypatch.setattr(modeling_qwen3, "apply_rotary_pos_emb_before", usual, raising=False)
    monkeypatch.setattr(modeling_qwen3, "apply_rotary_pos_emb", replaced("apply_rotary_pos_emb"))
    model = made("qwen3", device)
    before = attributes(model)
    with pytest.warns(UserWarning, match="ropejit does not serve hf.qwen3: transformers qwen3.apply_rotary_pos_emb") as warned:
        patch = hf.patch(model)
    assert len(warned) == 1 and attributes(model) == before
    assert all("found other code" in row.reason for row in patch.report)
    other = made("llama", device)
    with hf.patch(other) as patch:
        assert all(row.does for row in patch.report)


def slowed(monkeypatch):
    from ropejit._prologue import Prologue

    usual = Prologue.__call__

    def slow(*arguments, **keywords):
        for _ in range(40):
            torch.randn(100, 100) @ torch.randn(100, 100)
        return usual(*arguments, **keywords)

    monkeypatch.setattr(Prologue, "__call__", slow)


def test_a_kernel_slowed_on_purpose_is_not_chosen(device, monkeypatch):
    model = made("qwen3", device, torch.bfloat16)
    plain = logits(model, device)
    slowed(monkeypatch)
    with hf.patch(model, policy="auto") as patch:
        assert_same_bits(logits(model, device), plain)
        seam = patch.seams["qwen3"]
        assert seam.choices == {32: False} and seam.fallen_through == {"slower": 2} and seam.served == 0


def test_a_shadow_run_compares_and_leaves_the_cache_alone(device):
    model, ids = made("qwen3", device, torch.bfloat16), prompt(device)

    def tokens():
        return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, pad_token_id=0,
                              eos_token_id=-1, cache_implementation="static", disable_compile=True)

    plain = tokens()
    with hf.patch(model, shadow=3) as patch:
        assert_same_bits(tokens(), plain)
        assert patch.seams["qwen3"].reason is None and patch.seams["qwen3"].served == 10


# Templates are read when kernels are made, so that this needs a process of its own.
FLIPPED = """
import sys, warnings
import torch
from ropejit import adapt
from ropejit.dropin import hf
from hf_models import made, prompt

device = sys.argv[1]
for family in ("qwen3", "gpt_neox"):
    model, ids = made(family, device, torch.bfloat16), prompt(device)
    with torch.no_grad():
        plain = model(ids, use_cache=False).logits
        wrong = hf.patch(model)
        assert not torch.equal(model(ids, use_cache=False).logits, plain), "the templates turn as ever"
        wrong.undo()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            with hf.patch(model, shadow=2) as patch:
                for _ in range(3):
                    assert torch.equal(model(ids, use_cache=False).logits, plain)
                seam = patch.seams[family]
                assert seam.reason.startswith("shadow: found result"), seam
                assert seam.served == 0 and sum(seam.fallen_through.values()) == 6, seam.fallen_through
        assert len([each for each in found if "ropejit does not serve" in str(each.message)]) == 1
print("fell back")
"""


def test_templates_with_a_flipped_sign_end_in_a_fall_back_whose_output_is_the_originals(device, tmp_path):
    here = pathlib.Path(__file__).resolve().parent
    templates = pathlib.Path(os.environ.get("ROPEJIT_TEST_TEMPLATES", here.parents[1] / "templates"))
    if not templates.is_dir():
        pytest.skip("no templates beside the tests (ROPEJIT_TEST_TEMPLATES)")
    folder = tmp_path / "templates"
    folder.mkdir()
    for file in templates.iterdir():
        text = file.read_text()
        if file.name == "pairs.cuh":
            assert "-multiply(y, turn.sin)" in text
            text = text.replace("-multiply(y, turn.sin)", "multiply(y, turn.sin)")
        (folder / file.name).write_text(text)
    environment = {**os.environ, "ROPEJIT_TEMPLATES": str(folder), "ROPEJIT_ON_MISS": "compile", "ROPEJIT_CACHE_DIR": ""}
    environment["PYTHONPATH"] = os.pathsep.join((str(here), *filter(None, sys.path)))
    done = subprocess.run([sys.executable, "-c", FLIPPED, device], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "fell back" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]


def test_counters_tell_of_patched_families(device):
    model = made("qwen3", device)
    with hf.patch(model) as patch:
        logits(model, device)
        assert {"name": "hf.qwen3", "served": 2, "fallen_through": {}, "reason": None} in adapt.counters()
        del patch


def test_a_patched_model_that_is_saved_whole_says_what_to_do(device, tmp_path):
    model = made("qwen3", device)
    with hf.patch(model):
        with pytest.raises(Exception, match="undo the patch"):
            torch.save(model, tmp_path / "model.pt")
    torch.save(model, tmp_path / "model.pt")
