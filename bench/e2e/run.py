#!/usr/bin/env python3
"""End to end: what a user of a patched model feels, beside the same model without the patch.

    python3 bench/e2e/run.py decode --results e2e.jsonl --minutes 8      # again: goes on where it was
    python3 bench/e2e/run.py report --results e2e.jsonl                  # the tables, as Markdown
    python3 bench/e2e/run.py all --results e2e.jsonl --minutes 20        # every table, the most telling cells first
    python3 bench/e2e/run.py decode --smoke --results /tmp/smoke.jsonl   # tiny models on the CPU: does it run?

Tables: decode, prefill, first_token, serving, training, equal. bench/README.md says what each measures and when a cell
counts. A cell's rounds go to the file as they end, one line each (results.py). Needs torch, transformers 5.17 or later
and the package ropejit; no network.
"""

import argparse
import importlib
import os
import pathlib
import shlex
import subprocess
import sys
import time
from typing import NamedTuple, Optional

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import plan  # noqa: E402
from results import Results  # noqa: E402
from table import chosen  # noqa: E402
from turns import Deadline  # noqa: E402

DONE, TIME_IS_UP, BROKEN = 0, 3, 4  # exit statuses


class Options(NamedTuple):
    device: str
    rounds: int
    layers: Optional[int]
    smoke: bool
    ways: list
    models: list
    cells: list


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=(*plan.TABLES, "all", "report"))
    parser.add_argument("--results", default="e2e.jsonl", help="the file of lines (e2e.jsonl)")
    parser.add_argument("--minutes", type=float, help="begin nothing that would not end by then (no limit)")
    parser.add_argument("--models", help=f"of {', '.join(plan.MODELS)}, with commas (all)")
    parser.add_argument("--cells", action="append", default=[], metavar="PARTS",
                        help='only cells with all of these parts in their names, as "Qwen3-0.6B, batch 1"; may be repeated')
    parser.add_argument("--ways", help=f"of {', '.join(plan.WAYS)}, with commas ({','.join(plan.DEFAULT_WAYS)})")
    parser.add_argument("--rounds", type=int, default=7, help="of a cell (7)")
    parser.add_argument("--layers", type=int, help="take no more of a model than so many; its cells say so")
    parser.add_argument("--smoke", action="store_true", help="tiny models on the CPU, by ropejit's host target")
    parser.add_argument("--retry", action="store_true", help="cells and ways that failed are run once more")
    parser.add_argument("--list", action="store_true", help="names of the cells and how many rounds they lack")
    parser.add_argument("--here", action="store_true", help="all in this process, and not one for each model")
    given = parser.parse_args(arguments)
    for name, allowed in (("models", plan.MODELS), ("ways", plan.WAYS)):
        words = [x for x in (getattr(given, name) or "").split(",") if x]
        if unknown := [x for x in words if x not in allowed]:
            parser.error(f"--{name}: found {', '.join(unknown)}, allowed: {', '.join(allowed)}")
        setattr(given, name, words)
    if given.rounds < 1 or (given.layers is not None and given.layers < 1):
        parser.error("--rounds, --layers: allowed: 1 or more")
    if given.ways and given.ways[0] != plan.DEFAULT_WAYS[0]:
        given.ways = [plan.DEFAULT_WAYS[0], *(x for x in given.ways if x != plan.DEFAULT_WAYS[0])]
    return given


def options_of(given):
    return Options("cpu" if given.smoke else "cuda", given.rounds, given.layers, given.smoke,
                   given.ways or list(plan.DEFAULT_WAYS), given.models, given.cells)


def module_of(table):
    return importlib.import_module(table)


def pending(table, options, results):
    """The cells that still lack rounds."""
    return [x for x in chosen(plan.cells(table, options), options) if plan.missing(x, options, results)]


def in_this_process(given, options, results, deadline):
    """Runs a table's cells here. Returns an exit status."""
    import environment
    import runner

    table, cells = module_of(given.table), pending(given.table, options, results)
    if not cells:
        return DONE
    results.add({"meta": environment.found(options, shlex.join(["run.py", *sys.argv[1:]]))})
    return runner.run(table, cells, options, results, deadline)


def in_processes(given, options, deadline):
    """A process for each model whose cells are next: what one leaves behind, or breaks, stops no other."""
    gave_up, worst = set(), DONE
    while True:
        results = Results(given.results)
        left = [x for x in pending(given.table, options, results) if x.model not in gave_up]
        if not left:
            return worst
        if not deadline.has(5):
            return TIME_IS_UP
        model, before = left[0].model, len(results.lines)
        following = [x.model == model for x in left]
        cells = left[: following.index(False) if False in following else len(left)]
        command = [sys.executable, str(HERE / "run.py"), given.table, "--here", "--results", given.results,
                   "--models", model, "--rounds", str(given.rounds), "--ways", ",".join(options.ways)]
        command += [word for cell in cells for word in ("--cells", f"={cell.name}")]
        command += ["--layers", str(given.layers)] if given.layers else []
        command += ["--smoke"] if given.smoke else []
        command += ["--minutes", f"{deadline.left() / 60:.3f}"] if given.minutes is not None else []
        status = subprocess.run(command, env=environment_of(given), check=False).returncode
        if status == TIME_IS_UP:
            return TIME_IS_UP
        # A process that died has told of what it ran; one that told of nothing would not do so the next time either.
        if status != DONE and sum("meta" not in x for x in Results(given.results).lines[before:]) == 0:
            print(f"{given.table}: {model}: a process ended with {status}; left out", file=sys.stderr, flush=True)
            gave_up.add(model)
            worst = BROKEN


def environment_of(given):
    more = {"ROPEJIT_DEVICE": "host", "ROPEJIT_ON_MISS": "generic", "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1"} if given.smoke else {}
    return {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", **more}


def run_all(given, options, deadline):
    """Every table, in plan.order. Returns an exit status."""
    status = DONE
    for table, words in plan.order(options):
        part = argparse.Namespace(**{**vars(given), "table": table})
        status = max(status, in_processes(part, options._replace(cells=words), deadline))
    return status


def main(arguments=None):
    given = parse(sys.argv[1:] if arguments is None else arguments)
    options, deadline = options_of(given), Deadline(given.minutes)
    if given.table == "report":
        import report

        print(report.of(Results(given.results), given.rounds))
        return DONE
    if given.list:
        results = Results(given.results)
        for table in plan.TABLES if given.table == "all" else (given.table,):
            for cell in chosen(plan.cells(table, options), options):
                lacks = len(plan.missing(cell, options, results))
                print(f"{table}: {cell.name}: lacks {lacks}")
        return DONE
    if given.retry:
        for table in plan.TABLES if given.table == "all" else (given.table,):
            Results(given.results).add({"table": table, "retry": True})
    if given.table == "all":
        status = run_all(given, options, deadline)
        import report

        print(report.of(Results(given.results), given.rounds))
        return status
    if given.here:
        os.environ.update(environment_of(given))
        return in_this_process(given, options, Results(given.results), deadline)
    return in_processes(given, options, deadline)


if __name__ == "__main__":
    start = time.time()
    code = main()
    if "--list" not in sys.argv and "report" not in sys.argv[:2]:
        print(f"{time.time() - start:.0f} s, status {code}", file=sys.stderr)
    sys.exit(code)
