"""Serving: transformers' continuous batching over prompts of many lengths, `paged|sdpa` with CUDA graphs: time of all
requests, tokens a second, and p99 of the time between two tokens of a request.

Each way keeps its engine, with a cache that holds all requests, from turn to turn, so that graphs are captured in the
first, which does not count.
"""

import math
import random

import torch

import clock
import delay
import models
import runner
import ways
from decode import reports
from intervals import percentile
from table import Job
from verdicts import BASE, DELAYED

KEY, BACK = "ms", False
BLOCK = 256  # tokens of a page
BATCH_TOKENS = 2048  # of a forward pass


def seconds(cell, options):
    return 2 if options.smoke else 60


def prompts_of(cell, vocabulary):
    """Token ids of each request, lengths evenly spread and in no order; the same every time."""
    values, dice = cell.values, random.Random(0)
    count, low, high = values["requests"], values["shortest"], values["longest"]
    lengths = [low + (high - low) * i // max(1, count - 1) for i in range(count)]
    dice.shuffle(lengths)
    return [[dice.randrange(3, vocabulary) for _ in range(length)] for length in lengths]


def passes_of(prompts, new):
    """About how many forward passes they take: prompts side by side, and then a pass a token."""
    return math.ceil(sum(map(len, prompts)) / BATCH_TOKENS) + new


def engine_of(prompts, new, options):
    """(generation config, batching config) of an engine that holds all of these requests."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    block = 16 if options.smoke else BLOCK
    pages = sum(math.ceil((len(x) + new + 1) / block) + 1 for x in prompts)
    graphs = options.device != "cpu"
    batching = ContinuousBatchingConfig(
        block_size=block, num_blocks=pages, max_batch_tokens=64 if options.smoke else BATCH_TOKENS,
        max_requests_per_batch=len(prompts), use_cuda_graph=graphs, use_async_batching=False, allow_block_sharing=False)
    generation = GenerationConfig(max_new_tokens=new, do_sample=False, eos_token_id=-1, pad_token_id=0)
    return generation, batching


def generate(model, prompts, engine, record=True):
    """The outputs of all requests, in order. Raises RuntimeError where one is missing or failed."""
    generation, batching = engine
    done = model.generate_batch(prompts, generation_config=generation, continuous_batching_config=batching,
                                record_timestamps=record, persistent_manager=True)
    outputs = list(done.values())
    bad = next((x.error for x in outputs if x.error), None)
    if bad or len(outputs) != len(prompts):
        raise RuntimeError(f"{len(outputs)} of {len(prompts)} requests came back{f': {bad}' if bad else ''}")
    return outputs


class Server:
    """Runs of all requests by one way."""

    def __init__(self, way, prompts, new, options):
        self.way, self.prompts, self.device = way, prompts, options.device
        self.engine, self.tokens = engine_of(prompts, new, options), new * len(prompts)
        way.model.set_attn_implementation("paged|sdpa")

    def turn(self):
        with self.way:
            clock.wait(self.device)
            outputs = generate(self.way.model, self.prompts, self.engine)
        # Without the engine's own start and end, which poll and take half a second.
        ms = 1000 * (max(x.timestamps[-1] for x in outputs) - min(x.created_time for x in outputs))
        gaps = [1000 * (b - a) for x in outputs for a, b in zip(x.timestamps, x.timestamps[1:])]
        return {"ms": ms, "tokens_per_s": 1000 * self.tokens / ms, "gap_p50_ms": percentile(gaps, 50),
                "gap_p99_ms": percentile(gaps, 99)}


def job(cell, options, failed):
    model = models.build(cell.model, options)
    planted = delay.PlantedDelay(options.device)
    found = ways.all_of(model, options, planted, failed)
    new = cell.values["new"]
    prompts = prompts_of(cell, model.config.get_text_config().vocab_size)
    servers = {name: Server(way, prompts, new, options) for name, way in found.items()}
    passes = passes_of(prompts, new) * len(models.attentions(model))
    base_ms = runner.warm({BASE: servers[BASE].turn}, failed, BASE)[BASE]()["ms"]
    planted.set(delay.layer_us(base_ms, passes))  # before graphs of the delayed way are captured
    turns = runner.warm({name: each.turn for name, each in servers.items()}, failed, BASE)

    def more():
        return {"planted_ms": passes * planted.us / 1000 if DELAYED in turns else None, "layer_passes": passes}

    def close():
        for way in found.values():
            models.close(way.model)

    return Job(turns, more, lambda: {"report": reports(found)}, close)
