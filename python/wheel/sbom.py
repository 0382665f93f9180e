"""Writes what the wheel has inside as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), for PEP 770: each library
that is linked in, and the compilers, with versions, hashes and licences. The same sources give the same bytes: there is
no time in it, and its serial number is made of its text.

    sbom.py SOURCES ZIG_VERSION NVRTC_VERSION OUTPUT    SOURCES: the folder of the source packages
"""

import hashlib
import json
import pathlib
import re
import sys
import uuid

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"llvm-toolchain-19": "LLVM Support", "fmtlib": "fmt", "libsodium": "libsodium"}


def source_components(sources):
    """The packages of sources.txt, in the versions that were found."""
    for line in (HERE / "sources.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        package, file, digest, licence = line.split(None, 3)
        found = sorted(sources.glob(f"{package}_*.dsc"))[-1].read_text()
        version = re.search(r"^Version: (\S+)$", found, re.MULTILINE)[1]
        patches = re.search(r"^ ([0-9a-f]{64}) \d+ (\S+\.debian\.tar\.xz)$", found, re.MULTILINE)
        yield {
            "type": "library",
            "bom-ref": package,
            "name": NAMES[package],
            "version": version,
            "licenses": [{"expression": licence}],
            "purl": f"pkg:deb/debian/{package}@{version}?arch=source",
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "properties": [
                {"name": "ropejit:upstream", "value": file},
                {"name": "ropejit:patches", "value": f"{patches[2]} {patches[1]}"},
            ],
        }


def boost_component():
    text = pathlib.Path("/usr/include/boost/version.hpp").read_text()
    version = re.search(r'BOOST_LIB_VERSION "(\S+)"', text)[1].replace("_", ".")
    return {
        "type": "library",
        "bom-ref": "boost",
        "name": "Boost.Multiprecision",
        "version": version,
        "licenses": [{"expression": "BSL-1.0"}],
        "purl": f"pkg:deb/debian/libboost-dev@{version}",
    }


def compiler_components(zig, nvrtc):
    digests = (HERE / "tools.txt").read_text().split(f"ziglang=={zig}", 1)[1].split("==", 1)[0]
    hashes = re.findall(r"sha256:([0-9a-f]{64})", digests)
    yield {
        "type": "library",
        "bom-ref": "libcxx",
        "name": "libc++, libc++abi, libunwind and compiler-rt of Zig",
        "version": zig,
        "licenses": [{"expression": "Apache-2.0 WITH LLVM-exception AND MIT"}],
        "purl": f"pkg:pypi/ziglang@{zig}",
        "properties": [{"name": "ropejit:allowed-sha256", "value": " ".join(hashes)}],
    }
    yield {
        "type": "application",
        "bom-ref": "nvrtc",
        "scope": "excluded",  # it has compiled the generic kernel's images, and is not inside
        "name": "NVRTC",
        "version": nvrtc,
    }


def main(sources, zig, nvrtc, output):
    version_line = (HERE.parents[1] / "include/ropejit/version.hpp").read_text()
    version = re.search(r'ROPEJIT_VERSION "([^"]+)"', version_line)[1]
    components = [*source_components(pathlib.Path(sources)), boost_component(), *compiler_components(zig, nvrtc)]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": "ropejit",
                "name": "ropejit",
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": components,
        "dependencies": [{"ref": "ropejit", "dependsOn": [part["bom-ref"] for part in components]}],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = uuid.UUID(bytes=digest[:16], version=4).urn
    pathlib.Path(output).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
