"""Time to first token of a new process: from exec, through imports, weights and the patch, to the token that a prompt's
prefill ends with. Without a patch, and with it where kernels come from four places (docs/deployment.md):

  ours, cache empty     compiled as they are needed, into a new folder
  ours, cache warm      binaries on disk
  ours, frozen bundle   one file with them, and nothing compiled or written; ROPEJIT_CLI names the program that packs
                        it, where the package has none
  ours, background      an empty folder, and a generic kernel until the compiled one is there

A turn is one process (first_token_process.py). It says its time to the token and the part of it from the patch on.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import models
import plan
import runner
from delay import SHARE
from table import Job
from verdicts import BASE, DELAYED, SAME

KEY, BACK = "ms", False
OURS = plan.FIRST_TOKEN_WAYS


def seconds(cell, options):
    return 30 if options.smoke else 120


def run_process(cell, options, way, more=None, delay_us=0.0):
    """One process. Returns its figures; raises RuntimeError with what it said last."""
    command = [sys.executable, str(pathlib.Path(__file__).parent / "first_token_process.py"), cell.model,
               "--tokens", str(cell.values["tokens"]), "--way", way, "--delay-us", str(delay_us)]
    command += ["--layers", str(options.layers)] if options.layers else []
    command += ["--smoke"] if options.smoke else []
    start = time.clock_gettime(time.CLOCK_MONOTONIC)  # one clock for all processes
    done = subprocess.run(command, env={**os.environ, **(more or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(said[-1] if said else f"a process ended with {done.returncode}")
    told = json.loads(done.stdout.splitlines()[-1])
    return {"ms": 1000 * (told["token_at"] - start), "patched_ms": told["patched_ms"], "imported_ms": told["imported_ms"]}


class Caches:
    """Folders of kernels for the processes, in one temporary folder."""

    def __init__(self, cell, options):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="ropejit-e2e-"))
        self.cell, self.options = cell, options
        self.warm, self.bundle = self.root / "warm", self.root / "kernels.rjb"

    def empty(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.root))

    def fill(self):
        """Has a process compile into `warm`, and packs that into the bundle, if it can be."""
        self.warm.mkdir()
        run_process(self.cell, self.options, "ours", {"ROPEJIT_CACHE_DIR": str(self.warm)})
        import ropejit_cli

        program = os.environ.get("ROPEJIT_CLI") or ropejit_cli.program()
        command = [program, "cache", "export", "--cache-dir", str(self.warm), "--out", str(self.bundle)]
        subprocess.run(command, check=True, capture_output=True)

    def environment(self, way):
        if way == OURS[1]:
            return {"ROPEJIT_CACHE_DIR": str(self.warm)}
        folder = {"ROPEJIT_CACHE_DIR": str(self.empty())}
        if way == OURS[2]:
            return {**folder, "ROPEJIT_CACHE_PATH": str(self.bundle), "ROPEJIT_FROZEN": "1"}
        return {**folder, "ROPEJIT_ON_MISS": "background"} if way == OURS[3] else folder

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)


def job(cell, options, failed):
    caches = Caches(cell, options)
    layers = models.layers_of(cell.model, options)
    base_ms = run_process(cell, options, BASE)["ms"]
    delay_us = 1000 * SHARE * base_ms / layers
    turns = {BASE: lambda: run_process(cell, options, BASE)}
    if "ours" in options.ways:
        try:
            caches.fill()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            failed(OURS[2], runner.reason(error))
        for way in OURS:
            if way != OURS[2] or caches.bundle.exists():
                turns[way] = lambda way=way: run_process(cell, options, "ours", caches.environment(way))
    if SAME in options.ways:
        turns[SAME] = lambda: run_process(cell, options, BASE)
    if DELAYED in options.ways:
        turns[DELAYED] = lambda: run_process(cell, options, BASE, delay_us=delay_us)
    turns = {BASE: turns.pop(BASE), **runner.warm(turns, failed, BASE)}

    def more():
        return {"layers": layers, "planted_ms": layers * delay_us / 1000 if DELAYED in turns else None}

    return Job(turns, more, lambda: {"report": {"ways": {}}}, caches.close)
