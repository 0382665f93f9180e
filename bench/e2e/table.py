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
    """Those that --models and --cells name: a cell, if it has each word of one of the --cells in its name, or is the one
    that is named whole behind a =."""
    def fits(cell):
        if options.models and cell.model not in options.models:
            return False
        return not options.cells or any(
            cell.name == each[1:] if each[:1] == "=" else all(word in cell.name for word in each.split())
            for each in options.cells)

    return [cell for cell in cells if fits(cell)]
