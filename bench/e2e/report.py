"""The tables as Markdown: a row for each way of a cell that is compared with the unpatched model. Pure."""

import plan
from intervals import median_of
from verdicts import BASE, DELAYED, SAME, compared, ratio_of, saving_of, verdict_of

TITLES = {
    "decode": "Decode: ms a token, static cache",
    "prefill": "Time to first token in the process: ms of a prefill, eager",
    "first_token": "Time to first token from exec of a new process: ms",
    "serving": "Serving: continuous batching with `paged|sdpa` and CUDA graphs, ms of all requests",
    "training": "Training: ms a step, fused AdamW",
    "equal": "Equality with the unpatched model",
}
# What a table shows besides times: heading, figure of a way, digits.
MORE = {
    "decode": (("p50", "p50", 3), ("p99", "p99", 3)),
    "serving": (("tokens/s", "tokens_per_s", 0), ("p99 between tokens, ms", "gap_p99_ms", 1)),
    "training": (("tokens/s", "tokens_per_s", 0), ("peak GB", "peak_gb", 2)),
    "first_token": (("of it from the patch on", "patched_ms", 1),),
}


def of(results, rounds=7):
    """All tables that have lines."""
    parts = [_environments(results)]
    for table in plan.TABLES:
        if results.of(table):
            parts.append(f"## {TITLES[table]}\n\n" + (_equal(results) if table == "equal" else _timed(results, table, rounds)))
    return "\n\n".join(part for part in parts if part)


def _environments(results):
    """What all of it ran on, each kind of machine and versions once."""
    kinds = {}
    for meta in results.metas():
        words = [meta["device"], f"torch {meta['torch']}", f"transformers {meta['transformers']}", f"ropejit {meta['ropejit']}"]
        kinds[", ".join(words + ([f"driver {meta['driver']}"] if meta.get("driver") else []))] = True
    return "\n".join(kinds)


