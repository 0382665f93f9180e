"""The part of `ropejit try` that needs torch: a small model before and after. The rest: tests/python_command_test.py."""

import pytest

transformers = pytest.importorskip("transformers", minversion="4.51")

from ropejit import _try, _try_model  # noqa: E402


class Quiet:
    def say(self, text):
        pass


def small(config):
    config.num_hidden_layers, config.vocab_size = 2, 256
    config.hidden_size = config.intermediate_size = 128
    return config


def place(device):
    return "cpu" if device == "cpu" else "cuda:0"


@pytest.mark.parametrize("name", ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B", "meta-llama/Meta-Llama-3.1-8B", "mistralai/Mistral-7B-v0.3"])
def test_a_known_model_is_timed_before_and_after_with_the_same_bits(device, name, monkeypatch):
    monkeypatch.setattr(_try_model, "ROUNDS", 1)
    config = small(_try_model.config_of(None, name))
    measured = _try_model.measure(config, place(device), Quiet(), prompt=8, prefill=16)
    assert measured["same_bits"] is True
    assert [what for what, _, _ in measured["rows"]] == ["decode step at 8 tokens", "prefill of 16 tokens"]
    assert all(before > 0 and after > 0 for _, before, after in measured["rows"])


CONFIG = '{"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 2}'


def test_a_config_is_taken_as_it_is(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(CONFIG)
    for word in (path, tmp_path):
        assert _try_model.config_of(_try.Model(str(word)).config(), None).num_hidden_layers == 3
    assert _try.Model("qwen3-8b").config() is None


@pytest.mark.parametrize(
    "text, known, said",
    [
        (None, "google/gemma-2-9b", "give a folder with its config.json"),
        (None, "deepseek-ai/DeepSeek-V3", "give a folder with its config.json"),
        ('{"schema": 1}', None, "a spec is no model"),
        ('{"model_type": "no_such"}', None, "transformers does not take this configuration"),
    ],
)
def test_what_is_not_made_up_is_refused(text, known, said):
    with pytest.raises(_try_model.Refused, match=said):
        _try_model.config_of(text, known)


def test_a_family_that_is_not_patched_is_refused(device):
    config = transformers.AutoConfig.for_model("gemma", num_hidden_layers=1, hidden_size=64, vocab_size=64,
                                               intermediate_size=64, num_attention_heads=2, head_dim=32)  # fmt: skip
    with pytest.raises(_try_model.Refused, match="allowed: a model of one of"):
        _try_model.measure(config, place(device), Quiet(), prompt=8, prefill=16)


def test_layers_go_until_the_weights_fit():
    config = _try_model.config_of(None, "Qwen/Qwen3-8B")
    whole = _try_model.fit(config, 1 << 40)
    assert whole == 16
    assert 1 <= _try_model.fit(config, 4 << 30) < whole
    with pytest.raises(_try_model.Refused, match="one layer takes"):
        _try_model.fit(config, 1 << 20)


def test_layers_of_several_kinds_keep_their_own():
    kinds = ["sliding_attention", "full_attention"] * 3
    config = transformers.AutoConfig.for_model(
        "qwen3", num_hidden_layers=6, layer_types=kinds, hidden_size=64, vocab_size=64, intermediate_size=64,
        num_attention_heads=2, num_key_value_heads=2, head_dim=32, use_sliding_window=True)  # fmt: skip
    assert _try_model.fit(config, 1 << 40) == 6
    assert config.layer_types == kinds


def test_an_error_of_torch_is_a_note(monkeypatch):
    def fails(*_):
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(_try_model, "missing", lambda: "")
    monkeypatch.setattr(_try_model, "measure", fails)
    told = _try.model_before_and_after(_try.Model("qwen3-0.6b"), _try.parsed([]), "Qwen/Qwen3-0.6B", Quiet())
    assert told == {"rows": [], "same_bits": None, "note": "Before and after in a model: RuntimeError: out of memory."}
