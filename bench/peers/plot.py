#!/usr/bin/env python3
"""Plots of what run.py and ropejit_bench measured.

    python3 bench/peers/plot.py FILE.jsonl ... [--out bench/results/FOLDER] [--format svg|png]

Two for each shape: time over a copy of the same bytes against tokens, and bytes a second against size; a line a
contestant, the middle 80 % of samples of ropejit's as a band where the lines tell. And one of each for a layout, of
ropejit on all shapes. Reads JSON lines with cell, tokens, variant, us, floor_us and bytes; the shape is "shape" where a
line has it, else the cell's name without its tokens. With --shape it is that shape alone, and with --variants those
lines alone. Needs matplotlib.
"""

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import light_svg
import report


def shape_of(line):
    return line.get("shape") or re.sub(r"\s*\b(b|t|tokens)\s*=?\s*\d+\b", "", line["cell"]).strip()


def series(lines, key):
    """{key of a line: its lines by bytes}, of lines with times."""
    found = {}
    for line in lines:
        if "us" in line and line.get("floor_us"):
            found.setdefault(key(line), []).append(line)
    return {name: sorted(group, key=lambda line: line["bytes"]) for name, group in found.items()}


def rows(line):
    return line["tokens"] * line.get("batch", 1)


def draw(axes, groups, x, y, band=None):
    order = sorted(groups, key=lambda name: (name not in report.OURS, name))
    colours = plt.get_cmap("tab10" if len(order) <= 10 else "tab20").colors
    for i, name in enumerate(order):
        group, style = groups[name], {"color": colours[i % len(colours)], "ls": "-" if i < len(colours) else ":"}
        across = [x(line) for line in group]
        wide = 2.2 if name in report.OURS else 1.2
        axes.plot(across, [y(line) for line in group], marker="o", markersize=3, lw=wide, label=name, **style)
        if band and name in report.OURS and all("us_low" in line for line in group):
            low, high = ([band(line, key) for line in group] for key in ("us_low", "us_high"))
            axes.fill_between(across, low, high, color=style["color"], alpha=0.15, lw=0)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))


def over_copy(axes, groups, title):
    draw(axes, groups, rows, lambda line: line["us"] / line["floor_us"], lambda line, key: line[key] / line["floor_us"])
    axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel="time over a copy of the same bytes", title=title)
    ticks = [1, 1.02, 1.05, 1.1, 1.15, 1.25, 1.5, 2, 3, 5, 10, 20, 50]
    low, high = axes.get_ylim()
    shown = [tick for tick in ticks if low <= tick <= high]
    if high / low > 3:
        shown = [tick for tick in shown if tick not in (1.02, 1.05, 1.15)]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.axhline(1, color="black", lw=0.8, ls="--")


def throughput(axes, groups, title):
    floor = {}
    for group in groups.values():
        for line in group:
            floor[line["bytes"]] = {**line, "us": line["floor_us"]}
    groups = {**groups, "copy": [floor[size] for size in sorted(floor)]}
    draw(axes, groups, lambda line: line["bytes"] / 1e6, lambda line: line["bytes"] / line["us"] / 1e3)
    axes.set(xscale="log", xlabel="MB read and written", ylabel="GB/s", title=title)


def save(draw_one, groups, title, path):
    figure, axes = plt.subplots(figsize=(9, 4.5))
    draw_one(axes, groups, title)
    figure.tight_layout()
    figure.savefig(path)
    light_svg.lighten(path)
    plt.close(figure)
    print(path)


def file_name(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE.jsonl")
    parser.add_argument("--out", default=".", help="the folder (.)")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    parser.add_argument("--shape", metavar="NAME", help="this shape alone, and no plots of the layouts")
    parser.add_argument("--variants", metavar="NAME,...", help="these contestants alone")
    options = parser.parse_args()
    plt.rcParams.update(light_svg.SETTINGS)
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    lines = [line for name in options.files for line in report.read(name)]
    if options.variants is not None:
        unknown = set(options.variants.split(",")) - {line["variant"] for line in lines}
        if unknown:
            parser.error(f"--variants: found {', '.join(sorted(unknown))}, which no line has")
        lines = [line for line in lines if line["variant"] in options.variants.split(",")]
    kinds = (("over-copy", over_copy), ("throughput", throughput))
    shapes = series(lines, shape_of)
    if not shapes:
        parser.error(f"{', '.join(options.files)}: found no line with us and floor_us")
    if options.shape is not None and options.shape not in shapes:
        parser.error(f"--shape: found {options.shape}, allowed: {', '.join(shapes)}")
    if options.shape is not None:
        shapes = {options.shape: shapes[options.shape]}
    for shape, group in shapes.items():
        title = ", ".join([shape] + [group[0][key] for key in ("layout", "dtype", "placement") if key in group[0]])
        for kind, draw_one in kinds:
            path = out / f"{file_name(shape)}-{kind}.{options.format}"
            save(draw_one, series(group, lambda line: line["variant"]), title, path)
    ours = [line for line in lines if line["variant"] == report.OURS[0] and options.shape is None]
    for layout, group in series(ours, lambda line: line.get("layout", "all")).items():
        for kind, draw_one in kinds:
            path = out / f"layout-{file_name(layout)}-{kind}.{options.format}"
            save(draw_one, series(group, shape_of), f"ropejit, {layout}", path)


if __name__ == "__main__":
    main()
