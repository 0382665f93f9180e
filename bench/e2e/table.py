"""What every table is made of: cells, and jobs that measure one. Pure.

A module of a table has
  KEY                        which figure is compared ("ms")
  BACK                       whether a round goes there and back (turns.py)
  seconds(cell, options)     what a cell takes to prepare, about: none is begun with less time left
  job(cell, options, failed) a Job; failed(way, reason) is told of ways that are not there
plan.py has the cells.
"""

from typing import Any, Callable, NamedTuple


class Cell(NamedTuple):
    table: str
    model: str  # of models.CONFIGS
    name: str  # tells the cell apart from all others of its table, sizes and all
    values: dict[str, Any]


class Job(NamedTuple):
    turns: dict[str, Callable[[], dict[str, float]]]  # a way's turn, warm
    more: Callable[[], dict[str, Any]]  # what each line of a round says besides
    notes: Callable[[], dict[str, dict[str, Any]]]  # what is noted of the cell once, asked for after the first round
    close: Callable[[], None] = lambda: None


def chosen(cells, options):
    """Those that --models and --cells name. A cell is one of --cells if each part of that, split at ", ", begins a part of
    the cell's name ("Qwen3-0.6B, batch 1, eager"), or if it is named whole behind a =."""
    def is_named(name, wanted):
        if wanted[:1] == "=":
            return name == wanted[1:]
        return all(any(part.startswith(word) for part in name.split(", ")) for word in wanted.split(", "))

    def fits(cell):
        is_model = not options.models or cell.model in options.models
        return is_model and (not options.cells or any(is_named(cell.name, each) for each in options.cells))

    return [cell for cell in cells if fits(cell)]
