"""ropejit try: what the kernels are worth on this machine, in about a minute.

On a GPU: the kernel beside a copy of the same bytes, and, where torch and transformers are installed, a model of random
weights before and after ropejit.dropin.hf.patch. Without one: the same kernel source on the CPU, checked against fp64.
Progress goes to stderr; a table and bars to stdout, or with --json one object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import ropejit_cli

DEFAULT_MODEL = "qwen3-0.6b"
GPU_TOKENS = (1, 128, 4096, 16384)
HOST_TOKENS = (64,)

# What a GPU showed: README.md, "Numbers". Kernels beside copies, in report(), are from there, too.
MEASURED = (
    ("decode step at 512 tokens", 28.0, 24.5),
    ("prefill of 4,096 tokens", 40.7, 34.0),
)


class Failed(Exception):
    """One line for the user, and the exit status."""

    def __init__(self, line, status=1):
        super().__init__(line)
        self.status = status


class Progress:
    """Lines on stderr, each with the seconds since the start."""

    def __init__(self):
        self.start = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.start:4.0f} s] {text}", file=sys.stderr, flush=True)


def run_program(*arguments):
    """The object that a command of the program prints with --json."""
    done = subprocess.run(
        [ropejit_cli.program(), *arguments, "--json"],
        env=ropejit_cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        # Notes and warnings come before; a compiler's log, which is not the program's own, after.
        lines = [line for line in done.stderr.splitlines() if line.startswith("ropejit: ")]
        raise Failed(lines[-1] if lines else "ropejit: the program said nothing", done.returncode or 1) from None


def kernels_beside_copies(model, device, progress):
    """The program's `run` at several sizes. The first says whether there is a GPU."""
    rows, tokens = [], [1]
    while tokens:
        count = tokens.pop(0)
        progress.say(f"the kernel of {model}, {count:,} tokens: made, checked against fp64, timed beside a copy")
        row = run_program("run", "--model", model, "--tokens", str(count), *(["--device", device] if device else []))
        if not rows:
            tokens = list(GPU_TOKENS[1:] if is_gpu(row) else HOST_TOKENS)
        rows.append(row)
    return rows


def is_gpu(row):
    return row["arch"].startswith("sm_")


# --- what is printed ---------------------------------------------------------------------------------------------------


def duration(microseconds):
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= factor:
            return f"{microseconds / factor:.3g} {unit}"
    return f"{microseconds:.3g} us"


def bars(pairs, width=36, block="#"):
    """[(what, [(who, microseconds), ...])] as bars; the longest of each group is `width` long."""
    left = max(len(what) for what, _ in pairs)
    names = max(len(who) for _, group in pairs for who, _ in group)
    lines = []
    for what, group in pairs:
        longest = max(value for _, value in group)
        for who, value in group:
            bar = block * max(1, round(width * value / longest))
            lines.append(f"{what:<{left}}  {who:<{names}}  {bar:<{width}}  {duration(value)}")
            what = ""
    return "\n".join(lines)


def block_of(stream):
    try:
        "\u2588".encode(stream.encoding or "ascii")
    except UnicodeError:
        return "#"
    return "\u2588"


def kernel_table(rows):
    """Without copies on the CPU, where they say nothing of kernels."""
    beside = is_gpu(rows[0])
    copies = f"  {'copy':>9}  {'over a copy':>11}" if beside else ""
    lines = [f"{'tokens':>8}  {'kernel':>9}{copies}  {'binary':<8}  check"]
    for row in rows:
        copy = row.get("copy_us")
        copies = f"  {duration(copy):>9}  {row['over_copy']:>11.2f}" if copy else f"  {'-':>9}  {'-':>11}"
        verdict = "verified" if row["verified"] else row["problem"]
        lines.append(f"{row['tokens']:>8,}  {duration(row['launch_us']):>9}{copies if beside else ''}  {row['cache']:<8}  {verdict}")
    return "\n".join(lines)


def model_table(rows):
    lines = [f"{'':<26}  {'transformers':>12}  {'with ropejit':>12}  {'gain':>6}"]
    for what, before, after in rows:
        lines.append(f"{what:<26}  {duration(before):>12}  {duration(after):>12}  {1 - after / before:>6.1%}")
    return "\n".join(lines)


def report(model, rows, measured, note):
    """The text of the end: tables, one picture, and what is missing."""
    first = rows[0]
    gpu = is_gpu(first)
    parts = [f"{first['device']} ({first['arch']}), {first.get('model') or model}", kernel_table(rows)]
    if not gpu:
        parts.append(
            "There is no GPU here: the times are of the CPU, on which the kernels run for tests alone.\n"
            "On an H100 kernels of 32/8 heads of 128 took 1.06, 1.03 and 1.01 times as long as a copy of the same\n"
            "bytes, at 1, 1,024 and 16,384 tokens; and on an H200 a model of Qwen3-0.6B's shape showed (28 layers,\n"
            "eager, random weights, bf16):"
        )
        measured = [(what, before * 1e3, after * 1e3) for what, before, after in MEASURED]
    if measured:
        parts.append(model_table(measured))
        pairs = [(what, [("transformers", before), ("with ropejit", after)]) for what, before, after in measured]
    else:
        pairs = [(f"{row['tokens']:,} tokens", [("copy", row["copy_us"]), ("kernel", row["launch_us"])])
                 for row in rows if row.get("copy_us")]  # fmt: skip
    if pairs:
        parts.append(bars(pairs, block=block_of(sys.stdout)))
    if note:
        parts.append(note)
    return "\n\n".join(parts)


# --- the command -------------------------------------------------------------------------------------------------------


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="ropejit try", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"a name of `ropejit warm --list`, a config.json, a folder with one, or - for stdin ({DEFAULT_MODEL})",
    )
    parser.add_argument("--device", help="auto, cuda, cuda:N or host ($ROPEJIT_DEVICE, else auto)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(arguments)


def model_before_and_after(options, row, progress):
    """As _try_model.measure has it; without rows, and with a note on why, where there is nothing to measure."""
    from ropejit import _try_model

    why = _try_model.missing()
    if not why:
        named = options.device or os.environ.get("ROPEJIT_DEVICE", "")
        device = named if named.startswith("cuda:") else "cuda:0"
        try:
            return _try_model.measure(_try_model.config_of(options.model, row.get("model")), device, progress)
        except _try_model.Refused as refusal:
            why = str(refusal)
        except Exception as error:  # of torch or transformers: the kernels' part stands without it
            why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return {"rows": [], "same_bits": None, "note": f"Before and after in a model: {why}."}


def main(arguments):
    options = parsed(arguments)
    progress = Progress()
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as standard_input:
            if options.model == "-":  # it is read more than once
                standard_input.write(sys.stdin.read())
                standard_input.flush()
                options.model = standard_input.name
            rows = kernels_beside_copies(options.model, options.device, progress)
            model = {"rows": [], "same_bits": None, "note": ""}
            if is_gpu(rows[0]):
                model = model_before_and_after(options, rows[0], progress)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps({"kernels": rows, "model": model}))
    else:
        print(report(options.model, rows, model["rows"], model["note"]))
    return 0 if all(row["verified"] for row in rows) and model["same_bits"] is not False else 1
