"""Mixed use in one process, for minutes: memory, descriptors, threads and mappings stay flat.

Counted between rounds, when one service with the kernels of all twelve plans is alive and all else is gone. Flat: the
first quarter of the rounds left out, the median of the last third is not above that of the first (resident memory: by
at most 2 % and 1 MB, and in the long form a straight line through all of it rises by less than 1 MB a minute).
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


def thetas(test):
    """A service that is asked for thousands of kernels keeps as many as it may, and the memory of as many."""
    count = 20000 if test.long else 3000
    most = 100
    process = test.start(test.command("thetas", count=count, most=most, samples=20), test.environment())
    out, errors = process.communicate(timeout=600)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    samples = [line for line in lines if "thetas" in line]
    result = lines[-1] if lines and "right" in lines[-1] else None
    test.check("thetas: the process ended well", process.returncode == 0, errors[:500] or process.returncode)
    test.right("thetas: every launch", result)
    if not test.check("thetas: there are samples", len(samples) == 20, len(samples)):
        return {}
    test.check("thetas: all beyond the bound were let go", result["forgotten"] == count - most,
               f'{result["forgotten"]:,} of {count:,}')
    # From where the bound is reached on.
    first, last = samples[4], samples[-1]
    grown = last["resident_kb"] - first["resident_kb"]
    test.check("thetas: resident memory is bounded", grown < 4096,
               f'{first["resident_kb"]:,} kB at {first["thetas"]:,}, {last["resident_kb"]:,} kB at {last["thetas"]:,}')
    test.check("thetas: mappings are bounded", last["mappings"] <= first["mappings"] + 8,
               f'{first["mappings"]} then {last["mappings"]}')
    return {"thetas": count, "thetas_grown_kb": grown}


def run(test):
    return {**mixed(test), **thetas(test)}


def mixed(test):
    rounds, round_ms = (300, 2000) if test.long else (12, 400)
    cache = test.folder("cache")
    environment = test.environment(cache, keep=True)
    process = test.start(test.command("soak", rounds=rounds, round_ms=round_ms, plans=12), environment)
    out, errors = process.communicate(timeout=rounds * round_ms / 1000 + 600)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    samples = [line for line in lines if "resident_kb" in line]
    result = lines[-1] if lines and "right" in lines[-1] else None
    test.check("the process ended well", process.returncode == 0, errors[:500] or process.returncode)
    test.right("every launch", result)
    if not test.check("there is a sample for each round", len(samples) == rounds, len(samples)):
        return {}

    steady = samples[rounds // 4:]
    early = steady[:len(steady) // 3]
    late = steady[-(len(steady) // 3):]
    figures = {"minutes": round(samples[-1]["seconds"] / 60, 1), "launches": result["right"] if result else 0,
               "warnings": result["warning_count"] if result else None}
    for name in ("resident_kb", "descriptors", "threads", "mappings"):
        first = harness.median([sample[name] for sample in early])
        last = harness.median([sample[name] for sample in late])
        slope = slope_per_minute(steady, name)
        figures[name] = {"first": first, "last": last, "slope_per_minute": round(slope, 2)}
        found = f"{first:.0f} then {last:.0f}, {slope:+.1f} a minute"
        if name == "resident_kb":
            holds = last <= first * 1.02 + 1024 and (not test.long or slope < 1024)
            test.check("resident memory is flat", holds, found)
        elif name == "mappings":
            test.check("mappings are flat", last <= first * 1.02 + 8, found)
        else:
            test.check(f"{name} are flat", last <= first, found)
    return figures
