#!/usr/bin/env python3
"""The machine code of variants has the accesses that their names promise, and no local memory; that of prologues asks for
all it reads before it waits, and writes k a second time from what it read once.

usage: sass_test.py ROPEJIT    the command line program. Status 77 (skipped) without nvdisasm or NVRTC.
nvdisasm: ROPEJIT_NVDISASM, else the one in PATH. `./dev test` sees to it.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LLAMA = {"q": {"heads": 32, "head_dim": 128}, "k": {"heads": 8, "head_dim": 128}, "rotary_dim": 128}
QUARTER = {"q": {"heads": 16, "head_dim": 256}, "k": {"heads": 2, "head_dim": 256}, "rotary_dim": 64}

# Loads and stores of elements: {width in bytes: how many} over both operands' code. A thread of q reads min(h, heads)
# heads, of k too; of split halves two words each, of interleaved one.
CASES = [
    # spec, dtype, layout, flags, arch, variant, loads, stores
    (LLAMA, "bf16", "split_half", [], "sm_90", "flat_v4_h4_t128", {4: 16}, {4: 16}),
    (LLAMA, "bf16", "split_half", [], "sm_90", "flat_v8_h1_t256", {8: 4}, {8: 4}),
    (LLAMA, "bf16", "split_half", [], "sm_80", "flat_v16_h8_t128", {16: 32}, {16: 32}),
    (LLAMA, "bf16", "split_half", [], "sm_90", "lanes_v16_h2_t128", {16: 8}, {16: 8}),
    (LLAMA, "bf16", "split_half", [], "sm_90", "shared_v8_h2_t64", {8: 8}, {8: 8}),
    (LLAMA, "bf16", "split_half", [], "sm_90", "flat_v2_h2_t128", {2: 8}, {2: 8}),
    (LLAMA, "fp32", "interleaved", [], "sm_120", "flat_v16_h2_t64", {16: 4}, {16: 4}),
    (LLAMA, "bf16", "interleaved", [], "sm_90", "lanes_v16_h2_t64", {16: 4}, {16: 4}),
    (LLAMA, "bf16", "split_half", ["--out-of-place"], "sm_100", "flat_v32_h1_t128", {32: 4}, {32: 4}),
    (LLAMA, "bf16", "interleaved", [], "sm_120", "flat_v32_h2_t128", {32: 4}, {32: 4}),
    (LLAMA, "bf16", "split_half", [], "sm_90", "flat_v32_h1_t128", {16: 8}, {16: 8}),  # before sm_100: two accesses
    # In place the lanes that stay are neither read nor written. Out of place the threads of a token share out its 24
    # words of a head: of 16 heads among 64 threads, and of 2 among 8, each has six.
    (QUARTER, "bf16", "split_half", [], "sm_90", "flat_v8_h2_t128", {8: 8}, {8: 8}),
    (QUARTER, "bf16", "split_half", ["--out-of-place"], "sm_90", "flat_v8_h2_t128", {8: 8, 16: 12}, {8: 8, 16: 12}),
]

# In a short run one before sm_100, whose widest access is 16 bytes, and one from there on.
ARCHS = ("sm_90", "sm_120") if "ROPEJIT_TEST_SHORT" in os.environ else ("sm_80", "sm_90", "sm_100", "sm_120")

# Kernels with a norm, k and v to pages: arch and variant.
PROLOGUE = {"q": {"heads": 32, "head_dim": 128, "norm": {}}, "k": {"heads": 8, "head_dim": 128, "norm": {}},
            "v": {"heads": 8, "head_dim": 128}, "rotary_dim": 128}
PROLOGUES = [(arch, variant) for arch in ARCHS
             for variant in ("flat_v4_h1_t128", "flat_v8_h2_t128", "flat_v16_h1_t256")]

# What is written beside k's cache beyond what is written without: {width: stores} of a thread, and no load.
BESIDES = [(arch, variant, flags, more) for arch in ARCHS
           for variant, more in (("flat_v4_h1_t128", {4: 2}), ("flat_v8_h2_t128", {8: 4}))
           for flags in ([], ["--out-of-place"])]

# Prologues whose norms' statistics are given, without an exchange, and which hand them out: (what each norm says, flags,
# the accesses of 4 bytes that each head of a thread's q and k has beyond what it has without).
STATISTICS = [(arch, variant, *kind) for arch, variant in PROLOGUES if arch in ("sm_90", "sm_120")
              for kind in (({"statistic": "given"}, [], "LDG"), ({}, ["--norm-statistics"], "STG"))]

WIDTHS = {"U8": 1, "U16": 2, "": 4, "64": 8, "128": 16, "256": 32}


def accesses(sass, mnemonic):
    """{width: count} of loads that do not go through the read-only path, or of stores."""
    found = {}
    for words in re.findall(rf"\b{mnemonic}((?:\.\w+)*)", sass):
        parts = [part for part in words.split(".") if part]
        if "CONSTANT" in parts:
            continue
        width = next((part for part in parts if part in WIDTHS), "")
        found[WIDTHS[width]] = found.get(WIDTHS[width], 0) + 1
    return found


def loads_that_wait(sass):
    """Loads between the last shuffle of a row and what is stored of it: one latency after the other, where all could go at
    once. The assembler moves loads down behind a branch on a slot if it can."""
    late, since_shuffle, exchanged = 0, 0, False
    for mnemonic in re.findall(r"\b(LDG|SHFL|STG)\b", sass):
        if mnemonic == "SHFL":
            exchanged, since_shuffle = True, 0
        elif mnemonic == "LDG":
            since_shuffle += exchanged
        else:
            late += since_shuffle
            exchanged, since_shuffle = False, 0
    return late


KNOWN = {}  # of kernels that were compiled before: what several cases are held against


def compiled(program, nvdisasm, folder, shape, arch, variant, flags):
    """The machine code of a kernel, or an error's text; None where there is no compiler."""
    key = json.dumps([shape, arch, variant, flags])
    if key not in KNOWN:
        KNOWN[key] = compiled_anew(program, nvdisasm, folder, shape, arch, variant, flags)
    return KNOWN[key]


