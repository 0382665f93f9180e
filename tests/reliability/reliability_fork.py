"""Services across fork, and processes that end while a tuner works."""
import harness


def run(test):
    cache = test.folder("cache")
    environment = test.environment(cache, keep=True)
    for mode, what in (("untouched", "a service nobody has used"), ("used", "a service that has kernels"),
                       ("tuning", "a service whose tuner works")):
        start = harness.now()
        status, result = test.worker("fork", environment, timeout=60, mode=mode)
        test.check(f"fork: {what}", status == 0 and result is not None and result["child_status"] == 0,
                   f"status {status}, child {result and result['child_status']}, {harness.now() - start:.1f} s")
    for mode, what in (("return", "main returns, the service is leaked"), ("exit", "exit, the service is leaked"),
                       ("static", "the service is a static variable's")):
        results = []
        for number in range(20 if test.long else 5):
            start = harness.now()
            empty = test.folder(f"cache-{mode}-{number}")  # so that the tuner compiles, not only times
            status, _ = test.worker("leak", test.environment(empty, keep=number % 2 == 0), timeout=60, mode=mode,
                                    after_ms=100 + 70 * number)
            results.append((status, harness.now() - start))
        slowest = max(seconds for _, seconds in results)
        bad = [status for status, _ in results if status != 0]
        test.check(f"end while tuning: {what}", not bad and slowest < 20,
                   f"{len(results) - len(bad)} of {len(results)} well{', statuses ' + str(bad) if bad else ''}, "
                   f"slowest {slowest:.1f} s")
    left = len(list(test.temporary.iterdir()))
    test.say(f"{left} folders of the host compiler were left in TMPDIR")
    return {"left_in_tmpdir": left}
