"""A million gets from 16 threads while another removes entries and a third tunes."""
import subprocess

import harness


def run(test):
    count = 1_000_000 if test.long else 20_000
    cache = test.folder("cache")
    environment = test.environment(cache, keep=True)
    process = test.start(test.command("gets", count=count, threads=16, plans=8, dir=cache), environment)
    # Removes from within by files and from without by the program, where it can.
    prunes = 0
    while process.returncode is None:
        status, _ = test.program("cache", "clear", cache=cache)
        prunes += status == 0
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
    test.say(f'{result["gets"]:,} gets in {result["seconds"]:.1f} s, {result["right"]:,} launches checked, '
             f'{result["entries_removed"]:,} entries removed, `ropejit cache clear` {prunes} times')
    return {"gets": result["gets"], "gets_seconds": round(result["seconds"], 1), "right": result["right"],
            "removed": result["entries_removed"], "clears": prunes}
