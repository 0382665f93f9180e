"""ropejit try: what the kernels are worth on this machine, in about a minute.

On a GPU: the kernel beside a copy of the same bytes, and, where torch and transformers are installed, a model of random
weights before and after ropejit.dropin.hf.patch. Without one: the same kernel source on the CPU, checked against fp64.
Progress goes to stderr; a table and bars to stdout, or with --json one object.
"""

import argparse
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

import ropejit_cli

from ropejit import _try_report

DEFAULT_MODEL = "qwen3-0.6b"
GPU_TOKENS = (1, 128, 4096, 16384)
HOST_TOKENS = (1, 64)
MOST_BYTES = 16 << 20  # of a model's text, as the program takes it
ROW = {"device", "arch", "tokens", "launch_us", "cache", "verified"}  # of what it prints, at the least


class Failed(Exception):
    """One line for the user, and the exit status."""

    def __init__(self, line, status=1):
        super().__init__(line)
        self.status = status


def give_up(descriptor):
    """What is written to it from here on goes nowhere: Python tries again as it ends, and fails with that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def say_error(line):
    """On stderr, where there is one that takes it."""
    try:
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)
    except OSError:
        give_up(2)


class Progress:
    """Lines on stderr, each with the seconds since the start."""

    def __init__(self):
        self.start = time.monotonic()

    def say(self, text):
        say_error(f"[{time.monotonic() - self.start:4.0f} s] {text}")


class Model:
    """What --model names: word, as the program is given it; shown, as people are; data, what the program then reads from
    its standard input: what can be read only once is read here."""

    def __init__(self, word):
        self.word, self.shown, self.data = word, word, None
        path = pathlib.Path(word)
        try:
            if word == "-":
                self.shown = "standard input"
                if sys.stdin is None:
                    raise Failed("ropejit: --model: found a closed standard input, allowed: an open one", 2)
                self.data = sys.stdin.buffer.read(MOST_BYTES + 1)
            elif path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):  # a pipe
                with path.open("rb") as file:
                    self.data = file.read(MOST_BYTES + 1)
            if self.data is not None:
                self.word = "-"
        except OSError as error:
            raise Failed(f"ropejit: --model: {word}: {error.strerror}", 2) from None
        except ValueError:
            pass  # no path: the program says what is wrong with it

    def config(self):
        """The text of a config.json, which the program has taken by now; None for a name."""
        if self.data is not None:
            return self.data.decode()
        path = pathlib.Path(self.word)
        path = path / "config.json" if path.is_dir() else path
        return path.read_text(encoding="utf-8") if path.is_file() else None


def run_program(words, data, environment):
    """The object that a command of the program prints with --json."""
    command = [ropejit_cli.program(), *words, "--json"]
    try:
        done = subprocess.run(command, env=environment, input=data or b"", capture_output=True)
    except OSError as error:
        raise Failed(f"ropejit: {command[0]}: {error.strerror}") from None
    if done.returncode < 0:
        raise Failed(f"ropejit: {command[0]}: ended by {signal.Signals(-done.returncode).name}")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        # Notes and warnings come before; a compiler's log, which is not the program's own, after.
        said = done.stderr.decode(errors="replace").splitlines()
        lines = [line for line in said if line.startswith("ropejit: ")]
        raise Failed(lines[-1] if lines else f"ropejit: {command[0]}: found no answer", done.returncode or 1) from None
    if not isinstance(answer, dict) or ROW - set(answer):
        raise Failed(f"ropejit: {command[0]}: found an answer of another version, allowed: the package's own program")
    return answer


def kernels_beside_copies(model, options, progress):
    """The program's `run` at several sizes. The first says whether there is a GPU."""
    chosen = []
    for name in ("device", "as", "layer", "role", "rotation"):
        if getattr(options, name) is not None:
            chosen += [f"--{name}", getattr(options, name)]
    environment = ropejit_cli.environment()
    rows, sizes = [], [1]
    while len(rows) < len(sizes):
        count = sizes[len(rows)]
        progress.say(f"the kernel of {model.shown}, {count:,} tokens: made, checked against fp64, timed beside a copy")
        rows.append(run_program(["run", "--model", model.word, "--tokens", str(count), *chosen], model.data, environment))
        sizes = GPU_TOKENS if _try_report.is_gpu(rows[0]) else HOST_TOKENS
    return rows


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, as the program's."""
        raise Failed(f"ropejit: try: {message}; ropejit try --help lists the options", 2)


def parsed(arguments):
    parser = Parser(prog="ropejit try", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"a name of `ropejit warm --list`, a config.json, a folder with one, or - for stdin ({DEFAULT_MODEL})",
    )
    for name, value in (("as", "TYPE"), ("layer", "N"), ("role", "ROLE"), ("rotation", "N")):
        parser.add_argument(f"--{name}", metavar=value, help="as `ropejit run` takes it")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cuda, cuda:N or host ($ROPEJIT_DEVICE, else auto)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(arguments)


def model_before_and_after(model, options, known, progress):
    """As _try_model.measure has it; without rows, and with a note on why, where there is nothing to measure."""
    from ropejit import _try_model

    why = _try_model.missing()
    if not why:
        named = options.device or os.environ.get("ROPEJIT_DEVICE", "")
        device = named if named.startswith("cuda:") else "cuda:0"
        try:
            return _try_model.measure(_try_model.config_of(model.config(), known), device, progress)
        except _try_model.Refused as refusal:
            why = str(refusal)
        except Exception as error:  # of torch or transformers: the kernels' part stands without it
            why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return {"rows": [], "same_bits": None, "note": f"Before and after in a model: {why}."}


def write_out(text):
    """To stdout, all of it: what cannot be written is an error, and is not tried again as Python ends."""
    try:
        if sys.stdout is None:
            raise OSError(0, "it is closed")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if sys.stdout is not None:
            give_up(1)
        raise Failed(f"ropejit: stdout: {getattr(error, 'strerror', None) or error}") from None


def try_it(arguments):
    options = parsed(arguments)
    progress = Progress()
    model = Model(options.model)
    rows = kernels_beside_copies(model, options, progress)
    measured = {"rows": [], "same_bits": None, "note": ""}
    if _try_report.is_gpu(rows[0]):
        measured = model_before_and_after(model, options, rows[0].get("model"), progress)
    if options.json:
        write_out(json.dumps({"kernels": rows, "model": measured}))
    else:
        write_out(_try_report.text(model.shown, rows, measured["rows"], measured["note"]))
    return 0 if all(row["verified"] for row in rows) and measured["same_bits"] is not False else 1


def main(arguments):
    try:
        return try_it(arguments)
    except Failed as failure:
        say_error(failure)
        return failure.status
    except KeyboardInterrupt:
        return 130
