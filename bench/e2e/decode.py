"""Decode: milliseconds a token of a step that has its context in a static cache.

Compiled steps run under torch.compile(mode="reduce-overhead", fullgraph=True), as transformers' own documentation has
it: one replay of a graph a step. Eager ones are what a person at a keyboard feels. A step takes the token that the one
before it made; contexts begin anew with each turn.
"""

import types

import torch

import clock
import delay
import models
import runner
import saving
import ways
from table import Job
from intervals import percentile
from verdicts import BASE, DELAYED

KEY, BACK = "ms", True
TURN_S = 0.15
_numbers = iter(range(1 << 30))


def seconds(cell, options):
    return 1 if options.smoke else 90 if cell.values["compiled"] else 15


def filled_cache(model, batch, context, room):
    """A static cache that holds `context` tokens of noise and has room for more."""
    from transformers import StaticCache

    config = model.config.get_text_config()
    cache = StaticCache(config=config, max_cache_len=context + room)
    cache.early_initialization(batch, config.num_key_value_heads, config.head_dim, model.dtype, model.device)
    for layer in cache.layers:
        layer.keys.normal_()
        layer.values.normal_()
    rewind(cache, context)
    return cache


def rewind(cache, context, host_alone=False):
    """Sets back what a cache takes for its length. `host_alone`: only what is no tensor, which compiled code would be
    compiled anew for with each step (layers with a window)."""
    for layer in cache.layers:
        if not host_alone:
            layer.cumulative_length.fill_(context)
        if hasattr(layer, "cumulative_length_int"):
            layer.cumulative_length_int = context


def own_code(function):
    """The function with code of its own: torch.compile keeps what it made with the code, and ways are not to meet."""
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    return types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)


class Decoder:
    """Decode steps of one way."""

    def __init__(self, way, cell, options):
        self.way, self.device, self.context = way, options.device, cell.values["context"]
        model, self.compiled = way.model, cell.values["compiled"]
        most = 4 if options.smoke else 256
        with torch.no_grad():
            self.cache = filled_cache(model, cell.values["batch"], self.context, most + 8)
        self.ids = torch.ones(cell.values["batch"], 1, dtype=torch.int64, device=options.device)

        def step(ids, cache):
            logits = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            return logits[:, -1].argmax(-1, keepdim=True)

        self.forward = step
        if self.compiled:
            how = {"backend": "aot_eager"} if options.device == "cpu" else {"mode": "reduce-overhead"}
            self.forward = torch.compile(own_code(step), fullgraph=True, dynamic=False, **how)
        self.has_window = any(hasattr(layer, "cumulative_length_int") for layer in self.cache.layers)
        self.most, self.steps = most, None

    def step(self):
        if self.compiled:
            torch.compiler.cudagraph_mark_step_begin()
            if self.has_window:
                rewind(self.cache, self.context, host_alone=True)
        self.ids.copy_(self.forward(self.ids, self.cache))

    def turn(self):
        with torch.no_grad(), self.way:
            if self.steps is None:
                self.warm()
            rewind(self.cache, self.context)
            self.step()  # the first after another way finds caches cold
            took = clock.each_ms(self.step, self.steps, self.device)
        return {"ms": sum(took) / len(took), "p50": percentile(took, 50), "p99": percentile(took, 99)}

    def warm(self):
        """Compiles and captures, and settles how many steps a turn has."""
        rewind(self.cache, self.context)
        for _ in range(1 if self.device == "cpu" else 4):
            self.step()
        few = min(clock.each_ms(self.step, min(3, self.most), self.device))
        self.steps = clock.steps_for(few, TURN_S, most=self.most)


def job(cell, options, failed):
    model = models.build(cell.model, options)
    planted = delay.PlantedDelay(options.device)
    found = ways.all_of(model, options, planted, failed)
    decoders = {name: Decoder(way, cell, options) for name, way in found.items()}
    layers = len(models.attentions(model))
    base_ms = runner.warm({BASE: decoders[BASE].turn}, failed, BASE)[BASE]()["ms"]
    planted.set(delay.layer_us(base_ms, layers, cell.values["compiled"] and options.device != "cpu"))
    turns = runner.warm({name: each.turn for name, each in decoders.items()}, failed, BASE)

    def more():
        return {"layers": layers, "planted_ms": layers * planted.us / 1000 if DELAYED in turns else None,
                "steps": decoders[BASE].steps}

    def notes():
        return {"saving": saving.measured(model, cell, options), "report": reports(found)}

    return Job(turns, more, notes)


def reports(found):
    """What patches say of the layers, by way."""
    return {"ways": {name: way.report() for name, way in found.items() if way.patch is not None}}