def compiled_anew(program, nvdisasm, folder, shape, arch, variant, flags):
    with tempfile.TemporaryDirectory(dir=folder) as out:
        spec = os.path.join(out, "spec.json")
        with open(spec, "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "rope_theta": 10000, **shape}, file)
        made = subprocess.run([program, "compile", "--model", spec, "--arch", arch, "--variant", variant, "--out", out,
                               *flags], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            return (None, "") if "libnvrtc" in made.stderr else ("", made.stderr.strip())
        (cubin,) = [os.path.join(out, name) for name in os.listdir(out) if name.endswith(".cubin")]
        return subprocess.run([nvdisasm, cubin], capture_output=True, text=True, check=True).stdout, ""


def main():
    program = os.path.abspath(sys.argv[1])
    nvdisasm = os.environ.get("ROPEJIT_NVDISASM") or shutil.which("nvdisasm")
    if not nvdisasm:
        print("skipped: no nvdisasm (ROPEJIT_NVDISASM, or in PATH)")
        return 77
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for shape, dtype, layout, flags, arch, variant, loads, stores in CASES:
            sass, problem = compiled(program, nvdisasm, folder, {"dtype": dtype, "layout": layout, **shape}, arch, variant,
                                     flags)
            if sass is None:
                print("skipped: no NVRTC")
                return 77
            found = accesses(sass, "LDG"), accesses(sass, "STG")
            local = re.findall(r"\b(?:LDL|STL)\b", sass)
            name = f"{variant} {dtype} {layout} {' '.join(flags)} for {arch}"
            if problem or found != (loads, stores) or local:
                print(f"{name}: {problem or f'loads {found[0]}, stores {found[1]}, local {len(local)}'}; wanted {loads}, "
                      f"{stores}, 0")
                failures += 1
        for arch, variant in PROLOGUES:
            sass, problem = compiled(program, nvdisasm, folder, {"dtype": "bf16", **PROLOGUE}, arch, variant, ["--prologue"])
            late, local = loads_that_wait(sass), len(re.findall(r"\b(?:LDL|STL)\b", sass))
            if problem or late or local or "SHFL" not in sass:
                print(f"{variant} of a prologue for {arch}: {problem or f'{late} loads wait for an exchange, local {local}'}")
                failures += 1
        for arch, variant, flags, more in BESIDES:
            shape = {"dtype": "bf16", **PROLOGUE}
            usual, _ = compiled(program, nvdisasm, folder, shape, arch, variant, ["--prologue", *flags])
            sass, problem = compiled(program, nvdisasm, folder, shape, arch, variant, ["--prologue", "--k-beside", *flags])
            stores, wanted = accesses(sass, "STG"), accesses(usual, "STG")
            for width, count in more.items():
                wanted[width] = wanted.get(width, 0) + count
            late, local = loads_that_wait(sass), len(re.findall(r"\b(?:LDL|STL)\b", sass))
            if problem or late or local or stores != wanted or accesses(sass, "LDG") != accesses(usual, "LDG"):
                found = f"loads {accesses(sass, 'LDG')}, {late} late, stores {stores}, local {local}"
                print(f"{variant} {' '.join(flags)} with k beside its cache for {arch}: {problem or found}; wanted loads "
                      f"{accesses(usual, 'LDG')}, 0 late, stores {wanted}, 0")
                failures += 1
        for arch, variant, norm, flags, more in STATISTICS:
            usual, _ = compiled(program, nvdisasm, folder, {"dtype": "bf16", **PROLOGUE}, arch, variant, ["--prologue"])
            shape = {"dtype": "bf16", **PROLOGUE, **{name: {**PROLOGUE[name], "norm": norm} for name in "qk"}}
            sass, problem = compiled(program, nvdisasm, folder, shape, arch, variant, ["--prologue", *flags])
            wanted = {mnemonic: accesses(usual, mnemonic) for mnemonic in ("LDG", "STG")}
            wanted[more][4] = wanted[more].get(4, 0) + 2 * int(re.search(r"_h(\d+)", variant)[1])
            found = {mnemonic: accesses(sass, mnemonic) for mnemonic in wanted}
            late, local = loads_that_wait(sass), len(re.findall(r"\b(?:LDL|STL)\b", sass))
            exchanges = "SHFL" in sass
            if problem or late or local or found != wanted or exchanges != (more == "STG"):
                print(f"{variant} with {norm} {' '.join(flags)} for {arch}: {problem or f'{found}, {late} late, local {local}'}"
                      f", exchanges {exchanges}; wanted {wanted}, 0 late, 0, {more == 'STG'}")
                failures += 1
    print(f"{len(CASES) + len(PROLOGUES) + len(BESIDES) + len(STATISTICS)} variants, {failures} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
