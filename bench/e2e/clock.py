"""Times of steps: by events on the GPU's stream, on a CPU by the wall clock."""

import time

import torch


def wait(device):
    if device != "cpu":
        torch.cuda.synchronize()


def each_ms(step, count, device):
    """Milliseconds of each of `count` steps one after another, from the end of the one before to its own end: a step that
    the host is late with is as long as the wait for it."""
    if device == "cpu":
        marks = [time.perf_counter()]
        for _ in range(count):
            step()
            marks.append(time.perf_counter())
        return [1000 * (b - a) for a, b in zip(marks, marks[1:])]
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    wait(device)
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    wait(device)
    return [a.elapsed_time(b) for a, b in zip(marks, marks[1:])]


def wall_ms(step, device):
    """Milliseconds of one step from a quiet device to a quiet device, as who waits for it has them."""
    wait(device)
    start = time.perf_counter()
    step()
    wait(device)
    return 1000 * (time.perf_counter() - start)


def graph_us(call, count, prepare=None, replays=20):
    """Microseconds of one of `count` calls in a captured graph, the least of some replays; `prepare` stands once before
    them. The calls must have run before."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        if prepare is not None:
            prepare()
        for _ in range(count):
            call()
    graph.replay()
    return 1000 * min(each_ms(graph.replay, replays, "cuda")) / count


def steps_for(first_ms, seconds, least=2, most=256):
    """How many steps of that length fill a turn of so many seconds."""
    return int(min(most, max(least, 1000 * seconds / max(first_ms, 1e-3))))
