#!/usr/bin/env python3
"""ropejit beside others' kernels and formulas: one process, the same tensors, in turn.

    python3 bench/peers/run.py [--set gate|quick|sweep] [--out FILE.jsonl] [--budget-s 520] [--warm 8] [--shard 1/3]
    python3 bench/peers/run.py --device host --set tiny      # only the checks, on the CPU

Get the rivals first: get_peers.py. For each cell every contestant is checked once against a rotation in fp64, then all
are timed in turn by replays of a CUDA graph of the same number of calls; one that cannot be captured is timed by events
around its calls, and its line says so. Tensors that fit the L2 cache are used again and again (hot); larger cells go
round sets of tensors of 384 MB together. The floor is the fastest of what moves as many bytes: torch's copy_, an
elementwise kernel of torch's, and in place that kernel on the spot.

Lines go to the file as cells are done, and cells that it already holds are not run again (--fresh runs all): a run that
ends for its budget is continued by the same command. --warm N first compiles everything in N processes side by side,
into the caches that Triton, Inductor and ropejit keep on disk.

FILE.jsonl: one line {"meta": ...} a run, then one a contestant and cell: cell, group, layout, batch, tokens, variant
(the contestant), us, us_low, us_high (the middle 80 % of samples), floor_us, bytes, method, launches, buffers, error
(the largest over the norm of its pair), host_us (time of the caller's thread; cells of up to 64 tokens). A contestant
that fails has "failed" with the reason in place of times, and no line is there for what it does not support.
"""

import argparse
import contextlib
import datetime
import gc
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]

import torch

import cells
import ours
import report
import rivals
import ropejit_c
import tensors
import timing

HOST_TOKENS = 64


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=sorted(cells.SETS), default="gate")
    parser.add_argument("--device", choices=("cuda", "host"), default="cuda" if torch.cuda.is_available() else "host")
    parser.add_argument("--library", default=os.environ.get("ROPEJIT_LIBRARY") or ropejit_c.find_library())
    parser.add_argument("--out", default="peers.jsonl", help="(peers.jsonl)")
    parser.add_argument("--fresh", action="store_true", help="run cells that the file already holds, too")
    parser.add_argument("--budget-s", type=float, default=520, help="begin no cell after this many seconds (520)")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each contestant (15)")
    parser.add_argument("--shard", default="1/1", help="I/N: each N-th cell, beginning with the I-th")
    parser.add_argument("--warm", type=int, default=0, metavar="N", help="compile in N processes first")
    parser.add_argument("--prepare-only", action="store_true", help="compile and check, do not time, write nothing")
    parser.add_argument("--share", default="", help="I/N: some of the shapes (for --warm)")
    parser.add_argument("--only", default="", help="contestants, separated by commas (all)")
    parser.add_argument("--cells", default="", help="only cells whose name contains this")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: found cuda, but PyTorch sees no GPU, allowed: host")
    options.shard = part_of(parser, "--shard", options.shard)
    options.share = part_of(parser, "--share", options.share) if options.share else None
    return options


def part_of(parser, name, text):
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        parser.error(f"{name}: found {text}, allowed: I/N with 1 <= I <= N")
    return int(index), int(count)


def contestants_here(options, rope):
    """Those that can run, and a dictionary of versions, or of why not."""
    usable, versions = [], {}
    wanted = {name for name in options.only.split(",") if name}
    for rival in [ours.Ours(rope, "computed"), ours.Ours(rope, "half")] + rivals.all_rivals():
        if wanted and rival.name not in wanted:
            continue
        if options.device == "host" and rival.needs_gpu:
            versions[rival.name] = "not run: needs a GPU"
            continue
        try:
            versions[rival.name] = rival.version()
            usable.append(rival)
        except rivals.Unavailable as error:
            versions[rival.name] = f"not there: {error}"
    return usable, versions


