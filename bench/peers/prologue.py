#!/usr/bin/env python3
"""The attention prologue beside rivals: norms of q and k, rotation, k and v to a paged cache; one process, in turn.

    python3 bench/peers/prologue.py [--tokens 1,16,64,256,1024,4096,16384] [--in-place] [--tune] [--out FILE.jsonl]
    python3 bench/peers/prologue.py --device host --tokens 5,40        # only the checks, on the CPU

The case is Qwen3's: bf16, packed rows of q, k and v, int64 positions, theta 1e6, pages of 16 tokens, slots in no order.
q goes to a tensor of its own, with --in-place over itself where a contestant can do that.

Each contestant is checked against fp64 on random inputs, then all are timed in turn by replays of a CUDA graph of the
same number of calls; the times are medians. Where a contestant has several ways to do its job, three short rounds tell
the fastest few, which then go through all rounds with the others. A case that fits the L2 cache is replayed on the same
tensors (hot); a larger one goes round sets of tensors of 384 MB together. The floor is the fastest of 48 kernels that
read and write the same rows, read slots and positions, and compute nothing.

FILE.jsonl: one line {"meta": ...}, then one a contestant and size: tokens, contestant, way (the fastest), us, us_low,
us_high (the middle 80 % of samples), floor_us, bytes, launches, buffers, method, error (the largest over the norm of
its pair). A way that fails has a line with "failed" in place of times.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]

import torch

import copies
import prologue_ways as ways
import ropejit_c
import tensors
import timing

KEPT = 3  # ways of a contestant that go through all rounds
SHORT_ROUNDS = 3
MOST_FAILURES = 20  # that are told one by one


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", default="1,16,64,256,1024,4096,16384", help="(1,16,64,256,1024,4096,16384)")
    parser.add_argument("--heads", default="32/8/8", help="of q, k and v (32/8/8)")
    parser.add_argument("--head-dim", type=int, default=128, help="(128)")
    parser.add_argument("--in-place", action="store_true", help="q over itself, not to a tensor of its own")
    parser.add_argument("--tune", action="store_true", help="ropejit also tuned here, which takes seconds")
    parser.add_argument("--device", choices=("cuda", "host"), default="cuda" if torch.cuda.is_available() else "host")
    parser.add_argument("--library", default=os.environ.get("ROPEJIT_LIBRARY") or ropejit_c.find_library())
    parser.add_argument("--out", default="", help="lines of JSON, added to a file")
    parser.add_argument("--budget-s", type=float, default=520, help="begin no size that may end later than this (520)")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each contestant (15)")
    parser.add_argument("--only", default="", help="contestants, separated by commas (all); the floor is always there")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: found cuda, but PyTorch sees no GPU, allowed: host")
    options.tokens = numbers(parser, "--tokens", options.tokens, ",")
    options.heads = numbers(parser, "--heads", options.heads, "/")
    if len(options.heads) != 3:
        parser.error(f"--heads: found {len(options.heads)} numbers, allowed: 3, as 32/8/8")
    return options


def numbers(parser, name, text, between):
    parts = text.split(between)
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        parser.error(f"{name}: found {text}, allowed: numbers from 1 on, with {between} between them")
    return [int(part) for part in parts]


def first_line(error):
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else ''}"


class ContextGone(Exception):
    """A contestant broke the CUDA context."""


class Bench:
    """The contestants for one shape of heads, and the sizes that were run."""

    def __init__(self, options):
        self.options, self.cuda = options, options.device == "cuda"
        self.lines, self.notes, self.contestants = [], [], []
        self.kernels = self.copies()
        if self.kernels is not None:
            self.contestants.append(ways.Floor(self.kernels))
        rope = self.service("ropejit", {"cache_dir": ""})
        if rope is not None:
            self.contestants.append(ways.Ours(rope))
        if options.tune and self.cuda:
            self.add_tuned()
        self.contestants += [ways.Compiled(), ways.TwoSteps(), ways.Steps()]
        if rope is not None:
            self.contestants.append(ways.SingleLaunches(rope, self.kernels))
        wanted = {name for name in options.only.split(",") if name}
        if wanted:
            self.contestants = [one for one in self.contestants if one.name in wanted | {"floor"}]

    def case(self, count):
        options = self.options
        return ways.Case(*options.heads, options.head_dim, count, options.in_place)

    def copies(self):
        """The floor's kernels; on the host they are only compiled."""
        try:
            if self.cuda:
                return copies.Copies(self.case(1))
            size = len(copies.compiled(self.case(1), "sm_90"))
            self.notes.append(f"floor: not run on the host, but compiled: {size} bytes for sm_90")
        except (copies.CannotCompile, OSError, RuntimeError) as error:
            self.notes.append(f"floor: left out: {first_line(error)}")
        return None

    def service(self, name, settings):
        try:
            return ropejit_c.Ropejit(self.options.library, self.options.device, **settings)
        except (ropejit_c.RopejitError, OSError) as error:
            self.notes.append(f"{name}: left out: {first_line(error)}")
            return None

    def add_tuned(self):
        self.records = tempfile.TemporaryDirectory()  # tuning keeps what it found on disk
        rope = self.service("ropejit_tuned", {"cache_dir": self.records.name, "tuning": "on_demand"})
        if rope is not None:
            does = 'the same launch, tuned on this GPU before ("tuning": "on_demand")'
            self.contestants.append(ways.Ours(rope, "ropejit_tuned", does))

    # --- one size ---------------------------------------------------------------------------------------------------

    def checked(self, contestant, way, prepare, first, common):
        """The way's line, and a call on the first set where it is right."""
        line = {**common, "contestant": contestant.name, "way": way}
        try:
            call = prepare(first)
            call()  # compiles
            first.fill()
            check = ways.Check(first, contestant.moves)
            line["error"] = check.error(call())
            if not line["error"] <= tensors.BOUND:
                line["failed"] = f"wrong: error {line['error']:.2g}"
        except Exception as error:  # noqa: BLE001  one rival's failure must not end the run
            line["failed"] = first_line(error)
            self.synchronize(line)
        return line, None if "failed" in line else call

    def synchronize(self, line):
        if self.cuda:
            try:
                torch.cuda.synchronize()
            except RuntimeError as gone:
                self.lines.append(line)
                raise ContextGone(f"{line['tokens']} tokens: {line['contestant']}: {line['failed']}") from gone

    def entrants(self, case):
        """{contestant: [(line, timing.Contestant or None)]}: ways that are right."""
        device = "cuda:0" if self.cuda else "cpu"
        shared = ways.Shared(case, device)
        sets = [ways.Tensors(shared) for _ in range(case.buffers if self.cuda else 1)]
        launches = timing.launches_for(case)
        common = {"tokens": case.tokens, "heads": "/".join(map(str, self.options.heads)), "head_dim": case.head_dim}
        common |= {"in_place": case.in_place, "bytes": case.bytes, "launches": launches, "buffers": len(sets)}
        found = {}
        for contestant in self.contestants:
            entered = found.setdefault(contestant.name, [])
            try:
                each = contestant.ways(shared)
            except Exception as error:  # noqa: BLE001
                line = {**common, "contestant": contestant.name, "way": "", "failed": first_line(error)}
                self.synchronize(line)
                self.lines.append(line)
                continue
            for way, prepare in each.items():
                line, call = self.checked(contestant, way, prepare, sets[0], common)
                timed = None
                if call is not None and self.cuda:
                    try:
                        calls = [call, *(prepare(one) for one in sets[1:])]
                        timed = timing.Contestant(contestant.name, calls, launches)
                        line["method"] = timed.method
                    except Exception as error:  # noqa: BLE001
                        line["failed"] = first_line(error)
                        self.synchronize(line)
                if "failed" in line:
                    self.lines.append(line)
                else:
                    entered.append((line, timed))
            if self.cuda and len(entered) > KEPT:
                found[contestant.name] = self.fastest(entered, case)
        return found

    def fastest(self, entered, case):
        """The few fastest ways, after short rounds."""
        timing.compete([timed for _, timed in entered], SHORT_ROUNDS, hot=case.buffers == 1)
        kept = sorted(entered, key=lambda entry: entry[1].times()[0])[:KEPT]
        for _, timed in kept:
            timed.samples.clear()
        return kept

    def run(self, case):
        found = self.entrants(case)
        entered = [entry for each in found.values() for entry in each]
        if self.cuda and entered:
            timing.compete([timed for _, timed in entered], self.options.rounds, hot=case.buffers == 1)
            for line, timed in entered:
                line |= dict(zip(("us", "us_low", "us_high"), (round(t, 4) for t in timed.times())))
        made = [min((line for line, _ in each), key=lambda line: line.get("us", 0)) for each in found.values() if each]
        floor = next((line["us"] for line in made if line["contestant"] == "floor" and "us" in line), None)
        if floor is not None:
            for line in made:
                line["floor_us"] = floor
        self.lines += made

    # --- what is told -----------------------------------------------------------------------------------------------

    def meta(self):
        made = {
            "command": shlex.join(["python3", *sys.argv]),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "gpu": torch.cuda.get_device_name() if self.cuda else "none: host",
            "torch": torch.__version__,
            "cuda_of_torch": torch.version.cuda,
            "python": platform.python_version(),
        }
        with contextlib.suppress(ImportError):
            made["triton"] = __import__("triton").__version__
        made["ropejit"] = next((one.rope.version() for one in self.contestants if hasattr(one, "rope")), "not there")
        if self.cuda:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                query = ["nvidia-smi", "--query-gpu=driver_version,clocks.sm,clocks.mem", "--format=csv,noheader"]
                done = subprocess.run(query, capture_output=True, text=True, timeout=20)
                made["driver_and_clocks"] = done.stdout.strip()
        return made

    def table(self):
        names = [contestant.name for contestant in self.contestants]
        text = ["| tokens | MB | L2 | " + " | ".join(names) + " |", "|---" * (len(names) + 3) + "|"]
        for count in dict.fromkeys(line["tokens"] for line in self.lines):
            lines = [line for line in self.lines if line["tokens"] == count and "failed" not in line]
            cells = {line["contestant"]: told(line) for line in lines}
            case = self.case(count)
            row = [str(count), f"{case.bytes / 1e6:.2f}", "hot" if case.buffers == 1 else "cold"]
            text.append("| " + " | ".join(row + [cells.get(name, "-") for name in names]) + " |")
        text += [
            "",
            "us a call (times the floor); * by events around calls, not by a graph; without a GPU the largest error",
        ]
        text += [f"{one.name}: {one.does}" for one in self.contestants]
        text += [line for line in map(self.fastest_ways, names) if line]
        failed = [line for line in self.lines if "failed" in line]
        for line in failed[:MOST_FAILURES]:
            text.append(f"left out: {line['contestant']} ({line['way']}), {line['tokens']} tokens: {line['failed']}")
        if len(failed) > MOST_FAILURES:
            text.append(f"left out: {len(failed) - MOST_FAILURES} more")
        return "\n".join(text + self.notes)

    def fastest_ways(self, name):
        lines = [line for line in self.lines if line["contestant"] == name and "us" in line]
        if len({line["way"] for line in lines}) < 2:
            return ""
        return f"{name}, the fastest way by tokens: " + "; ".join(f"{line['tokens']}: {line['way']}" for line in lines)


