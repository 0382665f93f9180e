"""Rotations in place of leaves that require grad, as flash-attn and what comes of it have them."""

import torch

# By name, since traces take a name for a constant.
WRITERS = {}


def is_trained_leaf(x):
    """Whether a write over x is one that torch refuses outside an autograd.Function."""
    return x.requires_grad and x.is_leaf and torch.is_grad_enabled()


class OverLeaf(torch.autograd.Function):
    """Overwrites a leaf, by the function of WRITERS that `kind` names, and its gradient by the same with back=True. The result
    shares the leaf's memory, as torch has it for an input that is returned, and the leaf stays one."""

    @staticmethod
    def forward(ctx, kind, x, *arguments):
        WRITERS[kind](x, *arguments)
        ctx.kind = kind
        ctx.values = [None if isinstance(value, torch.Tensor) else value for value in arguments]
        ctx.places = [place for place, value in enumerate(arguments) if isinstance(value, torch.Tensor)]
        ctx.save_for_backward(*(arguments[place] for place in ctx.places))
        return x

    @staticmethod
    def backward(ctx, gradient):
        arguments = list(ctx.values)
        for place, tensor in zip(ctx.places, ctx.saved_tensors):
            arguments[place] = tensor
        gradient = gradient.clone()
        WRITERS[ctx.kind](gradient, *arguments, back=True)
        return (None, gradient, *(None for _ in arguments))
