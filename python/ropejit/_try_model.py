"""A model of random weights before and after ropejit.dropin.hf.patch: the times of a decode step and of a prefill."""

import importlib.util
import inspect
import json
import statistics
import time

import ropejit_cli

PROMPT = 512
PREFILL = 4096
ROUNDS = 4  # before, after, before, after: what drifts hits both
MEMORY_SHARE = 0.4  # of what is free, for weights

# Qwen3-0.6B as its config.json has it.
SMALL = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
}


class Refused(Exception):
    """Why there are no times: the end of a sentence."""


def missing():
    """What is not installed, in words; empty where nothing is."""
    names = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if names:
        return f"needs torch and transformers, and {' and '.join(names)} cannot be imported here"
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} sees no GPU"


def config_of(text, known):
    """transformers' configuration. `text`: a config.json's, or None for a name of the program's list, `known`, which has
    no config: a model of the same attention then, its layers and its MLP as we choose."""
    from transformers import AutoConfig

    if text is not None:
        values = json.loads(text)
        if "schema" in values or "model_type" not in values:
            raise Refused("a spec is no model; give a config.json or a name")
    elif known == "Qwen/Qwen3-0.6B":
        values = dict(SMALL)
    else:
        values = _of_known(known)
    try:
        return AutoConfig.for_model(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"transformers does not take this configuration ({str(error).splitlines()[0][:80]})") from error


def _of_known(name):
    models = json.loads((ropejit_cli.package_folder() / "manifests/models.json").read_text())["models"]
    found = next(one for one in models if one["name"] == name)
    types = {"llama": "llama", "mistral": "mistral", "qwen": "qwen3" if "Qwen3" in name else "qwen2"}
    rope = found["ropes"][0]
    if found["family"] not in types or rope["q"]["head_dim"] != rope["k"]["head_dim"]:
        raise Refused(f"no model of the family of {name} is made up here; give a folder with its config.json")
    hidden = rope["q"]["heads"] * rope["q"]["head_dim"]
    return {
        "model_type": types[found["family"]],
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": 16,
        "num_attention_heads": rope["q"]["heads"],
        "num_key_value_heads": rope["k"]["heads"],
        "head_dim": rope["q"]["head_dim"],
        "vocab_size": 32768,
        "max_position_embeddings": 40960,
    }


def _text_config(config):
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _set_layers(text, layers, kinds):
    """`kinds`: the model's own layer_types, of which the first stay; None where it has none."""
    text.num_hidden_layers = layers
    if kinds:
        text.layer_types = list(kinds[:layers])


def _outline(config):
    """The model without memory for its weights. Raises Refused where there is no such model."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except ValueError:
        raise Refused(f"transformers has no text model for a {config.model_type}") from None


def _bytes(config):
    """What the weights take in bf16."""
    return 2 * sum(weight.numel() for weight in _outline(config).parameters())


def fit(config, free):
    """Takes layers off the end until the weights fit. Returns how many are left. Layers are taken to weigh the same, as
    the first two do."""
    text = _text_config(config)
    layers, kinds = text.num_hidden_layers, getattr(text, "layer_types", None)
    _set_layers(text, 1, kinds)
    one = _bytes(config)
    if one > MEMORY_SHARE * free:
        raise Refused(f"one layer takes {one >> 20:,} MiB, and {free >> 20:,} MiB are free")
    if layers > 1:
        _set_layers(text, 2, kinds)
        more = _bytes(config) - one
        if more > 0:
            layers = min(layers, 1 + int((MEMORY_SHARE * free - one) // more))
    _set_layers(text, layers, kinds)
    return layers


def build(config, device):
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config._attn_implementation = "sdpa"
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return AutoModelForCausalLM.from_config(config).eval()
    finally:
        torch.set_default_dtype(before)


class Runner:
    """Times a model's steps. A step is timed from a quiet device to a quiet device, by the host's clock."""

    def __init__(self, model, device, prompt=PROMPT, prefill=PREFILL):
        import torch

        self.torch, self.model, self.device = torch, model, device
        vocabulary = _text_config(model.config).vocab_size
        self.long = torch.randint(vocabulary, (1, prefill), device=device)
        self.prompt, self.token = self.long[:, :prompt], self.long[:, :1]
        # As who generates calls it: of a prefill the last token's logits alone.
        takes = inspect.signature(model.forward).parameters
        self.last_alone = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    def wait(self):
        if self.device != "cpu":
            self.torch.cuda.synchronize(self.device)

    def logits(self):
        with self.torch.inference_mode():
            return self.model(self.prompt, use_cache=False).logits[0, -1].float().cpu()

    def timed(self, step, count):
        """Microseconds, the median of `count` after one that is not counted."""
        took = []
        with self.torch.inference_mode():
            for _ in range(count + 1):
                self.wait()
                start = time.perf_counter()
                step()
                self.wait()
                took.append(1e6 * (time.perf_counter() - start))
        return statistics.median(took[1:])

    def decode(self, count=15):
        with self.torch.inference_mode():
            cache = self.model(self.prompt, use_cache=True).past_key_values
        return self.timed(lambda: self.model(self.token, past_key_values=cache, use_cache=True), count)

    def prefills(self, count=4):
        return self.timed(lambda: self.model(self.long, use_cache=True, **self.last_alone), count)


def measure(config, device, progress, prompt=PROMPT, prefill=PREFILL):
    """{"rows": [(what, microseconds before, after)], "same_bits": of the logits, "note": text}. Raises Refused."""
    import torch

    from ropejit.dropin import hf

    free = torch.cuda.mem_get_info(device)[0] if device != "cpu" else 1 << 32
    wanted = _text_config(config).num_hidden_layers
    layers = fit(config, free)
    try:
        hf.patch(_outline(config)).undo()  # before memory is taken
    except ValueError as error:
        raise Refused(str(error)) from None
    progress.say(f"a {config.model_type} of {layers} layers and random weights")
    model = build(config, device)
    runner = Runner(model, device, prompt, prefill)
    before, after = [], []
    plain = runner.logits()
    with hf.patch(model) as patch:
        equal = torch.equal(plain, runner.logits())
        done = str(patch)
    for turn in range(ROUNDS):
        progress.say(f"decode steps and prefills, before and after: round {turn + 1} of {ROUNDS}")
        before.append((runner.decode(), runner.prefills()))
        with hf.patch(model):
            after.append((runner.decode(), runner.prefills()))
    names = (f"decode step at {prompt:,} tokens", f"prefill of {prefill:,} tokens")
    medians = [[statistics.median(column) for column in zip(*rows)] for rows in (before, after)]
    fewer = f" of its {wanted}" if layers < wanted else ""
    note = (
        f"A {config.model_type} of {layers}{fewer} layers, random weights, bf16, eager; the next token's logits are "
        f"{'bit for bit the same' if equal else 'NOT the same bits'}.\n{done}"
    )
    return {"rows": list(zip(names, *medians)), "same_bits": equal, "note": note}
