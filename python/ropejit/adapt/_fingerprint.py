"""By what code of other projects is known."""

import ast
import functools
import hashlib
import inspect
import textwrap


def _without_words(source):
    """The lines of a function's or class's source that say what it does: no docstrings, comments of their own and gaps,
    but for those within texts of several lines."""
    tree = ast.parse(source)
    dropped, kept = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno > node.lineno:
            kept.update(range(node.lineno, node.end_lineno + 1))
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or len(node.body) < 2:
            continue
        first = node.body[0]
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
        if is_text and node.body[1].lineno > first.end_lineno:
            dropped.update(range(first.lineno, first.end_lineno + 1))
    lines = ((number, line.rstrip()) for number, line in enumerate(source.split("\n"), 1) if number not in dropped)
    return [line for number, line in lines if number in kept or (line and not line.lstrip().startswith("#"))]


def _chain(function):
    """The function and what it wraps, the innermost last, as functools.wraps tells."""
    while True:
        yield function
        if not hasattr(function, "__wrapped__"):
            return
        function = function.__wrapped__


@functools.lru_cache(maxsize=512)
def _of(function):
    try:
        lines = [
            f"{each.kind.name} {each.name}" + ("" if each.default is each.empty else f"={each.default!r}")
            for each in inspect.signature(function).parameters.values()
        ]
        for part in _chain(function):
            # By its code: inspect would look through what wraps.
            lines += _without_words(textwrap.dedent(inspect.getsource(getattr(part, "__code__", part))))
    except (AttributeError, OSError, SyntaxError, TypeError, ValueError):
        return None
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def fingerprint(function):
    """16 hexadecimal digits of a function's signature and source, of its decorators and of what wraps it, docstrings and
    lines of comments left out; the same under every version of Python. None: the source cannot be read, as of builtins."""
    try:
        return _of(function)
    except TypeError:  # what has no hash
        return None


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
