"""What the rounds of a cell say: ratios to the unpatched model, and whether the cell counts. Pure.

A cell counts only if it can tell what it is asked. Two ways of it are there to show that:
  unpatched2   the unpatched model once more: its ratio must read 1.00 within its noise;
  delayed      the unpatched model with a delay planted in each attention: it must be seen.
"""

from typing import NamedTuple, Optional

from intervals import Interval, median_of

BASE, SAME, DELAYED = "unpatched", "unpatched2", "delayed"
FINEST = 0.002  # a ratio this near to 1 reads 1.00, however little it varies
# Of a planted delay, what must be found again: at least half, where some of it is waited for anyway; no more than four
# times, since what plants it costs the host something, and gradient checkpointing comes by twice.
LEAST_SEEN, MOST_SEEN = 0.5, 4.0


class Ratio(NamedTuple):
    """A way's time over the unpatched model's, from the ratios within each round."""

    interval: Interval
    rounds: int


def ratio_of(rounds, way, key="ms", base=BASE):
    """The Ratio of a way over the rounds that have both; None where none has."""
    ratios = [x["ways"][way][key] / x["ways"][base][key] for x in rounds if {way, base} <= set(x["ways"])]
    return Ratio(median_of(ratios), len(ratios)) if ratios else None


def reads_one(interval):
    """Whether a ratio of A to A reads 1.00 within its noise."""
    if interval.low is None:
        return False
    return abs(interval.median - 1) <= FINEST or interval.low <= 1 <= interval.high


def delay_is_seen(delayed, same, planted_share):
    """Whether a planted delay of that share of a step was found: about as long, more than A differs from A, and not by
    noise alone."""
    if delayed.low is None or planted_share is None:
        return False
    found = delayed.median - 1
    is_about = LEAST_SEEN * planted_share <= found and delayed.low - 1 <= MOST_SEEN * planted_share
    return is_about and delayed.low > 1 + max(0.0, same.median - 1)


class Verdict(NamedTuple):
    counts: bool
    why_not: str  # empty where the cell counts
    same: Optional[Interval]  # unpatched2 over unpatched
    delayed: Optional[Interval]
    planted_share: Optional[float]  # the planted delay over a step of the unpatched model


def verdict_of(rounds, key="ms", needed=7):
    """The Verdict of a cell's rounds (lines of results.py)."""
    same, delayed = (ratio_of(rounds, way, key) for way in (SAME, DELAYED))
    shares = [x["planted_ms"] / x["ways"][BASE]["ms"] for x in rounds if x.get("planted_ms") and BASE in x["ways"]]
    share = median_of(shares).median if shares else None
    reasons = []
    if len(rounds) < needed:
        reasons.append(f"{len(rounds)} of {needed} rounds")
    if same is None or not reads_one(same.interval):
        reasons.append("A/A was not run" if same is None else "A/A does not read 1.00")
    if delayed is None:
        reasons.append("no delay was planted")
    elif same is None or not delay_is_seen(delayed.interval, same.interval, share):
        reasons.append("the planted delay is not seen")
    return Verdict(
        not reasons, "; ".join(reasons), same and same.interval, delayed and delayed.interval, share)


def compared(ratio, same):
    """"faster", "slower" or "same" of a way's Interval, beyond what A differs from A."""
    if ratio.low is None:
        return "?"
    noise_low, noise_high = (1.0, 1.0) if same is None or same.low is None else (min(same.low, 1), max(same.high, 1))
    if ratio.low > max(noise_high, 1 + FINEST):
        return "slower"
    return "faster" if ratio.high < min(noise_low, 1 - FINEST) else "same"


class Saving(NamedTuple):
    """Shares of a step of the unpatched model."""

    calculated: float  # from kernel times alone
    reached: float  # of a step
    part: Optional[float]  # reached over calculated; None where nothing was to be saved


def saving_of(rounds, kernels, way="ours"):
    """The Saving of a way. `kernels`: {"unpatched_us", "ours_us"} of a layer's prologue and "layers". None where the way
    did not run."""
    ratio = ratio_of(rounds, way)
    if ratio is None:
        return None
    step_us = 1000 * median_of([x["ways"][BASE]["ms"] for x in rounds]).median
    calculated = kernels["layers"] * (kernels["unpatched_us"] - kernels["ours_us"]) / step_us
    reached = 1 - ratio.interval.median
    return Saving(calculated, reached, reached / calculated if calculated > 0 else None)