def meta(options, rope, versions):
    made = {
        "command": shlex.join(["python3", *sys.argv]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "ropejit": rope.version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": "host",
        "contestants": versions,
    }
    if options.device == "cuda":
        made["device"] = torch.cuda.get_device_name()
        made["cuda_of_torch"] = torch.version.cuda
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            query = ["nvidia-smi", "--query-gpu=driver_version,clocks.sm,clocks.mem", "--format=csv,noheader"]
            made["driver_and_clocks"] = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip()
    return made


def checked_call(rival, inputs):
    """A call on the first set, compiled and tuned by then, and its error."""
    first = inputs.sets[0]
    call = rival.prepare(inputs, first)
    call()  # may tune itself, in place and many times over
    first.flat.normal_()
    if first.flat_out is not None:
        first.flat_out.fill_(float("nan"))
    check = tensors.Check(inputs, first)
    return call, check.error(call())


def floors(inputs):
    """What only moves as many bytes as the cell does. In place one of them writes where it read, for a copy to spare
    memory may miss the cache where a rotation in place does not."""
    cell = inputs.cell
    size = cell.bytes // 2
    sources, targets = [], []
    for buffers in inputs.sets:
        sources.append(buffers.flat.view(torch.uint8)[: size // 4 * 4].view(torch.int32))
        spare = buffers.flat_out if buffers.flat_out is not None else torch.empty_like(buffers.flat)
        targets.append(spare.view(torch.uint8)[: size // 4 * 4].view(torch.int32))
    copies = [lambda s=s, t=t: t.copy_(s) for s, t in zip(sources, targets)]
    kernels = [lambda s=s, t=t: torch.bitwise_not(s, out=t) for s, t in zip(sources, targets)]
    found = {"copy_": copies, "torch_kernel": kernels}
    if cell.in_place:
        found["torch_kernel_in_place"] = [lambda t=t: torch.bitwise_not(t, out=t) for t in targets]
    return found


class ContextGone(Exception):
    """A contestant broke the CUDA context. Holds the lines of its cell."""


def run_cell(cell, usable, options):
    """The lines of one cell."""
    cuda = options.device == "cuda"
    timed = cuda and not options.prepare_only
    inputs = tensors.Inputs(cell, "cuda:0" if cuda else "cpu", None if timed else 1)
    launches = timing.launches_for(cell)
    lines, entered = [], []
    shape = cell.shape
    layout = shape.layout + (f">{shape.layout_out}" if shape.layout_out else "")
    common = {"cell": cell.name, "group": cell.group, "shape": shape.name, "layout": layout, "dtype": shape.dtype}
    common |= {"placement": shape.placement, "batch": cell.batch, "tokens": cell.tokens, "bytes": cell.bytes}
    for rival in usable:
        if not rival.supports(cell):
            continue
        line = {**common, "variant": rival.name}
        lines.append(line)
        try:
            call, line["error"] = checked_call(rival, inputs)
            if not line["error"] <= tensors.BOUND:
                line["failed"] = f"wrong: error {line['error']:.2g}"
                continue
            if timed:
                if cell.tokens <= HOST_TOKENS:
                    line["host_us"] = round(timing.host_time(call, torch.cuda.synchronize), 3)
                calls = [call] + [rival.prepare(inputs, buffers) for buffers in inputs.sets[1:]]
                entered.append((timing.Contestant(rival.name, calls, launches), line))
        except Exception as error:  # noqa: BLE001  one rival's failure must not end the run
            line["failed"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error) else ''}"
            if cuda:
                try:
                    torch.cuda.synchronize()
                except RuntimeError as gone:
                    raise ContextGone(lines) from gone
    if timed and entered:
        copies = [timing.Contestant(name, calls, launches) for name, calls in floors(inputs).items()]
        timing.compete(copies + [contestant for contestant, _ in entered], options.rounds, hot=cell.buffers == 1)
        floor, which = min((copy.times()[0], copy.name) for copy in copies)
        for contestant, line in entered:
            line |= dict(zip(("us", "us_low", "us_high"), (round(t, 4) for t in contestant.times())))
            line |= {"floor_us": round(floor, 4), "floor": which, "method": contestant.method}
            line |= {"launches": launches, "buffers": cell.buffers}
    return lines


def selected(options, done):
    index, count = options.shard
    listed = cells.SETS[options.set]()[index - 1 :: count]
    if options.share:
        index, count = options.share
        shapes = list(dict.fromkeys(cell.shape for cell in listed))
        listed = [cell for cell in listed if cell.shape in shapes[index - 1 :: count]]
    return [cell for cell in listed if options.cells in cell.name and cell.name not in done]


def warm(options, arguments):
    """Compiles all cells in processes side by side, each some of the shapes. Nothing is tuned for good there: the
    others would disturb it."""
    begin = time.monotonic()
    command = [sys.executable, __file__, *arguments, "--warm", "0", "--prepare-only"]
    # Inductor's own pool of compilers in each of them would only add processes.
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1", "FLA_CACHE_RESULTS": "0"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    shares = [f"{share}/{options.warm}" for share in range(1, options.warm + 1)]
    processes = [subprocess.Popen([*command, "--share", share], env=environment, **quiet) for share in shares]
    failed = sum(process.wait() != 0 for process in processes)
    note = f", {failed} of {len(processes)} processes failed" if failed else ""
    print(f"compiled in {time.monotonic() - begin:.0f} s{note}", file=sys.stderr)


def main():
    begin = time.monotonic()
    options = parse()
    sys.excepthook = ropejit_c.exit_with_error
    torch.set_grad_enabled(False)
    if options.warm > 0:
        warm(options, sys.argv[1:])
    rope = ropejit_c.Ropejit(options.library, options.device, cache_dir=None)
    usable, versions = contestants_here(options, rope)
    out = pathlib.Path(options.out)
    done = set() if options.fresh or not out.is_file() else {line["cell"] for line in report.read(out)}
    left = selected(options, done)
    made, not_begun = [], 0
    with open(os.devnull if options.prepare_only else out, "a", encoding="utf-8") as file:
        file.write(json.dumps({"meta": meta(options, rope, versions)}) + "\n")
        for cell in left:
            if time.monotonic() - begin > options.budget_s:
                not_begun += 1
                continue
            try:
                lines = run_cell(cell, usable, options)
            except ContextGone as error:
                file.writelines(json.dumps(line) + "\n" for line in error.args[0])
                last = error.args[0][-1]
                sys.exit(f"{cell.name}: {last['variant']}: {last['failed']}; the same command goes on behind this cell")
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            made += lines
            print(f"[{time.monotonic() - begin:6.1f} s] {cell.name}", file=sys.stderr)
            torch._dynamo.reset()
            if options.device == "cuda" and torch.cuda.memory_reserved() > 24 << 30:
                gc.collect()
                torch.cuda.empty_cache()
    for name, version in versions.items():
        print(f"{name}: {version}")
    print(report.table(made + [line for line in (report.read(out) if done else []) if line["cell"] in done]))
    if not_begun:
        print(f"{not_begun} cells not begun within the budget; the same command continues")
    return 0


if __name__ == "__main__":
    sys.exit(main())
