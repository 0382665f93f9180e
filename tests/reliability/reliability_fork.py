"""Services across fork, and processes that end while a tuner works."""
import harness


def busy(test):
    """Parents whose threads get, load, unload, compile and tune are forked at random moments; each child has a minute."""
    forks = 1000 if test.long else 18 if test.few else 60
    modes = [(mode, keeps) for mode in ("compile", "background", "tuning") for keeps in (True, False)]
    well = 0
    slowest = 0
    told = []
    for number, (mode, keeps) in enumerate(modes):
        cache = test.folder(f"busy-{mode}-{keeps}") if keeps else ""  # in a folder, or in memory alone
        share = forks // len(modes) + (number < forks % len(modes))
        status, result = test.worker("busy_fork", test.environment(cache, keep=True), timeout=60 * share, mode=mode,
                                     forks=share, seed=number)
        if result is None or status != 0:
            told.append(f"{mode}, {'a folder' if keeps else 'memory alone'}: status {status}, {result}, {test.told[:300]}")
        if result is not None:
            well += result["well"]
            slowest = max(slowest, result["slowest_s"])
    test.check("fork: a parent that is busy", not told and well == forks,
               f"{well} of {forks} children got and launched every plan, slowest {slowest:.1f} s"
               f"{', ' + told[0] if told else ''}")
    return {"busy_forks": forks, "busy_well": well, "busy_slowest_s": round(slowest, 1)}


def run(test):
    times = 20 if test.long else 2 if test.few else 4
    for mode, what, repeats in (("untouched", "a service nobody has used", 1),
                                ("used", "a service that has kernels", 1),
                                ("tuning", "a service whose tuner works", times),
                                ("pausing", "a tuner that works is paused in the child", times)):
        bad = []
        for number in range(repeats):
            # The tuner compiles in some, times in others.
            cache = test.folder(f"fork-{mode}-{number}")
            environment = test.environment(cache, keep=number % 2 == 0)
            status, result = test.worker("fork", environment, timeout=120, mode=mode, after_ms=37 * number)
            child = result["child_status"] if result else None
            if status != 0 or child != 0:
                bad.append((status, child))
        test.check(f"fork: {what}", not bad, f"{repeats - len(bad)} of {repeats} well"
                   f"{', (status, child) ' + str(bad) if bad else ''}")
    figures = busy(test)
    for mode, what in (("return", "main returns, the service is leaked"), ("exit", "exit, the service is leaked"),
                       ("static", "the service is a static variable's")):
        results = []
        for number in range(20 if test.long else 2 if test.few else 3):
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
    return {"left_in_tmpdir": left, **figures}
