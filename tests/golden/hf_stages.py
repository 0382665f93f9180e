"""What a tensor went through on its way from a projection to attention, by its values: make_hf_norms.py asks for it.

Walked backward from what attention is given: each step is a rotation that was called, a norm whose module gave these
values and whose formula gives them bit for bit, or a constant, a clamp or a factor of the position that does.
"""

from collections import Counter

import torch
import torch.nn.functional as F


def values(tensor):
    return Counter(tensor.float().flatten().tolist())


def same(a, b):
    return a.numel() == b.numel() and values(a) == values(b)


def comes_from(x, y):
    """Whether y is a projection of which x is all or a part, as of q, k and v in one."""
    return y.numel() <= 8 * x.numel() and not values(x) - values(y)


def before_rotation(x, turns):
    """What x was before its rotation, lanes that do not rotate among them, in x's shape; None where it is not rotated."""
    for given, made in turns:
        for place, y in enumerate(made):
            alike = [each for each in given if each.shape == y.shape]
            if not alike or y.dim() != x.dim():
                continue
            source = alike[min(place, len(alike) - 1)]
            for turned in (False, True):
                after, before = (each.transpose(1, 2) if turned else each for each in (y, source))
                if after.shape[:-1] != x.shape[:-1]:
                    continue
                for first in {0, x.shape[-1] - after.shape[-1]}:
                    part = slice(first, first + after.shape[-1])
                    if first >= 0 and torch.equal(x[..., part], after):
                        result = x.clone()
                        result[..., part] = before
                        return result
    return None


def weights_of(module, x):
    """The weight and the bias of a norm, in the shape in which they multiply x."""
    if isinstance(getattr(module, "norms", None), torch.nn.ModuleList):  # a module a head
        return torch.stack([each.weight for each in module.norms])[:, None], None
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    return weight, bias


def unweighted(kind, x, eps):
    """x r, or (x - m) r, in fp32, by each of the ways in which models write it."""
    wide = x.float()
    if kind == "layer":
        centred = wide - wide.mean(-1, keepdim=True)
        yield centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + eps)
        yield F.layer_norm(wide, x.shape[-1:], None, None, eps)
        yield F.layer_norm(x, x.shape[-1:], None, None, eps).float()
    else:
        mean = wide.pow(2).mean(-1, keepdim=True) + eps
        yield wide * torch.rsqrt(mean)
        yield wide * torch.pow(mean, -0.5)


def weighted(n, weight, bias, dtype):
    """What becomes of n, and where it is rounded on the way."""
    if weight is None:
        yield n.to(dtype), {"rounds": ["norm"]}
        return
    for plus_one in (False, True):
        wide = 1.0 + weight.float() if plus_one else weight.float()
        more = {"plus_one": True} if plus_one else {}
        if bias is None:
            yield (n * wide).to(dtype), {**more, "rounds": ["weight"]}
            yield (n.to(dtype).float() * wide).to(dtype), {**more, "rounds": ["norm", "weight"]}
        else:
            yield (n * wide + bias.float()).to(dtype), {**more, "bias": True, "rounds": ["norm_bias"]}
            rounded = (n.to(dtype).float() * wide).to(dtype)
            yield rounded + bias, {**more, "bias": True, "rounds": ["norm", "weight", "norm_bias"]}


def is_close(a, b):
    """torch's own LayerNorm contracts: equal but for a few elements, by an ulp."""
    return torch.allclose(a.float(), b.float(), rtol=2**-7, atol=1e-6) and (a != b).float().mean() < 0.01


