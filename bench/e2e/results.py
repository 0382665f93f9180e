"""Results as lines of JSON, and what a run that was cut off has still to do. Pure.

A file holds, each on a line of its own, whole or not there at all:
  {"meta": {...}}                                       what a process ran on: GPU, versions, command
  {"table", "cell", "round", "order", "ways": {way: figures}, ...}    one round of a cell; figures are numbers
  {"table", "cell", "note": name, ...}                  what belongs to a cell once: "saving", "report"
  {"table", "cell", "way", "failed": reason}            a way that this cell has not
  {"table", "cell", "failed": reason}                   a cell that could not be run
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

    def missing(self, table, cell, rounds):
        """The numbers of the rounds that a cell still has to run; none of a cell that failed."""
        if self.failure(table, cell):
            return []
        done = self.rounds(table, cell)
        return [number for number in range(rounds) if number not in done]

    def failure(self, table, cell):
        """Why a cell could not be run; None where it could, or was not tried."""
        return next((x["failed"] for x in self.of(table, cell) if "failed" in x and not {"way", "note"} & set(x)), None)

    def failed_ways(self, table, cell):
        """{way: why it is not there}"""
        return {x["way"]: x["failed"] for x in self.of(table, cell) if "failed" in x and "way" in x}

    def note(self, table, cell, name):
        """The last note of this name; None where there is none."""
        found = [x for x in self.of(table, cell) if x.get("note") == name]
        return found[-1] if found else None

    def cells(self, table):
        """The names of a table's cells, as they first came."""
        return list(dict.fromkeys(x["cell"] for x in self.of(table)))

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
