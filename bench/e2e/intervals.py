"""Medians and their intervals of 95 %, by order statistics: nothing is assumed of how times are spread. Pure."""

import math
import statistics
from typing import NamedTuple, Optional

COVERAGE = 0.95


class Interval(NamedTuple):
    """A median, and the interval that holds it with at least 95 %. `low` and `high` are None where there are too few
    numbers to say (fewer than six)."""

    median: float
    low: Optional[float]
    high: Optional[float]


def rank_below(count):
    """How many of the smallest, and as many of the largest, of `count` numbers may be left out of the median's interval;
    None where even the smallest and the largest hold it with less than 95 %."""
    tail, left_out = 0.0, None
    for rank in range(count // 2 + 1):
        tail += math.comb(count, rank) / 2**count
        if 2 * tail > 1 - COVERAGE:
            break
        left_out = rank
    return left_out


def median_of(numbers):
    """The Interval of one number or more."""
    if not numbers:
        raise ValueError("numbers: found none, allowed: one or more")
    ordered, left_out = sorted(numbers), rank_below(len(numbers))
    middle = statistics.median(ordered)
    if left_out is None:
        return Interval(middle, None, None)
    return Interval(middle, ordered[left_out], ordered[-1 - left_out])


def percentile(numbers, percent):
    """The smallest number that at least `percent` of 100 are not above (the nearest rank)."""
    if not numbers:
        raise ValueError("numbers: found none, allowed: one or more")
    ordered = sorted(numbers)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
