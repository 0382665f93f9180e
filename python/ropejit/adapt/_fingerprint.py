"""By what code of other projects is known."""

import ast
import functools
import hashlib
import inspect
import textwrap


def _without_words(source):
    """The lines of a function's or class's source that say what it does: no docstrings, comments of their own and gaps."""
    tree = ast.parse(source)
    dropped = set()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            dropped.update(range(first.lineno, first.end_lineno + 1))
    lines = (line.rstrip() for number, line in enumerate(source.splitlines(), 1) if number not in dropped)
    return [line for line in lines if line and not line.lstrip().startswith("#")]


@functools.lru_cache(maxsize=512)
def fingerprint(function):
    """16 hexadecimal digits of a function's signature and source, decorators included, docstrings and lines of comments
    left out; the same under every version of Python. None: the source cannot be read, as of builtins."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        names = [
            f"{each.kind.name} {each.name}" + ("" if each.default is each.empty else f"={each.default!r}")
            for each in inspect.signature(function).parameters.values()
        ]
        lines = names + _without_words(source)
    except (OSError, SyntaxError, TypeError, ValueError):
        return None
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def unknown(name, function, known):
    """One line that says why `function`, which is called `name`, is none of `known`, a dict of fingerprints and the
    versions that have them; None where it is one of them."""
    found = fingerprint(function)
    if found is not None and found in known:
        return None
    versions = sorted({version for each in known.values() for version in each}, key=_as_numbers)
    allowed = f"those of versions {versions[0]} to {versions[-1]}" if versions else "none that is known"
    what = "code whose source cannot be read" if found is None else f"other code (fingerprint {found})"
    return f"{name}: found {what}, allowed: {allowed}"


def _as_numbers(version):
    return [int(part) if part.isdigit() else -1 for part in version.split(".")]
