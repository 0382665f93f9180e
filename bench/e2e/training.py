"""Training: forward, backward and a step of fused AdamW over a batch; tokens a second and peak memory beside the time.

All ways train one set of weights with one optimizer: what a step costs does not depend on them.
"""

import torch

import clock
import delay
import models
import runner
import ways
from decode import own_code, reports
from table import Job
from verdicts import BASE, DELAYED

KEY, BACK = "ms", True
STEPS = 2


def seconds(cell, options):
    return 1 if options.smoke else 240 if cell.values["compiled"] else 30


class Trainer:
    """Training steps of one way."""

    def __init__(self, way, ids, optimizer, cell, options):
        self.way, self.ids, self.optimizer, self.device = way, ids, optimizer, options.device
        model = way.model.train()
        if cell.values["checkpointing"]:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

        def loss(ids):
            return model(input_ids=ids, labels=ids, use_cache=False).loss

        self.loss = loss
        if cell.values["compiled"]:
            how = {"backend": "aot_eager"} if options.device == "cpu" else {}
            self.loss = torch.compile(own_code(loss), dynamic=False, **how)

    def step(self):
        self.loss(self.ids).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def turn(self):
        with self.way:
            self.step()
            if self.device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            took = clock.each_ms(self.step, STEPS, self.device)
        ms = sum(took) / len(took)
        figures = {"ms": ms, "tokens_per_s": 1000 * self.ids.numel() / ms}
        if self.device != "cpu":
            figures["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        return figures


def job(cell, options, failed):
    model = models.build(cell.model, options)
    planted = delay.PlantedDelay(options.device)
    found = ways.all_of(model, options, planted, failed)
    size = (cell.values["batch"], cell.values["tokens"])
    ids = torch.randint(model.config.get_text_config().vocab_size, size, device=options.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    trainers = {name: Trainer(way, ids, optimizer, cell, options) for name, way in found.items()}
    layers = len(models.attentions(model))
    base_ms = runner.warm({BASE: trainers[BASE].turn}, failed, BASE)[BASE]()["ms"]
    planted.set(delay.layer_us(base_ms, layers))  # before the delayed way is compiled
    turns = runner.warm({name: each.turn for name, each in trainers.items()}, failed, BASE)

    def more():
        return {"layers": layers, "planted_ms": layers * planted.us / 1000 if DELAYED in turns else None}

    return Job(turns, more, lambda: {"report": reports(found)})
