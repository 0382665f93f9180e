#!/usr/bin/env python3
"""Programs that try to bring a cache and a service down, on the host target.

usage: run.py --bin FOLDER [--short | --long] [--only NAME[,NAME...]] [--gets N] [--json FILE]
  --bin FOLDER   where ropejit and ropejit_worker are
  --short        a minute of everything (default); --long: the numbers of README.md's table, some half an hour
  --only NAME    storm, kill, hostile, bare, faults, soak, deep, gets, fork
  --gets N       so many gets, for builds that take their time
  --json FILE    what was found, for README.md

Exit status: 0 all that ran is well, 1 something failed, 2 bad usage, 77 all that was asked for was skipped. Parts that
need root (mounts, other users) are left out without it, with a message.
"""
import argparse
import importlib
import json
import signal
import sys
import traceback

import harness

NAMES = ("storm", "kill", "hostile", "bare", "faults", "soak", "deep", "gets", "fork")


def run(name, arguments):
    """Returns "ok", "failed" or "skipped", and what the test found as a dictionary."""
    test = harness.Test(name, arguments.bin, arguments.long, arguments.gets)
    start = harness.now()
    print(f"{name}: {'long' if arguments.long else 'short'} form", flush=True)
    figures = {}
    try:
        figures = importlib.import_module(f"reliability_{name}").run(test) or {}
        outcome = "failed" if test.failed else "ok"
    except harness.Skip as why:
        test.say(f"skipped: {why}")
        outcome = "skipped"
    except Exception:  # the next tests shall run all the same
        traceback.print_exc()
        outcome = "failed"
    finally:
        test.close()
    figures.update(outcome=outcome, seconds=round(harness.now() - start, 1))
    print(f"{name}: {outcome}, {figures['seconds']} s", flush=True)
    return outcome, figures


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--gets", type=int)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    for name in names:
        if name not in NAMES:
            parser.error(f"--only: found {name}, allowed: {', '.join(NAMES)}")

    # Workers have sessions of their own: whoever ends this program ends them too, by way of Test.close.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    outcomes = []
    figures = {}
    for name in names:
        outcome, figures[name] = run(name, arguments)
        outcomes.append(outcome)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    if "failed" in outcomes:
        return 1
    return 77 if set(outcomes) == {"skipped"} else 0


if __name__ == "__main__":
    sys.exit(main())
