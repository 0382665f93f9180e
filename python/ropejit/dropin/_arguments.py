"""What the drop-ins say of arguments that cannot be rotated."""

import re

import torch


def no_tensor(**arguments):
    """A TypeError for the first of these that should be a tensor and is none; None: all are."""
    for name, value in arguments.items():
        if not isinstance(value, torch.Tensor):
            return TypeError(f"{name}: found {type(value).__name__}, allowed: a torch.Tensor")
    return None


def renamed(error, **names):
    """The TypeError or ValueError of a Rotation, with its names of arguments (q, cos, ...) turned into the drop-in's;
    other errors as they are."""
    if type(error) not in (TypeError, ValueError):
        return error

    def name_of(match):
        first, dot, rest = match[2].partition(".")
        return match[1] + names.get(match[2], names.get(first, first) + dot + rest)

    found, colon, allowed = str(error).partition(":")
    found = re.sub(r"^()([a-z_.]+)", name_of, found)
    return type(error)(found + colon + re.sub(r"\b((?:as|where) )([a-z_]+)\b", name_of, allowed))
