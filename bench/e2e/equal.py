"""Equality with the unpatched model: bits of logits, greedy tokens with a dynamic and a static cache, and all requests of
continuous batching. One round: what is equal once is equal.

Eager throughout: compiled code rounds where its compiler sees fit, so that two forms of one model need not agree there.
"""

import torch

import models
import serving
import ways
from decode import reports
from runner import is_fatal, reason
from table import Job
from verdicts import BASE

KEY, BACK = "logits_most", False


def seconds(cell, options):
    return 5 if options.smoke else 60


def outputs_of(way, ids, prompts, cell, options, failed):
    """{"logits", "dynamic", "static", "batching"} of one way; what it could not do is None, and told of."""
    new, model = cell.values["new"], way.model
    alike = {"attention_mask": torch.ones_like(ids), "max_new_tokens": new, "min_new_tokens": new, "do_sample": False,
             "pad_token_id": 0, "return_dict_in_generate": True, "output_logits": True}
    parts = {
        # First, as it leaves settings of torch behind that decide which kernels serve the others.
        "batching": lambda: batched(model, prompts, new, options),
        "logits": lambda: model(input_ids=ids, use_cache=False).logits,
        "dynamic": lambda: generated(model.generate(ids, **alike)),
        "static": lambda: generated(model.generate(ids, cache_implementation="static", disable_compile=True, **alike)),
    }
    made = {}
    for name, part in parts.items():
        try:
            with torch.no_grad(), way:
                made[name] = part()
        except Exception as error:  # one that a way cannot do leaves the others
            failed(way.name, f"{name}: {reason(error)}")
            if is_fatal(error):
                raise
            made[name] = None
    return made


def generated(made):
    """A list of a sequence's tokens and the bits of the logits that it chose them by, for each sequence."""
    logits = torch.stack(made.logits, dim=1).cpu()
    return [(tokens.tolist(), each.view(torch.int32 if each.dtype == torch.float32 else torch.int16))
            for tokens, each in zip(made.sequences, logits)]


def are_same(a, b):
    """Whether two outputs of a request are: lists of tokens, with the logits' bits where there are any."""
    return a == b if isinstance(a, list) else a[0] == b[0] and torch.equal(a[1], b[1])


def batched(model, prompts, new, options):
    model.set_attn_implementation("paged|sdpa")
    try:
        found = serving.generate(model, prompts, serving.engine_of(prompts, new, options), record=False)
        return [x.generated_tokens for x in found]
    finally:
        models.close(model)
        model.set_attn_implementation("sdpa")


def compared(own, base):
    """Figures of what a way made beside what the unpatched model did."""
    difference = (own["logits"].double() - base["logits"].double()).abs().max().item()
    figures = {"logits_same": int(torch.equal(own["logits"], base["logits"])), "logits_most": difference}
    for name in ("dynamic", "static", "batching"):
        if own[name] is not None and base[name] is not None:
            pairs = list(zip(own[name], base[name], strict=True))
            figures |= {f"{name}_same": sum(are_same(a, b) for a, b in pairs), f"{name}_all": len(pairs)}
    return figures


def job(cell, options, failed):
    # It served the decode steps of one unpatched model that differed when run twice (bench/results/2026-12-01-h200).
    torch.backends.cuda.enable_cudnn_sdp(False)
    model = models.build(cell.model, options)
    found = ways.all_of(model, options._replace(ways=[x for x in options.ways if x != "delayed"]), None, failed)
    vocabulary = model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, vocabulary, (2, cell.values["prompt"]), generator=generator).to(options.device)
    longest = 2 * cell.values["prompt"]
    prompts = serving.prompts_of(cell._replace(values={**cell.values, "shortest": 8, "longest": longest}), vocabulary)
    base = outputs_of(found.pop(BASE), ids, prompts, cell, options, failed)
    turns = {
        name: lambda way=way: compared(outputs_of(way, ids, prompts, cell, options, failed), base)
        for name, way in found.items()
    }
    return Job(turns, lambda: {}, lambda: {"report": reports(found)})
