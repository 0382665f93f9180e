#!/usr/bin/env python3
"""Every cell of a run of ropejit_bench with --variants default, as Markdown.

    python3 bench/grid_table.py FILE.jsonl ... [--after TRIALS.jsonl]

Prints what the records were made with, a summary by size class (without cells that read a caller's table), and a row
for each case with the time of its default variant over the floor at each token count. In bold: over the limit of the
cell's size class, as the report of ropejit_bench has it.

TRIALS.jsonl is what ropejit_bench --trials writes (a line a cell: the median of every copy and candidate when it was
tried). With it, a second table: those cells as the records have them, and the fastest candidate of the trials over the
fastest copy.
"""

import argparse
import json
import pathlib
import re
import statistics

# bench/size_class.hpp: name, more bytes than this, at most so many times the floor.
SIZE_CLASSES = (("below 5 MB", 0, 1.08), ("5 to 150 MB", 5_000_000, 1.05), ("above 150 MB", 150_000_000, 1.02))
LAYOUTS = ("split_half", "interleaved", "to_split")
OURS = re.compile(r"(flat|lanes|shared)_")


def read(paths):
    return [json.loads(line) for path in paths for line in pathlib.Path(path).read_text().splitlines() if line]


def size_class(size):
    return [each for each in SIZE_CLASSES if size > each[1]][-1]


def meets(ratio, limit):
    return ratio < limit + 0.0005  # to three digits


def ratio_text(ratio, limit):
    return f"{ratio:.3f}" if meets(ratio, limit) else f"**{ratio:.3f}**"


def by_cell(records):
    """{(cell, tokens): the record of its default variant}; of several the fastest over its floor."""
    found = {}
    for record in records:
        key = record["cell"], record["tokens"]
        if record["default"] and (key not in found or record["ratio"] < found[key]["ratio"]):
            found[key] = record
    return found


def case_order(name):
    """Shapes by their numbers, then layouts, dtypes and placements."""
    shape, layout, *rest = re.split(f"-({'|'.join(LAYOUTS)})-", name)
    return [int(number) for number in re.findall(r"\d+", shape)], LAYOUTS.index(layout), rest


def print_environment(records):
    machines = {
        f"{r['gpu']} ({r['arch']}), driver {r['driver']}, {r['nvrtc']}, ropejit {r['version']}, {r['date']}"
        for r in records
    }
    commands = {re.sub(r"(?<=\s)/\S*/", "", record["command"]) for record in records}  # files by their names
    print("\n".join(sorted(machines)) + "\n")
    print("\n".join(f"    {command}" for command in sorted(commands)))


def print_summary(cells):
    print("\n### By size class, without cells that read a table\n")
    print("| | limit | cells | within | median | 90th percentile | worst | the worst, at tokens |")
    print("|---" * 8 + "|")
    plain = [record for record in cells.values() if not record["cell"].endswith("-table")]
    for name, _, limit in SIZE_CLASSES:
        group = [record for record in plain if size_class(record["bytes"])[0] == name]
        if len(group) < 2:
            continue
        ratios = [record["ratio"] for record in group]
        worst = max(group, key=lambda record: record["ratio"])
        print(
            f"| {name} | {limit} | {len(group):,} | {sum(meets(ratio, limit) for ratio in ratios):,} | "
            f"{statistics.median(ratios):.3f} | {statistics.quantiles(ratios, n=10, method='inclusive')[8]:.3f} | "
            f"{worst['ratio']:.3f} | {worst['cell']} at {worst['tokens']:,} |"
        )


def print_grid(cells):
    counts = sorted({tokens for _, tokens in cells})
    print("\n### Time of the default variant over the floor, by tokens\n")
    print("| case | " + " | ".join(f"{tokens:,}" for tokens in counts) + " |")
    print("|---" * (len(counts) + 1) + "|")
    for case in sorted({case for case, _ in cells}, key=case_order):
        row = []
        for tokens in counts:
            record = cells.get((case, tokens))
            row.append(ratio_text(record["ratio"], size_class(record["bytes"])[2]) if record else "-")
        print(f"| {case} | " + " | ".join(row) + " |")


def fastest_of_trials(times):
    """The fastest candidate, the fastest copy: the rows of a strided tensor alone where there are such copies."""
    ours = {name: us for name, us in times.items() if OURS.match(name)}
    copies = {name: us for name, us in times.items() if name not in ours}
    rows = {name: us for name, us in copies.items() if name.startswith("rows_")}
    copies = rows or copies
    return min(ours, key=ours.get), min(copies, key=copies.get)


def print_after(cells, trials):
    print("\n### Some cells after the two changes\n")
    print(
        "| cell | tokens | before: default | us | / floor | after: fastest candidate | us | fastest copy | us "
        "| candidate / copy | former default, us | / copy |"
    )
    print("|---" * 12 + "|")
    for trial in trials:
        record, times = cells[trial["cell"], trial["tokens"]], trial["us"]
        best, copy = fastest_of_trials(times)
        limit = size_class(record["bytes"])[2]
        former = times.get(record["variant"])
        former_text = f"{former:.2f} | {former / times[copy]:.3f}" if former else "- | -"
        print(
            f"| {trial['cell']} | {trial['tokens']:,} | {record['variant']} | {record['us']:.2f} | "
            f"{ratio_text(record['ratio'], limit)} | {best} | {times[best]:.2f} | {copy} | {times[copy]:.2f} | "
            f"{ratio_text(times[best] / times[copy], limit)} | {former_text} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE.jsonl")
    parser.add_argument("--after", metavar="TRIALS.jsonl", help="trials of some of the cells after a change")
    options = parser.parse_args()
    records = read(options.files)
    cells = by_cell(records)
    if not cells:
        parser.error(f"{', '.join(options.files)}: found no record of a default variant")
    print_environment(records)
    print_summary(cells)
    print_grid(cells)
    if options.after:
        print_after(cells, read([options.after]))


if __name__ == "__main__":
    main()
