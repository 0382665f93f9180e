"""Reads a finished wheel, and fails where it is not what its name promises: symbol versions of every binary, what they
need and export, what must be inside; then asks auditwheel and abi3audit, where this Python has them.

    inspect_wheel.py WHEEL
"""

import base64
import csv
import hashlib
import importlib.util
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

# What a machine has beside the C library's own files: nothing.
NEEDED = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"}
NOTICES = ("blake3", "glibc", "libboost", "libcxx", "libcxxabi", "libfmt", "libsodium", "libunwind", "llvm", "zig")
INSIDE = (
    "ropejit/_native.abi3.so",
    r"ropejit/libropejit\.so\.\d+\.\d+",
    "ropejit/ropejit.h",
    "ropejit/bin/ropejit",
    "ropejit/py.typed",
    "ropejit/records/h200.jsonl",
    "ropejit/manifests/all.json",
    "ropejit_cli.py",
    r"ropejit-[^/]+\.dist-info/entry_points.txt",
    r"ropejit-[^/]+\.dist-info/licenses/LICENSE",
    *(rf"ropejit-[^/]+\.dist-info/licenses/linked-in/{name}\.txt" for name in NOTICES),
    r"ropejit-[^/]+\.dist-info/sboms/ropejit\.cdx\.json",
)


def version_of(text):
    return tuple(int(word) for word in text.split("."))


def readelf(option, path):
    done = subprocess.run(["readelf", "--wide", option, path], capture_output=True, text=True, check=True)
    return done.stdout


def highest_versions(path):
    """{"GLIBC": "2.27"}: of each family of symbol versions the highest that the file needs."""
    found = {}
    for name in re.findall(r"Name: (\S+)  Flags:", readelf("--version-info", path)):
        family, _, version = name.rpartition("_")
        if not re.fullmatch(r"\d+(\.\d+)*", version):  # GLIBC_PRIVATE, GLIBC_ABI_DT_RELR
            family, version = name, "0"
        found[family] = max(found.get(family, "0"), version, key=version_of)
    return found


def exports(path):
    """The names that others can link to."""
    rows = (line.split() for line in readelf("--dyn-syms", path).splitlines())
    return {row[7].partition("@")[0] for row in rows if len(row) > 7 and row[0].endswith(":") and row[6].isdecimal()}


def problems_of_binary(name, path, most):
    """What is wrong with one, after a line that says what it asks for."""
    dynamic = readelf("--dynamic", path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    run_paths = [part for found in re.findall(r"\(R(?:UN)?PATH\).*\[(.*)\]", dynamic) for part in found.split(":")]
    highest = highest_versions(path)
    words = ", ".join(f"{family}_{version}" for family, version in sorted(highest.items()))
    print(f"{name}: {path.stat().st_size:,} bytes; highest symbol versions {words}; needs {', '.join(needed)}")
    others = sorted(set(highest) - {"GLIBC"})
    if others:
        yield f"found symbols of {', '.join(others)}, allowed: of GLIBC"
    if version_of(highest.get("GLIBC", "0")) > most:
        yield f"found GLIBC_{highest['GLIBC']}, allowed: up to {'.'.join(map(str, most))}"
    if "DYN" not in re.search(r"Type: *(\w+)", readelf("--file-header", path))[1]:
        yield "found code for one address, allowed: position-independent code"
    if "TEXTREL" in dynamic:
        yield "found text relocations, allowed: none"
    allowed = NEEDED | ({"libropejit.so.0.1"} if "_native" in name else set())
    if set(needed) - allowed:
        yield f"found that it needs {', '.join(sorted(set(needed) - allowed))}, allowed: the C library's"
    if set(run_paths) - {"$ORIGIN"}:
        yield f"found the run path {':'.join(run_paths)}, allowed: $ORIGIN"
    seen = exports(path) if ".so" in name else set()
    strangers = sorted(symbol for symbol in seen if not symbol.startswith(("ropejit_", "PyInit_")))
    if strangers:
        yield f"found {len(strangers)} exported names such as {strangers[0]}, allowed: ropejit_... and PyInit_..."


def problems_of_record(wheel):
    """RECORD says the hash of every file but itself."""
    record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(wheel.read(record).decode()))}
    for name in sorted(set(rows) - set(wheel.namelist())):
        yield f"{name}: in RECORD, and not inside"
    for name in wheel.namelist():
        if name in (record, "/") or name.endswith("/"):
            continue
        digest = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest()).rstrip(b"=").decode()
        if rows.get(name) != f"sha256={digest}":
            yield f"{name}: RECORD has {rows.get(name)}, its hash is sha256={digest}"


def problems(path):
    tag = re.fullmatch(r"ropejit-[^-]+-cp310-abi3-manylinux_(\d+)_(\d+)_x86_64\.whl", path.name)
    if not tag:
        return [f"found {path.name}, allowed: ropejit-VERSION-cp310-abi3-manylinux_X_Y_x86_64.whl"]
    found = []
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as folder:
        names = wheel.namelist()
        for wanted in INSIDE:
            if not any(re.fullmatch(wanted, name) for name in names):
                found.append(f"{wanted}: not inside")
        for name in names:
            if "/bin/" in name and not wheel.getinfo(name).external_attr >> 16 & 0o111:
                found.append(f"{name}: found no right to execute it")
            data = wheel.read(name)
            if data[:4] == b"\x7fELF":
                binary = pathlib.Path(folder) / "binary"
                binary.write_bytes(data)
                found += [f"{name}: {what}" for what in problems_of_binary(name, binary, (int(tag[1]), int(tag[2])))]
        metadata = wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
        for line in re.findall(r"^Requires-Dist: .*$", metadata, re.MULTILINE):
            if "extra ==" not in line:
                found.append(f"METADATA: found {line}, allowed: extras alone")
        found += problems_of_record(wheel)
    return found


def judged(tool, arguments, passes):
    """Nothing where a tool ran well and `passes` what it said, or is not there; else what is wrong."""
    if importlib.util.find_spec(tool) is None:
        print(f"{tool}: not asked, since this Python has none")
        return []
    done = subprocess.run([sys.executable, "-m", tool, *arguments], capture_output=True, text=True)
    said = " ".join((done.stdout + done.stderr).split())
    print(f"{tool}: {said}")
    return [] if done.returncode == 0 and passes(said) else [f"{tool} does not agree"]


def is_older_or_same(said, most):
    """auditwheel names the oldest platform that the wheel is good for."""
    found = re.search(r'platform tag: "manylinux_(\d+)_(\d+)_x86_64"', said)
    return found is not None and (int(found[1]), int(found[2])) <= most


def main(path):
    print(f"{path.name}: {path.stat().st_size:,} bytes")
    found = problems(path)
    if not found:
        most = tuple(map(int, re.search(r"manylinux_(\d+)_(\d+)", path.name).groups()))
        found += judged("auditwheel", ["show", str(path)], lambda said: is_older_or_same(said, most))
        found += judged("abi3audit", ["--strict", "--verbose", str(path)], lambda said: "0 ABI version mismatches" in said)
    for line in found:
        print(f"wrong: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
