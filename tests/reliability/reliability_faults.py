"""EIO, ENOSPC, EINTR, ESTALE at each system call of a store, once or from there on: every launch succeeds and is right."""
import harness


def run(test):
    every = 1 if test.long else 83 if test.few else 41
    processes = {}
    for error in ("EIO", "ENOSPC", "EINTR", "ESTALE"):
        folder = test.folder(f"faults-{error}")
        processes[error] = test.start(test.command("faults", dir=folder, error=error, every=every),
                                      test.environment(keep=True))
    figures = {}
    for error, process in processes.items():
        out, errors = process.communicate(timeout=1800)
        result = harness.last_json(out)
        if not test.check(f"{error}: the process ended with a result", result is not None, errors[:2000]):
            continue
        test.check(f"{error}: every launch right, and that of the next start", result["bad"] == 0,
                   f'{result["starts"] - result["bad"]} of {result["starts"]}, at {", ".join(result["calls"])}'
                   f'{" (" + result["first_bad"][:500] + ")" if result["bad"] else ""}')
        test.check(f"{error}: one warning at most", result["most_warnings"] <= 1, result["most_warnings"])
        figures[error] = result["starts"]
    return figures
