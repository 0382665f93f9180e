"""Reads lines of run.py, and makes its tables."""

import contextlib
import json
import pathlib

OURS = ("ropejit", "ropejit_table")


def read(path):
    """The lines of contestants; of a cell that was run again, the last. Lines of ropejit_bench come as "ropejit" (what
    serves untuned) and "ropejit, tuned" (the fastest variant)."""
    lines, bench = {}, {}
    for text in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # the last line of a run that was killed
            line = json.loads(text)
            if "default" in line:
                bench[line["cell"], line["tokens"], line.get("l2"), line["variant"]] = line
            elif "cell" in line:
                lines[line["cell"], line["variant"]] = line
    return list(lines.values()) + _of_bench(bench)


def _of_bench(bench):
    cells = {}
    for (cell, tokens, l2, _), line in bench.items():
        cells.setdefault((cell, tokens, l2), []).append(line)
    made = []
    for (cell, tokens, l2), variants in cells.items():
        named = {OURS[0]: line for line in variants if line["default"]}
        named["ropejit, tuned"] = min(variants, key=lambda line: line["us"])
        for name, line in named.items():
            parts = cell.split("-")  # 32-8-128-split-bf16-in
            common = {"cell": f"{cell} t{tokens} {l2}", "shape": cell, "variant": name}
            common["layout"] = parts[3] if len(parts) > 3 else "all"
            with contextlib.suppress(KeyError):
                common |= {"us_low": line["lower_us"], "us_high": line["upper_us"]}
            made.append({**line, **common})
    return made


def by_cell(lines):
    """{cell: {variant: line}}, in the order of the lines."""
    cells = {}
    for line in lines:
        cells.setdefault(line["cell"], {})[line["variant"]] = line
    return cells


def best_rival(variants):
    """The line of the fastest rival, None where there is none."""
    timed = [line for name, line in variants.items() if name not in OURS and "us" in line]
    return min(timed, key=lambda line: line["us"], default=None)


def ratio(line):
    return "" if line is None or "us" not in line else f"{line['us'] / line['floor_us']:.2f}"


def table(lines):
    rows = ["", "| cell | MB | floor us | ours | spread | ours, table | best rival | which | rival/ours |"]
    rows.append("|---" * 9 + "|")
    failures, host = [], {}
    for cell, variants in by_cell(lines).items():
        mine, rival = variants.get("ropejit"), best_rival(variants)
        for line in variants.values():
            if "failed" in line:
                failures.append(f"{cell}: {line['variant']}: {line['failed']}")
            if "host_us" in line:
                host.setdefault(line["variant"], []).append(line["host_us"])
        if mine is None or "us" not in mine:
            continue
        spread = f"{100 * (mine['us_high'] - mine['us_low']) / mine['us']:.0f} %"
        times = "" if rival is None else f"{rival['us'] / mine['us']:.2f}"
        which = "" if rival is None else rival["variant"]
        values = [cell, f"{mine['bytes'] / 1e6:.1f}", f"{mine['floor_us']:.2f}", ratio(mine), spread]
        values += [ratio(variants.get("ropejit_table")), ratio(rival), which, times]
        rows.append("| " + " | ".join(values) + " |")
    text = "\n".join(rows) if len(rows) > 3 else ""
    if host:
        text += "\n\ncaller's thread, us a call (least to most over the cells of up to 64 tokens)\n"
        text += "\n".join(f"  {name}: {min(found):.2f} to {max(found):.2f}" for name, found in host.items())
    checked = sum("error" in line and "failed" not in line for line in lines)
    text += f"\n\n{checked} checks passed, {len(failures)} contestants failed"
    return text + "".join(f"\n  {failure}" for failure in failures)