def told(line):
    if "us" not in line:
        return f"{line['error']:.1e}"
    ratio = f" ({line['us'] / line['floor_us']:.2f})" if "floor_us" in line and line["contestant"] != "floor" else ""
    return f"{line['us']:.2f}{ratio}" + ("" if line["method"] == "graph" else "*")


def main():
    begin = time.monotonic()
    options = parse()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    bench = Bench(options)
    meta = bench.meta()
    broken, longest = "", 0
    with open(options.out or os.devnull, "a", encoding="utf-8") as file:
        file.write(json.dumps({"meta": meta}) + "\n")
        for done, count in enumerate(options.tokens):
            started = time.monotonic()
            if started - begin + longest > options.budget_s:
                bench.notes.append(f"not begun within the budget: {options.tokens[done:]} tokens")
                break
            before = len(bench.lines)
            try:
                bench.run(bench.case(count))
            except ContextGone as error:
                broken = str(error)
            file.writelines(json.dumps(line) + "\n" for line in bench.lines[before:])
            file.flush()
            longest = max(longest, time.monotonic() - started)
            print(f"[{time.monotonic() - begin:6.1f} s] {count} tokens", file=sys.stderr, flush=True)
            if broken:
                bench.notes.append(f"the CUDA context is gone, and the run ends: {broken}")
                break
            torch._dynamo.reset()
            if bench.cuda:
                torch.cuda.empty_cache()
    print("\n".join(f"{name}: {value}" for name, value in meta.items()))
    print()
    print(bench.table(), flush=True)
    if broken:
        os._exit(1)  # what is left cannot be freed in order
    return 0


if __name__ == "__main__":
    sys.exit(main())
