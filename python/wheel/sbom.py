"""Writes what the wheel has inside as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), for PEP 770: each library
that is linked in, and the compilers, with versions, hashes and licences. The same sources give the same bytes: there is
no time in it, and its serial number is made of its text.

    sbom.py SOURCES ZIG_VERSION NVRTC_VERSION OUTPUT    SOURCES: the folder of the source packages
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse
import uuid

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"llvm-toolchain-19": "LLVM Support", "fmtlib": "fmt", "libsodium": "libsodium"}
UNPATCHED = {"llvm-toolchain-19"}  # dependencies.sh takes upstream's file alone


def debian_url(package, version, **qualifiers):
    """A package URL (https://github.com/package-url/purl-spec) of Debian's."""
    rest = "&".join(f"{name}={value}" for name, value in sorted(qualifiers.items()))
    return f"pkg:deb/debian/{package}@{urllib.parse.quote(version, safe='~')}" + (f"?{rest}" if rest else "")


def source_components(sources):
    """The packages of sources.txt, in the versions that were found."""
    for line in (HERE / "sources.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        package, file, digest, licence = line.split(None, 3)
        (found,) = sources.glob(f"{package}_*.dsc")
        text = found.read_text()
        version = re.search(r"^Version: (\S+)$", text, re.MULTILINE)[1]
        properties = [{"name": "ropejit:upstream-file", "value": file}]
        if package in UNPATCHED:
            version = re.sub(r"^\d+:|[-+].*$", "", version)
            url = f"pkg:generic/{package}@{version}"
        else:
            patches = re.search(r"^ ([0-9a-f]{64}) \d+ (\S+\.debian\.tar\.xz)$", text, re.MULTILINE)
            properties.append({"name": "ropejit:patches", "value": f"{patches[2]} sha256:{patches[1]}"})
            url = debian_url(package, version, arch="source")
        yield {
            "type": "library",
            "bom-ref": package,
            "name": NAMES[package],
            "version": version,
            "licenses": [{"expression": licence}],
            "purl": url,
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "properties": properties,
        }


def boost_component():
    """The package that the headers are of."""
    asked = ["dpkg-query", "--search", "/usr/include/boost/version.hpp"]
    package = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.partition(":")[0]
    asked = ["dpkg-query", "--show", "--showformat=${Version}", package]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return {
        "type": "library",
        "bom-ref": "boost",
        "name": "Boost.Multiprecision",
        "version": version,
        "licenses": [{"expression": "BSL-1.0"}],
        "purl": debian_url(package, version),
    }


def runtime_component(zig):
    """libc++ and what goes with it, compiled out of the package of the compiler."""
    import ziglang

    compiler = pathlib.Path(ziglang.__file__).with_name("zig")
    return {
        "type": "library",
        "bom-ref": "libcxx",
        "name": "libc++, libc++abi, libunwind and compiler-rt of Zig",
        "version": zig,
        "licenses": [{"expression": "Apache-2.0 WITH LLVM-exception AND MIT"}],
        "purl": f"pkg:pypi/ziglang@{zig}",
        "properties": [{"name": "ropejit:compiler-sha256", "value": hashlib.sha256(compiler.read_bytes()).hexdigest()}],
    }


def main(sources, zig, nvrtc, output):
    version_line = (HERE.parents[1] / "include/ropejit/version.hpp").read_text()
    version = re.search(r'ROPEJIT_VERSION "([^"]+)"', version_line)[1]
    components = [*source_components(pathlib.Path(sources)), boost_component(), runtime_component(zig)]
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
            },
            # It has compiled the generic kernel's images, and is not inside.
            "properties": [{"name": "ropejit:nvrtc", "value": nvrtc}],
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
