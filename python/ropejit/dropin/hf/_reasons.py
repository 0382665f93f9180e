"""Why ropejit leaves a layer as it is."""

import torch

from ropejit import _services

FLOATS = (torch.bfloat16, torch.float16, torch.float32)
_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)


def of_hooks(module):
    """What kind of hooks a module has, or None."""
    return next((each for each in _HOOKS if getattr(module, each, None)), None)


def of_weight(weight):
    """Why a norm's weight cannot be given to a kernel as it is, or None. Also asked of each call, as training wrappers
    exchange weights: a DTensor is whole within its unshard alone."""
    if type(weight) not in (torch.nn.Parameter, torch.Tensor):
        return f"a {type(weight).__name__}"
    if weight.is_meta:
        return "a weight on meta (offloaded, or not loaded yet)"
    if weight.dtype not in FLOATS:
        return f"a weight of {weight.dtype}"
    return None


def _of_norm(path, norm, wanted, device, is_gathered):
    kind = type(norm)
    if kind is not wanted:
        return f"{path}: found {kind.__module__}.{kind.__name__}, allowed: {wanted.__name__} itself"
    if "forward" in vars(norm):
        return f"{path}.forward: found one of its own (offloading and kernel hubs set one), allowed: the class's"
    if (hooks := of_hooks(norm)) is not None:
        return f"{path}.{hooks}: found some, allowed: none, as a fused norm calls none"
    if getattr(norm, "parametrizations", None):
        return f"{path}: found a parametrization, allowed: none"
    found = of_weight(norm.weight)
    if found is not None and not (is_gathered and found == "a DTensor"):
        return f"{path}.weight: found {found}, allowed: a plain tensor of bf16, fp16 or fp32"
    if norm.weight.device != device:
        return f"{path}.weight: found {norm.weight.device}, allowed: {device}, where q_proj is"
    return None


def of_layer(attention, family, namespace, is_gathered):
    """Why that attention keeps its own code, in one line, or None where ropejit may serve it. is_gathered: whether FSDP
    gathers its parameters for each call; whether it has is then looked at in each."""
    if "ropejit_layer" in vars(attention):
        return "forward: found ropejit's, allowed: transformers' own (undo the patch before another)"
    if "forward" in vars(attention):
        return "forward: found one of its own (another patch, or offloading), allowed: the class's"
    first = next(attention.parameters(), None)
    if first is None:
        return "parameters: found none"
    device = first.device
    if device.type == "meta":
        return "device: found meta (offloaded, or not loaded yet), allowed: cuda"
    if device.type != "cuda" and not (device.type == "cpu" and _services.host_is_served()):
        return f"device: found {device}, allowed: cuda"
    if first.dtype not in FLOATS and first.dtype.is_floating_point and first.dtype.itemsize > 1:
        return f"parameters: found {first.dtype}, allowed: bf16, fp16 or fp32"
    if not family.fuses:
        return None
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        if not isinstance(getattr(attention, name, None), torch.nn.Module):
            return f"{name}: found none, allowed: a module"
    for name in ("q_proj", "k_proj", "v_proj"):
        other = next((each.device for each in getattr(attention, name).parameters() if each.device != device), None)
        if other is not None:
            return f"{name}: found a parameter on {other}, allowed: {device}, as the layer's other ones"
    if has_norms(attention, family):
        for path in family.norms:
            reason = _of_norm(path, getattr(attention, path, None), getattr(namespace, family.norm), device, is_gathered)
            if reason is not None:
                return reason
    return None


def has_norms(attention, family):
    return family.norms is not None and (family.switch is None or bool(getattr(attention, family.switch)))
