"""ropejit.model_ropes: what a config.json says."""

import json
import warnings

import pytest
import torch

import ropejit

LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "hidden_size": 256, "rope_theta": 500000.0}


class Config:
    def to_dict(self):
        return dict(LLAMA)


@pytest.mark.parametrize("config", [LLAMA, json.dumps(LLAMA), Config()], ids=["dict", "text", "object"])
def test_a_config_is_read_however_it_is_held(config):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ropejit.model_ropes(config, tp=2)
    assert [layer["layer"] for layer in model["layers"]] == [0, 1]
    spec = model["layers"][0]["spec"]
    assert spec["rope_theta"] == 500000.0 and "dtype" not in spec
    assert spec["q"]["heads"] == 2 and spec["k"]["heads"] == 1
    assert model["warnings"] == []


def test_a_spec_of_a_config_is_one_for_a_rotation():
    spec = ropejit.model_ropes(LLAMA)["layers"][0]["spec"]
    before = ropejit.serve_host(True)
    try:
        q, k = torch.randn(1, 3, 4, 64), torch.randn(1, 3, 2, 64)
        positions = torch.arange(3)
        ours = ropejit.Rotation(spec)(q, k, positions=positions)
        same = ropejit.Rotation({"layout": "split_half", "rope_theta": 500000.0})(q, k, positions=positions)
    finally:
        ropejit.serve_host(before)
    for a, b in zip(ours, same):
        assert torch.equal(a, b)


def test_what_nothing_reads_is_warned_of():
    with pytest.warns(UserWarning, match="rope_base: found 1000000") as told:
        model = ropejit.model_ropes({**LLAMA, "rope_base": 1000000})
    assert len(told) == 1 and len(model["warnings"]) == 1


def test_a_type_that_is_not_known_is_an_error_and_can_be_read_as_another():
    unknown = {**LLAMA, "model_type": "of-next-year"}
    with pytest.raises(NotImplementedError, match="of-next-year"):
        ropejit.model_ropes(unknown)
    with pytest.warns(UserWarning, match='read as "llama"'):
        model = ropejit.model_ropes(unknown, as_="llama")
    assert model["layers"] == ropejit.model_ropes(LLAMA)["layers"]


@pytest.mark.parametrize(("config", "options", "error", "said"), [
    (3, {}, TypeError, "config: found int"),
    (None, {}, TypeError, "config: found NoneType"),
    ("", {}, ValueError, "JSON"),
    ("{}\0", {}, ValueError, "character of number 0"),
    (LLAMA, {"tp": 3}, ValueError, "tp: found 3"),
    (LLAMA, {"round_as": "trt"}, ValueError, "round_as: found"),
    (LLAMA, {"is": "x"}, ValueError, "is: found an unknown key"),
    (LLAMA, {"as_": "of-next-year"}, ValueError, "as: found"),
    ({**LLAMA, "model_type": "bert"}, {}, NotImplementedError, "which has no rotary embedding"),
])
def test_bad_input_is_named(config, options, error, said):
    with pytest.raises(error, match=said):
        ropejit.model_ropes(config, **options)
