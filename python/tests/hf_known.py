#!/usr/bin/env python3
"""Writes down by what the installed transformers' code is known (ropejit/dropin/hf/known.json).

    python3 python/tests/hf_known.py          a version whose test_dropin_hf*.py passed: all of its code is known from now on
    python3 python/tests/hf_known.py --same   another version: named where its code is known already, and nowhere else
"""

import argparse
import importlib
import json
import pathlib

import transformers

from ropejit import adapt
from ropejit.dropin.hf._caches import PLACES
from ropejit.dropin.hf._families import FAMILIES, replaced_code

FILE = pathlib.Path(__file__).resolve().parents[1] / "ropejit/dropin/hf/known.json"


def code():
    for name, family in FAMILIES.items():
        try:
            namespace = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
            yield from replaced_code(name, family, namespace)
        except (ImportError, AttributeError):
            continue
    for module, kind in PLACES.values():
        try:
            yield f"{module}.{kind}.update", getattr(importlib.import_module(module), kind).update
        except (ImportError, AttributeError):
            continue


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--same", action="store_true")
    options = parser.parse_args()
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    added = 0
    for name, function in code():
        found = adapt.fingerprint(function)
        versions = known.get(name, {}).get(found)
        if found is None or (options.same and versions is None):
            continue
        versions = known.setdefault(name, {}).setdefault(found, [])
        if transformers.__version__ not in versions:
            versions.append(transformers.__version__)
            versions.sort(key=lambda version: [int(part) for part in version.split(".")])
            added += 1
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    print(f"transformers {transformers.__version__}: {added} added")


if __name__ == "__main__":
    main()
