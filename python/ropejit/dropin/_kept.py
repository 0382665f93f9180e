"""Tensors that are the same for each call of one size."""

import functools

import torch


def kept(make):
    """The function make(*sizes, device), whose last 16 tensors are kept, so that a call of a size that was seen has no kernel
    for them; but not within a graph's capture, whose tensors are the graph's, nor in a trace."""
    remembered = functools.lru_cache(maxsize=16)(make)

    def pick(*arguments):
        *_, device = arguments
        if torch.compiler.is_compiling() or not _may_be_kept(device):
            return make(*arguments)
        return remembered(*arguments)

    return pick


def _may_be_kept(device):
    return device.type == "cpu" or (device.type == "cuda" and not torch.cuda.is_current_stream_capturing())
