"""Time to first token within the process: a prompt's prefill into a cache of its own and the token that it ends with, eager,
by the wall clock, as who waits for it has it."""

import inspect

import torch

import clock
import delay
import models
import runner
import ways
from decode import reports
from table import Job
from verdicts import BASE, DELAYED

KEY, BACK = "ms", True
TURN_S = 0.2


def seconds(cell, options):
    return 1 if options.smoke else 15


class Prefill:
    """Prefills of one way."""

    def __init__(self, way, ids, options):
        self.way, self.ids, self.device, self.count = way, ids, options.device, None
        takes = inspect.signature(way.model.forward).parameters
        self.last_alone = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    def step(self):
        self.way.model(input_ids=self.ids, use_cache=True, **self.last_alone).logits[:, -1].argmax(-1).item()

    def turn(self):
        with torch.no_grad(), self.way:
            if self.count is None:
                self.step()
                self.count = clock.steps_for(clock.wall_ms(self.step, self.device), TURN_S, least=1, most=16)
            took = [clock.wall_ms(self.step, self.device) for _ in range(self.count)]
        return {"ms": sum(took) / len(took)}


def job(cell, options, failed):
    model = models.build(cell.model, options)
    planted = delay.PlantedDelay(options.device)
    found = ways.all_of(model, options, planted, failed)
    ids = torch.randint(model.config.get_text_config().vocab_size, (1, cell.values["tokens"]), device=options.device)
    prefills = {name: Prefill(way, ids, options) for name, way in found.items()}
    layers = len(models.attentions(model))
    base_ms = runner.warm({BASE: prefills[BASE].turn}, failed, BASE)[BASE]()["ms"]
    planted.set(delay.layer_us(base_ms, layers))
    turns = runner.warm({name: each.turn for name, each in prefills.items()}, failed, BASE)

    def more():
        return {"layers": layers, "planted_ms": layers * planted.us / 1000 if DELAYED in turns else None}

    return Job(turns, more, lambda: {"report": reports(found)})
