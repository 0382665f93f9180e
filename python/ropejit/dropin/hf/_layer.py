"""What ropejit does in one layer's attention: Layer, which a patched attention has as `ropejit_layer`."""

import warnings

import torch

from ropejit import _models
from ropejit._prologue import Prologue
from ropejit.dropin.hf import _caches, _reasons

# What of a model's spec is not said by the tables that its rotary embedding gives.
_KEPT = ("schema", "layout", "rounding", "round_after", "rotary_dim", "q", "k", "v")


_WHOLE = (torch.nn.Parameter, torch.Tensor)


def _epsilon(norm):
    return norm.variance_epsilon if hasattr(norm, "variance_epsilon") else getattr(norm, "eps", None)


class Specs:
    """The specs of models' layers, each config read once."""

    def __init__(self):
        self.read = {}

    def of(self, attention, family):
        """The spec of that layer's prologue, with what its code rounds, by tables. Raises what model_ropes raises, and
        ValueError for a norm that is not as the config says."""
        config = attention.config
        if id(config) not in self.read:
            with warnings.catch_warnings():  # of keys on frequencies, which the model's tables have
                warnings.simplefilter("ignore")
                layers = _models.model_ropes(config, prologue=True, parity=True)["layers"]
            self.read[id(config)] = {layer["layer"]: layer["spec"] for layer in layers}
        found = self.read[id(config)].get(attention.layer_idx)
        if found is None:
            raise ValueError(f"layer_idx: found {attention.layer_idx}, whose layer does not rotate")
        spec = {key: found[key] for key in _KEPT if key in found}
        for name in ("q", "k", "v"):
            spec[name] = {key: value for key, value in spec[name].items() if key != "heads"}
        if family.norms is not None and not _reasons.has_norms(attention, family):
            for name in ("q", "k"):
                spec[name].pop("norm", None)
        for name, path in zip(("q", "k"), family.norms or ()):
            norm = spec[name].get("norm")
            if norm is None:
                continue
            eps = _epsilon(getattr(attention, path))
            if eps != norm["eps"]:
                raise ValueError(f"{path}: found an epsilon of {eps!r}, allowed: {norm['eps']!r}, which the config has")
        return spec


class Layer:
    """One attention's prologue. Immutable, so that copies of the attention share it."""

    def __init__(self, attention, family, namespace, spec, seam, rotating, same_bits):
        self.family, self.namespace, self.seam = family, namespace, seam
        self.rotating = rotating  # the family's forward, with ropejit's rotation: for calls that need gradients
        self.caches = _caches.known()
        self.norm = None if family.norm is None else getattr(namespace, family.norm)
        self.has_norms = _reasons.has_norms(attention, family)
        self.head_dim = attention.head_dim
        self.dtypes, self.device_type = _reasons.FLOATS, next(attention.parameters()).device.type
        self.epsilon = _epsilon(getattr(attention, family.norms[0])) if self.has_norms else None
        # r of the norms by torch's own operations, as the model's code has it, and not by the launch.
        self.gives_statistics = same_bits and self.has_norms
        if self.gives_statistics:
            if family.place == "behind":
                raise ValueError("same_bits: found norms behind the rotation, allowed: norms before it")
            for name in ("q", "k"):
                spec[name]["norm"] = {**spec[name]["norm"], "statistic": "given"}
        self.prologue = Prologue(spec, {"positions": "start", "angles": family.angles})

    def __deepcopy__(self, memo):
        return self

    # --- what the layer gives ------------------------------------------------------------------------------------------

    def norms_of(self, attention):
        """q's and k's norms, or None where there are none."""
        return tuple(getattr(attention, path) for path in self.family.norms) if self.has_norms else None

    def is_fit(self, attention):
        """Whether the norms are still as they were when the layer was patched: no hooks, whole weights, the same epsilon."""
        for path in self.family.norms if self.has_norms else ():
            norm = getattr(attention, path)
            if norm._forward_hooks or norm._forward_pre_hooks or "forward" in norm.__dict__:
                return False
            if type(norm) is not self.norm or _epsilon(norm) != self.epsilon:
                return False
            if type(norm.weight) not in _WHOLE or norm.weight.dtype not in self.dtypes:
                return False
        return True

    def launch(self, attention, q, k, v, cos, sin, **where):
        """One launch: q, and k without a cache, are written over. q, k, v: [tokens, heads, head_dim]; cos, sin: [tokens,
        lanes]. where: k_cache, v_cache, slots, k_out."""
        weights = {}
        if self.has_norms:
            q_norm, k_norm = self.norms_of(attention)
            weights = {"q_weight": q_norm.weight, "k_weight": k_norm.weight}
            if self.gives_statistics:
                weights["q_statistic"], weights["k_statistic"] = self._statistic(q_norm, q), self._statistic(k_norm, k)
        self.prologue(q, k, v, cos=cos, sin=sin, **weights, **where)

    def _statistic(self, norm, x):
        """[tokens, heads], or of a norm over the token [tokens, 1]."""
        rows = x.reshape(x.shape[0], -1, x.shape[-1] * x.shape[-2] if self.family.place == "token" else self.head_dim)
        return torch.rsqrt(rows.float().pow(2).mean(-1) + _epsilon(norm))

    @staticmethod
    def tables(cos, sin, batch):
        """cos and sin of [batch or 1, tokens, lanes] with a row for each token of each sequence."""
        if cos.shape[0] == batch:
            return cos.reshape(-1, cos.shape[-1]), sin.reshape(-1, sin.shape[-1])
        if torch.compiler.is_compiling():
            return tuple(x.expand(batch, -1, -1).reshape(-1, x.shape[-1]) for x in (cos, sin))
        # All layers of a step are given the same tensors, so what is made of them goes with them.
        versions = None if cos.is_inference() or sin.is_inference() else (cos._version, sin._version)
        key, made = getattr(cos, "ropejit_rows", (None, None))
        if versions is None or key is None or key[0] != (batch, versions) or key[1] is not sin:
            made = tuple(x.expand(batch, -1, -1).reshape(-1, x.shape[-1]) for x in (cos, sin))
            if versions is not None:
                cos.ropejit_rows = ((batch, versions), sin), made
        return made

    # --- both ways, on copies -----------------------------------------------------------------------------------------

    def original_steps(self, attention, q, k, cos, sin):
        """What the family's own code makes of q and k, [batch, tokens, heads * head_dim]: [batch, heads, tokens,
        head_dim]."""
        shape, rotate = (*q.shape[:-1], -1, self.head_dim), getattr(self.namespace, self.family.rotations[0][0])
        norms, place = self.norms_of(attention), self.family.place
        if norms is not None and place == "token":
            q, k = norms[0](q), norms[1](k)
        q, k = q.view(shape).transpose(1, 2), k.view(shape).transpose(1, 2)
        if norms is not None and place == "head":
            q, k = norms[0](q), norms[1](k)
        q, k = rotate(q, k, cos, sin)
        return (norms[0](q), norms[1](k)) if norms is not None and place == "behind" else (q, k)

    def ours_on_copies(self, attention, q, k, v, cos, sin):
        """The same by ropejit."""
        batch, tokens = q.shape[:2]
        q, k = q.clone(), k.clone()
        rows = self.tables(cos, sin, batch)
        self.launch(attention, *(x.view(batch * tokens, -1, self.head_dim) for x in (q, k)), None, *rows)
        return tuple(x.view(batch, tokens, -1, self.head_dim).transpose(1, 2) for x in (q, k))
