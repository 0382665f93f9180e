"""What there is to measure: the cells of every table, the most telling first, and the order of all of them. Pure."""

import models
from table import Cell
from verdicts import BASE, DELAYED, SAME

TABLES = ("decode", "prefill", "first_token", "serving", "training", "equal")
MODELS = tuple(models.CONFIGS)
WAYS = (BASE, "ours", "same_bits", "auto", "liger", SAME, DELAYED)
DEFAULT_WAYS = (BASE, "ours", "liger", SAME, DELAYED)
FIRST_TOKEN_WAYS = ("ours, cache empty", "ours, cache warm", "ours, frozen bundle", "ours, background")
_SMALL, _REST = MODELS[:2], MODELS[2:]


def rounds(table, options):
    """How many rounds a cell of a table has. What is equal once is equal."""
    return 1 if table == "equal" else options.rounds


def ways(table, options):
    """The ways that a round of a table has figures of, as far as all of them are there."""
    if table == "equal":
        return [x for x in options.ways if x not in (BASE, DELAYED)]
    if table == "first_token":
        return [x for x in options.ways if x in (BASE, SAME, DELAYED)] + list(FIRST_TOKEN_WAYS) * ("ours" in options.ways)
    return options.ways


def missing(cell, options, results):
    """The numbers of the rounds that a cell still has to run."""
    return results.missing(cell.table, cell.name, rounds(cell.table, options), ways(cell.table, options))


def cells(table, options):
    """The Cells of a table."""
    listed = []
    for model, values, words in _LISTS[table](options.smoke):
        name = ", ".join([models.title(model, options), *words])
        listed.append(Cell(table, model, name, values))
    return listed


def _decode(smoke):
    context, batches = (24, (1, 2)) if smoke else (2048, (1, 8, 64))
    for group in (_SMALL, _REST):
        steps = [(model, batches[0], kind) for kind in ("compiled", "eager") for model in group]
        steps += [(model, batch, "compiled") for batch in batches[1:] for model in group]
        for model, batch, kind in steps:
            values = {"batch": batch, "context": context, "compiled": kind == "compiled"}
            yield model, values, (f"batch {batch}", f"context {context:,}", kind)


def _prefill(smoke):
    sizes = (24, 40) if smoke else (2048, 1024, 16384, 32768)
    for group in (_SMALL, _REST):
        for model in group:
            for tokens in sizes:
                yield model, {"tokens": tokens}, (f"{tokens:,} tokens",)


def _first_token(smoke):
    tokens = 24 if smoke else 2048
    for model in MODELS:
        yield model, {"tokens": tokens}, (f"{tokens:,} tokens",)


def _serving(smoke):
    requests, shortest, longest, new = (4, 8, 24, 4) if smoke else (64, 128, 4096, 32)
    for model in MODELS:
        values = {"requests": requests, "shortest": shortest, "longest": longest, "new": new}
        yield model, values, (f"{requests} requests of {shortest} to {longest:,}", f"{new} new tokens")


def _training(smoke):
    batch, tokens = (2, 16) if smoke else (4, 4096)
    for model in (_SMALL[0],):
        for kind in ("eager", "compiled"):
            for checkpointing in (False, True):
                values = {"batch": batch, "tokens": tokens, "compiled": kind == "compiled", "checkpointing": checkpointing}
                words = (f"{batch} x {tokens:,} tokens", kind)
                yield model, values, words + (("checkpointing",) if checkpointing else ())


def _equal(smoke):
    requests, prompt, new = (4, 12, 8) if smoke else (64, 512, 64)
    for model in MODELS:
        yield model, {"requests": requests, "prompt": prompt, "new": new}, (f"{new} tokens", f"{requests} requests")


_LISTS = {"decode": _decode, "prefill": _prefill, "first_token": _first_token, "serving": _serving,
          "training": _training, "equal": _equal}


def order(options):
    """[(table, its cells as --cells takes them)] of a run of everything. A cell that came before is done by then."""
    first, second = _SMALL
    return [
        ("equal", [first, second]),
        ("decode", [f"{model}, batch 1, {kind}" for kind in ("compiled", "eager") for model in _SMALL]),
        ("prefill", [first]),
        ("decode", [f"{model}, batch" for model in _SMALL]),
        ("training", ["eager"]),
        ("serving", [first]),
        ("first_token", [first]),
        ("decode", [f"{model}, batch 1" for model in _REST]),
        ("prefill", [f"{model}, {tokens}" for tokens in ("2,048", "16,384") for model in MODELS[1:]]),
        ("training", ["compiled"]),
        *((table, []) for table in ("equal", "serving", "prefill", "decode", "first_token")),
    ]
