#!/usr/bin/env python3
"""Gets the rivals into build/peers, from PyPI and GitHub, and compiles the CUDA ones.

    python3 bench/peers/get_peers.py [--arch sm_90] [--git OWNER/NAME=FOLDER ...] [--files FOLDER] [PART ...]

--arch    the GPU that CUDA code is compiled for (sm_90; needs nvcc on the PATH or in CUDA_HOME)
--git     a git repository already here, used in place of GitHub
--files   a folder of files already here, FOLDER/OWNER/NAME/PATH, used in place of GitHub
PART      of those listed by --list; all of them where none is named

None of it belongs to ropejit's repository: each part is under its authors' licence. What came from where is noted in
build/peers/manifest.json. A part that cannot be had is named at the end, and the others serve.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "build/peers"

# Commits that bench/peers was written against.
COMMITS = {
    "Dao-AILab/flash-attention": "0251105a2fb19d2957484b7f023cd8c115286ced",
    "NVIDIA/TransformerEngine": "d0067d0da6cb01811b8072a7d304f0e00344ce2b",
    "ryankert01/rope-triton-kernel": "81b0acb90f8825af3d10f60f6661f20d3cfa7a37",
    "vllm-project/vllm": "1051220ee1cee87a829f35fc6faf4bd7a419aa13",
}


class Missing(Exception):
    pass


class Getter:
    def __init__(self, options):
        self.options = options
        self.git = dict(pair.split("=", 1) for pair in options.git)

    def wheel(self, requirement, folder, wanted):
        """Unpacks the members of a wheel whose names match `wanted` into `folder`; gives the wheel's name."""
        with tempfile.TemporaryDirectory() as work:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            done = subprocess.run([*command, "--dest", work, requirement], capture_output=True, text=True)
            wheels = list(pathlib.Path(work).glob("*.whl"))
            if done.returncode != 0 or not wheels:
                raise Missing((done.stderr.strip().splitlines() or ["pip found nothing"])[-1])
            with zipfile.ZipFile(wheels[0]) as archive:
                for member in archive.namelist():
                    if re.fullmatch(wanted, member):
                        archive.extract(member, folder)
            return "-".join(wheels[0].name.split("-")[:2])

    def github(self, repository, path):
        """The text of one file, and where it came from."""
        commit = COMMITS[repository]
        source = f"{repository}@{commit[:12]}"
        if repository in self.git:
            command = ["git", "-C", self.git[repository], "show", f"{commit}:{path}"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise Missing(done.stderr.strip())
            return done.stdout, source
        if self.options.files:
            local = pathlib.Path(self.options.files) / repository / path
            if local.exists():
                return local.read_text(), source
        address = f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.read().decode(), source
        except OSError as error:
            raise Missing(f"{address}: {error}") from error

    def compile(self, folder, name, includes=(), flags=()):
        home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
        nvcc = shutil.which("nvcc") or f"{home}/bin/nvcc"
        if not pathlib.Path(nvcc).exists():
            raise Missing("no nvcc")
        command = [nvcc, "-O3", "-std=c++20", f"-arch={self.options.arch}", "-Xcompiler=-fPIC", "-shared", *flags]
        command += [f"-I{include}" for include in includes]
        command += ["-o", str(folder / f"{name}.so"), str(HERE / "native" / f"{name}.cu")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr]
            raise Missing(f"nvcc: {errors[0]}")


def liger(getter, folder):
    source = getter.wheel("liger-kernel", folder, r"liger_kernel/ops/rope\.py")
    shutil.move(folder / "liger_kernel/ops/rope.py", folder / "rope.py")
    shutil.rmtree(folder / "liger_kernel")
    return source


def flash_attn(getter, folder):
    text, source = getter.github("Dao-AILab/flash-attention", "flash_attn/ops/triton/rotary.py")
    (folder / "rotary.py").write_text(text)
    return source


def fla(getter, folder):
    wanted = r"fla/(modules/rotary|utils|ops/utils|backends)(/.*)?\.py|fla/[a-z_]+\.py"
    source = getter.wheel("fla-core", folder, wanted)
    getter.wheel("einops", folder, r"einops/(?!tests).*\.py")
    return source


def rope_triton_kernel(getter, folder):
    text, source = getter.github("ryankert01/rope-triton-kernel", "rope_triton.py")
    (folder / "rope_triton.py").write_text(text)
    return source


def flashinfer(getter, folder):
    wanted = r"flashinfer/data/(include/flashinfer/[^/]*\.(h|cuh)|cccl/(libcudacxx/include|cub|thrust)/.*)"
    source = getter.wheel("flashinfer-python", folder, wanted)
    data = folder / "flashinfer/data"
    includes = [data / "include", data / "cccl/libcudacxx/include", data / "cccl/cub", data / "cccl/thrust"]
    getter.compile(folder, "flashinfer", includes, ["-use_fast_math", "-DNDEBUG"])  # as FlashInfer compiles it
    shutil.rmtree(folder / "flashinfer")
    return source


def cut(text, first, last):
    """From the line that begins with `first` up to the one that begins with `last`."""
    begin, end = text.find(f"\n{first}"), text.find(f"\n{last}")
    if begin < 0 or end < begin:
        raise Missing(f"the source no longer has {first!r} before {last!r}")
    return text[begin + 1 : end + 1]


def vllm(getter, folder):
    text, source = getter.github("vllm-project/vllm", "csrc/libtorch_stable/pos_encoding_kernels.cu")
    kernel = cut(text, "namespace vllm {", "}  // namespace vllm") + "}\n"
    (folder / "vllm_kernel.cuh").write_text(kernel)
    getter.compile(folder, "vllm", [folder])
    return source


def transformer_engine(getter, folder):
    text, source = getter.github("NVIDIA/TransformerEngine", "transformer_engine/common/fused_rope/fused_rope.cu")
    block = "template <typename scalar_t>\n__device__ void fused_rope_block_forward"
    kernel = "template <typename scalar_t>\n__global__ void fused_rope_forward_kernel"
    text = cut(text, block, "template <typename scalar_t>\n__device__ void fused_rope_block_backward") + cut(
        text, kernel, "template <typename scalar_t>\n__global__ void fused_rope_backward_kernel"
    )
    (folder / "transformer_engine_kernel.cuh").write_text(text)
    getter.compile(folder, "transformer_engine", [folder])
    return source


PARTS = [liger, flash_attn, fla, rope_triton_kernel, flashinfer, vllm, transformer_engine]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--git", action="append", default=[], metavar="OWNER/NAME=FOLDER")
    parser.add_argument("--files", metavar="FOLDER")
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
    manifest = json.loads(manifest_file.read_text()) if manifest_file.exists() else {"parts": {}}
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
            manifest["parts"][name] = {"source": part(Getter(options), folder), "arch": options.arch}
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
