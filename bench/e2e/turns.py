"""Ways in turns: who goes when, and rounds until they are done or the time is up. Pure.

A round is ABBA: every way in order, and all of them again in the opposite one, so that what drifts evenly hits all alike.
Odd rounds begin at the other end. Where a turn is long (`back` false) a round goes through the ways once, and two rounds
are an ABBA.
"""

import math
import time


class Deadline:
    """When to stop. `minutes` None: never. `clock` is for tests."""

    def __init__(self, minutes=None, clock=time.monotonic):
        self.clock = clock
        self.end = math.inf if minutes is None else clock() + 60 * minutes

    def has(self, seconds):
        """Whether so many seconds are left."""
        return self.left() >= seconds

    def left(self):
        return self.end - self.clock()


def order_of(ways, number, back=True):
    """The names of `ways` as they come in round `number`."""
    there = list(ways) if number % 2 == 0 else list(ways)[::-1]
    return there + there[::-1] if back else there


def averaged(turns):
    """One set of figures of several turns' (dicts of numbers with the same keys): their mean, of a peak the largest."""
    return {
        key: max(turn[key] for turn in turns) if key.startswith("peak") else sum(turn[key] for turn in turns) / len(turns)
        for key in turns[0]
    }


def run_round(turns, number, back=True):
    """({way: figures}, order) of one round. `turns`: {way: a callable that takes a turn and returns its figures}."""
    order, taken = order_of(turns, number, back), {}
    for way in order:
        taken.setdefault(way, []).append(turns[way]())
    return {way: averaged(taken[way]) for way in turns}, order


def run_rounds(turns, numbers, deadline, keep, back=True):
    """Runs the rounds of these numbers and hands each to keep(number, figures, order) as it ends. Begins none that would
    not end in time, as the longest before it. Returns how many ran."""
    longest = 0.0
    for count, number in enumerate(numbers):
        start = deadline.clock()
        if not deadline.has(longest):
            return count
        keep(number, *run_round(turns, number, back))
        longest = max(longest, deadline.clock() - start)
    return len(numbers)
