"""Results as lines of JSON, and what a run that was cut off has still to do. Pure.

A file holds, each on a line of its own, whole or not there at all:
  {"meta": {...}}                                       what a process ran on: GPU, versions, command
  {"table", "cell", "round", "order", "ways": {way: figures}, ...}    one round of a cell; figures are numbers
  {"table", "cell", "note": name, ...}                  what belongs to a cell once: "saving", "report"
  {"table", "cell", "way", "failed": reason}            a way that this cell has not
  {"table", "cell", "failed": reason}                   a cell that could not be run
  {"table", "retry": true}                              failures of this table that stand above are void
"""

import json
import os
import pathlib


class Results:
    """The lines of a file. `add` writes a line at once; a run that dies loses at most the line that it was writing."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lines = read(self.path)

    def add(self, line):
        text = json.dumps(line) + "\n"
        with open(self.path, "ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line that was cut off: it ends here
                    text = "\n" + text
            file.write(text.encode())
        self.lines.append(json.loads(json.dumps(line)))

    def of(self, table, cell=None):
        return [x for x in self.lines if x.get("table") == table and cell in (None, x.get("cell"))]

    def rounds(self, table, cell):
        """The rounds of a cell by number, the last line of each."""
        return {x["round"]: x for x in self.of(table, cell) if "round" in x}

    def missing(self, table, cell, rounds, ways=()):
        """The numbers of the rounds that a cell still has to run: those that are not there with all of these ways, but for
        ways that failed. None of a cell that failed."""
        if self.failure(table, cell):
            return []
        done, wanted = self.rounds(table, cell), set(ways) - set(self.failed_ways(table, cell))
        return [number for number in range(rounds) if number not in done or wanted - set(done[number]["ways"])]

    def _failures(self, table, cell):
        """Lines of failures that are not void."""
        lines = self.of(table)
        start = max((i for i, x in enumerate(lines) if "retry" in x), default=-1) + 1
        return [x for x in lines[start:] if x.get("cell") == cell and "failed" in x and "note" not in x]

    def failure(self, table, cell):
        """Why a cell could not be run; None where it could, or was not tried."""
        return next((x["failed"] for x in self._failures(table, cell) if "way" not in x), None)

    def failed_ways(self, table, cell):
        """{way: why it is not there}"""
        return {x["way"]: x["failed"] for x in self._failures(table, cell) if "way" in x}

    def note(self, table, cell, name):
        """The last note of this name; None where there is none."""
        found = [x for x in self.of(table, cell) if x.get("note") == name]
        return found[-1] if found else None

    def cells(self, table):
        """The names of a table's cells, as they first came."""
        return list(dict.fromkeys(x["cell"] for x in self.of(table) if "cell" in x))

    def metas(self):
        return [x["meta"] for x in self.lines if "meta" in x]


def read(path):
    """The whole lines of a file that may be missing, or end within a line."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
