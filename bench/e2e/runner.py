"""Runs the cells of a table in this process, each until its rounds are done or the time is up."""

import contextlib
import gc
import sys
import traceback
import warnings

import plan
import turns


class Broken(Exception):
    """The device is not usable from here on: another process may go on."""


def is_fatal(error):
    """Whether a device is lost to its process by this error. Memory that ran out is not."""
    text = str(error)
    return "out of memory" not in text and any(
        words in text for words in ("CUDA error", "illegal memory access", "device-side assert", "CUDA_ERROR"))


def reason(error):
    """An error in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def warm(turns_of, failed, base):
    """Runs a turn of each way, so that what is compiled or captured is. A way that raises is left out and told of; the
    error of `base` is raised. Returns the turns that are left."""
    left = {}
    for name, turn in turns_of.items():
        try:
            turn()
        except Exception as error:  # whatever a patch or a compiler raises: other ways go on
            if name == base or is_fatal(error):
                failed(name, reason(error))
                raise Broken(reason(error)) if is_fatal(error) else error
            traceback.print_exc(limit=-3)
            failed(name, reason(error))
        else:
            left[name] = turn
    return left


def run_cell(table, cell, options, results, deadline):
    """Whether all its rounds are done. Raises Broken."""
    pending = plan.missing(cell, options, results)

    def failed(way, why):
        results.add({"table": cell.table, "cell": cell.name, "way": way, "failed": why})

    def keep(number, figures, order):
        line = {"table": cell.table, "cell": cell.name, "round": number, "order": order, "ways": figures, **job.more()}
        results.add(line)
        if not noted:
            noted.append(True)
            for name, values in job.notes().items():
                results.add({"table": cell.table, "cell": cell.name, "note": name, **values})
        print(f"  round {number}: " + ", ".join(f"{way} {x[table.KEY]:.4g}" for way, x in figures.items()), flush=True)

    noted = [True] if results.note(cell.table, cell.name, "report") else []
    gone = results.failed_ways(cell.table, cell.name)
    job = table.job(cell, options._replace(ways=[x for x in options.ways if x not in gone]), failed)
    try:
        return turns.run_rounds(job.turns, pending, deadline, keep, table.BACK) == len(pending)
    finally:
        job.close()


def _quiet():
    """What engines say of themselves with each turn is left out; errors are not."""
    import logging

    import transformers

    transformers.logging.set_verbosity_error()
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def run(table, cells, options, results, deadline):
    """Runs the cells that are not done. Returns 0, or 3 where the time was up, or 4 where the device broke."""
    _quiet()
    for cell in cells:
        if not plan.missing(cell, options, results):
            continue
        if not deadline.has(table.seconds(cell, options)):
            print(f"{cell.table}: {cell.name}: no time left", flush=True)
            return 3
        print(f"{cell.table}: {cell.name}", flush=True)
        try:
            done = run_cell(table, cell, options, results, deadline)
        except Broken as error:
            print(f"  {error}", file=sys.stderr, flush=True)
            return 4
        except Exception as error:  # the next cell may well run
            traceback.print_exc(limit=-6)
            if is_fatal(error):
                results.add({"table": cell.table, "cell": cell.name, "failed": reason(error)})
                return 4
            results.add({"table": cell.table, "cell": cell.name, "failed": reason(error)})
            done = True
        finally:
            _let_go(options)
        if not done:
            return 3
    return 0


def _let_go(options):
    gc.collect()
    if "torch" in sys.modules:
        import torch

        torch._dynamo.reset()
        if options.device != "cpu":
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()
