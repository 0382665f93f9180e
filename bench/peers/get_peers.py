#!/usr/bin/env python3
"""Gets the rivals that are packages of PyPI into build/peers.

    python3 bench/peers/get_peers.py [PART ...]

PART      of those listed by --list; all of them where none is named

Only wheels are taken, as pip gives them, and of each only the Python files of its kernel: nothing is compiled here.
None of it belongs to ropejit's repository: each part is under its authors' licence. What came from which wheel is noted
in build/peers/manifest.json. A part that cannot be had is named at the end, and the others serve.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "build/peers"


class Missing(Exception):
    pass


def take(wheel, folder, wanted):
    """Unpacks the members of a wheel whose names match `wanted` into `folder`, and raises Missing where none does."""
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.namelist() if re.fullmatch(wanted, member)]
        if not members:
            raise Missing(f"{pathlib.Path(wheel).name} has nothing like {wanted}")
        archive.extractall(folder, members)


def get(requirement, folder, wanted):
    """Downloads a wheel and takes from it; gives its name and version."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*command, "--dest", work, requirement], capture_output=True, text=True)
        wheels = list(pathlib.Path(work).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise Missing((done.stderr.strip().splitlines() or ["pip found nothing"])[-1])
        take(wheels[0], folder, wanted)
        return "-".join(wheels[0].name.split("-")[:2])


def liger(folder):
    source = get("liger-kernel", folder, r"liger_kernel/ops/rope\.py")
    shutil.move(folder / "liger_kernel/ops/rope.py", folder / "rope.py")
    shutil.rmtree(folder / "liger_kernel")
    return source


def fla(folder):
    wanted = r"fla/(modules/rotary|utils|ops/utils|backends)(/.*)?\.py|fla/[a-z_]+\.py"
    source = get("fla-core", folder, wanted)
    get("einops", folder, r"einops/(?!tests).*\.py")
    return source


PARTS = [liger, fla]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--list", action="store_true", help="names the parts")
    options = parser.parse_args()
    names = [part.__name__ for part in PARTS]
    if options.list:
        print("\n".join(names))
        return 0
    for name in options.parts:
        if name not in names:
            parser.error(f"PART: found {name}, allowed: {', '.join(names)}")

    OUT.mkdir(parents=True, exist_ok=True)
    manifest_file = OUT / "manifest.json"
    kept = json.loads(manifest_file.read_text())["parts"] if manifest_file.exists() else {}
    manifest = {"parts": {name: part for name, part in kept.items() if name in names}}
    missing = []
    for part in PARTS:
        name = part.__name__
        if options.parts and name not in options.parts:
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        manifest["parts"].pop(name, None)
        try:
            manifest["parts"][name] = {"source": part(folder)}
            print(f"{name}: {manifest['parts'][name]['source']}")
        except Missing as error:
            shutil.rmtree(folder)
            missing.append(name)
            print(f"{name}: {error}", file=sys.stderr)
        manifest_file.write_text(json.dumps(manifest, indent=1))
    if missing:
        print(f"not there: {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
