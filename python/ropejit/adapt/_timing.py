"""How long calls take, as they are made."""

import statistics
import time

import torch

_WARM, _ROUNDS, _CALLS = 3, 7, 5


def is_capturing():
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def seconds_of(ways, device):
    """The median time of a call of each of `ways`, functions without arguments, in seconds: of the host and the device
    together, as eager calls one after another take. They are called in turns."""
    is_cuda = device.type == "cuda"
    wait = torch.cuda.synchronize if is_cuda else (lambda device: None)
    for way in ways:
        for _ in range(_WARM):
            way()
    found = [[] for _ in ways]
    for number in range(_ROUNDS):
        for place in range(len(ways)) if number % 2 == 0 else reversed(range(len(ways))):
            wait(device)
            start = time.perf_counter()
            for _ in range(_CALLS):
                ways[place]()
            wait(device)
            found[place].append((time.perf_counter() - start) / _CALLS)
    return [statistics.median(each) for each in found]
