#!/usr/bin/env python3
"""A whole deployment on the host target: warmed in parts, merged, exported, imported, made read-only; then served by
frozen processes that find no compiler, no NVRTC and no home, and where possible run as nobody.

Usage: deployment_test.py ROPEJIT
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROGRAM = pathlib.Path(sys.argv[1]).resolve()

MANIFEST = {
    "schema": 1,
    "models": [
        {"name": "plain", "ropes": [{"rotary_dim": 32, "q": {"heads": 4, "head_dim": 32}, "k": {"heads": 2, "head_dim": 32}}]},
        {"name": "by length", "ropes": [{"rotary_dim": 16, "q": {"heads": 2, "head_dim": 16},
                                         "rope_scaling": {"rope_type": "dynamic", "factor": 2.0,
                                                          "max_position_embeddings": 64}}]},
    ],
    "dtypes": ["bf16"],
    "forms": ["plain", {"placement": "out_of_place", "angles": "half"}],
}
SPEC = {"schema": 1, "dtype": "bf16", "rotary_dim": 32, "q": {"heads": 4, "head_dim": 32}, "k": {"heads": 2, "head_dim": 32}}


def run(*words, status=0, environment=None, program=PROGRAM, **options):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=300,
                          env=environment or CLEAN, **options)
    if done.returncode != status:
        sys.exit(f"{words}: ended with {done.returncode}, wanted {status}\n{done.stdout}\n{done.stderr}")
    return done


def shape_of(folder):
    """Every file with its bytes and times."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
            for path in sorted(folder.rglob("*"))}


def somebody_else(root):
    """A copy of the program that others may run, and how to run it as nobody; as whoever this is, where it must be."""
    program = shutil.copy(PROGRAM, root / "ropejit")
    options = {"cwd": "/"}
    if os.geteuid() == 0:
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        try:
            if subprocess.run([program, "--version"], capture_output=True, **nobody).returncode == 0:
                options.update(nobody)
        except OSError:  # no right to become another, or the folder is not to be entered by others
            pass
    return {"program": program, **options}


def require(truth, what):
    if not truth:
        sys.exit(what)


# What the compiler of the build stage needs, without this user's own settings.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("ROPEJIT_")}


def main():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        manifest = root / "manifest.json"
        manifest.write_text(json.dumps(MANIFEST), encoding="utf-8")
        spec = root / "spec.json"
        spec.write_text(json.dumps(SPEC), encoding="utf-8")
        told = ("--manifest", manifest, "--arch", "host")

        # The build stage: one run, and two parts on two machines that are merged.
        run("warm", *told, "--out", root / "whole")
        merged = root / "merged"
        for part in ("1/2", "2/2"):
            out = root / f"part{part[0]}"
            run("warm", *told, "--shard", part, "--out", out)
            run("check", *told, "--cache-dir", out, status=1)
            run("cache", "export", "--cache-dir", out, "--out", root / "part.rjb")
            run("cache", "import", root / "part.rjb", "--cache-dir", merged)
        for cache in ("whole", "merged"):
            run("check", *told, "--cache-dir", root / cache)
            run("cache", "export", "--cache-dir", root / cache, "--out", root / f"{cache}.rjb")
        require((root / "whole.rjb").read_bytes() == (root / "merged.rjb").read_bytes(),
                "two parts merged are other bytes than one run")

        # The run stage: a bundle, and a directory that nobody may write to.
        bundle, image = root / "whole.rjb", root / "image"
        run("cache", "import", bundle, "--cache-dir", image)
        bundle.chmod(0o444)
        for path in [image, *image.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = shape_of(image)
        other = somebody_else(root)
        for place in (bundle, image):
            frozen = {"PATH": "/nonexistent", "ROPEJIT_NVRTC": "/nonexistent", "ROPEJIT_FROZEN": "1",
                      "ROPEJIT_CACHE_PATH": str(place)}
            done = run("check", *told, "--serve", "host", "--json", environment=frozen, **other)
            report = json.loads(done.stdout)
            require(report["complete"] and report["serve"]["served"] == report["plans"] >= 5, done.stdout)
            done = run("run", "--model", spec, "--device", "host", "--tokens", "64", "--json", environment=frozen,
                       **other)
            report_of_run = json.loads(done.stdout)
            require(report_of_run["verified"] and report_of_run["cache"] == "shared", done.stdout)
            # What nobody warmed is refused, and the refusal says what to do.
            refused = run("run", "--model", spec, "--device", "host", "--tokens", "64", "--positions", "ids32", status=1,
                          environment=frozen, **other)
            require("ropejit warm --recorded" in refused.stderr, refused.stderr)
        require(shape_of(image) == before, "serving changed the directory")
        who = "as nobody" if "user" in other else "as this user"
        print(f"{report['plans']} plans, {report['entries']} binaries: served frozen {who} from a bundle and from a directory")


if __name__ == "__main__":
    main()
