"""What there is to be saved in decode, from kernel times alone: a layer's prologue (norms of q and k, rotation, k and v
written to the static cache) by the model's own code and by ropejit's one kernel, each as calls of a captured graph.

The model's own code is compiled where the cell's is. Both sides have the tensors of one layer, warm, and what prepares
positions is left out of ours, as a step does it once. Of models whose layers differ it is a layer that sees all tokens.
"""

import json
import sys
import traceback

import torch

import clock
import models

CALLS = 128


def measured(model, cell, options):
    """{"unpatched_us", "ours_us", "layers"}: of one layer, and of how many; or {"failed": reason}."""
    try:
        with torch.no_grad():
            return {**_measured(model, cell, options), "layers": len(models.attentions(model))}
    except Exception as error:  # a model without a spec, a chain that does not compile: the table goes on without
        traceback.print_exc(limit=-3)
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}


class Layer:
    """The tensors of one layer's prologue."""

    def __init__(self, model, cell, options):
        from transformers import StaticCache

        batch, self.context = cell.values["batch"], cell.values["context"]
        config = model.config.get_text_config()
        layers = StaticCache(config=config, max_cache_len=self.context + 2 * CALLS).layers
        whole = [i for i, layer in enumerate(layers) if not getattr(layer, "is_sliding", False)]
        self.number = whole[0] if whole else 0
        self.attention, self.cache = models.attentions(model)[self.number], layers[self.number]
        if not whole:  # all of them have windows, which are long full: as an empty one, whose writes are the same
            self.context = 0
        heads = (config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads)
        self.q, self.k, self.v = (
            torch.randn(batch, 1, n * config.head_dim, device=options.device, dtype=model.dtype) for n in heads)
        one = self.k.view(batch, -1, 1, config.head_dim)  # a token's k, for the cache's sizes
        self.cache.lazy_initialization(one, one)
        self.positions = torch.full((batch, 1), self.context, device=options.device)
        rotary = next(x for x in model.modules() if type(x).__name__.endswith("RotaryEmbedding"))
        kinds = getattr(config, "layer_types", None)
        by_kind = (kinds[self.number],) if hasattr(rotary, f"{(kinds or [''])[self.number]}_inv_freq") else ()
        self.cos, self.sin = rotary(self.q, self.positions, *by_kind)
        self.rotate = sys.modules[type(self.attention).__module__].apply_rotary_pos_emb

    def rewind(self):
        self.cache.cumulative_length.fill_(self.context)


def own_prologue(layer):
    """The model's own code between projections and attention."""
    attention, rotate, cache = layer.attention, layer.rotate, layer.cache

    def run(q, k, v, cos, sin):
        q, k, v = (x.view(*x.shape[:2], -1, attention.head_dim) for x in (q, k, v))
        if hasattr(attention, "q_norm"):
            q, k = attention.q_norm(q), attention.k_norm(k)
        q, k = rotate(q.transpose(1, 2), k.transpose(1, 2), cos, sin)
        cache.update(k, v.transpose(1, 2))
        return q

    return run


def our_prologue(model, layer):
    """A call of ropejit.Prologue that does the same: pages are the sequences of the static cache."""
    import ropejit

    spec = ropejit.model_ropes(json.loads(model.config.to_json_string()), prologue=True, parity=True)
    prologue = ropejit.Prologue(spec["layers"][layer.number]["spec"])
    batch, _, length, _ = layer.cache.keys.shape
    q, k, v = (x.view(batch, -1) for x in (layer.q, layer.k, layer.v))
    positions = layer.positions.view(-1)
    slots = torch.arange(batch, device=q.device) * length + positions
    weights = {}
    if hasattr(layer.attention, "q_norm"):
        weights = {"q_weight": layer.attention.q_norm.weight, "k_weight": layer.attention.k_norm.weight}
    pages = {"k_cache": layer.cache.keys.transpose(1, 2), "v_cache": layer.cache.values.transpose(1, 2)}
    out = torch.empty_like(q)
    return lambda: prologue(q, k, v, positions, slots=slots, out=out, **pages, **weights)


def _measured(model, cell, options):
    layer = Layer(model, cell, options)
    arguments = layer.q, layer.k, layer.v, layer.cos, layer.sin
    own = own_prologue(layer)
    if cell.values["compiled"]:
        how = {"backend": "aot_eager"} if options.device == "cpu" else {}
        own = torch.compile(own, fullgraph=True, dynamic=False, **how)
    calls = {"unpatched_us": lambda: own(*arguments), "ours_us": our_prologue(model, layer)}
    found = {}
    for name, call in calls.items():
        layer.rewind()
        for _ in range(3):
            call()
        if options.device == "cpu":
            found[name] = 1000 * min(clock.each_ms(call, 3, "cpu"))
        else:
            found[name] = clock.graph_us(call, CALLS, layer.rewind)
    return found
