"""The command `ropejit` of the wheel: the program that is inside, and `ropejit try`, which is Python.

A module beside the package, not in it: importing ropejit imports torch, where that is installed, and takes seconds.
"""

import importlib.util
import os
import pathlib
import re
import sys


def package_folder():
    """Where the package is, without importing it."""
    return pathlib.Path(importlib.util.find_spec("ropejit").origin).parent


def program():
    """The path of the program."""
    return str(package_folder() / "bin" / "ropejit")


def _version_of(path):
    return [int(word) for word in re.findall(r"\d+", path.name.partition(".so.")[2])]


def _cuda_of_torch(folder):
    """"13.0", as torch beside which NVRTC lies says it was built with; empty where none does. Read, not imported."""
    try:
        text = (folder / "torch" / "version.py").read_text()
    except OSError:
        return ""
    found = re.search(r"""^cuda\b.*?= *['"]([\d.]+)['"]""", text, re.MULTILINE)
    return found[1] if found else ""


def nvrtc_beside_torch():
    """The libnvrtc that came with torch, whose CUDA version the driver is known to take: of torch's own major version,
    else the newest; None where there is none in the folders that Python imports from."""
    for entry in sys.path:
        folder = pathlib.Path(os.path.abspath(entry))
        found = sorted(folder.glob("nvidia/*/lib/libnvrtc.so.[0-9]*"), key=_version_of)
        if found:
            major = _cuda_of_torch(folder).partition(".")[0]
            of_torch = [path for path in found if major and _version_of(path)[0] == int(major)]
            return str((of_torch or found)[-1])
    return None


def environment():
    """What the program is to run with: NVRTC as the package itself would find it."""
    values = dict(os.environ)
    if "ROPEJIT_NVRTC" not in values:
        nvrtc = nvrtc_beside_torch()
        if nvrtc is not None:
            values["ROPEJIT_NVRTC"] = nvrtc
    return values


def main():
    """Becomes the program; `try` stays here."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["try"]:
        from ropejit._try import main as try_it

        return try_it(arguments[1:])
    path = program()
    try:
        os.execve(path, ["ropejit", *arguments], environment())
    except OSError as error:
        sys.exit(f"ropejit: {path}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main())
