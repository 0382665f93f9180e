"""Times of calls on a GPU: replays of CUDA graphs, contestants in turn, medians."""

import collections
import statistics
import time

import torch

COPY_BYTES_PER_US = 2.5e6  # roughly what an H100 copies: only to choose how many calls make a sample
SAMPLE_US = 300
MAX_LAUNCHES = 128


def launches_for(cell):
    """Calls of one sample, the same for all contestants; each set of tensors is met equally often."""
    wanted = SAMPLE_US / max(2.0, cell.bytes / COPY_BYTES_PER_US)
    rounds = max(1, round(min(MAX_LAUNCHES, wanted) / cell.buffers))
    return rounds * cell.buffers


class Contestant:
    """Calls on all sets of tensors, as one CUDA graph where they can be captured, else one after the other."""

    def __init__(self, name, calls, launches):
        self.name, self.calls, self.launches = name, calls, launches
        self.samples = []
        for call in calls:
            call()
        torch.cuda.synchronize()
        try:
            self.run, self.method = self._capture(), "graph"
        except RuntimeError as error:
            torch.cuda.synchronize()  # raises where the context is gone
            self.run, self.method = self._sequence, f"events ({str(error).splitlines()[0][:80]})"

    def _sequence(self):
        # Results live until their turn comes again: a new tensor must not find its memory warm in the cache.
        kept = collections.deque(maxlen=len(self.calls))
        for i in range(self.launches):
            kept.append(self.calls[i % len(self.calls)]())

    def _capture(self):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for call in self.calls:
                call()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Not torch.cuda.graph, which empties the allocator's cache each time.
        with torch.cuda.stream(stream):
            graph.capture_begin()
            try:
                self._sequence()
            finally:
                graph.capture_end()
        return graph.replay

    def sample(self, hot):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        if hot:
            self.run()
        begin.record()
        self.run()
        end.record()
        return begin, end

    def times(self):
        """Microseconds a call: median, and where the middle 80 percent of samples lie."""
        ordered = sorted(self.samples)
        tenth = len(ordered) // 10
        return statistics.median(ordered), ordered[tenth], ordered[-1 - tenth]


def compete(contestants, rounds, hot):
    """Samples of all contestants in turn, each round beginning with another one."""
    for contestant in contestants:
        contestant.run()
    for turn in range(rounds):
        first = turn % len(contestants)
        events = [(c, c.sample(hot)) for c in contestants[first:] + contestants[:first]]
        torch.cuda.synchronize()
        for contestant, (begin, end) in events:
            contestant.samples.append(begin.elapsed_time(end) * 1000 / contestant.launches)


def host_time(call, synchronize, calls=100, repeats=7):
    """Microseconds that a call takes of the caller's thread, the GPU kept from holding it up."""
    for _ in range(20):
        call()
    found = []
    for _ in range(repeats):
        synchronize()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        found.append((time.perf_counter() - begin) * 1e6 / calls)
    synchronize()
    return statistics.median(found)
