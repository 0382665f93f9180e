#!/usr/bin/env python3
"""How far untuned defaults are from the best variant: a plot and a table.

    python3 bench/plot_tuning.py REPORT.md OUT.svg OUT.md

REPORT.md is what ropejit_bench report prints of a run with --variants best. The plot has a dot a cell: time of the
default over that of the best against the bytes a launch moves. Needs matplotlib.
"""

import argparse
import pathlib
import re
import shlex
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import light_svg

DEFAULT_LIMIT = 1.15  # bench/size_class.hpp: an untuned default is to come this close to the best variant
TIE = 1.012  # src/tune/search.hpp: nearer than this the tuner takes two variants for equals


def read(path):
    """{size class: its cells}, a cell as {column: text}; several columns of one name keep the last."""
    classes, cells, columns = {}, None, None
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("#"):
            heading = re.match(r"### (.*): at most [\d.]+ of the floor$", line)
            cells, columns = (classes.setdefault(heading[1], []) if heading else None), None
        elif cells is not None and line.startswith("|"):
            values = [value.strip().strip("*") for value in line.strip("|\n").split("|")]
            if columns is None:
                columns = values
            elif not values[0].startswith("---"):
                cells.append(dict(zip(columns, values)))
    return classes


def over_best(cell):
    return float(cell["default / best"])


def draw(classes, path):
    plt.rcParams.update(light_svg.SETTINGS)
    figure, axes = plt.subplots(figsize=(9, 4.5))
    for colour, (name, cells) in zip(plt.get_cmap("tab10").colors, classes.items()):
        sizes = [float(cell["MB"]) for cell in cells]
        ratios = [over_best(cell) for cell in cells]
        axes.plot(sizes, ratios, "o", markersize=4.5, alpha=0.7, mew=0, color=colour, label=name)
    axes.axhline(1, color="black", lw=0.8, ls="--")
    axes.axhline(DEFAULT_LIMIT, color="black", lw=0.8, ls=":", label=f"limit of the default, {DEFAULT_LIMIT}")
    top = max(1.2, 1.02 * max(over_best(cell) for cells in classes.values() for cell in cells))
    axes.set(xscale="log", ylim=(0.99, top), xlabel="MB read and written", ylabel="default / best",
             title="time of the untuned default over that of the best variant")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    figure.savefig(path)
    light_svg.lighten(path)
    plt.close(figure)


def table(classes):
    text = "| | cells | median | 90th percentile | worst | the worst, at tokens | default within 1.2 % of the best |\n"
    text += "|---|---|---|---|---|---|---|\n"
    everything = [cell for cells in classes.values() for cell in cells]
    for name, cells in [*classes.items(), ("all", everything)]:
        ratios = [over_best(cell) for cell in cells]
        worst = max(cells, key=over_best)
        ties = sum(ratio <= TIE for ratio in ratios)
        text += (
            f"| {name} | {len(cells)} | {statistics.median(ratios):.3f} | "
            f"{statistics.quantiles(ratios, n=10, method='inclusive')[8]:.3f} | {over_best(worst):.3f} | "
            f"{worst['cell']} at {worst['tokens']} | {ties} of {len(cells)} |\n"
        )
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", metavar="REPORT.md")
    parser.add_argument("svg", metavar="OUT.svg")
    parser.add_argument("table", metavar="OUT.md")
    options = parser.parse_args()
    classes = {name: cells for name, cells in read(options.report).items() if len(cells) > 1}
    if not classes:
        parser.error(f"{options.report}: found no table of a size class")
    draw(classes, options.svg)
    machine = pathlib.Path(options.report).read_text().splitlines()[0]
    names = [pathlib.Path(each).name for each in (options.report, options.svg, options.table)]
    command = shlex.join(["python3", "bench/plot_tuning.py", *names])
    pathlib.Path(options.table).write_text(
        f"{machine}\n\n    {command}\n\n"
        f"Time of the untuned default over that of the best variant, for the cells of `{names[0]}` (those that read\n"
        "a caller's table among them). The best is what the report names as best, timed in turns with the default;\n"
        "where it is the default itself, the ratio is 1. Within 1.2 % the tuner takes two variants for equals.\n\n"
        f"{table(classes)}\n![default over best]({names[1]})\n"
    )
    print(options.svg, options.table, sep="\n")


if __name__ == "__main__":
    main()
