"""The ways that a table compares: what is done to a model before it is timed.

  unpatched     nothing
  ours          ropejit.dropin.hf.patch(model, policy="always")
  same_bits     the same with same_bits=True, where norms' roots are torch's own
  auto          the same with policy="auto", which keeps what is faster
  liger         the rotation of liger_kernel, where that can be imported; nothing else of it
  unpatched2    nothing, once more
  delayed       nothing, and a planted delay
"""

import contextlib
import importlib
import sys

import models
from verdicts import BASE, DELAYED, SAME


class NotHere(Exception):
    """Why a way is not there."""


class Way:
    """A model of its own and what is done to it. What replaces functions of a whole process is in place within
    `with way:` alone; the rest stays."""

    def __init__(self, name, model, in_place=None, patch=None):
        self.name, self.model, self.patch = name, model, patch
        self._in_place, self._stack = in_place, contextlib.ExitStack()

    def __enter__(self):
        if self._in_place is not None:
            self.patch = self._stack.enter_context(self._in_place()) or self.patch
        return self

    def __exit__(self, *error):
        self._stack.close()

    def report(self):
        """What the patch says of the layers and what it counted besides calls that it served, as lines; None where it says
        nothing."""
        if getattr(self.patch, "report", None) is None:
            return None
        fell = [f"{name}: fell through: {reason}" for name, seam in getattr(self.patch, "seams", {}).items()
                for reason in getattr(seam, "fallen_through", ())]
        return [*str(self.patch).splitlines(), *fell]


def make(name, model, delay=None):
    """The Way of this name over the weights of `model`. Raises NotHere."""
    own = models.copy_of(model)
    if name in (BASE, SAME):
        return Way(name, own)
    if name == DELAYED:
        if not delay.plant(own):
            raise NotHere("the model has no attention to plant a delay in")
        return Way(name, own)
    if name == "liger":
        return Way(name, own, in_place=lambda: _liger_rotation(own))
    return _ours(name, own, "auto" if name == "auto" else "always", name == "same_bits")


def _ours(name, model, policy, same_bits):
    from ropejit.dropin import hf

    try:
        return Way(name, model, patch=hf.patch(model, policy=policy, same_bits=same_bits))
    except (NotImplementedError, ValueError) as error:
        raise NotHere(str(error)) from None


@contextlib.contextmanager
def _liger_rotation(model):
    module = sys.modules[type(models.attentions(model)[0]).__module__]
    theirs, module.apply_rotary_pos_emb = module.apply_rotary_pos_emb, _liger().liger_rotary_pos_emb
    try:
        yield
    finally:
        module.apply_rotary_pos_emb = theirs


def _liger():
    try:
        return importlib.import_module("liger_kernel.transformers.rope")
    except ImportError as error:
        raise NotHere(f"liger_kernel cannot be imported ({error})") from None


def all_of(model, options, delay, failed):
    """{name: Way} of those that options name; failed(name, reason) is told of each that is not there."""
    found = {}
    for name in options.ways:
        try:
            if name == "liger":
                _liger()
            found[name] = make(name, model, delay)
        except NotHere as error:
            failed(name, str(error))
    return found