def table_of(heads, rows):
    """Lines of a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def ratio_text(interval):
    """"0.87 [0.86, 0.88]", with three digits where two do not tell."""
    if interval is None:
        return ""
    if interval.low is None:
        return f"{interval.median:.3f} [?]"
    return f"{interval.median:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _ways(rounds):
    """The ways of a cell that are compared with the unpatched model, in the order of plan.WAYS, others as they come."""
    found = [way for way in rounds[-1]["ways"] if way not in (BASE, SAME, DELAYED)]
    return sorted(found, key=lambda way: plan.WAYS.index(way) if way in plan.WAYS else len(plan.WAYS))


def _figure(rounds, way, key, digits):
    numbers = [x["ways"][way][key] for x in rounds if key in x["ways"].get(way, {})]
    return f"{median_of(numbers).median:,.{digits}f}" if numbers else ""


def _beside(rounds, way, key, digits):
    """A figure of the unpatched model and of a way: "0.71, 0.62"."""
    return ", ".join(x for x in (_figure(rounds, each, key, digits) for each in (BASE, way)) if x)


def _digits(number):
    return 3 if number < 10 else 2 if number < 100 else 1


def _timed(results, table, needed):
    more = MORE.get(table, ())
    heads = ["cell", "way", BASE, "this way", "ratio [95 %]", "it is", *(f"{word}: {BASE}, this way" for word, _, _ in more),
             "A/A", "delay planted", "found"]
    heads += ["saving calculated", "reached", "part"] if table == "decode" else []
    rows, remarks = [], []
    for cell in results.cells(table):
        rounds = list(results.rounds(table, cell).values())
        failure = results.failure(table, cell)
        if failure or not rounds:
            remarks.append(f"- {cell}: not run{f' ({failure})' if failure else ''}")
            continue
        kernels = results.note(table, cell, "saving")
        rows += [[cell, *row] for row in _rows(rounds, more, verdict_of(rounds, needed=needed), table, kernels)]
    for way, why, cells in _failed_ways(results, table):
        remarks.append(f"- {way} is left out of {cells}: {why}")
    remarks += _reports(results, table)
    text = table_of([*heads, "counts"], rows) if rows else ""
    return text + ("\n\n" if text and remarks else "") + "\n".join(remarks)


def _rows(rounds, more, verdict, table, kernels):
    """Those of a cell, one a way; of a cell where only the unpatched model ran, one without."""
    digits = _digits(median_of([x["ways"][BASE]["ms"] for x in rounds]).median)
    for way in _ways(rounds) or [""]:
        ratio = ratio_of(rounds, way)
        row = [way, _figure(rounds, BASE, "ms", digits), _figure(rounds, way, "ms", digits)]
        row += [ratio_text(ratio and ratio.interval), compared(ratio.interval, verdict.same) if ratio else ""]
        row += [_beside(rounds, way, key, n) for _, key, n in more]
        row += [ratio_text(verdict.same), *_delay(rounds, verdict)]
        if table == "decode":
            row += _saving(rounds, kernels, way)
        yield [*row, "yes" if verdict.counts else f"no: {verdict.why_not}"]


def _delay(rounds, verdict):
    """What was planted, and what was found, as shares of a step."""
    if verdict.planted_share is None:
        return ["", ""]
    planted = median_of([x["planted_ms"] for x in rounds if x.get("planted_ms")]).median
    layers = rounds[-1].get("layers")
    each = f"{1000 * planted / layers:.1f} us a layer, " if layers else ""
    found = "" if verdict.delayed is None else f"{100 * (verdict.delayed.median - 1):+.2f} %"
    return [f"{each}{100 * verdict.planted_share:.2f} %", found]


def _saving(rounds, kernels, way):
    if kernels is None or "failed" in kernels:
        return [kernels["failed"] if kernels else "", "", ""]
    saving = saving_of(rounds, kernels, way)
    each = f"{kernels['unpatched_us']:.2f} - {kernels['ours_us']:.2f} us x {kernels['layers']}"
    if saving is None:
        return [each, "", ""]
    part = "" if saving.part is None else f"{100 * saving.part:.0f} %"
    return [f"{100 * saving.calculated:.1f} % ({each})", f"{100 * saving.reached:.1f} %", part]


def _failed_ways(results, table):
    """[(way, reason, of how many cells)]"""
    found = {}
    for cell in results.cells(table):
        for way, why in results.failed_ways(table, cell).items():
            found.setdefault((way, why), []).append(cell)
    return [(way, why, _where(cells)) for (way, why), cells in found.items()]


def _reports(results, table):
    """What patches said of layers, each saying once with how many cells it was said of."""
    found = {}
    for cell in results.cells(table):
        for way, lines in ((results.note(table, cell, "report") or {}).get("ways") or {}).items():
            for text in lines or ():
                found.setdefault((way, text), []).append(cell)
    return [f"- {way} says in {_where(cells)}: {text}" for (way, text), cells in found.items()]


def _where(cells):
    return cells[0] if len(cells) == 1 else f"{len(cells)} cells"


def _equal(results):
    heads = ["cell", "way", "logits", "largest difference", "sequences, dynamic cache", "static cache",
             "requests of continuous batching"]
    rows, remarks = [], []
    for cell in results.cells("equal"):
        failure = results.failure("equal", cell)
        if failure:
            remarks.append(f"- {cell}: not run ({failure})")
        for line in results.rounds("equal", cell).values():
            for way, x in line["ways"].items():
                shares = (f"{x[f'{name}_same']:.0f} of {x[f'{name}_all']:.0f}" if x.get(f"{name}_all") else "not run"
                          for name in ("dynamic", "static", "batching"))
                rows.append([cell, way, "the same bits" if x["logits_same"] else "differ", f"{x['logits_most']:.2e}", *shares])
    for way, why, cells in _failed_ways(results, "equal"):
        remarks.append(f"- {way} is left out of {cells}: {why}")
    text = table_of(heads, rows) if rows else ""
    return text + ("\n\n" if text and remarks else "") + "\n".join(remarks)
