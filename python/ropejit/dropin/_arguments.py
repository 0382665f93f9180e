"""What the drop-ins say of arguments that cannot be rotated."""

import re

import torch

# What torch and Python raise for arguments of all sorts.
ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def no_tensor(**arguments):
    """An error for the first of these that should be a tensor and is none, or has no shape; None: all are."""
    for name, value in arguments.items():
        if not isinstance(value, torch.Tensor):
            return TypeError(f"{name}: found {type(value).__name__}, allowed: a torch.Tensor")
        if value.is_nested:
            return ValueError(f"{name}: found a nested tensor, allowed: one of one size in each dimension")
    return None


def no_flag(**arguments):
    """A TypeError for the first of these that is neither true nor false; None: all are."""
    for name, value in arguments.items():
        try:
            bool(value)
        except (RuntimeError, TypeError, ValueError):
            return TypeError(f"{name}: found {type(value).__name__}, allowed: a bool")
    return None


def no_number(allowed, **arguments):
    """A TypeError for the first of these that is no number; None: all are. allowed: float or int."""
    for name, value in arguments.items():
        if not isinstance(value, (int, allowed)):
            words = "an int" if allowed is int else "a number"
            return TypeError(f"{name}: found {type(value).__name__}, allowed: {words}")
    return None


def not_shaped(dims, words, **arguments):
    """A ValueError for the first of these tensors that has not so many dimensions; None: all have."""
    for name, value in arguments.items():
        if value.dim() != dims:
            return ValueError(f"{name}: found shape {tuple(value.shape)}, allowed: {words}")
    return None


def renamed(error, **names):
    """The TypeError, ValueError or NotImplementedError of a Rotation, with its names of arguments (q, cos, ...) turned into
    the drop-in's; other errors as they are."""
    if type(error) not in (TypeError, ValueError, NotImplementedError):
        return error

    def name_of(match):
        first, dot, rest = match[2].partition(".")
        return match[1] + names.get(match[2], names.get(first, first) + dot + rest)

    found, colon, allowed = str(error).partition(":")
    found = re.sub(r"^()([a-z_.]+)", name_of, found)
    return type(error)(found + colon + re.sub(r"\b((?:as|where) )([a-z_]+)\b", name_of, allowed))
