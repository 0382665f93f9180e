"""A directory with 100,000 entries: a look-up takes as long as with 10."""
import harness

PLAN = 1


def gets(test, cache):
    """Microseconds of the first get of a new process, everything on disk."""
    status, result = test.worker("use", test.environment(cache, keep=True), first=PLAN)
    if status != 0 or result["rungs"].keys() != {"disk"}:
        raise RuntimeError(f"not served from disk: {result}")
    return result["get_us"]


def run(test):
    count = 100_000 if test.long else 20_000
    small = test.folder("small")
    large = test.folder("large")
    start = harness.now()
    test.worker("fill", test.environment(), dir=small, count=10)
    test.worker("fill", test.environment(), dir=large, count=count, timeout=1200)
    filled = harness.now() - start
    for cache in (small, large):
        _, result = test.worker("use", test.environment(cache, keep=True), first=PLAN)
        test.right("the plan is compiled and kept", result, 1)
        test.check("without a word", result["warning_count"] == 0, result["warnings"][:1] or "")
    times = {"small": [], "large": []}
    for _ in range(20):  # in turns: what else the machine does meets both
        times["small"].append(gets(test, small))
        times["large"].append(gets(test, large))
    small_us, large_us = (harness.median(times[name]) for name in ("small", "large"))
    noise = 3 * (harness.spread(times["small"]) + harness.spread(times["large"]))
    test.check(f"look-up among {count:,} entries as among 10", large_us - small_us <= max(noise, 0.1 * small_us),
               f"median of 20: {large_us:.0f} us, {small_us:.0f} us; noise {noise:.0f} us")
    # What a person asks of such a directory has to end, too.
    start = harness.now()
    status, _ = test.program("cache", "prune", "--max-bytes", "1000000000", cache=large)
    if status == 0:
        test.say(f"`ropejit cache prune` with nothing to do: {harness.now() - start:.2f} s")
    test.say(f"filled in {filled:.1f} s")
    return {"entries": count, "get_us_10": round(small_us), "get_us_many": round(large_us), "noise_us": round(noise)}
