#!/usr/bin/env python3
"""Writes hf_norms.json: what models do to q and k beside the rotation, by Hugging Face transformers' own code.

No formula is trusted here: a small model of each type, with weights of its norms that are not 1, is run in bf16 on
five tokens at far positions. Of every attention function it is looked up, by their values, which rotation its q and k
came out of, and which module or projection that one's came out of. Made with

    transformers 5.24.0, torch 2.11.0 (on the CPU), Python 3.11

    pip install transformers==5.24.0 torch==2.11.0
    python3 tests/golden/make_hf_norms.py

What a case holds:
    config           the fields of a config.json
    kind             none: q and k are what the projections gave, rotated, and v is what its projection gave, and has as
                     many heads as k; rms_head: the same, but for an RMS norm of each head before the rotation; other:
                     anything else
    eps              of an RMS norm
    rounds_normed    of an RMS norm: whether x r is rounded before it is multiplied by the weight
Layers that do not rotate are passed over. Model types that do not run in so small a form are left out, and named on
standard error.
"""

import importlib
import json
import pathlib
import signal
import sys
import warnings
from collections import Counter

import torch
import transformers

from make_hf_layers import LATENT, SHAPE, SMALL, TURNS, TooLarge, modules_of

warnings.simplefilter("ignore")
transformers.logging.set_verbosity(60)

KINDS = ["sliding_attention", "full_attention"] * 4
SHAPES = [
    {**SHAPE, "head_dim": 16},
    {**SHAPE, "head_dim": 64, "hidden_size": 256},  # for sections of three axes
    {**SHAPE, "hidden_size": 256},
    {**SHAPE, **LATENT},
    {**SHAPE, "head_dim": 16, "layer_types": KINDS},
]
EPS_KEYS = {"rms_norm_eps": 0.011, "norm_eps": 0.012}
# Keys that turn what a family does before the rotation on or off.
MORE = {
    "cohere": [{"use_qk_norm": True}],
    "dots1": [{"n_shared_experts": 1}],
    "falcon_h1": [{"key_multiplier": 0.5}],
    "glm4_moe": [{"use_qk_norm": True}],
    "lfm2_moe": [{"layer_types": ["full_attention"] * 8}],
    "llama4_text": [{"use_qk_norm": False}],
    "olmo": [{"clip_qkv": 0.5}],
    "persimmon": [{"qk_layernorm": False}],
    "phi": [{"qk_layernorm": True}],
    "sarvam_moe": [{"use_qk_norm": False}],
    "stablelm": [{"qk_layernorm": True}],
}


def class_of(config):
    """The class that runs such a config; parts of models are no AutoModel's."""
    code = importlib.import_module(type(config).__module__.replace("configuration_", "modeling_"))
    for name, each in vars(code).items():
        if isinstance(each, type) and issubclass(each, transformers.PreTrainedModel) and "For" not in name:
            if each.config_class is type(config) and not name.endswith("PreTrainedModel"):
                return each
    raise ValueError("no class of a model")


def build(config):
    if type(config) in transformers.MODEL_MAPPING:
        return transformers.AutoModel.from_config(config, attn_implementation="eager")
    return class_of(config)._from_config(config, attn_implementation="eager")


def model_of(config):
    with torch.device("meta"):
        if sum(parameter.numel() for parameter in build(config).parameters()) > 100_000_000:
            raise TooLarge("a part that keeps its own size")
    torch.manual_seed(0)
    model = build(config).eval().to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        norm = "norm" in name.lower()
        values = torch.rand(parameter.shape) + 0.5 if norm else torch.randn(parameter.shape) * 0.2
        parameter.data = values.to(parameter.dtype)
    return model


class Tape:
    """What a model does, in order: outputs of its modules, rotations, and calls of attention functions."""

    def __init__(self, model):
        self.events, self.depth, self.patched = [], 0, []
        for module in model.modules():
            module.register_forward_hook(self.note_module)
        for code in set(modules_of(model)):
            for name in (*TURNS, "eager_attention_forward"):
                if hasattr(code, name):
                    self.patch(code, name)

    def note_module(self, module, given, result):
        if given and torch.is_tensor(given[0]) and torch.is_tensor(result):
            self.events.append(("module", module, given[0].clone(), result.clone()))

    def patch(self, code, name):
        call = getattr(code, name)
        kind = "attend" if name == "eager_attention_forward" else "turn"

        def noted(*given, **named):
            tensors = [each.clone() for each in given if torch.is_tensor(each)]
            self.depth += 1
            try:
                result = call(*given, **named)
            finally:
                self.depth -= 1
            # A rotation within another is a part of it.
            if kind == "attend":
                self.events.append((kind, given[0], tensors[:3]))
            elif self.depth == 0:
                made = [result] if torch.is_tensor(result) else list(result)
                self.events.append((kind, tensors, [each.clone() for each in made]))
            return result

        self.patched.append((code, name, call))
        setattr(code, name, noted)

    def stop(self):
        for code, name, call in self.patched:
            setattr(code, name, call)


