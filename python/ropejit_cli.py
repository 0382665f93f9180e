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


def _libraries_in(folder):
    """The libnvrtc of NVIDIA's packages below a folder that Python imports from, oldest first. A folder that cannot be
    read has none."""
    try:
        return sorted(folder.glob("nvidia/*/lib/libnvrtc.so.[0-9]*"), key=_version_of)
    except (OSError, ValueError):
        return []


def _cuda_of_torch(folder):
    """"13.0", as the torch in a folder says that it was built with, "" where it has none; None where there is no torch.
    Read, not imported."""
    try:
        text = (folder / "torch" / "version.py").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None
    found = re.search(r"""^cuda\b.*?= *['"]([\d.]+)['"]""", text, re.MULTILINE)
    return found[1] if found else ""


def nvrtc_beside_torch():
    """The libnvrtc that came with torch, whose CUDA version the driver is known to take: of the folders that Python
    imports from that with torch goes first, and in it the library of torch's own major version. Without torch the first
    that has any, and the newest in it. None where there is none."""
    folders = [pathlib.Path(entry or ".") for entry in sys.path]
    versions = [_cuda_of_torch(folder) for folder in folders]
    place = next((number for number, version in enumerate(versions) if version is not None), None)
    order = folders if place is None else [folders[place], *folders]
    major = (versions[place] if place is not None else "").partition(".")[0]
    for folder in order:
        found = _libraries_in(folder)
        if found:
            of_torch = [path for path in found if major and _version_of(path)[0] == int(major)]
            return os.path.abspath((of_torch or found)[-1])
    return None


def chosen_nvrtc():
    """What the library is to be told of NVRTC: None where the environment names one, or it is to look for itself."""
    return None if "ROPEJIT_NVRTC" in os.environ else nvrtc_beside_torch()


def environment():
    """What the program is to run with: NVRTC as the package itself would find it."""
    nvrtc = chosen_nvrtc()
    return dict(os.environ) if nvrtc is None else {**os.environ, "ROPEJIT_NVRTC": nvrtc}


def main():
    """Becomes the program; `try` stays here."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["try"]:
        try:
            from ropejit._try import main as try_it

            return try_it(arguments[1:])
        except KeyboardInterrupt:
            return 130
    path, values = program(), environment()
    try:
        os.execve(path, ["ropejit", *arguments], values)
    except OSError as error:
        sys.exit(f"ropejit: {path}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main())
