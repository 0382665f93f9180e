"""Mixed use in one process, for minutes: memory, descriptors, threads and mappings stay flat.

Flat: after a quarter of the time for warming up, the middle of the last quarter's samples is at most 2 % (resident
memory: and 2 MB) above the second quarter's, and a straight line through all of them rises by less than 1 MB a minute.
"""
import json

import harness


def slope_per_minute(samples, name):
    """Of a least-squares line."""
    times = [sample["seconds"] / 60 for sample in samples]
    values = [sample[name] for sample in samples]
    mean_time = sum(times) / len(times)
    mean_value = sum(values) / len(values)
    over = sum((time - mean_time) * (value - mean_value) for time, value in zip(times, values))
    under = sum((time - mean_time) ** 2 for time in times)
    return over / under if under else 0.0


def run(test):
    seconds = 600 if test.long else 12
    cache = test.folder("cache")
    environment = test.environment(cache, keep=True)
    process = test.start(test.command("soak", seconds=seconds, every_ms=seconds * 1000 // 60, plans=12), environment)
    out, errors = process.communicate(timeout=seconds + 300)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    samples = [line for line in lines if "resident_kb" in line]
    result = lines[-1] if lines and "right" in lines[-1] else None
    test.check("the process ended well", process.returncode == 0, errors[:500] or process.returncode)
    test.right("every launch", result)
    if len(samples) < 8:
        test.check("there are samples", False, len(samples))
        return {}

    steady = samples[len(samples) // 4:]
    early = steady[:len(steady) // 3]
    late = steady[-(len(steady) // 3):]
    figures = {"minutes": round(seconds / 60, 1), "launches": result["right"] if result else 0,
               "warnings": result["warning_count"] if result else None}
    for name in ("resident_kb", "descriptors", "threads", "mappings"):
        first = harness.median([sample[name] for sample in early])
        last = harness.median([sample[name] for sample in late])
        slope = slope_per_minute(steady, name)
        figures[name] = {"first": first, "last": last, "slope_per_minute": round(slope, 2)}
        found = f"{first:.0f} then {last:.0f}, {slope:+.1f} a minute"
        if name == "resident_kb":
            holds = last <= first * 1.02 + 2048 and (not test.long or slope < 1024)
            test.check("resident memory is flat", holds, found)
        else:
            # Handles are held and dropped at random: a few more or less mean nothing.
            test.check(f"{name} are flat", last <= first * 1.1 + 8, found)
    return figures