def values(tensor):
    return Counter(tensor.float().flatten().tolist())


def same(a, b):
    return a.numel() == b.numel() and values(a) == values(b)


def within(a, b):
    return a.numel() <= b.numel() and not values(a) - values(b)


def before_rotation(x, turns):
    """The values that x had before its rotation, lanes that do not rotate among them; None where x is not rotated."""
    for given, made in turns:
        for place, y in enumerate(made):
            if not within(y, x):
                continue
            alike = [each for each in given if each.shape == y.shape]
            if alike:
                return values(x) - values(y) + values(alike[min(place, len(alike) - 1)])
    return None


def norm_of(module, x, y):
    """What an RMS norm of each head is told, or None where the module is another thing."""
    weight = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if weight is None or eps is None or weight.dim() != 1 or weight.shape[0] != x.shape[-1]:
        return None
    wide = x.float()
    unweighted = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    if torch.equal(weight * unweighted.to(x.dtype), y):
        return {"kind": "rms_head", "eps": eps, "rounds_normed": True}
    if torch.equal((weight.float() * unweighted).to(x.dtype), y):
        return {"kind": "rms_head", "eps": eps, "rounds_normed": False}
    return None


def source_of(wanted, head_dim, modules):
    """Of q or k before it rotates: that of a projection, or of a norm of one."""
    for _, module, x, y in reversed(modules):
        if "norm" in type(module).__name__.lower() and values(y) == wanted:
            found = norm_of(module, x, y) if x.shape[-1] == head_dim else None
            projected = any(within(x, made) for _, other, _, made in modules if isinstance(other, torch.nn.Linear))
            return found if projected and found else {"kind": "other"}
    for _, module, _, y in reversed(modules):
        if isinstance(module, torch.nn.Linear) and not wanted - values(y):
            return {"kind": "none"}
    return {"kind": "other"}


def attention_of(tensors, modules, turns):
    q, k, v = tensors
    found = []
    for x in (q, k):
        wanted = before_rotation(x, turns)
        found.append({"kind": "other"} if wanted is None else source_of(wanted, x.shape[-1], modules))
    plain = any(within(v, y) for _, module, _, y in modules if isinstance(module, torch.nn.Linear))
    return found[0] if found[0] == found[1] and plain and v.shape == k.shape else {"kind": "other"}


def run(config):
    model = model_of(config)
    tape = Tape(model)
    try:
        with torch.no_grad():
            positions = torch.arange(5)[None] + 100_000
            model(input_ids=torch.tensor([[5, 6, 7, 8, 9]]), position_ids=positions, use_cache=False)
    finally:
        tape.stop()
    found, modules, turns = [], [], []
    for event in tape.events:
        if event[0] == "module":
            modules.append(event)
        elif event[0] == "turn":
            turns.append(event[1:])
        else:
            if turns:
                found.append(attention_of(event[2], modules, turns))
            modules, turns = [], []
    if not found or any(each != found[0] for each in found):
        raise ValueError(f"{len(found)} attentions that rotate, unlike" if found else "no attention that rotates")
    return found[0]


def late(*_):
    raise TimeoutError("took too long")


def case_of(model_type, more):
    """The case, from the first shape that the model runs in; the last failure where there is none."""
    failure = None
    for shape in SHAPES:
        fields = {**shape, **more}
        signal.alarm(60)
        try:
            config = transformers.CONFIG_MAPPING[model_type](**SMALL, **json.loads(json.dumps(fields)))
            return {"config": {"model_type": model_type, **fields}, **run(config)}, None
        except Exception as error:
            failure = f"{type(error).__name__}: {str(error)[:150]}"
        finally:
            signal.alarm(0)
    return None, failure


def cases():
    for model_type in sorted(transformers.CONFIG_MAPPING.keys()):
        try:
            if not isinstance(getattr(transformers.CONFIG_MAPPING[model_type](), "rope_parameters", None), dict):
                continue
        except Exception:
            continue
        for more in [{}] + MORE.get(model_type, []):
            case, failure = case_of(model_type, more)
            if case is None:
                print(f"{model_type} {more}: {failure}", file=sys.stderr)
                continue
            yield case
            for key, eps in EPS_KEYS.items() if case["kind"] == "rms_head" else []:
                other, _ = case_of(model_type, {**more, key: eps})
                if other is not None and other != {**case, "config": {**case["config"], key: eps}}:
                    yield other


def main():
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, late)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in cases())
    out = pathlib.Path(__file__).with_name("hf_norms.json")
    out.write_text('{\n "made_with": ' + json.dumps(versions) + ',\n "cases": [\n' + lines + "\n ]\n}\n")


if __name__ == "__main__":
    main()
