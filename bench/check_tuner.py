#!/usr/bin/env python3
"""How good the tuner's choices are, and how steady: tunes thirty cells twice, looks through the whole legal space for
the best of each, and times it beside what the tuner chose again.

Usage: check_tuner.py --bin DIR --out FILE [--device NAME] [--cases N]

DIR holds ropejit and ropejit_bench. FILE gets a table in Markdown.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

TOKENS = [1, 64, 256, 1024, 16384]
# q heads, k heads, head dim, rotary dim, layout, dtype, placement: names as ropejit_bench has them.
CASES = [
    (32, 8, 128, 128, "split_half", "bf16", "in"),
    (64, 8, 128, 128, "interleaved", "bf16", "in"),
    (28, 4, 128, 128, "split_half", "fp32", "out"),
    (71, 1, 64, 64, "split_half", "fp16", "in"),
    (16, 2, 256, 64, "split_half", "bf16", "out"),
    (1, 0, 1024, 1024, "split_half", "bf16", "in"),
]


def run(words):
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode not in (0,):
        sys.exit(f"{' '.join(words)}\n{result.stdout}{result.stderr}")
    return result.stdout


def name_of(case):
    q, k, head_dim, rotary, layout, dtype, placement = case
    lanes = "" if rotary == head_dim else f"r{rotary}"
    return f"{q}-{k}-{head_dim}{lanes}-{layout}-{dtype}-{placement}"


def spec_of(case):
    q, k, head_dim, rotary, layout, dtype, _ = case
    spec = {"schema": 1, "dtype": dtype, "layout": layout, "rope_theta": 10000, "rotary_dim": rotary,
            "q": {"heads": q, "head_dim": head_dim}}
    if k:
        spec["k"] = {"heads": k, "head_dim": head_dim}
    return spec


def sweep(programs, device, case, variants, work):
    """Medians in microseconds by (tokens, variant)."""
    path = work / "sweep.jsonl"
    path.unlink(missing_ok=True)
    run([str(programs / "ropejit_bench"), "--set", "full", "--cell", name_of(case), "--tokens",
         ",".join(map(str, TOKENS)), "--variants", variants, "--resume", str(path)] + device)
    found = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        found[(record["tokens"], record["variant"])] = record["us"]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--device")
    parser.add_argument("--cases", type=int, default=len(CASES))
    given = parser.parse_args()
    device = ["--device", given.device] if given.device else []
    work = pathlib.Path(tempfile.mkdtemp())
    rows = []
    for case in CASES[:given.cases]:
        spec = work / "spec.json"
        spec.write_text(json.dumps(spec_of(case)))
        place = ["--out-of-place"] if case[-1] == "out" else []
        runs = []
        for number in (1, 2):
            records = work / f"{name_of(case)}-{number}.jsonl"
            run([str(given.bin / "ropejit"), "tune", "--model", str(spec), "--tokens", ",".join(map(str, TOKENS)),
                 "--records", str(records), "--cache-dir", str(work / "cache")] + place + device)
            runs.append({r["tokens"]: r["variant"] for r in map(json.loads, records.read_text().splitlines())})
        chosen, second = runs
        space = sweep(given.bin, device, case, "all", work)
        best = {}
        for tokens in TOKENS:
            best[tokens] = min((us, variant) for (t, variant), us in space.items() if t == tokens)[1]
        again = sweep(given.bin, device, case, ",".join(sorted(set(chosen.values()) | set(second.values()) | set(best.values()))), work)
        for tokens in TOKENS:
            ratio = again[(tokens, chosen[tokens])] / again[(tokens, best[tokens])]
            other = again[(tokens, second[tokens])] / again[(tokens, best[tokens])]
            rows.append((ratio, name_of(case), tokens, chosen[tokens], best[tokens], second[tokens], other))
        print(f"{name_of(case)}: done", file=sys.stderr, flush=True)
    lines = ["| cell | tokens | tuned | best of the whole space | tuned / best | tuned again | / best |",
             "|---|---|---|---|---|---|---|"]
    for ratio, name, tokens, tuned, best, second, other in sorted(rows, reverse=True):
        again = f"{second} | {other:.3f}" if second != tuned else "the same |"
        lines.append(f"| {name} | {tokens:,} | {tuned} | {best} | {ratio:.3f} | {again} |")
    ratios = [row[0] for row in rows]
    within = sum(ratio <= 1.02 for ratio in ratios)
    lines += ["", f"{within} of {len(rows)} cells within 2 %, worst {max(ratios):.3f}, "
                  f"median {statistics.median(ratios):.3f}; two runs chose the same in "
                  f"{sum(row[3] == row[5] for row in rows)}"]
    given.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