def norm_of(module, x, y, head_dim):
    """What a norm is told, or None where the module is another thing."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight, bias = weights_of(module, x)
    if eps is None and weight is not None and weight.dim() == 3:
        eps = module.norms[0].eps
    if eps is None:
        return None
    span = "head" if x.shape[-1] == head_dim else "token"
    form = "none" if weight is None else "heads" if weight.dim() > 1 or span == "token" else "lanes"
    if weight is not None and weight.shape[-1] != x.shape[-1]:
        return None
    torchs_own = isinstance(module, torch.nn.LayerNorm) or hasattr(module, "norms")
    for kind in ("rms", "layer"):
        for n in unweighted(kind, x, eps):
            for result, more in weighted(n, weight, bias, x.dtype):
                if torch.equal(result, y) or (torchs_own and kind == "layer" and is_close(result, y)):
                    return {"kind": kind, "span": span, "weight": form, "eps": eps, **more}
    return None


def l2_stages(module, x, y):
    """Zaya's norm: over the root of the sum of squares, times the root of head_dim, and k times a learned factor of each
    head, all in the dtype."""
    eps, scale = torch.finfo(x.dtype).eps, module.head_dim_scale
    normed = x * (scale / x.norm(p=2, dim=-1, keepdim=True).clamp_min(eps))
    told = [{"norm": {"kind": "l2", "span": "head", "weight": "none", "eps": eps, "rounds": ["statistic"]}}, {"scale": scale}]
    if torch.equal(normed, y):
        return told
    return told + ["head_scale"] if torch.equal(normed * module.temp[:, None], y) else None


def scale_of(x, y, constants):
    """The constant that y was multiplied by, and rounded, to give x."""
    for constant in constants:
        if constant not in (0, 1) and torch.equal(y * constant, x):
            return constant
    return None


def clamp_of(x, y):
    most = x.abs().max().item()
    return most if not torch.equal(x, y) and torch.equal(y.clamp(-most, most), x) else None


def temperature_of(x, y, factors):
    """Which of the factors of the position (a description each, and a number for each token) gave x [1, heads, tokens,
    head_dim]."""
    for described, tau in factors:
        if torch.equal((y.float() * tau[:, None].float()).to(x.dtype), x):
            return described
    return None


def shaped(y, x):
    """y as [1, heads, tokens, head_dim], as x is, from what may be its shapes before that."""
    heads, tokens, lanes = x.shape[1:]
    if y.numel() != x.numel():
        return None
    if y.shape == x.shape:
        return y
    return y.reshape(1, tokens, heads, lanes).transpose(1, 2)


def stages_of(x, modules, turns, constants, factors, notes=None):
    """The stages of x, first to last, and its projection's result; None where something is not known. `notes` is given,
    of each norm, its stage, its module, what that got and gave, and what it gave in x's shape."""
    head_dim, stages = x.shape[-1], []
    for _ in range(6):
        for module, _, y in modules:
            is_source = isinstance(module, torch.nn.Linear) or type(module).__name__.endswith("Projection")
            if is_source and comes_from(x, y):
                return stages, x
        before = before_rotation(x, turns)
        if before is not None:
            stages, x = ["rotate"] + stages, before
            continue
        found = next(((module, given) for module, given, y in reversed(modules)
                      if ("norm" in type(module).__name__.lower()) and same(x, y)), None)
        if found is not None:
            module, given = found
            made = next(y for each, before, y in modules if each is module and before is given)
            if hasattr(module, "head_dim_scale"):
                told = l2_stages(module, given, made)
            else:
                norm = norm_of(module, given, made, head_dim)
                told = None if norm is None else [{"norm": norm}]
            if told is None:
                return None
            if notes is not None:
                notes.append((told[0], module, given, made, x))
            stages, x = told + stages, shaped(given, x)
            continue
        step = step_of(x, modules, turns, constants, factors)
        if step is None:
            return None
        stages, x = [step[0]] + stages, step[1]
    return None


def step_of(x, modules, turns, constants, factors):
    """A constant, a clamp or a factor of the position, and what was there before it."""
    given = [y for _, made in turns for y in made] + [y for _, _, y in reversed(modules)]
    for y in given:
        y = shaped(y, x) if y.numel() == x.numel() else None
        if y is None:
            continue
        if (scale := scale_of(x, y, constants)) is not None:
            return {"scale": scale}, y
        if (clamp := clamp_of(x, y)) is not None:
            return {"clamp": clamp}, y
        if (tau := temperature_of(x, y, factors)) is not None:
            return {"temperature": tau}, y
    return None
