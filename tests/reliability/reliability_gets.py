"""A million gets from 16 threads while another prunes and removes entries and a third tunes."""
import subprocess

import harness


def run(test):
    cache = test.folder("cache")
    environment = test.environment(cache, keep=True)
    process = test.start(test.command("gets", count=test.gets, threads=16, plans=8, dir=cache), environment)
    # The worker prunes and removes files, the program clears from without.
    clears = clears_failed = 0
    while process.returncode is None:
        status, _ = test.program("cache", "clear", cache=cache)
        clears += status == 0
        clears_failed += status != 0
        try:
            out, errors = process.communicate(timeout=2)
        except subprocess.TimeoutExpired:  # still at work
            pass
    result = harness.last_json(out)
    test.check("the process ended well", process.returncode == 0, errors[:4000] or process.returncode)
    test.right("every launch", result)
    if result is None:
        return {}
    told = sorted({line.split(":")[0] for line in result["warnings"]})
    test.check("nothing to warn of", result["warning_count"] == 0, f'{result["warning_count"]} {told[:2] or ""}')
    test.check("every pruning works", result["prunings"] > 0 and not result["prune_problem"],
               f'{result["prunings"]:,} {result["prune_problem"]}')
    test.check("every `ropejit cache clear` works", clears_failed == 0,
               f"{clears_failed} of {clears + clears_failed} failed")
    test.say(f'{result["gets"]:,} gets in {result["seconds"]:.1f} s, {result["right"]:,} launches checked, '
             f'{result["entries_removed"]:,} entries removed as files, {result["entries_pruned"]:,} and '
             f'{result["locks_pruned"]:,} lock files by {result["prunings"]:,} prunings, '
             f'`ropejit cache clear` {clears} times')
    return {"gets": result["gets"], "gets_seconds": round(result["seconds"], 1), "right": result["right"],
            "removed": result["entries_removed"], "pruned": result["entries_pruned"],
            "locks_pruned": result["locks_pruned"], "prunings": result["prunings"], "clears": clears}
