"""Processes killed at random points while they compile and write: nothing wrong afterwards, nothing left behind."""
import os
import random
import signal
import time

import harness

PLANS = 3


def time_to_finish(test, cache):
    """Seconds from the start of a worker on an empty directory to its end, compiles remembered."""
    times = []
    for path in ("warm", "a", "b", "c"):
        start = harness.now()
        test.worker("use", test.environment(test.folder(f"{cache}/{path}"), keep=True), plans=PLANS)
        times.append(harness.now() - start)
    return harness.median(times[1:])


def sweep(test, cache):
    """Leaves nothing of what was left behind: (how it was swept, how many files stayed)."""
    left = harness.temporaries(cache)
    long_ago = time.time() - 7 * 86400  # what is new may be being written
    for path in left:
        os.utime(path, (long_ago, long_ago))
    status, _ = test.program("cache", "prune", cache=cache)
    return status == 0, len(harness.temporaries(cache))


def run(test):
    rounds = 1000 if test.long else 30
    chance = random.Random(6)
    whole = time_to_finish(test, "timing")
    cache = test.folder("cache")
    environment = test.environment(cache, keep=True)
    killed = {"compiling": 0, "writing": 0}
    wrong, failed_starts, warnings, attempts = [], 0, 0, 0
    # Those that end before the signal comes do not count.
    while sum(killed.values()) < rounds and attempts < 4 * rounds:
        attempts += 1
        # In turns: a process that compiles what is missing and keeps it, and one that writes entries all the time.
        kind = "compiling" if attempts % 2 == 0 else "writing"
        if kind == "compiling":
            for path in harness.entries(cache):
                if chance.random() < 0.6:
                    path.unlink()
            process = test.start(test.command("use", plans=PLANS), environment)
            time.sleep(chance.uniform(0, 1.1 * whole))
        else:
            process = test.start(test.command("rewrite", dir=cache), environment)
            time.sleep(chance.uniform(0.002, 0.04))
        harness.kill(process)
        out, _ = process.communicate()
        killed[kind] += process.returncode == -signal.SIGKILL
        if (result := harness.last_json(out)) and "wrong" in result:
            wrong += result["wrong"] + result["errors"]

        status, result = test.worker("use", environment, plans=PLANS)
        if status != 0 or result is None:
            failed_starts += 1
        if result is not None:
            wrong += result["wrong"] + result["errors"]
            warnings += result["warning_count"]

    test.check("processes were killed", sum(killed.values()) >= rounds,
               f"{killed['compiling']} while compiling, {killed['writing']} while writing, of {attempts} started")
    test.check("no result was wrong", not wrong, f"{len(wrong)} of {attempts}{wrong[:1] or ''}")
    test.check("every later start works", failed_starts == 0, f"{failed_starts} failed")
    test.check("nothing damaged is ever found", warnings == 0, f"{warnings} warnings")
    damaged = [entry for entry in test.listing(cache) if "problem" in entry]
    test.check("every entry is whole", not damaged, f"{len(damaged)} damaged")
    left = len(harness.temporaries(cache))
    swept, stayed = sweep(test, cache)
    test.check("no leftover after a sweep", swept and stayed == 0,
               f"{left} left by {sum(killed.values())} kills, {stayed} after `ropejit cache prune`")
    folders = len(list(test.temporary.iterdir()))
    test.say(f"{folders} folders of the host compiler were left in TMPDIR, which nothing sweeps but the system")
    status, result = test.worker("use", environment, plans=PLANS)
    test.right("a start after the sweep", result, PLANS)
    return {"rounds": attempts, "killed": sum(killed.values()), "wrong": len(wrong), "failed_starts": failed_starts,
            "left": left, "left_after_sweep": stayed}
