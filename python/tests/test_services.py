"""What the services of this process keep, and that a child of fork can go on with them."""

import gc
import os
import threading

import pytest
import ropejit
import torch
from ropejit import _services


def rotated(rope, device, heads=2):
    q = torch.ones(1, 3, heads, 8, device=device)
    return rope(q, positions=torch.arange(3, device=device))[0]


def test_kernels_that_no_rotation_holds_are_forgotten(device):
    ropejit.forget_unused()
    rope = ropejit.Rotation({"layout": "split_half", "rope_theta": 12345.0})
    before = rotated(rope, device)
    rotated(rope, device, heads=3)
    assert ropejit.forget_unused() == 0
    assert torch.equal(rotated(rope, device), before)
    del rope
    gc.collect()
    assert ropejit.forget_unused() == 2
    assert torch.equal(rotated(ropejit.Rotation({"layout": "split_half", "rope_theta": 12345.0}), device), before)


def test_a_child_of_fork_goes_on_whatever_another_thread_holds(device):
    if device != "cpu":
        pytest.skip("CUDA does not survive fork")
    rope = ropejit.Rotation({"layout": "split_half", "rope_theta": 54321.0})
    before = rotated(rope, device)
    held, done = threading.Event(), threading.Event()

    def hold():
        with _services._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        other = ropejit.Rotation({"layout": "split_half", "rope_theta": 500.0})
        well = torch.equal(rotated(rope, device), before) and not torch.equal(rotated(other, device), before)
        os._exit(0 if well else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0
