#!/usr/bin/env python3
"""Tests of bench/peers as far as it goes without PyTorch: cells, lines that are read again, tables, packages."""

import json
import pathlib
import re
import sys
import tempfile
import unittest
import zipfile

PEERS = pathlib.Path(__file__).resolve().parent.parent / "bench/peers"
sys.path.insert(0, str(PEERS))
sys.dont_write_bytecode = True

import cells
import get_peers
import report


def line(cell, variant, us=None, **more):
    timed = {} if us is None else {"us": us, "us_low": us, "us_high": us, "floor_us": 10.0}
    return {"cell": cell, "variant": variant, "tokens": 1, "bytes": 1000000, **timed, **more}


def read(lines, rest=""):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "lines.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in lines) + rest)
        return report.read(file)


class Cells(unittest.TestCase):
    def test_names_tell_the_cells_of_a_set_apart(self):
        for name, make in cells.SETS.items():
            names = [cell.name for cell in make()]
            self.assertEqual(len(names), len(set(names)), name)

    def test_the_gate_has_about_100_cells_and_every_group(self):
        gate = cells.gate()
        self.assertTrue(90 <= len(gate) <= 110, len(gate))
        self.assertEqual({cell.group for cell in gate}, {"models", "fairseq2", "rope-triton-kernel"})

    def test_bytes_are_those_that_must_move(self):
        partial = cells.Shape("", 16, 2, 256, 64)
        out = cells.Shape("", 16, 2, 256, 64, placement="out_of_place")
        self.assertEqual(cells.Cell(partial, 1, 10).bytes, 2 * 10 * 18 * 64 * 2)
        self.assertEqual(cells.Cell(out, 1, 10).bytes, 2 * 10 * 18 * 256 * 2)

    def test_tensors_beyond_the_cache_take_turns(self):
        for cell in cells.sweep():
            if cell.footprint <= cells.L2_SAFE:
                self.assertEqual(cell.buffers, 1)
            else:
                self.assertGreaterEqual(cell.buffers, 2)
                self.assertGreaterEqual(cell.buffers * cell.footprint, cells.BEYOND_L2)


class Lines(unittest.TestCase):
    def test_of_a_cell_that_was_run_twice_the_last_counts(self):
        found = read([{"meta": {}}, line("a", "ropejit", 12.0), line("a", "ropejit", 11.0)])
        self.assertEqual([one["us"] for one in found], [11.0])

    def test_a_line_that_was_cut_off_is_not_read(self):
        self.assertEqual(len(read([line("a", "ropejit", 12.0)], '{"cell": "a", "var')), 1)

    def test_of_ropejit_bench_the_default_and_the_fastest_variant_remain(self):
        common = {"tokens": 64, "l2": "hot", "floor_us": 10.0, "bytes": 5}
        variants = [("x", False, 12.0), ("y", True, 13.0), ("z", False, 11.0)]
        made = [
            {"cell": "32-8-128-split-bf16-in", "variant": name, "default": default, "us": us, **common}
            for name, default, us in variants
        ]
        found = {one["variant"]: (one["us"], one["layout"]) for one in read(made)}
        self.assertEqual(found, {"ropejit": (13.0, "split"), "ropejit, tuned": (11.0, "split")})


class Table(unittest.TestCase):
    def test_the_best_rival_is_the_fastest_that_was_timed(self):
        lines = [line("a", "ropejit", 11.0), line("a", "ropejit_table", 10.5), line("a", "slow", 30.0)]
        lines += [line("a", "fast", 22.0), line("a", "wrong", failed="wrong: error 1", error=1.0)]
        text = report.table(lines)
        self.assertIn("| a | 1.0 | 10.00 | 1.10 | 0 % | 1.05 | 2.20 | fast | 2.00 |", text)
        self.assertIn("a: wrong: wrong: error 1", text)

    def test_a_cell_without_rivals_has_a_row(self):
        self.assertIn("| a | 1.0 | 10.00 | 1.10 | 0 % |  |  |  |  |", report.table([line("a", "ropejit", 11.0)]))


class Packages(unittest.TestCase):
    """get_peers.take, on a wheel made here."""

    def setUp(self):
        self.work = tempfile.TemporaryDirectory()
        self.addCleanup(self.work.cleanup)
        self.folder = pathlib.Path(self.work.name)
        self.wheel = self.folder / "some-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            for name in ("some/ops/rope.py", "some/ops/norm.py", "some/data/kernel.cu"):
                archive.writestr(name, name)

    def test_only_what_is_wanted_is_taken_out_of_a_wheel(self):
        get_peers.take(self.wheel, self.folder / "out", r"some/ops/rope\.py")
        taken = [path.relative_to(self.folder / "out").as_posix() for path in (self.folder / "out").rglob("*.*")]
        self.assertEqual(taken, ["some/ops/rope.py"])

    def test_a_wheel_that_has_changed_is_named(self):
        with self.assertRaisesRegex(get_peers.Missing, "some-1.0-py3-none-any.whl"):
            get_peers.take(self.wheel, self.folder / "out", r"some/rope\.py")

    def test_rivals_come_from_wheels_alone(self):
        """No repository is cloned or fetched and no compiler is called by what stands in bench/peers."""
        for file in sorted(PEERS.rglob("*")):
            self.assertNotIn(file.suffix, (".cu", ".cuh", ".cpp", ".c", ".patch"), file)
            if file.suffix == ".py":
                banned = r"\b(?:urllib|urlopen|requests|https?://|nvcc|ninja|git clone|load_inline)"
                found = re.findall(banned, file.read_text())
                self.assertEqual(found, [], file)


if __name__ == "__main__":
    unittest.main()
