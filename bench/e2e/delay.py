"""The planted delay: a wait of known length in each attention of a model, which a table must find again.

On the GPU it is a kernel that spins, which also stands in captured graphs and, as an operator, in compiled code; the host
spins as long, so that a step that waits for its host shows it, too. Compiled code has the kernel alone.
"""

import time

import torch

import clock
import models

LAYER_US = 2.0  # what the protocol plants in each layer
SHARE = 0.01  # of a step: where the protocol's is less, no table could see it
_LAUNCHES = 200


@torch.library.custom_op("ropejit_e2e::delay", mutates_args=("mark",))
def _delay(mark: torch.Tensor, cycles: int) -> None:
    _spin(mark.is_cuda, cycles)


@_delay.register_fake
def _(mark, cycles):
    return None


def _spin(on_gpu, cycles):
    """`cycles` of the GPU's clock; of a CPU, which has no kernels, nanoseconds of the caller."""
    if on_gpu:
        torch.cuda._sleep(cycles)
    else:
        end = time.perf_counter_ns() + cycles
        while time.perf_counter_ns() < end:
            pass


def _kernel_us(cycles):
    """What a kernel that spins for so long adds to a graph."""
    return clock.graph_us(lambda: torch.cuda._sleep(cycles), _LAUNCHES)


class PlantedDelay:
    """A delay of `us` a layer, settable at any time before code is compiled or captured."""

    def __init__(self, device, us=2.0):
        self.on_gpu = device != "cpu"
        self.mark = torch.zeros(1, dtype=torch.int32, device=device)
        torch._dynamo.mark_static_address(self.mark)
        if self.on_gpu:
            _kernel_us(1)  # loads it
            self.least_us, slow = _kernel_us(1), _kernel_us(40_000)
            self.cycles_per_us = 40_000 / (slow - self.least_us)
        else:
            self.least_us, self.cycles_per_us = 0.0, 1000.0
        self.set(us)

    def set(self, us):
        """`us` counts the whole kernel as a graph's replay shows it; less than an empty one takes is not to be had."""
        self.us = max(us, self.least_us)
        self.cycles = max(1, round((self.us - self.least_us) * self.cycles_per_us))

    def _hook(self, module, args, kwargs):
        if torch.compiler.is_compiling():
            torch.ops.ropejit_e2e.delay(self.mark, self.cycles)
            return
        start = time.perf_counter()
        _spin(self.on_gpu, self.cycles)
        while self.on_gpu and 1e6 * (time.perf_counter() - start) < self.us:
            pass

    def plant(self, model):
        """In each attention of the model. Returns how many there are."""
        found = models.attentions(model)
        for each in found:
            each.register_forward_pre_hook(self._hook, with_kwargs=True)
        return len(found)


def layer_us(step_ms, layers, is_compiled=False):
    """Microseconds to plant in each of `layers` layers of a step of the unpatched model: the protocol's in compiled
    decode, whose steps are short and even, and elsewhere at least 1 % of the step in all."""
    return LAYER_US if is_compiled else max(LAYER_US, 1000 * SHARE * step_ms / layers)
