"""Processes that start cold at once, on the same plans and one directory: one compile a key."""
import harness


def run(test):
    processes, threads, plans = (64, 8, 10) if test.long else (8, 4, 3)
    cache = test.folder("cache")
    go = test.scratch / "go"
    environment = test.environment(cache, ROPEJIT_LOCK_TIMEOUT_MS=120000)
    started = [test.start(test.command("use", plans=plans, threads=threads, go=go), environment)
               for _ in range(processes)]
    start = harness.now()
    go.touch()
    results = [harness.last_json(process.communicate(timeout=1800)[0]) for process in started]
    seconds = harness.now() - start

    results = [result for result in results if result is not None]
    test.check("every process ended with a result", len(results) == processes, f"{len(results)} of {processes}")
    wrong = [line for result in results for line in result["wrong"] + result["errors"]]
    right = sum(result["right"] for result in results)
    test.check("every result right", not wrong and right == processes * threads * plans, f"{right}{wrong[:2] or ''}")
    keys = {key for result in results for key in result["compiled"]}
    # Three counts that know nothing of each other: the compiler's own, the services', and that of the handles.
    compiles = sum(result["compiles"] for result in results)
    listing = test.listing(cache)
    test.check("every key on disk, whole", len(listing) == len(keys) and not any("problem" in e for e in listing),
               f"{len(keys)} keys, {len(listing)} entries")
    test.check("the compiler ran as often as the library says", test.compiles_so_far() == compiles,
               f"{test.compiles_so_far()} runs, {compiles} told")
    waits = sum(result["waits"] for result in results)
    test.check("one compile a key", compiles == len(keys), f"{compiles} compiles of {len(keys)} keys")
    warnings = sum(result["warning_count"] for result in results)
    test.check("nothing to warn of", warnings == 0, warnings)
    test.say(f"{processes} processes x {threads} threads, {plans} plans: {seconds:.1f} s; "
             f"{waits} times another process was waited for")
    return {"processes": processes, "threads": threads, "plans": plans, "keys": len(keys), "compiles": compiles,
            "right": right, "waits": waits, "storm_seconds": round(seconds, 1)}
