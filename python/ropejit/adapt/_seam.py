"""Seam: one place where ropejit stands in for other code, and what decides whether it does."""

import collections
import functools
import os
import threading
import warnings
import weakref

import torch

from ropejit.adapt import _ranks, _timing

# How far ropejit's results may lie from the original's in a shadow run, as a part of the largest element of a row: some
# two units in the last place of the dtype.
BOUNDS = {torch.bfloat16: 2.0**-6, torch.float16: 2.0**-9, torch.float32: 2.0**-18, torch.float64: 2.0**-18}

_POLICIES = ("always", "auto")
_seams, _seams_lock = weakref.WeakSet(), threading.Lock()


def _all():
    with _seams_lock:
        return list(_seams)


def _renew_locks():
    """In a child of fork, whose parent's other threads may hold them."""
    global _seams_lock
    _seams_lock = threading.Lock()
    for seam in _all():
        seam._lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks)


class _Failed(Exception):
    """What ropejit's side of a trial raised."""


def disabled(name):
    """Why ROPEJIT_DISABLE turns the seam of that name off, or None where it does not."""
    value = os.environ.get("ROPEJIT_DISABLE", "")
    for word in filter(None, (part.strip() for part in value.split(","))):
        if word in ("1", "all") or name == word or name.startswith(f"{word}."):
            return f"{name}: found ROPEJIT_DISABLE={value}"
    return None


class Seam:
    """Whether ropejit serves the calls of one seam. Calls may come from any thread.

    name: words with dots between them, the first the other project's: "hf.qwen3".
    unknown: a line that says why what is replaced is not known (adapt.unknown), or None.
    policy, shadow: see ropejit.adapt. bound: of shadow runs; None: BOUNDS of the results' dtype.

    reason: None while it serves, else the line that says why it never will.
    served, fallen_through: how many calls ropejit served, and how many the original, by the reason. Calls that
        torch.compile traced, or a CUDA graph replays, are not counted.
    """

    def __init__(self, name, unknown=None, *, policy="always", shadow=0, bound=None):
        if policy not in _POLICIES:
            raise ValueError(f"policy: found {policy!r}, allowed: {', '.join(_POLICIES)}")
        if type(shadow) is not int or shadow < 0:
            raise ValueError(f"shadow: found {shadow!r}, allowed: a whole number, 0 or more")
        self.name = name
        self.policy = policy
        self.bound = bound
        self.reason = disabled(name)
        self.served = 0
        self.fallen_through = collections.Counter()
        self.choices = {}  # of policy "auto": whether ropejit serves a size
        self._shadow_left = shadow
        self._lock = threading.Lock()
        if self.reason is None and unknown is not None:
            self.turn_off(unknown)
        # Whether each call has to be looked at: the short way is one comparison.
        self.watches = policy == "auto" or shadow > 0
        with _seams_lock:
            _seams.add(self)

    def __reduce__(self):
        raise TypeError(f"{self.name}: found a seam, which cannot be copied or saved, allowed: a new one")

    def __repr__(self):
        return f"Seam({self.name!r}, {self.reason or 'serves'})"

    def turn_off(self, reason):
        """The original serves from now on, for good. One warning says why."""
        self.reason = reason
        try:
            warnings.warn(f"ropejit does not serve {self.name}: {reason}", stacklevel=3)
        except Warning:
            pass  # where warnings are errors, none is to end a call that the original can serve

    def serves(self, size, original, ours):
        """Whether ropejit serves a call of that size, a value that tells apart what is to be timed on its own.

        original, ours: functions without arguments that do what the call would do, on copies: they write to nothing of
        the caller's, and give the same tensors as a tuple. They are called where the policy or a shadow run asks for
        it, not in CUDA graphs that are being captured; there, sizes that were not timed are ropejit's.
        """
        if self.reason is not None:
            return self.falls_through(self.reason)
        if self.watches and not _timing.is_capturing():
            with self._lock:
                self._try(size, original, ours)
        if self.reason is not None:
            return self.falls_through(self.reason)
        if self.choices.get(size, True):
            self.served += 1
            return True
        return self.falls_through("slower")

    def _try(self, size, original, ours):
        """What the policy and shadow runs still want of a call."""

        def guarded():
            try:
                return ours()
            except Exception as error:
                raise _Failed(f"{type(error).__name__}: {error}") from error

        try:
            if self.reason is None and self._shadow_left > 0:
                self._compare(original(), guarded())
            if self.reason is None and self.policy == "auto" and size not in self.choices:
                self.choices[size] = _ranks.agreed(f"{self.name}/{size}", lambda: self._is_faster(original, guarded))
        except _Failed as error:
            self.turn_off(f"a trial: found {error}")
        self.watches = self.policy == "auto" or self._shadow_left > 0

    def falls_through(self, reason):
        """Counts a call that is the original's. False."""
        self.fallen_through[reason] += 1
        return False

    def _is_faster(self, original, ours):
        device = next(each.device for each in ours() if each is not None)
        theirs, own = _timing.seconds_of((original, ours), device)
        return own < theirs

    def _compare(self, originals, ours):
        self._shadow_left -= 1
        for number, (theirs, own) in enumerate(zip(originals, ours)):
            far = _distance(theirs, own)
            bound = BOUNDS[theirs.dtype] if self.bound is None else self.bound
            if not far <= bound:
                self.turn_off(f"shadow: found result {number} {far:.3g} away from the original's, allowed: {bound:.3g}")
                return


def _distance(theirs, own):
    """How far results lie apart, as a part of the largest element of their rows; NaN where the original's is none."""
    if theirs.shape != own.shape or theirs.dtype is not own.dtype:
        return float("inf")
    if theirs.numel() == 0:
        return 0.0
    theirs, own = theirs.double(), own.double()
    apart = (theirs - own).abs()
    same = (theirs == own) | (theirs.isnan() & own.isnan())  # infinities, too
    apart = torch.where(same, torch.zeros_like(apart), apart)
    finite = torch.where(theirs.isfinite(), theirs.abs(), torch.zeros_like(apart))
    largest = finite.amax(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return float((apart / largest).amax())


def stand_in(seam, original, ours, size_of):
    """A function that serves the calls of `original`, one without effects on its arguments that gives a tensor or a tuple
    of them, by `ours`, as the seam decides. size_of: what of a call's arguments tells apart what is to be timed."""

    def call(*arguments, **keywords):
        if torch.compiler.is_compiling():
            return (ours if seam.reason is None else original)(*arguments, **keywords)

        def without_gradients(function):
            with torch.no_grad():
                made = function(*arguments, **keywords)
            return made if isinstance(made, tuple) else (made,)

        serves = seam.serves(
            size_of(*arguments, **keywords), lambda: without_gradients(original), lambda: without_gradients(ours)
        )
        return (ours if serves else original)(*arguments, **keywords)

    return functools.update_wrapper(call, original)


def counters():
    """What became of the calls of each seam that is there: a list of dicts of its name, served, fallen_through and
    reason."""
    return [
        {"name": each.name, "served": each.served, "fallen_through": dict(each.fallen_through), "reason": each.reason}
        for each in sorted(_all(), key=lambda each: each.name)
    ]
