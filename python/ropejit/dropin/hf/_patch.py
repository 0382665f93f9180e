"""patch(model): has one model of transformers use ropejit, and says what became of each layer."""

import inspect
import sys
import types
import weakref
from typing import NamedTuple, Optional

from ropejit import adapt
from ropejit.dropin.hf import _attention, _known, _reasons
from ropejit.dropin.hf._families import FAMILIES, family_of, replaced_code
from ropejit.dropin.hf._layer import Layer, Specs



class Row(NamedTuple):
    """What became of one attention.

    module: its name in the model. family: as in transformers.models. does: what one launch does there, in words, or
    "rotation", where only the rotation is ropejit's; None: it keeps its own code, for `reason`.
    """

    module: str
    family: str
    does: Optional[str]
    reason: Optional[str]


class Patch:
    """What patch() did. undo() takes it back, as does leaving a with block.

    report: a Row for each attention. str() is the report as lines, equal ones together. seams: the adapt.Seam of each
    family: counters of what was served.
    """

    def __init__(self):
        self.report = []
        self.seams = {}
        self._patched = []
        self._rotating, self._classes = {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.undo()

    def __str__(self):
        found = {}
        for row in self.report:
            found.setdefault(row[1:], []).append(row.module)
        lines = []
        for (family, does, reason), modules in found.items():
            where = modules[0] if len(modules) == 1 else f"{len(modules)} layers, {modules[0]} to {modules[-1]}"
            lines.append(f"{family}: {where}: {does or 'unchanged: ' + reason}")
        return "\n".join(lines)

    def undo(self):
        """Every attention is as it was. Graphs captured and models exported before stay as they are."""
        while self._patched:
            reference, served, kind = self._patched.pop()
            attention = reference()
            if attention is None:
                continue
            if type(attention) is served:
                attention.__class__ = kind
            vars(attention).pop("ropejit_layer", None)

    def _serve(self, attention, served, layer):
        """served: the class that serves it. layer: None where that needs none; its name is there all the same, and tells
        that the attention is patched."""
        self._patched.append((weakref.ref(attention), served, type(attention)))
        attention.ropejit_layer = layer  # first: calls may come meanwhile
        attention.__class__ = served


def _tokens(q, *others, **keywords):
    """Of q, [batch, heads, tokens, head_dim], up to a power of two, each of which is timed once."""
    return 1 << max(int(q.shape[0] * q.shape[-2]) - 1, 0).bit_length()


def _rotating(family, namespace, seam):
    """The family's own forward, with ropejit's functions where it rotates. One for all layers: torch.compile keeps what it
    made with the code, whatever the function's scope is, so that this one has code of its own, too."""
    function = inspect.unwrap(getattr(namespace, family.attention).forward)
    scope = dict(vars(namespace))
    del scope["__name__"]  # by which torch.compile would look in the family's module instead
    for name, ours in family.rotations:
        if name in scope:
            scope[name] = adapt.stand_in(seam, scope[name], ours, _tokens)
    made = types.FunctionType(
        function.__code__.replace(), scope, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__, made.__doc__ = function.__kwdefaults__, function.__doc__
    return made


def _takes_cache(namespace, family):
    """Whether the family's forward calls its cache `cache` (transformers from 5.24 on)."""
    function = inspect.unwrap(getattr(namespace, family.attention).forward)
    return "cache" in function.__code__.co_varnames[: function.__code__.co_argcount]


def _gathered_by_fsdp(model):
    """The names of modules whose parameters FSDP gathers for each call, as prefixes."""
    return tuple(
        f"{name}." if name else "" for name, module in model.named_modules()
        if any(kind.__name__ == "FSDPModule" for kind in type(module).__mro__)
    )


def _does(layer):
    return "norms, rotation and cache in one launch" if layer.has_norms else "rotation and cache in one launch"


def patch(model, *, policy="always", shadow=0, same_bits=False):
    """Has this model use ropejit, and no other: of each attention that is known, norms of q and k, the rotation and the
    write to a static or paged cache become one launch; calls that need gradients have the rotation alone. Logits are those
    of transformers (README). Returns a Patch, whose report says what became of each layer, and why.

    model: a model of transformers, or a part of one, on its device and with its adapters. One that torch.compile compiled
    compiles anew. Models whose attention none of transformers' families that are known has are a ValueError.
    same_bits: the reciprocal roots of norms are made by torch's own operations, as the model's code makes them, and given to
        the launch. On a GPU these differ from the launch's own by an ulp now and then, and with them single elements of a
        16-bit result. Norms behind the rotation keep their own code then.
    policy, shadow: those of ropejit.adapt, for each family as one seam, "hf.qwen3" for instance. Timings are of the steps
    that a launch replaces, in an eager call.
    """
    done = Patch()
    specs, gathered = Specs(), _gathered_by_fsdp(model) if hasattr(model, "named_modules") else ()
    try:
        for name, module in list(model.named_modules()) if hasattr(model, "named_modules") else ():
            known = family_of(module)
            if known is not None:
                done.report.append(_patched(done, name, module, *known, specs, gathered, policy, shadow, same_bits))
    except BaseException:
        done.undo()
        raise
    if not done.report:
        raise ValueError(f"model: found {type(model).__name__}, allowed: a model of one of {', '.join(sorted(FAMILIES))}")
    return done


def _seam_of(done, family_name, family, namespace, policy, shadow):
    if family_name not in done.seams:
        code = replaced_code(family_name, family, namespace)
        unknown = next(filter(None, (_known.why_unknown(*each) for each in code)), None)
        done.seams[family_name] = adapt.Seam(f"hf.{family_name}", unknown, policy=policy, shadow=shadow)
    return done.seams[family_name]


def _patched(done, name, attention, family_name, family, specs, gathered, policy, shadow, same_bits):
    namespace = sys.modules[type(attention).__module__]
    seam = _seam_of(done, family_name, family, namespace, policy, shadow)
    reason = seam.reason or _reasons.of_layer(attention, family, namespace, name.startswith(gathered))
    if reason is not None:
        return Row(name, family_name, None, reason)
    if family_name not in done._rotating:
        done._rotating[family_name] = _rotating(family, namespace, seam)
    rotating = done._rotating[family_name]
    if not family.fuses:
        if family_name not in done._classes:
            done._classes[family_name] = _attention.derived(type(attention), rotating)
        done._serve(attention, done._classes[family_name], None)
        return Row(name, family_name, "rotation", None)
    try:
        spec = specs.of(attention, family)
        layer = Layer(attention, family, namespace, spec, seam, rotating, same_bits)
    except (NotImplementedError, TypeError, ValueError) as error:
        return Row(name, family_name, None, str(error))
    done._serve(attention, _attention.served(type(attention), _takes_cache(namespace, family)), layer)
    return Row(name, family_name, _does(layer), None)
