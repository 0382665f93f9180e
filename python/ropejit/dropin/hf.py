"""Hugging Face transformers: apply_rotary_pos_emb of its models, and patch(model), which has a model use it.

Results have the bits of transformers' own functions where q and cos are of one dtype (fp32 products and sums are not
fused there, nor here), and so have gradients. cos and sin get no gradient; their right halves must repeat the left, as
transformers' do.
"""

import importlib
import sys

from ropejit.dropin._tables import ByUnsqueezeDim

_HALVES = ByUnsqueezeDim("split_half", "full")
_INTERLEAVED = ByUnsqueezeDim("interleaved", "full", "split_half")


def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
    """q, k: [batch, heads, tokens, head_dim], or with unsqueeze_dim 2 [batch, tokens, heads, head_dim]; cos, sin:
    [batch or 1, tokens, rotary_dim], or without a batch, where unsqueeze_dim is one less; negative ones (-3, -2) count
    from the end, as torch's do. Lanes from rotary_dim on are copied (GPT-NeoX)."""
    return _HALVES(q, k, cos, sin, unsqueeze_dim)


def apply_rotary_pos_emb_interleave(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    """DeepSeek-V3's: reads adjacent pairs, writes halves. position_ids is not used, there or here."""
    return _INTERLEAVED(q, k, cos, sin, unsqueeze_dim)


_REPLACEMENTS = {
    "apply_rotary_pos_emb": apply_rotary_pos_emb,
    "apply_rotary_pos_emb_interleave": apply_rotary_pos_emb_interleave,
}

# Those whose functions of these names are the ones above.
FAMILIES = ("deepseek_v3", "gpt_neox", "llama", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe")


class Patch:
    """What patch() replaced. undo() puts it back, as does leaving a with block."""

    def __init__(self):
        self.replaced = []

    def replace(self, module, name):
        current = getattr(module, name)
        if current is not _REPLACEMENTS[name]:
            self.replaced.append((module, name, current))
            setattr(module, name, _REPLACEMENTS[name])

    def undo(self):
        while self.replaced:
            setattr(*self.replaced.pop())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.undo()


def patch(model):
    """Has all models of this model's family in this process rotate by ropejit: transformers calls a function of the
    family's module, and that is what is replaced. Returns a Patch. Raises ValueError for other families."""
    modules = set()
    for part in model.modules() if hasattr(model, "modules") else ():
        words = type(part).__module__.split(".")
        if words[:2] == ["transformers", "models"] and words[2] in FAMILIES:
            modules.add(f"transformers.models.{words[2]}.modeling_{words[2]}")
    if not modules:
        raise ValueError(f"model: found {type(model).__name__}, allowed: a model of one of {', '.join(FAMILIES)}")
    done = Patch()
    for name in sorted(modules):
        module = sys.modules.get(name) or importlib.import_module(name)
        for function in _REPLACEMENTS:
            if hasattr(module, function):
                done.replace(module, function)
    return done
