"""A model of transformers made small and run, and what it did noted in order: make_hf_norms.py reads it."""

import importlib

import torch
import transformers

from make_hf_layers import TURNS, TooLarge, modules_of


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


def model_of(config, dtype=torch.bfloat16):
    with torch.device("meta"):
        if sum(parameter.numel() for parameter in build(config).parameters()) > 100_000_000:
            raise TooLarge("a part that keeps its own size")
    torch.manual_seed(0)
    model = build(config).eval().to(dtype)
    for name, parameter in model.named_parameters():
        norm = "norm" in name.lower()
        values = torch.rand(parameter.shape) + 0.5 if norm else torch.randn(parameter.shape) * 0.2
        parameter.data = values.to(parameter.dtype)
    return model


class Tape:
    """What a model does, in order: its modules with what they are given and give, rotations, and calls of attention."""

    def __init__(self, model):
        self.events, self.depth, self.patched = [], 0, []
        for module in model.modules():
            module.register_forward_hook(self.note_module)
        for code in set(modules_of(model)):
            for name in (*TURNS, "eager_attention_forward"):
                if hasattr(code, name):
                    self.patch(code, name)

    def note_module(self, module, given, result):
        """A module that gives several tensors is noted once for each, with what it got in that place."""
        made = [result] if torch.is_tensor(result) else result if isinstance(result, tuple) else []
        got = [each for each in given if torch.is_tensor(each)]
        for place, y in enumerate(made):
            if got and torch.is_tensor(y):
                self.events.append(("module", module, got[min(place, len(got) - 1)].clone(), y.clone()))

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


def attentions_of(config, positions, dtype=torch.bfloat16, prepare=None):
    """Of each call of an attention function: q, k and v, and what happened since the one before: modules with what they
    got and gave, and rotations. `prepare` is given the model first."""
    model = model_of(config, dtype)
    if prepare is not None:
        prepare(model)
    tape = Tape(model)
    try:
        with torch.no_grad():
            ids = torch.arange(5, 5 + len(positions))[None]
            model(input_ids=ids, position_ids=positions[None], use_cache=False)
    finally:
        tape.stop()
    modules, turns = [], []
    for event in tape.events:
        if event[0] == "module":
            modules.append(event[1:])
        elif event[0] == "turn":
            turns.append(event[1:])
        else:
            yield event[2], modules, turns
            modules, turns = [], []
