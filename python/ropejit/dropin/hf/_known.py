"""The code of transformers that ropejit is known to stand in for, by its fingerprints (known.json)."""

import functools
import json
import pathlib

from ropejit import adapt


@functools.lru_cache(maxsize=None)
def _table():
    """By name, {fingerprint: [versions that have it]}."""
    return json.loads(pathlib.Path(__file__).with_name("known.json").read_text())


def why_unknown(name, function):
    """One line, where transformers' `function` of that name is none that is known; else None."""
    return adapt.unknown(f"transformers {name}", function, _table().get(name, {}))
