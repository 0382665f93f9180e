#!/usr/bin/env python3
"""Writes hf_layers.json: which layers of a model rotate, by Hugging Face transformers' own code.

Nothing is computed here: a small model of each type is made and run on four tokens, and every call of its module's
function that turns lanes is noted with the layer that it came from. Made with

    transformers 5.24.0, torch 2.15.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.15.0
    python3 tests/golden/make_hf_layers.py

What a case holds: config, the fields of a config.json; rotates, a digit for each layer. Model types that do not run in
so small a form are left out, and named on standard error.
"""

import importlib
import json
import pathlib
import sys
import warnings

import torch
import transformers

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

SHAPE = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 8}
# What keeps a model small, whatever it is; no word about its rotation.
SMALL = {
    "intermediate_size": 32, "vocab_size": 96, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "max_position_embeddings": 64, "ffn_hidden_size": 32,
}
LATENT = {"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16,
          "v_head_dim": 16, "index_n_heads": 2, "index_head_dim": 32, "index_topk": 2}
TURNS = ("rotate_half", "rotate_every_two", "apply_rotary_emb", "apply_rotary_pos_emb", "apply_rotary_pos_emb_interleave")
KINDS = ["sliding_attention", "full_attention"] * 4
# Files of a published model that says how its layers differ, beside those that leave it to the class.
MORE = {
    "afmoe": [{"sliding_window": None, "layer_types": KINDS}],
    "cohere2": [{"sliding_window": None}],
    "cohere2_moe": [{"sliding_window": None}],
    "exaone4": [{"sliding_window": None}],
    "exaone_moe": [{"sliding_window": None}],
    "flint": [{"sliding_window": None}],
    "granitemoehybrid": [{"position_embedding_type": "rope"}],
    "kolibri1": [{"sliding_window": None}],
    "lara_mini": [{"layer_types": KINDS}, {"sliding_window": None, "layer_types": KINDS}],
    "beam": [{"layer_types": KINDS}, {"rope_parameters": {
        "sliding_attention": None, "full_attention": {"rope_type": "default", "rope_theta": 1e6}}}],
    "smollm3": [{"no_rope_layers": [1, 0, 1, 1, 0, 0, 1, 1]}, {"no_rope_layer_interval": 3}],
    "zamba2": [{"use_mem_rope": True}, {"use_mem_rope": False}],
}


class TooLarge(Exception):
    """A model whose parts keep sizes of their own, so that it cannot be run with numbers."""


def modules_of(model):
    for module in model.modules():
        if type(module).__module__.startswith("transformers.models."):
            yield sys.modules[type(module).__module__]


def layers_of(model, count):
    """The longest list of so many layers."""
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    return lists[0] if lists else None


def rotating_layers(config, device):
    with torch.device(device):
        model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval().float()
    if device == "meta" and sum(parameter.numel() for parameter in model.parameters()) > 20_000_000:
        raise TooLarge("a part that keeps its own size")
    count = config.num_hidden_layers
    layers = layers_of(model, count)
    if layers is None:
        raise ValueError("no list of layers")
    now, seen, calls = [None], set(), [0]
    for index, layer in enumerate(layers):
        layer.register_forward_pre_hook(lambda module, given, index=index: now.__setitem__(0, index))
    patched = []
    for code in set(modules_of(model)):
        for name in TURNS:
            turn = getattr(code, name, None)
            if turn is None:
                continue

            def noted(*given, turn=turn, **named):
                calls[0] += 1
                seen.add(now[0])
                return turn(*given, **named)

            patched.append((code, name, turn))
            setattr(code, name, noted)
    try:
        with torch.no_grad(), torch.device(device):
            model(input_ids=torch.tensor([[5, 6, 7, 8]]), use_cache=False)
    finally:
        for code, name, turn in patched:
            setattr(code, name, turn)
    return "".join("1" if index in seen else "0" for index in range(count))


def cases():
    for model_type in sorted(transformers.CONFIG_MAPPING.keys()):
        config_class = transformers.CONFIG_MAPPING[model_type]
        if config_class not in transformers.MODEL_MAPPING:
            continue
        try:
            if not isinstance(getattr(config_class(), "rope_parameters", None), dict):
                continue
        except Exception:
            continue
        for more in [{}] + MORE.get(model_type, []):
            done = None
            for fields in ({**SHAPE, "head_dim": 16, **more}, {**SHAPE, **LATENT, **more}, {**SHAPE, **more}):
                for device in ("meta", "cpu"):  # no numbers are needed, where the model's code can do without
                    try:
                        config = config_class(**SMALL, **json.loads(json.dumps(fields)))
                        rotates = rotating_layers(config, device)
                        done = {"config": {"model_type": model_type, **fields}, "rotates": rotates}
                        break
                    except TooLarge as error:
                        failure = str(error)
                        break
                    except Exception as error:
                        failure = f"{type(error).__name__}: {str(error)[:150]}"
                if done is not None:
                    break
            if done is None:
                print(f"{model_type} {more}: {failure}", file=sys.stderr)
                continue
            yield done


def main():
    torch.set_num_threads(1)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in cases())
    out = pathlib.Path(__file__).with_name("hf_layers.json")
    out.write_text('{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + lines + "\n ]\n}\n")


if __name__ == "__main__":
    main()
